"""The report in a run's own folder, written anew only where scores or code have changed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...keys import digest
from ...progress import Progress
from ..analysis.leaderboard import BOARD_COLUMNS
from ..analysis.plausibility import plausibility_table
from ..storage.bounds import MAX_FILE_BYTES, check_parquet
from ..storage.clip_facts import with_clip_facts
from ..storage.files import read_bytes, write_atomically
from ..storage.store import Store
from .conventions import read_conventions
from .html import write_board
from .page.write import Source
from .robustness import FILE, robustness_of

_MADE_OF = b"serxai-made-of"


def write_run_report(
    store: Store, info: dict[str, Any], progress: Progress, data_root: str | Path | None = None
) -> tuple[pd.DataFrame, Path]:
    """Write ``report/`` of a run, unless the one in the folder was made from the same scores by the same code.

    Parameters
    ----------
    store : Store
    info : dict
        Its run.json.
    progress : callable
    data_root : path, optional
        Folder that holds the corpora, for the sounds of single clips.

    Returns
    -------
    board : DataFrame
        As `leaderboard.leaderboard`.
    page : Path
    """
    folder = store.path / "report"
    page, kept = folder / "index.html", folder / "board.parquet"
    conventions = read_conventions(folder)
    shown = [[table.title, table.lines, table.note] for table in conventions]
    beside = store.path / FILE
    strengths = read_bytes(beside, MAX_FILE_BYTES).hex() if beside.is_file() else ""
    made_of = digest(store.digest(), info["config"], info["versions"], info["git"], shown, strengths).encode()
    with suppress(OSError, ValueError, pa.ArrowException):
        file = pq.ParquetFile(pa.BufferReader(read_bytes(kept, MAX_FILE_BYTES)))
        check_parquet(file)
        table = file.read()
        if (
            set(BOARD_COLUMNS) <= set(table.column_names)
            and page.is_file()
            and (table.schema.metadata or {}).get(_MADE_OF) == made_of
        ):
            return table.to_pandas(), page
    scores = with_clip_facts(store.scores(), [store.path])
    plausible = (
        (scores["family"] == "plausibility") & (scores["status"] == "ok") & (scores["condition"] == "clean")
    ).any()
    cues = plausibility_table(store, progress=progress, measured=False) if plausible else None
    robust, notes = robustness_of([store], progress)
    board, page = write_board(
        scores, [info], folder, cues, notes, conventions, robust=robust, source=Source([store], data_root)
    )
    table = pa.Table.from_pandas(board)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), _MADE_OF: made_of})
    body = pa.BufferOutputStream()
    pq.write_table(table, body)
    write_atomically(kept, body.getvalue().to_pybytes())  # last: its presence says that the report is whole
    return board, page
