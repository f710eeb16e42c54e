"""Score rows of one or several runs as one table, merged by identity and complete or marked.

Names are not identities: two runs may call different clips ``mine`` and different weights ``cnn``. Rows are pooled
where the corpus has the same digest, the recogniser of every common fold the same fingerprint, and method and metric
the same version. Corpora, recognisers and methods of which there are several stand apart (`shown_names`); two versions
of a method or metric are refused.

A run is complete if it is finished, every planned row is there, every file is as it was written, and every value is
allowed. An incomplete one is refused, or, if asked for, merged with what it has, and each gap becomes a note that the
board shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InputError
from ..run.config import RunConfig
from ..storage.clip_facts import with_clip_facts
from ..storage.derived import RECORD
from ..storage.schema import FINISHED
from ..storage.score_rows import SCORE_COLUMNS, read_table, score_schema, value_faults
from ..storage.store import Store
from .shared_clips import RUNS, run_label
from .shown_names import ShownNames, shown_names

SHOWN = 5
MAX_VERSION_DIGITS = 10
# what a row is of; with its key, two rows are one
ROW = [
    "corpus", "fold", "model", "trained_on", "method", "condition", "metric", "fill", "space", "clip", "target_rule",
    "seed", "repeat",
]  # fmt: skip


class MergedScores(NamedTuple):
    """Score rows of several runs.

    Attributes
    ----------
    scores : DataFrame
        Columns `SCORE_COLUMNS`; names of corpora, models and methods that stand apart say so. Of several runs also
        ``runs``: the labels (`shared_clips.run_label`) of those that planned the row, joined by spaces.
    infos : list of dict
        Content of each run's run.json, with the same names.
    notes : list of str
        What the board must say: names that stand apart, and gaps of incomplete runs.
    """

    scores: pd.DataFrame
    infos: list[dict[str, Any]]
    notes: list[str]


def merge_runs(stores: Sequence[Store], partial: bool = False) -> MergedScores:
    """Merge the score rows of runs by identity.

    Parameters
    ----------
    stores : sequence of Store
    partial : bool
        Whether incomplete runs are merged with what they have, and a note for each gap.

    Raises
    ------
    InputError
        If a run is incomplete and must not be; a run.json is damaged; two runs have other versions of a method or
        metric; one clip has two different scores in one cell; or there are no scores.
    """
    infos = [store.info for store in stores]
    tables, notes = [], []
    for store, info in zip(stores, infos, strict=True):
        table, gaps = _table(store, info)
        if not partial:
            _refuse(store, gaps, "or give --partial for a board that is marked as incomplete")
        notes += [f"Incomplete: {store.path.name}: {gap}." for gap in gaps]
        tables.append(table)
    if not any(table.num_rows for table in tables):
        raise InputError(f"{', '.join(str(s.path) for s in stores)}: no scores yet; finish the run with --resume.")
    runs = [str(store.path) for store in stores]
    if all(RECORD in info for info in infos):  # records of older versions stay beside newer ones
        tables, told = _newest(tables, infos, runs)
        notes += told
    _same_versions(tables, runs)
    names = shown_names(infos)
    frames = [table.to_pandas() for table in tables]
    del tables
    for frame, of_run in zip(frames, names, strict=True):
        for column, labels in (("corpus", of_run.corpora), ("method", of_run.methods)):
            for name, label in labels.items():
                frame.loc[frame[column] == name, column] = label
        for (model, trained_on), label in of_run.models.items():
            frame.loc[(frame["model"] == model) & (frame["trained_on"] == trained_on), "model"] = label
    if len(frames) > 1:
        for number, (frame, info) in enumerate(zip(frames, infos, strict=True)):
            frame[RUNS] = run_label(number, info, RunConfig.model_fields["emotions"].default)
    scores = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    if apart := sorted({name for of_run in names for name in of_run.apart()}):
        notes.insert(0, f"One name, several identities, which stand apart: {', '.join(apart)}.")
    scores = _once(scores) if len(frames) > 1 else scores
    renamed = [_renamed(info, of_run) for info, of_run in zip(infos, names, strict=True)]
    return MergedScores(scores, renamed, notes)


def merged(stores: Sequence[Store], partial: bool = False) -> MergedScores:
    """Merge the score rows of runs as `merge_runs` does, with the facts of their clips.

    Runs with damaged files are refused, unless incomplete ones are asked for: then their scores count as missing.

    Parameters
    ----------
    stores : sequence of Store
    partial : bool

    Raises
    ------
    InputError
        As `merge_runs`; for damaged files.
    """
    for store in stores:
        if not partial:
            store.refuse_damage()
    scores, infos, notes = merge_runs(stores, partial)
    # a corpus of which there are several stands apart under a name with a digest
    names = [
        dict(zip(store.info.get("corpora", {}), info.get("corpora", {}), strict=True))
        for store, info in zip(stores, infos, strict=True)
    ]
    return MergedScores(with_clip_facts(scores, [store.path for store in stores], names), infos, notes)


def refuse_incomplete(store: Store) -> None:
    """Refuse a run that is not complete, for results that carry no mark, such as a figure.

    Parameters
    ----------
    store : Store

    Raises
    ------
    InputError
        If it is still going, lacks planned rows or files, or holds unsealed files or values that are not allowed.
    """
    _, gaps = _table(store, store.info)
    _refuse(store, gaps, "or see what it has with `serxai leaderboard --partial`")


# -- versions of records ---------------------------------------------------------------------------------------------


def older_methods(infos: Sequence[Mapping[str, Any]]) -> list[set[str]]:
    """Methods of each record of which another record here has a newer version; none of runs."""
    return _older(infos, "methods")


def _older(infos: Sequence[Mapping[str, Any]], kind: str) -> list[set[str]]:
    """Names under ``methods`` or ``metrics`` of each record that another record has in a newer version."""
    newest: dict[str, tuple[int, str]] = {}
    for info in infos:
        for name, facts in info.get(kind, {}).items():
            newest[name] = max(newest.get(name, (-1, "")), version_order(str(facts.get("version", ""))))
    return [
        {n for n, facts in info.get(kind, {}).items() if version_order(str(facts.get("version", ""))) < newest[n]}
        if RECORD in info
        else set()
        for info in infos
    ]


def version_order(version: str) -> tuple[int, str]:
    """Sort key of a version: by number, others before them."""
    return (int(version), "") if version.isdecimal() and len(version) < MAX_VERSION_DIGITS else (-1, version)


def _newest(
    tables: Sequence[pa.Table], infos: Sequence[Mapping[str, Any]], runs: Sequence[str]
) -> tuple[list[pa.Table], list[str]]:
    """Score rows of the newest version of each method and metric, and notes on what was left out."""
    kept, notes = list(tables), []
    for kind in ("method", "metric"):
        for i, names in enumerate(_older(infos, f"{kind}s")):
            for name in sorted(names):
                older = pc.equal(kept[i][kind], name)
                kept[i] = kept[i].filter(pc.invert(older))
                version = infos[i][f"{kind}s"][name].get("version")
                notes.append(f"{runs[i]}: {kind} {name!r} of version {version} left out: newer scores are here.")
    return kept, notes


# -- complete or marked ------------------------------------------------------------------------------------------------


def _refuse(store: Store, gaps: Sequence[str], otherwise: str) -> None:
    if gaps:
        more = f"; and {len(gaps) - SHOWN} more" if len(gaps) > SHOWN else ""
        raise InputError(
            f"{store.path}: incomplete ({'; '.join(gaps[:SHOWN])}{more}). Finish it with `serxai run --resume`, "
            f"{otherwise}."
        )


def _table(store: Store, info: Mapping[str, Any]) -> tuple[pa.Table, list[str]]:
    """Allowed score rows of a run, and what is missing or wrong in it."""
    gaps = []
    if info["status"] not in FINISHED:
        gaps.append(f"status {info['status']!r}: still going, or interrupted")
    missing, unsealed, tables = 0, 0, [score_schema(SCORE_COLUMNS).empty_table()]
    for key in info["shards"]:
        path = store.score_file(key)
        if not path.exists():
            missing += 1
            continue
        try:
            table = read_table(path, None, info["planned_rows"])
        except ValueError as error:
            gaps.append(str(error).removeprefix(f"{store.path}/"))
            continue
        unsealed += not store.has_shard(key)
        faults = value_faults(table)
        for what, wrong in faults:
            gaps.append(f"scores/{path.name}: {wrong.to_pylist().count(True)} rows left out ({what})")
        if faults:
            wrong_rows = pd.concat([w.to_pandas() for _, w in faults], axis=1).any(axis=1)
            table = table.filter(pa.array(~wrong_rows))
        tables.append(table)
    if missing:
        gaps.append(f"{missing} of {len(info['shards'])} score files are missing")
    if unsealed:
        gaps.append(f"{unsealed} of {len(info['shards'])} score files were not written by serxai (no seal)")
    table = pa.concat_tables(tables)
    if table.num_rows != info["planned_rows"]:
        gaps.append(f"{table.num_rows} of {info['planned_rows']} planned rows")
    return table, gaps


# -- identity ----------------------------------------------------------------------------------------------------------


def _same_versions(tables: Sequence[pa.Table], runs: Sequence[str]) -> None:
    """Refuse two versions of a method or metric."""
    for kind in ("method", "metric"):
        seen: dict[str, dict[str, str]] = {}
        for table, run in zip(tables, runs, strict=True):
            pairs = table.select([kind, f"{kind}_version"]).group_by([kind, f"{kind}_version"]).aggregate([])
            for row in pairs.to_pylist():
                seen.setdefault(row[kind], {}).setdefault(row[f"{kind}_version"], run)
        for name, versions in seen.items():
            if len(versions) > 1:
                said = ", ".join(f"{version} in {run}" for version, run in sorted(versions.items()))
                raise InputError(
                    f"{kind} {name!r}: versions {said}; scores of two versions are not comparable. Compute the older "
                    "run again with --resume, or make one board for each."
                )


def _once(scores: pd.DataFrame) -> pd.DataFrame:
    """Rows that several runs have, once: the one with a score, if there is one, and the runs of all."""
    twice = scores.duplicated(ROW, keep=False)
    if twice.any():
        runs = scores[twice].groupby(ROW, sort=False, dropna=False, observed=True)[RUNS]
        scores.loc[twice, RUNS] = runs.transform(lambda labels: " ".join(sorted(set(labels))))
    ok = scores[scores["status"] == "ok"].drop_duplicates([*ROW, "value"])
    twice = ok[ok.duplicated(ROW)]
    if len(twice):
        row = twice.iloc[0]
        raise InputError(
            f"clip {row['clip']!r} has two different scores of metric {row['metric']!r} for method {row['method']!r} "
            f"on {row['corpus']} under {row['condition']}: the runs differ in their settings (target, parameters, "
            "seeds). Make one board for each."
        )
    return pd.concat([ok, scores[scores["status"] != "ok"]]).drop_duplicates(ROW).sort_index(ignore_index=True)


def _renamed(info: Mapping[str, Any], names: ShownNames) -> dict[str, Any]:
    """run.json with the shown names of corpora, models and methods."""
    shown = {f"{m} trained on {t}": f"{label} trained on {t}" for (m, t), label in names.models.items()}
    return {
        **info,
        "corpora": {names.corpus(name): facts for name, facts in info["corpora"].items()},
        "models": {shown.get(title, title): card for title, card in info["models"].items()},
    } | ({"methods": {names.method(n): facts for n, facts in info["methods"].items()}} if "methods" in info else {})
