"""Sentence and sex of a run's clips: what boards need of a clip and score rows do not hold.

``NAME/clips.csv`` has one row for each clip of the plan. Runs made without it are tested by speaker alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ...errors import InputError
from .files import read_bytes, write_atomically

FILE = "clips.csv"
MAX_BYTES = 256 * 2**20
FACTS = ("sentence", "sex")
COLUMNS = ("corpus", "clip", *FACTS)


def write_clip_facts(folder: str | Path, rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Write the table of a run; `rows` have the columns `COLUMNS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(sorted(set(rows)))
    write_atomically(Path(folder) / FILE, text.getvalue().encode())


def read_clip_facts(folder: str | Path) -> pd.DataFrame:
    """The table of a run, columns `COLUMNS`; empty where the run has none.

    Raises
    ------
    InputError
        If it cannot be read, or lacks columns.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS), dtype=str)
    try:
        table = pd.read_csv(io.BytesIO(read_bytes(path, MAX_BYTES)), dtype=str, keep_default_na=False)
    except ValueError as error:
        text = " ".join(str(error).split()).removeprefix(f"{path}: ")[:200]
        raise InputError(f"{path}: cannot be read ({text}); run again with --resume to write it anew.") from None
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise InputError(f"{path}: lacks columns {missing}; run again with --resume to write it anew.")
    return table[list(COLUMNS)]


def with_clip_facts(
    scores: pd.DataFrame, folders: Sequence[str | Path], names: Sequence[Mapping[str, str]] = ()
) -> pd.DataFrame:
    """Add the columns `FACTS` to score rows of runs, NaN for clips of which no run has them.

    Score rows are returned as they are where no run has the table. `names` gives, for each run, the name that a corpus
    has in the score rows, where it is another one than in the run.
    """
    tables = [read_clip_facts(folder) for folder in folders]
    for table, shown in zip(tables, names or [{}] * len(tables), strict=True):
        table["corpus"] = table["corpus"].map(lambda name, shown=shown: shown.get(name, name))
    known = pd.concat(tables).drop_duplicates(["corpus", "clip"])
    if known.empty:
        return scores
    return scores.merge(known, on=["corpus", "clip"], how="left")
