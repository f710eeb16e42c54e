"""Records of runs in a folder of results: ``results/CORPUS/RECOGNISER/PIECE``.

Pieces of one corpus and recogniser lie side by side. They have the same corpus and weights, and never two versions of a
method or metric: a newer version replaces its own rows in the older pieces, an older one is refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...errors import InputError
from ...metrics.similarity import PROFILE_BANDS
from ...progress import Progress
from ..analysis.axis_rows import axis_tables
from ..analysis.band_table import BANDS, FACTS, band_table
from ..analysis.band_table import COLUMNS as BAND_COLUMNS
from ..analysis.claim_tables import ClaimTables, derive_tables
from ..analysis.merge import ROW, refuse_incomplete, version_order
from ..analysis.record_tables import AXES_TABLE, BAND_TABLE, CUES, MASK_KINDS, MASK_TABLES, MEASURE, RETRAININGS
from ..analysis.retrainings import other_trainings
from ..analysis.salient_cues import COLUMNS as CUE_COLUMNS
from ..analysis.salient_cues import Voices
from ..analysis.shown_names import plain_name, recogniser_title, same_recogniser, shown_names
from ..analysis.stored_maps import CLEAN, found_maps, maps_of_run
from ..storage.clip_facts import read_clip_facts
from ..storage.files import refuse_links, writing
from ..storage.portable import portable
from ..storage.result_tree import pieces
from ..storage.store import Store
from .piece import Piece, folder_name, read_piece, record_info


@dataclass(frozen=True)
class Added:
    """Piece that was written.

    Attributes
    ----------
    folder : Path
    rows, n_bytes : int
    notes : tuple of str
        What was left out or replaced.
    """

    folder: Path
    rows: int
    n_bytes: int
    notes: tuple[str, ...] = ()


def add_runs(
    stores: Sequence[Store],
    to: Path,
    data_root: Path | None = None,
    name: str = "",
    recogniser: str = "",
    cues: bool = True,
    progress: Progress | None = None,
    beside: Sequence[Store] = (),
) -> list[Added]:
    """Write the records of runs, one piece for each corpus and recogniser of each.

    Parameters
    ----------
    stores : sequence of Store
        Explanations of all of them are compared with one another: across recognisers and retrainings.
    to : Path
    data_root : Path, optional
        Folder that holds the corpora, of which the cues of salient windows are measured.
    name : str
        Name of the piece; default that of the run's folder.
    recogniser : str
        Name of the recogniser's folder; default its own.
    cues : bool
        Whether cues are measured; `serxai claims` needs them for Beyond Saliency's.
    progress : callable, optional
    beside : sequence of Store
        Runs that get no record: other trainings of a recogniser. Their explanations are compared too, and their scores
        of the same methods and clips kept, so that boards mark pairs of methods whose order changes.

    Raises
    ------
    InputError
        If a run is incomplete or damaged, is a record, lacks maps or a corpus, or does not fit what is there.
    """
    for store in (*stores, *beside):
        if store.is_record:
            raise InputError(f"{store.path}: already a record; give the run that it was made of.")
        store.refuse_damage()
        refuse_incomplete(store)
    every = [*stores, *beside]
    similar = axis_tables(found_maps(every), MEASURE, corpora=False, progress=progress).rows
    voices = Voices(data_root)
    added = []
    shown = shown_names([store.info for store in every])
    besides = [(store.scores(), names) for store, names in zip(beside, shown[len(stores) :], strict=True)]
    for store, names in zip(stores, shown, strict=False):
        claims = _claim_tables(store, voices if cues else None, progress)
        for piece, corpus, model in _pieces(store, claims, cues, name):
            trained_on = str(piece.scores["trained_on"].iloc[0])
            title = recogniser_title(names.model(model, trained_on), trained_on)
            mine = similar[
                (similar["corpus"] == names.corpus(corpus))
                & (similar["model"] == title)
                & similar["method"].isin([names.method(name) for name in store.info["config"]["methods"]])
                & similar["clip"].isin(set(piece.scores["clip"]))  # those of other runs are in their records
            ]
            others = other_trainings(piece.scores.assign(model=model), names, besides)
            if len(others):
                piece.tables[RETRAININGS] = others
            piece.tables[AXES_TABLE] = mine.assign(
                other=mine["other"].map(portable), model=portable(model), method=mine["method"].map(plain_name)
            )
            place = to / folder_name(corpus) / folder_name(recogniser or _crossed(model, corpus, trained_on))
            added.append(_add(piece, place, str(piece.info["record"]["piece"])))
    return added


def _crossed(model: str, corpus: str, trained_on: str) -> str:
    """Folder of a recogniser: its name, with the training corpus where it is another one."""
    model = portable(model)
    return model if trained_on in ("", corpus) else f"{model}-trained-on-{trained_on}"


def _claim_tables(store: Store, voices: Voices | None, progress: Progress | None) -> ClaimTables:
    """Tables of a run; without voices no cue is measured."""
    if voices is None:
        maps = (one.read() for one in maps_of_run(store, condition=CLEAN, repeat=0))
        return ClaimTables(_with_flat(band_table(maps), store), pd.DataFrame(columns=CUE_COLUMNS))
    tables = derive_tables(store, (), voices, progress)
    if tables.lacking:
        raise InputError(f"{tables.lacking} Cues of salient windows are measured there; or give --without-cues.")
    return tables._replace(bands=_with_flat(tables.bands, store))


def _with_flat(bands: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Band table with rows of zeros for maps that say nothing about frequency: a record names all that it explains."""
    facts = [{name: getattr(one, name) for name in FACTS} for one in maps_of_run(store, condition=CLEAN, repeat=0)]
    everything = pd.DataFrame(facts, columns=FACTS)
    return everything.merge(bands, "left", FACTS).fillna(dict.fromkeys(BANDS, 0.0))[BAND_COLUMNS]


def _mask_tables(store: Store, corpus: str, model: str) -> pd.DataFrame:
    """Responses to all sets of eight bands, of explanations that scored every one."""
    rows = []
    for one in maps_of_run(store, condition=CLEAN, repeat=0, corpus=corpus, model=model):
        table = one.explanation().attribution.table if one.has_table else None
        if table is not None and table.shape == (1 << PROFILE_BANDS,):
            rows.append({"method": one.method, "clip": one.clip, "target": one.target, "responses": table})
    return pd.DataFrame(rows, columns=list(MASK_KINDS))


def _pieces(store: Store, claims: ClaimTables, cues: bool, name: str) -> Iterator[tuple[Piece, str, str]]:
    """Pieces of a run, each with the corpus and recogniser as the run names them; similarities are not yet there."""
    info, scores, clips = store.info, store.scores(), read_clip_facts(store.path)
    text = {"corpus": str, "model": str, "trained_on": str}
    scores = scores.astype(text)
    titles = scores[[*text]].drop_duplicates()
    piece_name = folder_name(name or store.path.resolve().name)
    for corpus, model, trained_on in titles.itertuples(index=False, name=None):
        if f"{model} trained on {trained_on}" not in info["models"]:
            raise InputError(
                f"{store.path}: run.json does not describe recogniser {model!r} trained on {trained_on!r}."
            )
        rows = scores[(scores[[*text]] == [corpus, model, trained_on]).all(axis=1)]
        tables = {}
        for table_name, table in {BAND_TABLE: claims.bands, **({CUES: claims.cues} if cues else {})}.items():
            own = (table["corpus"] == corpus) & (table["model"] == model) & (table["trained_on"] == trained_on)
            own &= table["method"].isin(set(rows["method"]))  # not those that others are built on
            tables[table_name] = table[own].assign(model=portable(model))
        with_table = _mask_tables(store, corpus, model)
        if len(with_table):
            tables[MASK_TABLES] = with_table
        yield (
            Piece(
                record_info(info, corpus, model, trained_on, piece_name),
                rows.assign(model=portable(model)).reset_index(drop=True),
                clips[clips["corpus"].eq(corpus) & clips["clip"].isin(set(rows["clip"]))],
                tables,
            ),
            corpus,
            model,
        )


def _add(piece: Piece, place: Path, name: str) -> Added:
    """Write a piece beside those of its corpus and recogniser."""
    notes: list[str] = []
    others = {}
    for folder in pieces(place, 1) if place.is_dir() else ():
        if folder.name == name:
            notes.append("replaces the piece of this name")
            continue
        others[folder] = read_piece(Store(folder))
    changed: dict[Path, Piece] = {}
    for folder, other in others.items():
        _same_identity(piece.info, other.info, folder)
        gone = {kind: _replaced(piece.info, other.info, kind, folder) for kind in ("methods", "metrics")}
        if gone["methods"] or gone["metrics"]:
            changed[folder] = other.without(gone["methods"], gone["metrics"])
            left = len(other.scores) - len(changed[folder].scores)
            notes.append(f"replaces {left} rows of older versions in {folder.name}")
    beside = {folder: changed.get(folder, other) for folder, other in others.items()}
    _no_conflict(piece, list(beside.values()), place)
    notes += _other_clips(piece, beside)
    refuse_links(place, ["", name, f"{name}/scores", f"{name}/derived"])
    with writing(place, resumable=False):
        piece.write(place / name)
        for folder, left_over in changed.items():
            if left_over.scores.empty:
                shutil.rmtree(folder)
            else:
                left_over.write(folder)
    size = sum(path.stat().st_size for path in (place / name).rglob("*") if path.is_file())
    return Added(place / name, len(piece.scores), size, tuple(notes))


def _other_clips(piece: Piece, others: Mapping[Path, Piece]) -> Iterator[str]:
    """Warn where the piece that scored most of the same metrics has other clips: boards compare on common ones."""
    scored = ["condition", "metric", "fill"]
    mine, cells = piece.scores, piece.scores[scored].drop_duplicates()
    both = {folder: cells.merge(other.scores[scored].drop_duplicates()) for folder, other in others.items()}
    sizes = {folder: (len(both[folder]), other.scores["clip"].nunique()) for folder, other in others.items()}
    folder = max(sizes, key=sizes.__getitem__, default=None)
    if folder is None or both[folder].empty:
        return
    own, its = (set(one.merge(both[folder])["clip"].astype(str)) for one in (mine, others[folder].scores))
    if own == its:
        return
    config = others[folder].info["config"]
    how = f"--limit {config['limit']}" if config.get("limit") and not config.get("clips") else "its clips"
    yield (
        f"warning: explains other clips than {folder.name} ({len(own)} here, {len(its)} there, {len(own & its)} in "
        f"both): differences are on common clips, and methods that lack some of the clips that most share have no "
        f"rank; run with {how} to be compared on the same"
    )


def _same_identity(info: Mapping[str, Any], other: Mapping[str, Any], folder: Path) -> None:
    """Refuse a piece of another corpus or other weights."""
    corpus = info["config"]["corpora"][0]
    digests = [facts["corpora"][corpus]["digest"] for facts in (info, other) if corpus in facts["corpora"]]
    if len(set(digests)) != 1:
        raise InputError(f"{folder}: another corpus {corpus!r} (digests {', '.join(digests)}); verify the corpus.")
    if not same_recogniser(info, other):
        raise InputError(
            f"{folder}: of other weights than this run's; name the folder of this recogniser with --as NAME."
        )


def _replaced(info: Mapping[str, Any], other: Mapping[str, Any], kind: str, folder: Path) -> set[str]:
    """Methods or metrics of another piece that are older than those of this one."""
    older = set()
    for name in info[kind].keys() & other[kind].keys():
        mine, its = (str(facts[kind][name].get("version", "")) for facts in (info, other))
        if version_order(mine) < version_order(its):
            raise InputError(
                f"{folder}: holds {kind.removesuffix('s')} {name!r} of version {its}, and this run scored version "
                f"{mine}, which is older; run again with --resume."
            )
        if version_order(mine) > version_order(its):
            older.add(name)
    return older


def _no_conflict(piece: Piece, others: Sequence[Piece], place: Path) -> None:
    """Refuse two scores of one row: runs that differ in their settings."""
    for other in others:
        shown, beside = shown_names([piece.info, other.info])
        apart = [name for name in piece.info["methods"] if shown.method(name) != beside.method(name)]
        both = piece.scores[~piece.scores["method"].isin(apart)].merge(other.scores, on=ROW, suffixes=("", "_other"))
        mine, its = (both[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in ("value", "value_other"))
        differs = np.isfinite(mine) & np.isfinite(its) & (mine.astype(np.float32) != its.astype(np.float32))
        if differs.any():
            row = both[differs].iloc[0]
            raise InputError(
                f"{place}: clip {row['clip']!r} has another score of metric {row['metric']!r} for method "
                f"{row['method']!r} under {row['condition']} in a piece that is there: the runs differ in their "
                "settings (target, seeds). Remove that piece, or name another folder with --as NAME."
            )
