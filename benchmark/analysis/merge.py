"""Score rows of one or several runs as one table, merged by identity and complete or marked.

Names are not identities: two runs may call different clips ``mine`` and different weights ``cnn``. Rows are pooled
where the corpus has the same digest, the recogniser of every common fold the same fingerprint, and method and metric
the same version. A corpus or model of which there are several stands apart, with a short digest in its name
(``cnn@3f2a91``); two versions of a method or metric are refused.

A run is complete if it is finished, every planned row is there, every file is as it was written, and every value is
allowed. An incomplete one is refused, or, if asked for, merged with what it has, and each gap becomes a note that the
board shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InputError
from ...keys import digest
from ..storage.clip_facts import with_clip_facts
from ..storage.derived import RECORD
from ..storage.schema import FINISHED
from ..storage.score_rows import SCORE_COLUMNS, read_table, score_schema, value_faults
from ..storage.store import Store

SHORT = 6  # digits of a digest in a shown name
SHOWN = 5
MAX_VERSION_DIGITS = 10
# what a row is of; with its key, two rows are one
ROW = [
    "corpus", "fold", "model", "trained_on", "method", "condition", "metric", "fill", "space", "clip", "target_rule",
    "seed", "repeat",
]  # fmt: skip
_CARD = ("version", "classes", "front_end", "network", "fingerprint")  # of a model; `weights` and `folds` go by fold


class MergedScores(NamedTuple):
    """Score rows of several runs.

    Attributes
    ----------
    scores : DataFrame
        Columns `SCORE_COLUMNS`; names of corpora and models that stand apart hold a short digest.
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
    names = [str(store.path) for store in stores]
    if all(RECORD in info for info in infos):  # records of older versions stay beside newer ones
        tables, told = _newest(tables, infos, names)
        notes += told
    _same_versions(tables, names)
    corpus_labels, model_labels = shown_names(infos)
    frames = [table.to_pandas() for table in tables]
    del tables
    for i, frame in enumerate(frames):
        for corpus, label in corpus_labels[i].items():
            frame.loc[frame["corpus"] == corpus, "corpus"] = label
        for (model, trained_on), label in model_labels[i].items():
            frame.loc[(frame["model"] == model) & (frame["trained_on"] == trained_on), "model"] = label
    scores = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    labels: list[Mapping[Any, str]] = [*corpus_labels, *model_labels]
    apart = sorted({label for by_name in labels for label in by_name.values()})
    if apart:
        notes.insert(0, f"One name, several identities, which stand apart: {', '.join(apart)}.")
    scores = _once(scores) if len(frames) > 1 else scores
    renamed = [_renamed(*facts) for facts in zip(infos, corpus_labels, model_labels, strict=True)]
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


def shown_names(
    infos: Sequence[Mapping[str, Any]],
) -> tuple[list[dict[str, str]], list[dict[tuple[str, str], str]]]:
    """Names under which the corpora and models of runs are shown, where one name stands for several identities.

    Parameters
    ----------
    infos : sequence of mapping
        Content of each run's run.json.

    Returns
    -------
    corpora : list of dict of str to str
        For each run, shown name by name.
    models : list of dict of (str, str) to str
        For each run, shown name by (model, training corpus).
    """
    return _corpus_labels(infos), _model_labels(infos)


def _corpus_labels(infos: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Shown name of each run's corpora that have several digests over the runs."""
    digests: dict[str, set[str]] = {}
    for info in infos:
        for name, facts in info["corpora"].items():
            digests.setdefault(name, set()).add(facts["digest"])
    return [
        {name: f"{name}@{facts['digest'][:SHORT]}" for name, facts in info["corpora"].items() if len(digests[name]) > 1}
        for info in infos
    ]


def _model_labels(infos: Sequence[Mapping[str, Any]]) -> list[dict[tuple[str, str], str]]:
    """Shown name of each run's (model, training corpus) of which there are several over the runs."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}  # facts of each distinct recogniser
    members: list[dict[tuple[str, str], int]] = []
    for info in infos:
        of_run = {}
        for name, facts in _model_facts(info):
            known = groups.setdefault(name, [])
            place = next((i for i, its in enumerate(known) if _agree(its, facts)), len(known))
            if place == len(known):
                known.append({})
            known[place] |= facts
            of_run[name] = place
        members.append(of_run)
    return [
        {
            name: f"{name[0]}@{digest(sorted(groups[name][place].items()))[:SHORT]}"
            for name, place in of_run.items()
            if len(groups[name]) > 1
        }
        for of_run in members
    ]


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two recognisers are one as far as both are described; folds that only one has used say nothing."""
    common = one.keys() & other.keys()
    return bool(common) and all(one[fact] == other[fact] for fact in common)


def same_recogniser(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the recognisers of the same name in two run.json are one, as far as both describe them."""
    its = dict(_model_facts(other))
    return all(_agree(facts, its[name]) for name, facts in _model_facts(one) if name in its)


def _model_facts(info: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Facts that identify each (model, training corpus) of a run: its card, weights and fingerprints by fold."""
    for title, card in info["models"].items():
        name, _, trained_on = title.rpartition(" trained on ")
        facts = {fact: card[fact] for fact in _CARD if fact in card}
        for by_fold in ("weights", "folds"):
            if isinstance(card.get(by_fold), dict):
                facts |= {f"{by_fold} {fold}": value for fold, value in card[by_fold].items()}
        prefix = f"{title}, fold "
        facts |= {
            f"fingerprint {place.removeprefix(prefix)}": fingerprint
            for place, fingerprint in info.get("fingerprints", {}).items()
            if place.startswith(prefix)
        }
        yield (name, trained_on), facts


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
    """Rows that several runs have, once: the one with a score, if there is one."""
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


def _renamed(
    info: Mapping[str, Any], corpora: Mapping[str, str], models: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    """run.json with the shown names of corpora and models."""
    shown = {f"{m} trained on {t}": f"{label} trained on {t}" for (m, t), label in models.items()}
    return {
        **info,
        "corpora": {corpora.get(name, name): facts for name, facts in info["corpora"].items()},
        "models": {shown.get(title, title): card for title, card in info["models"].items()},
    }
