"""The planted corpus on disk: WAV files of clips and twins, one manifest with their checksums.

The folder appears as a whole, by one rename; of two processes that render at once the first to finish wins. A file
that is missing or damaged is rendered again alone. WAV, because its bytes depend on the samples alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..audio import SAMPLE_RATE
from ..errors import SerxaiError

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.parquet"


def write_clip(folder: Path, name: str, samples: np.ndarray, twin: np.ndarray) -> dict[str, str]:
    """Write a clip and its twin as 16-bit WAV; returns their file names and checksums for the manifest."""
    import soundfile

    row: dict[str, str] = {}
    for kind, signal in (("file", samples), ("twin", twin)):
        path = folder / ("clips" if kind == "file" else "twins") / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, signal, SAMPLE_RATE, subtype="PCM_16")
        row |= {kind: path.relative_to(folder).as_posix(), f"{kind}_sha256": _sha256(path)}
    return row


def row_path(folder: Path, name: str) -> Path:
    """Where a clip's manifest row waits until the manifest is put together."""
    return folder / f"{name}.json"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_manifest(folder: Path) -> pd.DataFrame | None:
    """The manifest, indexed by clip id; None where there is none that can be read."""
    import pandas as pd

    try:
        return pd.read_parquet(folder / MANIFEST).set_index("id")
    except (OSError, ValueError, KeyError):
        return None


def damaged(folder: Path, names: Iterable[str]) -> list[str]:
    """Which clips are missing or differ from their checksums."""
    manifest = read_manifest(folder)
    if manifest is None:
        return list(names)
    return [name for name in names if name not in manifest.index or not _intact(folder, manifest.loc[name])]


def _intact(folder: Path, row: pd.Series) -> bool:
    try:
        return all(_sha256(folder / row[kind]) == row[f"{kind}_sha256"] for kind in ("file", "twin"))
    except OSError:
        return False


def render_into(
    folder: Path, names: list[str], workers: int, progress: Callable[[int, int], None] | None = None
) -> None:
    """Render clips into a folder that others may read or render at the same time.

    Parameters
    ----------
    folder : Path
    names : list of str
    workers : int
        Processes at once.
    progress : callable, optional
        Called with clips done and clips to do.

    Raises
    ------
    SerxaiError
        If rendering fails.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=folder.name + ".", dir=folder.parent, ignore_cleanup_errors=True
    ) as scratch:
        made = Path(scratch) / folder.name
        made.mkdir()
        _run_worker(made, names, workers, progress)
        rows = []
        for name in sorted(names):
            rows.append(json.loads(row_path(made, name).read_text("utf-8")))
            row_path(made, name).unlink()
        _write_manifest(made, rows)
        _install(made, folder, rows)


def _run_worker(folder: Path, names: list[str], workers: int, progress: Callable[[int, int], None] | None) -> None:
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "serxai.datasets.planted_worker", str(folder), str(workers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | single,
        ) as worker,
    ):
        assert worker.stdin is not None and worker.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError), worker.stdin:  # a dead worker speaks by its exit status
                worker.stdin.write("\n".join(names))
            for done, _ in enumerate(worker.stdout, 1):
                if progress is not None:
                    progress(done, len(names))
        except BaseException:
            worker.terminate()
            raise
        if worker.wait() != 0:
            errors.seek(0)
            raise SerxaiError(
                f"rendering the planted corpus failed with exit status {worker.returncode}; its last words:\n"
                + "\n".join(errors.read().splitlines()[-8:])
            )


def _write_manifest(folder: Path, rows: list[dict[str, str]]) -> None:
    import pandas as pd

    scratch = folder / f"{MANIFEST}.{os.getpid()}"
    pd.DataFrame(rows).sort_values("id").to_parquet(scratch, index=False)
    scratch.replace(folder / MANIFEST)


def _install(made: Path, folder: Path, rows: list[dict[str, str]]) -> None:
    """Rename the new folder into place, or mend the one that is there, file by file."""
    try:
        made.rename(folder)
        return
    except OSError:
        if not folder.is_dir():
            raise
    still = set(damaged(folder, [row["id"] for row in rows]))
    if not still:
        return  # another process was faster
    manifest = read_manifest(folder)
    kept = [] if manifest is None else manifest.reset_index().to_dict("records")
    for row in rows:
        if row["id"] in still:
            for kind in ("file", "twin"):
                (folder / row[kind]).parent.mkdir(exist_ok=True)
                (made / row[kind]).replace(folder / row[kind])
    _write_manifest(folder, [row for row in kept if row["id"] not in still] + [r for r in rows if r["id"] in still])
