"""A planted corpus on disk: a WAV file each for clip and twin, and a JSON file with their checksums and the truth.

Clips are rendered when they are asked for. Each enters the folder by renames, its JSON file last: it is there whole or
not at all, processes that render the same clip at once do no harm (both make the same files), and what an interrupted
rendering has finished is kept. A file that is missing or damaged is rendered again alone. WAV, because its bytes depend
on the samples alone.
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
from typing import Any

import numpy as np

from ...audio import SAMPLE_RATE
from ...errors import SerxaiError

KINDS = ("clips", "twins")


def wav_path(folder: Path, kind: str, name: str) -> Path:
    """Where the samples of a clip (`kind` ``clips``) or of its twin (``twins``) lie."""
    return folder / kind / f"{name}.wav"


def truth_path(folder: Path, name: str) -> Path:
    """Where a clip's words, planted words, cues and checksums lie."""
    return folder / "truth" / f"{name}.json"


def write_clip(folder: Path, name: str, samples: np.ndarray, twin: np.ndarray, truth: dict[str, Any]) -> None:
    """Write a clip and its twin as 16-bit WAV, and its truth with their checksums."""
    import soundfile

    sums = {}
    for kind, signal in zip(KINDS, (samples, twin), strict=True):
        path = wav_path(folder, kind, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, signal, SAMPLE_RATE, subtype="PCM_16")
        sums[kind] = _sha256(path)
    path = truth_path(folder, name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(truth | {"sha256": sums}, sort_keys=True), "utf-8")


def read_truth(folder: Path, name: str) -> dict[str, Any] | None:
    """What `write_clip` wrote; None where it is missing or does not match the WAV files."""
    try:
        truth = json.loads(truth_path(folder, name).read_text("utf-8"))
        whole = all(_sha256(wav_path(folder, kind, name)) == truth["sha256"][kind] for kind in KINDS)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return truth if whole else None


def damaged(folder: Path, names: Iterable[str]) -> list[str]:
    """Which clips are missing or differ from their checksums."""
    return [name for name in dict.fromkeys(names) if read_truth(folder, name) is None]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def render_into(
    corpus: str, folder: Path, names: list[str], workers: int, progress: Callable[[int, int], None] | None = None
) -> None:
    """Render clips into a folder that others may read or render at the same time.

    Parameters
    ----------
    corpus : str
        Which planted corpus.
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
    with (
        # beside the folder, so that a rename stays within one file system
        tempfile.TemporaryDirectory(prefix=folder.name + ".", dir=folder.parent, ignore_cleanup_errors=True) as made,
        tempfile.TemporaryFile("w+") as errors,
        _worker(corpus, made, workers, errors) as worker,
    ):
        assert worker.stdin is not None and worker.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError), worker.stdin:  # a dead worker speaks by its exit status
                worker.stdin.write("\n".join(names))
            for done, line in enumerate(worker.stdout, 1):
                _install(Path(made), folder, line.strip())
                if progress is not None:
                    progress(done, len(names))
        except BaseException:
            worker.terminate()
            raise
        if worker.wait() != 0:
            errors.seek(0)
            raise SerxaiError(
                f"rendering corpus {corpus!r} failed with exit status {worker.returncode}; its last words:\n"
                + "\n".join(errors.read().splitlines()[-8:])
            )


def _worker(corpus: str, folder: str, workers: int, errors: Any) -> subprocess.Popen[str]:
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-m", "serxai.datasets.planted.worker", corpus, folder, str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=os.environ | single,
    )


def _install(made: Path, folder: Path, name: str) -> None:
    """Move one clip's files into the folder."""
    for source in (*(wav_path(made, kind, name) for kind in KINDS), truth_path(made, name)):
        target = folder / source.relative_to(made)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
