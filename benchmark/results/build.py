"""Board, figures, tables and numbers of texts, rebuilt from records alone: no corpus, no model, no map is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...errors import InputError
from ...progress import Progress
from ..analysis.claim_counts import verdict_counts
from ..analysis.claim_tables import decide, derive_and_join
from ..analysis.class_metrics import class_metrics
from ..analysis.cue_groups import cue_group_table
from ..analysis.leaderboard import completed_cells
from ..analysis.merge import merged
from ..analysis.rank_agreement import agreement_of
from ..analysis.recognition import recognition_table
from ..analysis.retrainings import recorded_trainings
from ..analysis.strength_curves import curve_areas
from ..report.catalogue import FIGURES, draw_figure
from ..report.figures.margins import draw_margins
from ..report.html import write_board
from ..report.robustness import ranked, robustness_of
from ..storage.bounds import MAX_FILE_BYTES
from ..storage.files import read_bytes, write_atomically, writing
from ..storage.result_tree import pieces
from ..storage.store import Store
from .agreement import agreement
from .marks import has_marks, rewritten
from .tables import CLEAN, as_csv, as_texts, core_metrics, first_claim_table, headline, rank_table, record_table

BOARD = "board"  # folder of what is committed, in that of the results
PICTURE = "margins"
ON_BOARD = ("ranking", "localisation", "consistency")  # figures of one run
COMMITTED = (
    "emolime-robustness",
    "emolime-morf",
    "robustness-map",
    "shift",
    "beyond-saliency-cues",
    "beyond-saliency-corpus",
)  # figures of the claims, which lie beside the board's picture
OF_LARGEST = ("critical-difference",)  # of one run and its scores alone: drawn of the record with most rows
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
    root: Path,
    out: Path,
    texts: Sequence[Path] = (),
    check: bool = False,
    progress: Progress | None = None,
    workers: int = 1,
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
    workers : int
        Processes: 1, or 2, of which the second decides claims and draws figures. The results are the same.

    Raises
    ------
    InputError
        If a record is damaged or incomplete, or a mark names what is not there.
    """
    stores = [Store(path) for path in pieces(root)]
    if not stores:
        raise InputError(f"{root}: no record lies in it; add one with `serxai results add RUN --to {root}`.")
    scores, infos, notes = merged(stores)
    paths = [store.path for store in stores]
    with _second_process(workers) as pool, writing(out, resumable=False):
        claims = pool.submit(claim_tables, paths) if pool else None
        drawn = pool.submit(draw_figures, paths, out / "figures") if pool else None
        found = completed_cells(scores)
        robust, missing = robustness_of(stores, progress)
        board, page = write_board(
            scores, infos, out / BOARD, notes=[*notes, *missing], robust=robust, found=found, pool=pool,
            trainings=recorded_trainings(stores),
        )  # fmt: skip
        top = headline(board)
        beside = board.assign(mean=board["shared_mean"])  # what may be ordered
        clean = [each for each in found if each.cell.names["condition"] == CLEAN]
        core = core_metrics({str(each.cell.names["metric"]) for each in clean})
        of_core = [each for each in clean if str(each.cell.names["metric"]) in core]
        by_class, pairs = class_metrics(of_core)
        tables = {
            "records": record_table(stores, root), "headline": top, "ranks": rank_table(beside),
            "axes": ranked(robust, scores, board).axes,
            "agreement": agreement(headline(beside), agreement_of(of_core)),
            "metrics_by_class": by_class, "metric_pairs": pairs,
            "recognisers": recognition_table(scores, infos), "curves": curve_areas(robust.clips),
        }  # fmt: skip
        tables |= claims.result() if claims else claim_tables(paths, progress)
        figures, not_drawn = drawn.result() if drawn else draw_figures(paths, out / "figures", progress)
    files = {name: as_csv(table) for name, table in tables.items()}
    differences = _differing_tables(root / BOARD, files) if check else []
    if check:
        files = {name: _committed(root / BOARD / f"{name}.csv", data) for name, data in files.items()}
    else:
        for name, data in files.items():
            write_atomically(root / BOARD / f"{name}.csv", data)
    picture = draw_margins(top, out / BOARD / f"{PICTURE}.png", settings=board)
    drawn_by_name = {
        path.name: path for path in (*figures, *((picture, picture.with_suffix(".csv")) if picture else ()))
    }
    differences += _pictures(drawn_by_name, root / BOARD, check)
    differences += _texts(texts, as_texts(files), check)
    return Built(page, differences, figures, not_drawn)


def _pictures(drawn: Mapping[str, Path], folder: Path, check: bool) -> list[str]:
    """Commit the pictures of the board and of the claims with their numbers; with `check`, compare the numbers."""
    names = [name for name in (PICTURE, *COMMITTED) if f"{name}.csv" in drawn]
    if check:
        return _differing_tables(folder, {name: drawn[f"{name}.csv"].read_bytes() for name in names})
    for name in names:
        for file in (f"{name}.csv", f"{name}.png"):
            write_atomically(folder / file, drawn[file].read_bytes())
    return []


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


@contextmanager
def _second_process(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """One more process than this, or none."""
    if workers < 2:
        yield None
        return
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def claim_tables(paths: Sequence[Path], progress: Progress | None = None) -> dict[str, pd.DataFrame]:
    """Tables of the papers' claims and of groups of cues, from the records in these folders.

    Raises
    ------
    InputError
        If a record is damaged.
    """
    tables = derive_and_join([Store(path) for path in paths], (), None, progress)
    found = decide(tables)
    return {
        "claims": verdict_counts(found).reset_index(), "emolime_1": first_claim_table(found),
        "cue_groups": cue_group_table(tables.cues),
    }  # fmt: skip


def draw_figures(
    paths: Sequence[Path], out: Path, progress: Progress | None = None
) -> tuple[list[Path], dict[str, str]]:
    """Draw figures that the records in these folders give, and tell why the others are not drawn."""
    stores = [Store(path) for path in paths]
    figures: list[Path] = []
    not_drawn = {}
    for name, record in FIGURES.items():
        if name in ON_BOARD:
            not_drawn[name] = f"the board has it for every setting, in its folder {BOARD}/figures"
            continue
        if not record.several and name not in OF_LARGEST:
            not_drawn[name] = "shows one run and reads its maps or corpus; draw it with `serxai figures`"
            continue
        runs = stores if record.several else [max(stores, key=lambda store: int(store.info["planned_rows"]))]
        try:
            figures += draw_figure(name, runs, out, None, progress)
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
