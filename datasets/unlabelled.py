"""A folder of sound files without a table: clips without labels, whose speakers are not known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .corpus import files_below

if TYPE_CHECKING:
    import pandas as pd

SOUNDS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"})
SPEAKER = "unknown"  # of all clips: no claim about a population of speakers rests on them


def sound_rows(root: Path) -> pd.DataFrame | None:
    """Table of the sound files at any depth of a folder, by the roles of `datasets.folder`; None where there are none.

    Parameters
    ----------
    root : Path

    Returns
    -------
    DataFrame or None
        ``file``, ``emotion`` (empty), ``speaker`` (`SPEAKER`), ``sex`` and ``sentence`` (empty); indexed from 1.
    """
    import pandas as pd

    files = [path.relative_to(root).as_posix() for path in files_below(root) if path.suffix.casefold() in SOUNDS]
    if not files:
        return None
    table = pd.DataFrame({"file": files, "emotion": "", "speaker": SPEAKER, "sex": "", "sentence": ""})
    table.index += 1
    return table
