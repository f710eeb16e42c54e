"""Whether the order of two methods depends on the training of the recogniser.

Two trainings of one kind of recogniser (the shown names ``cnn@3f2a91`` and ``cnn@b81c02``) explain the same corpus. A
pair of methods whose order by the mean is not the same on all trainings is marked on boards: what one training says
about the two does not carry over to the next.

A record holds the scores of other trainings in a small table (`record_tables.RETRAININGS`), without records of them:
they are no recognisers of the board.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import pandas as pd

from ..stats.clustered import CELL
from ..storage.store import Store
from .record_tables import RETRAINING_KINDS, RETRAININGS, recorded_table
from .shown_names import APART, ShownNames, plain_name, shown_names

TOLD = ["n_retrainings", "retraining_changes"]
PLACE = ["corpus", "model", "trained_on", "space", "target_rule", "condition", "fill", "metric"]  # model: plain name
COLUMNS = ["training", *PLACE, "method", "clip", "value"]


def other_trainings(
    scores: pd.DataFrame, names: ShownNames, others: Sequence[tuple[pd.DataFrame, ShownNames]]
) -> pd.DataFrame:
    """Scores of clips as recorded by other trainings of a recogniser, of what it scored itself.

    Parameters
    ----------
    scores : DataFrame
        Score rows of one corpus and recogniser.
    names : ShownNames
        Of its run, beside those of `others`.
    others : sequence of (DataFrame, ShownNames)
        Score rows of other runs.

    Returns
    -------
    DataFrame
        Columns of `record_tables.RETRAINING_KINDS`: means over repeats, of methods and metrics of the same version and
        settings, explained against the same reference.
    """
    same = [*PLACE, "method", "method_version", "metric_version", "explained_against", "clip"]
    known = {"method": names.method, "corpus": names.corpus}
    mine = _texts(scores[scores["condition"].eq("clean")], known)[same].drop_duplicates()
    shown = {(m, t): names.model(m, t) for m, t in set(zip(mine["model"], mine["trained_on"], strict=True))}
    found = [pd.DataFrame(columns=list(RETRAINING_KINDS))]
    for rows, its in others:
        table = _texts(rows[rows["status"].eq("ok")], {"method": its.method, "corpus": its.corpus})
        models = list(zip(table["model"], table["trained_on"], strict=True))
        titles = {place: its.model(*place) for place in set(models)}
        other = [APART in titles[place] and titles[place] != shown.get(place, titles[place]) for place in models]
        table = table.assign(training=[titles[place].partition(APART)[2] for place in models])[other]
        table = table.merge(mine, on=same).assign(value=lambda t: t["value"].astype(float))
        table = table.assign(method=table["method"].map(plain_name))
        keys = [name for name in RETRAINING_KINDS if name != "value"]
        found.append(table.groupby(keys, sort=True)["value"].mean().reset_index())
    filled = [part for part in found if len(part)] or found[:1]
    return pd.concat(filled, ignore_index=True)[list(RETRAINING_KINDS)]


def _texts(rows: pd.DataFrame, shown: Mapping[str, Callable[[str], str]]) -> pd.DataFrame:
    names = ["explained_against", "method_version", "metric_version", "method", "clip", *PLACE]
    rows = rows.astype(dict.fromkeys(names, str))
    return rows.assign(**{name: rows[name].map(function) for name, function in shown.items()})


def recorded_trainings(stores: Sequence[Store]) -> pd.DataFrame:
    """Scores of other trainings that records hold, columns `COLUMNS`.

    Raises
    ------
    InputError
        If a table is damaged.
    """
    parts = [pd.DataFrame(columns=COLUMNS)]
    for store, names in zip(stores, shown_names([store.info for store in stores]), strict=True):
        table = recorded_table(store, RETRAININGS, RETRAINING_KINDS) if store.is_record else None
        if table is None or table.empty:
            continue
        config, (title,) = store.info["config"], store.info["models"]
        facts = {"corpus": names.corpus(config["corpora"][0]), "model": config["models"][0]}
        facts["trained_on"] = title.rpartition(" trained on ")[2]
        parts.append(table.assign(**facts, method=table["method"].map(names.method))[COLUMNS])
    filled = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(filled, ignore_index=True).drop_duplicates(COLUMNS[:-1], ignore_index=True)


def with_retrainings(
    board: pd.DataFrame, tables: Mapping[tuple, pd.DataFrame], others: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Add ``n_retrainings``, and ``retraining_changes``: the methods to which the order changes between trainings.

    Parameters
    ----------
    board : DataFrame
        Columns `CELL` and ``method``.
    tables : mapping of tuple to DataFrame
        Scores of each cell, by its values of `CELL`: one column a method, index level ``clip``.
    others : DataFrame, optional
        Scores of trainings that are not on the board, columns `COLUMNS`.

    Returns
    -------
    DataFrame
        Recognisers of one name that stand apart under digests are trainings of one another. Means are over the clips
        that all trainings explained. 1 training: no changes.
    """
    kind, further = board["model"].map(plain_name), _by_place(others)
    told = board.assign(n_retrainings=1, retraining_changes="")
    for _, part in board.groupby([kind, *(name for name in CELL if name != "model")], dropna=False, sort=False):
        cells = part[CELL].drop_duplicates()
        place = tuple(cells.assign(model=cells["model"].map(plain_name)).astype(str)[PLACE].iloc[0])
        beside = further.get(place, [])
        if len(cells) + len(beside) < 2:
            continue
        scores = [tables[cell].groupby(level="clip").mean() for cell in cells.itertuples(index=False, name=None)]
        scores += beside
        clips = reduce(pd.Index.intersection, (one.index for one in scores))
        means = pd.DataFrame([one.loc[clips].mean() for one in scores])
        apart = means.to_numpy()[:, :, None] - means.to_numpy()[:, None, :]
        changed = (apart > 0).any(axis=0) & (apart < 0).any(axis=0)
        names = means.columns.to_numpy()
        by_method = {str(name): "; ".join(names[row]) for name, row in zip(names, changed, strict=True)}
        told.loc[part.index, "n_retrainings"] = part["method"].map(means.notna().sum()).fillna(1).astype(int)
        told.loc[part.index, "retraining_changes"] = part["method"].map(by_method).fillna("")
    return told


def _by_place(others: pd.DataFrame | None) -> dict[tuple[str, ...], list[pd.DataFrame]]:
    """Scores of each further training by values of `PLACE`: one column a method, clips that all its methods scored."""
    found: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    if others is None or others.empty:
        return found
    for (*place, _), part in others.groupby([*PLACE, "training"], sort=False, observed=True):
        table = part.pivot_table(index="clip", columns="method", values="value", observed=True).dropna()
        found.setdefault(tuple(map(str, place)), []).append(table)
    return found
