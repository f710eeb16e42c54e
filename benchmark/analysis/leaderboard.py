"""Leaderboard of score rows: one row per cell and method, one ranking per metric family.

There is no overall score. A missing score of a method that applies counts as the worst one (`abstention`); one of a
metric that is undefined for a clip is missing for all methods. Marks are those of `bar`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...datasets.shifts.conditions import CONDITIONS
from ...errors import InputError
from ...methods.records import METHODS, baselines
from ...metrics.records import FAMILIES, METRICS, is_ranked
from ...metrics.verdict import board_grade, failed_properties
from ..stats.cluster_variance import cluster_fit
from ..stats.clustered import (
    CELL,
    cells,
    compact,
    per_clip,
    significance_groups,
    tests_against,
    tests_of_pairs,
)
from .abstention import CompletedCell, completed, ranks
from .bar import BAR_COLUMNS, ENERGY, RANDOM, RULE, sanity_p, with_marks
from .external_ranks import without_unfaithful
from .fill_spread import SPREAD, by_fill, with_spread
from .references import AGAINST, REFERENCE_COLUMNS, matched_cells, mismatch_note, references
from .retrainings import TOLD, with_retrainings
from .shown_names import plain_name

ALPHA = 0.05

RANKING_RULE = (
    "Methods are ranked within a metric by their mean, and within a family by the mean of these ranks over its core "
    "metrics; the others, near-copies of those, are only shown (where a family has no core metric, all count). "
    "A method without a score in one of the metrics that count is listed, not ranked. Where a metric is defined and a "
    "method that applies has no score, the worst one counts, and the method gets neither letter nor mark. "
    "Where runs have different clips, ranks and letters are over the clips on which most scores can be compared, of "
    "the methods run on all of them; means and differences are over the clips that a method's own runs have. "
    "An explanation made against another fill than that of the score is marked and not tested. "
    "Complexity and cost are described, not ranked: less is not better. So is what metrics of the recogniser say: it "
    "holds for all methods. So are metrics of plausibility that a rule can win which knows the target, not the "
    "recogniser, and `consistency`, a mean of quotients of single clips, in whose place `robustness` pools means."
)

# columns within which methods are ranked
SETTING = ["corpus", "model", "trained_on", "seen_in_training", "space", "target_rule"]
RANKING = [*SETTING, "condition", "fill", "family"]

BOARD_COLUMNS = [
    *CELL, "method", "baseline", "signed", *REFERENCE_COLUMNS, "rank", "mean", "low", "high", "n_clips", "n_ok",
    "n_failed", "n_skipped", "n_planned", "n_misses", "coverage", "n_speakers", "n_sentences", "scope", "difference",
    "difference_low", "difference_high", "difference_clips", "difference_planned", "difference_speakers", "p_holm",
    "effect", "superiority", "beats_random", *BAR_COLUMNS, "group", "n_models", "models_low", "models_high",
    "sign_changes", *TOLD, *SPREAD, "model_calls", "metric_qualified", "metric_fails", "shared_mean", "shared_clips",
    "note",
]  # fmt: skip


def completed_cells(scores: pd.DataFrame) -> list[CompletedCell]:
    """Score rows of runs, each once, laid out cell by cell with misses filled in: what boards and views start from.

    Raises
    ------
    InputError
        If two different scores stand for the same clip and cell.
    """
    return list(completed(cells(unique_scores(compact(scores)))))


def leaderboard(
    scores: pd.DataFrame,
    baseline: str = RANDOM,
    fills: pd.DataFrame | None = None,
    found: Sequence[CompletedCell] | None = None,
    trainings: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Rank and test methods within each cell.

    Parameters
    ----------
    scores : DataFrame
        Score rows of one or several runs.
    baseline : str
        Method that the others are tested against.
    fills : DataFrame, optional
        Their `fill_spread.by_fill`; computed where it is not given.
    found : sequence of CompletedCell, optional
        Their `completed_cells`; computed where they are not given.
    trainings : DataFrame, optional
        Scores of other trainings of the recognisers, `retrainings.recorded_trainings`.

    Returns
    -------
    DataFrame
        Columns `BOARD_COLUMNS`, one row per (setting, condition, fill, metric, method), in a fixed order. ``mean``
        with ``low`` and ``high`` (95 %, clustered by speaker and, where known, by sentence; missing below 6 speakers)
        over ``n_clips`` clips is in the metric's own direction; on ``n_misses`` of them the worst score counts
        (`abstention`). ``scope`` says what the interval is about. ``difference`` to the baseline is oriented, positive
        is better, and rests on ``difference_clips`` clips, of ``difference_planned``, by ``difference_speakers``.
        ``beats_random`` is yes, no, ``no claim`` or, for the baseline itself, empty; `bar.with_marks` has the
        columns of the bar. ``coverage`` = n_ok / n_planned, which count scores: a clip has one for each repeat.
        ``group``: methods that share a letter are not distinguishable. ``models_low`` and ``models_high`` are the
        least and the largest mean over the ``n_models`` (fold) models; ``sign_changes`` names the methods to which
        the sign of the difference is not the same for all of them; ``n_retrainings`` and ``retraining_changes`` say so
        of whole trainings (`retrainings`). Where several fills were used, ``fill_low`` and
        ``fill_high`` are the least and the largest mean over ``n_fills`` fills, on the ``fill_clips`` clips, of
        ``fill_planned``, scored under all of them. ``model_calls`` is the mean cost of one score if computed alone.
        ``signed`` says whether maps of the method take negative values (yes, no, or empty for a method without record).
        Where ``mismatch`` is true (see `references`) there is no difference, p, letter or mark.
        ``shared_mean`` is the mean over the ``shared_clips`` clips that ranks and letters rest on, missing for a
        method that was not run on all of them (`shared_clips`): ``mean`` where all methods have the same clips.
        ``metric_qualified`` is the metric's `metrics.verdict.board_grade`; ``metric_fails`` names the properties that
        it failed in its qualification.

    Raises
    ------
    InputError
        If two different scores stand for the same clip and cell.
    """
    found = completed_cells(scores) if found is None else found
    if not found:
        return pd.DataFrame(columns=BOARD_COLUMNS)
    against = references(scores)
    laid_out = list(matched_cells((each.cell for each in found), against))
    board = pd.concat([_cell_rows(each) for each in found], ignore_index=True)
    board["baseline"] = board["method"].isin(baselines())
    board["signed"] = [_signed(str(name)) for name in board["method"]]
    board = board.merge(against, on=[*CELL, "method"], how="left")
    board["mismatch"] = board["mismatch"].astype(bool)
    against_random, against_energy = tests_against(laid_out, baseline), tests_against(laid_out, ENERGY)
    versus = against_random.rename(
        columns={
            "low": "difference_low",
            "high": "difference_high",
            "n_clips": "difference_clips",
            "n_planned": "difference_planned",
            "n_speakers": "difference_speakers",
            "note": "of_test",
        }
    )
    counts = ["difference_clips", "difference_planned", "difference_speakers"]
    columns = ["difference", "difference_low", "difference_high", *counts, "p_holm", "effect", "superiority", "of_test"]
    board = board.merge(versus[[*CELL, "method", *columns]], on=[*CELL, "method"], how="left")
    board = board.astype(dict.fromkeys(counts, "Int64"))  # the baseline has none
    board["of_reference"] = [
        mismatch_note(row[AGAINST], row["fill"]) if row["mismatch"] else ""
        for row in board[[AGAINST, "fill", "mismatch"]].to_dict("records")
    ]
    notes = board[["note", "of_reference", "of_test"]].fillna("")
    board["note"] = ["; ".join(filter(None, texts)) for texts in notes.itertuples(index=False, name=None)]
    won = board["difference"].gt(0) & board["p_holm"].lt(ALPHA) & (board["baseline"] | board["complete"])
    board["beats_random"] = np.select(
        [board["method"] == baseline, board["p_holm"].isna() | board["picked"], won], ["", "no claim", "yes"], "no"
    )
    board = with_marks(board, against_random, against_energy, tests_against(laid_out, RULE))
    board["metric_qualified"] = [board_grade(str(name)) for name in board["metric"]]
    board["metric_fails"] = [failed_properties(str(name)) for name in board["metric"]]
    board = with_spread(board, by_fill(scores) if fills is None else fills)
    shared = [each.shared().cell for each in found]
    tables = {tuple(cell.names[name] for name in CELL): cell.table for cell in shared}
    letters = _with_letters(board, tests_of_pairs(matched_cells(shared, against)))
    board = with_retrainings(letters, tables, trainings)
    described = [not is_ranked(str(name)) for name in board["metric"]]
    board["rank"] = board["rank"].mask(described)
    for name in ("beats_random", "group"):
        board[name] = board[name].mask(described, "")
    return _in_order(without_unfaithful(board))[BOARD_COLUMNS]


def unique_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Drop duplicate rows of several runs; a score replaces a failure of the same clip and cell in another run."""
    identity = [*CELL, "method", "clip", "seed", "repeat"]
    ok = scores[scores["status"] == "ok"].drop_duplicates([*identity, "value"])
    twice = ok[ok.duplicated(identity)]
    if len(twice):
        row = twice.iloc[0]
        raise InputError(
            f"leaderboard: clip {row['clip']!r} has two different scores of metric {row['metric']!r} for method "
            f"{row['method']!r} on {row['corpus']} under {row['condition']}; the runs differ in weights or versions. "
            "Make one leaderboard for each."
        )
    return pd.concat([ok, scores[scores["status"] != "ok"]]).drop_duplicates(identity)


def _signed(method: str) -> str:
    name = plain_name(method)
    if name not in METHODS:
        return ""
    return "yes" if METHODS.get(name).signed else "no"


def _cell_rows(found: CompletedCell) -> pd.DataFrame:
    cell, table, of_own = found.cell, found.cell.own_table, found.cell.own_rows
    labels = (cell.speakers,) if cell.sentences is None else (cell.speakers, cell.sentences)
    values, *codes = per_clip(table.to_numpy(), table.index, *labels)
    fit = cluster_fit(values, *codes)
    counts = of_own.groupby(["method", "status"], observed=True).size().unstack(fill_value=0)
    counts = counts.reindex(index=table.columns, columns=["ok", "failed", "skipped"], fill_value=0)
    ok = of_own[of_own["status"] == "ok"]
    rows = pd.DataFrame(
        {"method": table.columns, "mean": fit.mean, "low": fit.mean - fit.half, "high": fit.mean + fit.half}
    )
    rows["rank"] = ranks(found).to_numpy()
    rows["n_clips"] = fit.n
    for status in counts:
        rows[f"n_{status}"] = counts[status].to_numpy()
    rows["n_planned"] = counts.sum(axis=1).to_numpy()
    rows["n_misses"], rows["complete"] = found.misses.to_numpy(), found.complete.to_numpy()
    rows["coverage"] = rows["n_ok"] / rows["n_planned"]
    rows["n_speakers"], rows["n_sentences"], rows["scope"] = fit.clusters, fit.sentences, fit.scope
    rows["model_calls"] = ok.groupby("method", observed=True)["model_calls"].mean().reindex(table.columns).to_numpy()
    rows["picked"], rows["compared"] = found.clips.picked.to_numpy(), found.clips.compared.to_numpy()
    rows["shared_mean"], rows["shared_clips"] = _shared_means(found, rows)
    rows["note"] = found.notes.to_numpy()
    rows["p_sanity"] = sanity_p(cell.names["metric"], values, codes)
    return rows.assign(**cell.names, **_between_models(found))


def _shared_means(found: CompletedCell, rows: pd.DataFrame) -> tuple[np.ndarray, int]:
    """Mean of each method over the shared clips, NaN where it was not run on all, and how many clips these are."""
    if found.clips.alike:
        table = found.cell.table
        return rows["mean"].to_numpy(), table.index.get_level_values("clip").nunique()
    cell = found.shared().cell
    values, speakers = per_clip(cell.table.to_numpy(), cell.table.index, cell.speakers)
    means = pd.Series(cluster_fit(values, speakers).mean, list(cell.table))
    return means.reindex(rows["method"]).to_numpy(), len(values)


def _between_models(found: CompletedCell) -> dict[str, Any]:
    """Range of each method's mean over the models of a cell, and with whom the sign of its difference changes."""
    cell, table = found.cell, found.cell.own_table
    if "fold" not in cell.rows:
        return {"n_models": 1, "models_low": np.nan, "models_high": np.nan, "sign_changes": ""}
    folds = cell.rows.drop_duplicates("clip").set_index("clip")["fold"].astype(str)
    by_clip = table.groupby(level="clip").mean()
    means = by_clip.groupby(folds.reindex(by_clip.index).to_numpy()).mean()
    # methods with a score on every shared clip: the difference of means is the mean of differences
    among = found.shared().cell.table.groupby(level="clip").mean()
    of_model = among.groupby(folds.reindex(among.index).to_numpy()).mean()
    whole = among.notna().all().to_numpy()
    apart = of_model.to_numpy()[:, :, None] - of_model.to_numpy()[:, None, :]
    changes = (apart > 0).any(axis=0) & (apart < 0).any(axis=0) & whole & whole[:, None]
    names = among.columns.to_numpy()
    changed = {name: "; ".join(names[row]) for name, row in zip(names, changes, strict=True)}
    return {
        "n_models": len(means),
        "models_low": means.min().to_numpy(),
        "models_high": means.max().to_numpy(),
        "sign_changes": [changed.get(name, "") for name in table.columns] if len(means) else "",
    }


def _with_letters(board: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    of_cell = dict(list(pairs.groupby(CELL, dropna=False)))
    letters = np.full(len(board), "", dtype=object)
    for cell, rows in board.groupby(CELL, dropna=False):
        ranked = rows[rows["mean"].notna() & rows["complete"] & rows["compared"] & ~rows["mismatch"]]
        ranked = ranked.sort_values(["rank", "method"])
        if cell in of_cell:
            by_method = significance_groups(of_cell[cell], ranked["method"].tolist(), ALPHA)
            letters[rows.index] = [by_method.get(method, "") for method in rows["method"]]
    return board.assign(group=letters)


def ordered(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Sort names by their order in a registry, those that stand apart beside; unregistered ones follow, by name."""
    place = {name: i for i, name in enumerate(known)}
    return sorted(set(names), key=lambda name: (place.get(plain_name(name), len(place)), name))


def _in_order(board: pd.DataFrame) -> pd.DataFrame:
    """Sort rows: settings by name; conditions, families and metrics in registry order; best method first."""
    places = {"condition": CONDITIONS.names(), "family": FAMILIES, "metric": METRICS.names()}
    keys = {
        column: board[column].map({name: i for i, name in enumerate(ordered(board[column], known))})
        for column, known in places.items()
    }
    by = [*SETTING, "condition", "family", "fill", "metric", "rank", "method"]
    order = board.assign(**keys).sort_values(by, na_position="last").index
    return board.loc[order].reset_index(drop=True)


def family_ranking(board: pd.DataFrame) -> pd.DataFrame:
    """Rank methods within each metric family, by `RANKING_RULE`.

    Parameters
    ----------
    board : DataFrame
        As `leaderboard` returns it.

    Returns
    -------
    DataFrame
        One row per (setting, condition, fill, family, method): ``rank``, ``mean_rank``, ``metrics`` (scored),
        ``of_metrics`` (that count in the family), ``beats_random`` and ``with_the_best``: on how many of them the
        method beats random, and is not distinguishable from the best.
    """
    columns = [
        *RANKING,
        "method",
        "baseline",
        "rank",
        "mean_rank",
        "metrics",
        "of_metrics",
        "beats_random",
        "with_the_best",
    ]
    frames = []
    for names, part in board.groupby(RANKING, dropna=False, sort=False):
        part = core_rows(part)
        # a board lists the best method first; those without a letter are passed over
        best = part["group"].replace("", None).groupby(part["metric"]).transform("first").fillna("")
        shared = [bool(set(mine) & set(its)) for mine, its in zip(part["group"], best, strict=True)]
        rows = (
            part.assign(won=part["beats_random"] == "yes", best=shared)
            .groupby("method", sort=True)
            .agg(
                baseline=("baseline", "first"),
                mean_rank=("rank", "mean"),
                metrics=("rank", "count"),
                beats_random=("won", "sum"),
                with_the_best=("best", "sum"),
            )
            .reset_index()
        )
        rows["of_metrics"] = part["metric"].nunique()
        rows["mean_rank"] = rows["mean_rank"].astype(float).where(rows["metrics"] == rows["of_metrics"])
        rows["rank"] = rows["mean_rank"].rank(method="min").astype("Int64")
        rows = rows.sort_values(["rank", "method"], na_position="last")
        frames.append(rows.assign(**dict(zip(RANKING, names, strict=True))))
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def core_rows(part: pd.DataFrame) -> pd.DataFrame:
    """Rows of one family whose metrics enter its ranking: the core metrics, or all where there is none.

    An unregistered metric has no record to ask and counts as core.
    """
    core = [name not in METRICS or METRICS.get(name).core for name in part["metric"]]
    return part[core] if any(core) else part
