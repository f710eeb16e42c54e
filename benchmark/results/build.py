"""Board, figures, tables and numbers of texts, rebuilt from records alone: no corpus, no model, no map is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...errors import InputError
from ...progress import Progress
from ..analysis.beyond_saliency_claims import verdict_counts
from ..analysis.claim_tables import decide, derive_and_join
from ..analysis.merge import merged
from ..report.catalogue import FIGURES, draw_figure
from ..report.figures.margins import draw_margins
from ..report.html import write_board
from ..report.robustness import robustness_of
from ..storage.bounds import MAX_FILE_BYTES
from ..storage.files import read_bytes, write_atomically, writing
from ..storage.result_tree import pieces
from ..storage.store import Store
from .marks import has_marks, rewritten
from .tables import agreement, as_csv, as_texts, headline, record_table

BOARD = "board"  # folder of what is committed, in that of the results
PICTURE = "margins"
RELATIVE, ABSOLUTE = 1e-4, 1e-6  # other processors and libraries give other last digits


class Built(NamedTuple):
    """What was rebuilt.

    Attributes
    ----------
    page : Path
    differences : list of str
        Committed files that are not as they were rebuilt.
    figures : list of Path
    not_drawn : dict of str to str
        Figures that records cannot give, and why.
    """

    page: Path
    differences: list[str]
    figures: list[Path]
    not_drawn: dict[str, str]


def build_results(
    root: Path, out: Path, texts: Sequence[Path] = (), check: bool = False, progress: Progress | None = None
) -> Built:
    """Rebuild everything that stems from records.

    Parameters
    ----------
    root : Path
        Folder of results.
    out : Path
        Folder for the page and the figures, which are not committed.
    texts : sequence of Path
        Texts with marked numbers (`marks`).
    check : bool
        Compare what is committed with what is rebuilt, instead of writing it.
    progress : callable, optional

    Raises
    ------
    InputError
        If a record is damaged or incomplete, or a mark names what is not there.
    """
    stores = [Store(path) for path in pieces(root)]
    if not stores:
        raise InputError(f"{root}: no record lies in it; add one with `serxai results add RUN --to {root}`.")
    scores, infos, notes = merged(stores)
    robust, missing = robustness_of(stores, scores, progress)
    with writing(out, resumable=False):
        board, page = write_board(scores, infos, out / BOARD, notes=[*notes, *missing], robust=robust)
    found = verdict_counts(decide(derive_and_join(stores, (), None, progress))).reset_index()
    top = headline(board)
    tables = {"records": record_table(stores, root), "headline": top, "claims": found, "axes": robust.axes}
    tables["agreement"] = agreement(top)
    files = {name: as_csv(table) for name, table in tables.items()}
    differences = _differing_tables(root / BOARD, files) if check else []
    if check:
        files = {name: _committed(root / BOARD / f"{name}.csv", data) for name, data in files.items()}
    else:
        for name, data in files.items():
            write_atomically(root / BOARD / f"{name}.csv", data)
    drawn = draw_margins(top, (out if check else root) / BOARD / f"{PICTURE}.png")
    if check:
        differences += _differing_tables(
            root / BOARD, {PICTURE: drawn.with_suffix(".csv").read_bytes()} if drawn is not None else {}
        )
    figures, not_drawn = _figures(stores, out / "figures", progress)
    differences += _texts(texts, as_texts(files), check)
    return Built(page, differences, figures, not_drawn)


def _texts(texts: Sequence[Path], tables: Mapping[str, pd.DataFrame], check: bool) -> list[str]:
    """Rewrite marked numbers; with `check`, name the texts that would change."""
    differences = []
    for path in texts:
        old = read_bytes(path, MAX_FILE_BYTES).decode()
        if not has_marks(old):
            continue
        try:
            new = rewritten(old, tables)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        if new != old:
            differences.append(f"{path}: numbers are not those of the records; run `serxai results build`")
            if not check:
                write_atomically(path, new.encode())
    return differences if check else []


def _figures(stores: Sequence[Store], out: Path, progress: Progress | None) -> tuple[list[Path], dict[str, str]]:
    """Figures of several runs that records give, and why the others are not drawn."""
    figures: list[Path] = []
    not_drawn = {}
    for name, record in FIGURES.items():
        if not record.several:
            not_drawn[name] = "shows one run; draw it with `serxai figures`"
            continue
        try:
            figures += draw_figure(name, stores, out, None, progress)
        except InputError as error:
            not_drawn[name] = str(error)
    return figures, not_drawn


def _committed(path: Path, otherwise: bytes) -> bytes:
    """A committed table, whose numbers texts are held to; the rebuilt one where there is none."""
    return read_bytes(path, MAX_FILE_BYTES) if path.is_file() else otherwise


def _differing_tables(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Committed tables that differ from rebuilt ones by more than the last digits."""
    found = []
    rebuilt = as_texts(files)
    for name, new in rebuilt.items():
        path = folder / f"{name}.csv"
        if not path.is_file():
            found.append(f"{path}: not committed; run `serxai results build`")
            continue
        old = as_texts({name: read_bytes(path, MAX_FILE_BYTES)})[name]
        if list(old) != list(new) or len(old) != len(new):
            found.append(f"{path}: {len(old)} rows, rebuilt {len(new)}, or other columns")
            continue
        wrong = [column for column in new if not _alike(old[column], new[column])]
        if wrong:
            found.append(f"{path}: column {wrong[0]!r} is not as rebuilt")
    return found


def _alike(old: pd.Series, new: pd.Series) -> bool:
    if old.equals(new):
        return True
    before, after = (pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64) for column in (old, new))
    texts = (old.to_numpy() != new.to_numpy()) & (np.isnan(before) | np.isnan(after))
    return not texts.any() and np.allclose(before, after, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
