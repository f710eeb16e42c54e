"""Arrays kept on disk while a run is computed, shared by its recognisers and processes.

Nothing here is a result: what is missing, damaged or does not fit is computed again, and the folder is removed when the
run ends. It may hold sounds made from the corpus, so it never leaves the run's folder.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .files import write_atomically

FOLDER = "scratch"
LIMIT = 4e9  # bytes of all arrays of a run


class Scratch:
    """Arrays of one run by key.

    Parameters
    ----------
    run : Path
        The run's folder.
    limit : float
        Bytes that all arrays may take; a further one is computed anew each time.
    """

    def __init__(self, run: Path, limit: float = LIMIT) -> None:
        self.folder = run / FOLDER
        self.limit = limit

    def once(self, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array kept under a key, or else the one that `make` returns, which is kept.

        Parameters
        ----------
        key : str
            A digest of everything that the array depends on.
        make : callable
        """
        path = self.folder / f"{key}.npy"
        try:
            kept: np.ndarray = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
            return kept
        except (OSError, ValueError):
            array = make()
        body = io.BytesIO()
        np.save(body, array, allow_pickle=False)
        data = body.getvalue()
        try:
            used = sum(file.stat().st_size for file in self.folder.glob("*.npy"))
            if used + len(data) <= min(self.limit, used + self._free() / 2):
                write_atomically(path, data)
        except OSError:  # a full disk, or another process removed a file: the array is not kept
            return array
        return array

    def _free(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.folder).free

    def remove(self) -> None:
        """Remove the folder and all it holds."""
        shutil.rmtree(self.folder, ignore_errors=True)
