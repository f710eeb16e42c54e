"""File storage of planted corpora: WAV files of clip and twin, and a JSON file with checksums and ground truth.

Clips are rendered on demand. The files of a clip are renamed into the folder, the JSON file last, so that a clip is
complete or absent; concurrent processes may render the same clip (their files are identical), and the finished clips of
an interrupted rendering are kept. Clips with missing or damaged files are rendered again. The format is WAV because its
bytes depend on the samples only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ...audio import SAMPLE_RATE
from ...errors import SerxaiError

KINDS = ("clips", "twins")
LOCK = ".lock"  # held by the process that renders into a temporary folder
FRESH_S = 60.0


def wav_path(folder: Path, kind: str, name: str) -> Path:
    """Path of the WAV file of a clip (`kind` ``clips``) or of its twin (``twins``)."""
    return folder / kind / f"{name}.wav"


def truth_path(folder: Path, name: str) -> Path:
    """Path of the JSON file with a clip's words, planted words, cues and checksums."""
    return folder / "truth" / f"{name}.json"


def write_clip(folder: Path, name: str, samples: np.ndarray, twin: np.ndarray, truth: dict[str, Any]) -> None:
    """Write a clip and its twin as 16-bit WAV, and its ground truth and checksums as JSON."""
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
    """Read the ground truth written by `write_clip`; None if missing, or if a WAV file does not match its checksum."""
    try:
        truth = json.loads(truth_path(folder, name).read_text("utf-8"))
        whole = all(_sha256(wav_path(folder, kind, name)) == truth["sha256"][kind] for kind in KINDS)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return truth if whole else None


def damaged(folder: Path, names: Iterable[str]) -> list[str]:
    """Names of the clips that are missing or do not match their checksums."""
    return [name for name in dict.fromkeys(names) if read_truth(folder, name) is None]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def render_into(
    corpus: str,
    folder: Path,
    names: list[str],
    workers: int,
    progress: Callable[[int, int], None] | None = None,
    source: str | None = None,
) -> None:
    """Render clips into a folder in a subprocess; safe while other processes read or render the same folder.

    Parameters
    ----------
    corpus : str
        Name of the planted corpus.
    folder : Path
    names : list of str
        Clip ids.
    workers : int
        Parallel processes.
    progress : callable, optional
        Called with (done, total) clips.
    source : str, optional
        Data root of the recordings that the clips are made from.

    Raises
    ------
    SerxaiError
        If rendering fails.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_remains(folder)
    with (
        # beside the folder, so that renames stay within one file system
        tempfile.TemporaryDirectory(
            prefix=folder.name + ".", dir=folder.parent, ignore_cleanup_errors=True
        ) as rendered,
        (Path(rendered) / LOCK).open("w") as lock,
        tempfile.TemporaryFile("w+") as errors,
        _worker([corpus, rendered, str(workers), *([] if source is None else [source])], errors) as worker,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        stdin, stdout = cast(IO[str], worker.stdin), cast(IO[str], worker.stdout)
        try:
            with contextlib.suppress(BrokenPipeError), stdin:  # a dead worker is reported by its exit status
                stdin.write("\n".join(names))
            for done, line in enumerate(stdout, 1):
                _install(Path(rendered), folder, line.strip())
                if progress is not None:
                    progress(done, len(names))
        except BaseException:
            worker.terminate()
            raise
        if worker.wait() != 0:
            errors.seek(0)
            raise SerxaiError(
                f"rendering corpus {corpus!r} failed with exit status {worker.returncode}; the end of its output:\n"
                + "\n".join(errors.read().splitlines()[-8:])
            )


def _remove_remains(folder: Path) -> None:
    """Remove the temporary folders of renderings whose process was killed: nobody holds their lock any more."""
    for left in folder.parent.glob(f"{folder.name}.*"):
        if left.is_symlink() or time.time() - left.stat().st_mtime < FRESH_S:  # it may not have its lock yet
            continue
        try:
            with (left / LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # held, or not one of ours
            continue


def _worker(arguments: list[str], errors: IO[str]) -> subprocess.Popen[str]:
    """Start ``serxai.datasets.planted.worker`` with one numerical thread per process."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-m", "serxai.datasets.planted.worker", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=os.environ | single,
    )


def _install(rendered: Path, folder: Path, name: str) -> None:
    """Move one clip's files from the temporary folder into the corpus' folder."""
    for source in (*(wav_path(rendered, kind, name) for kind in KINDS), truth_path(rendered, name)):
        target = folder / source.relative_to(rendered)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
