"""From trials to a verdict on each metric: properties with intervals, thresholds, a table, a picture.

Conventions
-----------
Every property is first a number for each clip, then a mean over clips with a 95 % interval in which speakers are the
clusters (CR2, `statistics.clustered_mean`). Scores are oriented: higher is better whatever the metric's direction. A
metric that gives all levels of a clip the same score does not follow them: its correlation counts as 0, so that no
metric passes by falling silent. A clip whose trials could not all be scored is missing from the property; how many are
there is part of the table.

``averaged`` is the exception: the correlation of the levels with the mean score over all clips (percentile bootstrap
over speakers). A metric may be of use on a board of means though it cannot judge a single clip.

``fills-EMOTION`` is ``fills`` over the clips of one emotion alone: nothing is required of it, it says where ``fills``
is lost.

A property passes if the *lower* end of its interval reaches the threshold. A metric is qualified by a recogniser if all
required properties that apply pass; with fewer than six speakers nothing is claimed.

Sources
-------
Intraclass correlation: Shrout & Fleiss 1979, Psychological Bulletin 86(2), ICC(2,1). Concordance: Kendall & Babington
Smith 1939, Annals of Mathematical Statistics 10(3), with correction for ties. Noise resilience and adversary
reactivity: after the inter-consistency criteria of Hedström, Bommer, Wickstrøm, Samek, Lapuschkin, Höhne 2023, "The
meta-evaluation problem in explainable AI" (MetaQuantus), TMLR; what differs is told in docs/qualification.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ..keys import rng
from ..metrics.records import METRICS
from .leaderboard import ordered
from .statistics import MIN_SPEAKERS, clustered_mean

STILL = 1e-9  # of the largest score of a clip: a smaller difference is rounding


def rank_follow(levels: np.ndarray, scores: np.ndarray) -> float:
    """Spearman's correlation of scores with levels; 0 for scores that are all equal.

    Parameters
    ----------
    levels, scores : array, shape (n,)
        Levels must not all be equal.
    """
    x, y = (rankdata(v) - (len(v) + 1) / 2 for v in (levels, scores))
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else 0.0


def _rows_follow(levels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """`rank_follow` of each row of scores."""
    x = rankdata(levels) - (len(levels) + 1) / 2
    y = rankdata(scores, axis=1) - (len(levels) + 1) / 2
    scale = np.sqrt((x @ x) * (y * y).sum(axis=1))
    return np.divide(y @ x, scale, out=np.zeros(len(scores)), where=scale > 0)


def win_share(better: np.ndarray, worse: np.ndarray) -> float:
    """Area under the ROC curve: share of pairs in which the better one scores higher, ties count half."""
    difference = np.subtract.outer(better, worse)
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def intraclass(scores: np.ndarray) -> float:
    """ICC(2,1), absolute agreement of single draws.

    Parameters
    ----------
    scores : array, shape (n_levels, n_draws)
        At least 2 x 2.

    Returns
    -------
    float
        1 where draws do not matter; NaN where all scores are equal.
    """
    n, k = scores.shape
    mean = scores.mean()
    rows = k * np.sum((scores.mean(1) - mean) ** 2) / (n - 1)
    columns = n * np.sum((scores.mean(0) - mean) ** 2) / (k - 1)
    rest = np.sum((scores - scores.mean(1, keepdims=True) - scores.mean(0) + mean) ** 2) / ((n - 1) * (k - 1))
    below = rows + (k - 1) * rest + k * (columns - rest) / n
    return float((rows - rest) / below) if below > 0 else np.nan


def concordance(scores: np.ndarray) -> float:
    """Kendall's W over raters, corrected for ties.

    Parameters
    ----------
    scores : array, shape (n_raters, n_objects)

    Returns
    -------
    float
        0..1: 1 where all raters rank alike; NaN where all scores are equal.
    """
    m, n = scores.shape
    ranks = np.apply_along_axis(rankdata, 1, scores)
    spread = np.sum((ranks.sum(0) - m * (n + 1) / 2) ** 2)
    ties = sum(np.sum(c**3 - c) for row in ranks for c in [np.unique(row, return_counts=True)[1]])
    most = m**2 * (n**3 - n) - m * ties
    return float(12 * spread / most) if most > 0 else np.nan


def same_order(one: np.ndarray, other: np.ndarray) -> float:
    """Share of pairs of levels that two sets of scores put in the same order, equal ones among themselves."""
    first, second = np.triu_indices(len(one), 1)
    return float(np.mean(np.sign(one[first] - one[second]) == np.sign(other[first] - other[second])))


# -- properties --------------------------------------------------------------------------------------------------------

# trials of one clip and metric by check, each with level, draw, fill, status and score
Trials = Mapping[str, pd.DataFrame]


def _ladder(trials: Trials) -> pd.Series:
    return trials["ladder"].set_index("level")["score"]


def _monotone(trials: Trials) -> float:
    found = _ladder(trials)
    return rank_follow(found.index.to_numpy(), found.to_numpy())


def _discriminating(trials: Trials) -> float:
    ladder = _ladder(trials)
    worst = np.append(trials["random"]["score"], ladder[0.0])
    return win_share(ladder[[1.0]].to_numpy(), worst)


def _seeds(trials: Trials) -> float:
    return intraclass(trials["seed"].pivot(index="level", columns="draw", values="score").to_numpy())


def _fills(trials: Trials) -> float:
    return concordance(trials["fill"].pivot(index="fill", columns="level", values="score").to_numpy())


def _spoilt(check: str) -> Callable[[Trials], float]:
    def follows(trials: Trials) -> float:
        left = trials[check].set_index("level")["score"]
        left[1.0] = _ladder(trials)[1.0]
        return rank_follow(left.index.to_numpy(), left.to_numpy())

    return follows


def _resilience(trials: Trials) -> float:
    noisy = trials["noise"].set_index("level")["score"]
    return same_order(_ladder(trials)[noisy.index].to_numpy(), noisy.to_numpy())


def _reactivity(trials: Trials) -> float:
    disrupted = trials["disrupted"].set_index("level")["score"]
    return float(np.mean(_ladder(trials)[disrupted.index].to_numpy() > disrupted.to_numpy()))


def _own_fills(trials: Trials) -> float:
    table = trials["own fill"].pivot(index="fill", columns="level", values="score")
    return float(np.mean([rank_follow(table.columns.to_numpy(), row) for row in table.to_numpy()]))


def _real(trials: Trials) -> float:
    score = trials["real"].set_index("level")["score"]
    return win_share(score[[1.0]].to_numpy(), score[[0.0]].to_numpy())


@dataclass(frozen=True)
class Property:
    """What a metric is tested for.

    Attributes
    ----------
    name : str
    checks : tuple of str
        Checks that it reads.
    threshold : float or None
        Least value of the interval's lower end; None where nothing is required.
    of_clip : callable
        Value from the trials of one clip.
    summary : str
    above : bool
        Whether the threshold itself is not enough.
    """

    name: str
    checks: tuple[str, ...]
    threshold: float | None
    of_clip: Callable[[Trials], float]
    summary: str
    above: bool = False

    def passed(self, low: float) -> bool:
        """Whether the lower end of an interval is high enough."""
        assert self.threshold is not None
        return low > self.threshold if self.above else low >= self.threshold


PROPERTIES = (
    Property("monotone", ("ladder",), 0.9, _monotone, "Spearman correlation of the score with the share of truth"),
    Property("oracle-vs-random", ("ladder", "random"), 0.9, _discriminating,
             "area under the curve, the best map against five drawn at random", above=True),
    Property("seeds", ("seed",), 0.9, _seeds, "intraclass correlation over two draws of the metric's own randomness"),
    Property("fills", ("fill",), 0.7, _fills, "Kendall's W of the order of maps over the fills"),
    Property("own-fills", ("own fill",), None, _own_fills,
             "Spearman correlation with the share of the truth for the very fill, mean over fills (white box)"),
    Property("real", ("real",), 0.9, _real, "share of clips on which two methods stand in the order they must"),
    Property("blur", ("ladder", "blur"), None, _spoilt("blur"), "Spearman correlation with what blurring left"),
    Property("signs", ("ladder", "signs"), None, _spoilt("signs"), "... with what flipping signs left"),
    Property("shuffle", ("ladder", "shuffle"), None, _spoilt("shuffle"), "... with what exchanging cells left"),
    Property("resilience", ("ladder", "noise"), None, _resilience, "share of orders kept under 5 % noise on the maps"),
    Property("reactivity", ("ladder", "disrupted"), None, _reactivity, "share of maps that score worse with their "
             "cells exchanged"),
)  # fmt: skip

FILLS = next(p for p in PROPERTIES if p.name == "fills")
AVERAGED = "averaged"  # the one property that is not of a clip: what a board of means over clips can rely on
DRAWS = 1000  # of the bootstrap over speakers

COLUMNS = [
    "recogniser", "metric", "metric_version", "family", "property", "estimate", "low", "high", "n_clips", "n_planned",
    "n_speakers", "threshold", "passed",
]  # fmt: skip
VERDICT_COLUMNS = ["metric", "version", "qualified", "recognisers", "fails"]


def properties(rows: pd.DataFrame) -> pd.DataFrame:
    """Properties of every metric by every recogniser.

    Parameters
    ----------
    rows : DataFrame
        Of `qualify.score_trials`, with ``recogniser``, ``clip`` and ``speaker``.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. ``passed`` is ``yes``, ``no``, ``no claim`` (fewer than six speakers), or empty where nothing
        is required. A metric whose trials were all skipped has one row without a property.
    """
    rows = rows.assign(score=np.where(rows["direction"] == "lower", -1.0, 1.0) * rows["value"])
    rows["score"] = _without_rounding(rows)
    found = []
    for (recogniser, metric), part in rows.groupby(["recogniser", "metric"], sort=False):
        names = {"recogniser": recogniser, "metric": metric, "metric_version": part["metric_version"].iloc[0],
                 "family": part["family"].iloc[0]}  # fmt: skip
        clips = [_Clip(one) for _, one in part.groupby("clip", sort=True)]
        tested = [
            _estimate(some, p)
            for wanted in PROPERTIES
            if set(wanted.checks) <= set(part["check"])
            for p, some in [(wanted, clips), *(_by_emotion(clips) if wanted is FILLS else ())]
        ]
        if tested:
            tested.append(_averaged(part, rng("averaged", recogniser, metric)))
        found += [names | row for row in tested] or [names | _untested(part)]
    table = pd.DataFrame(found, columns=COLUMNS)
    place = {name: i for i, name in enumerate(ordered(table["metric"], METRICS.names()))}
    return table.sort_values("metric", key=lambda names: names.map(place), kind="stable", ignore_index=True)


def _without_rounding(rows: pd.DataFrame) -> pd.Series:
    """Scores that differ by less than a billionth of the clip's largest become equal."""
    step = rows["score"].abs().groupby([rows["recogniser"], rows["metric"], rows["clip"]]).transform("max") * STILL
    return (rows["score"] / step.where(step > 0, 1.0)).round() * step.where(step > 0, 1.0)


class _Clip:
    """One clip's trials of one metric, taken apart once for all properties."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.speaker, self.emotion = rows["speaker"].iloc[0], rows["emotion"].iloc[0]
        self.trials: Trials = dict(list(rows.groupby("check", sort=False)))
        self.whole = {check for check, found in self.trials.items() if (found["status"] == "ok").all()}


def _estimate(clips: Sequence[_Clip], wanted: Property) -> dict[str, object]:
    tried = [clip for clip in clips if set(wanted.checks) & set(clip.trials)]
    speakers = [clip.speaker for clip in tried]
    values = [wanted.of_clip(clip.trials) if set(wanted.checks) <= clip.whole else np.nan for clip in tried]
    known = np.isfinite(values)
    mean = clustered_mean(np.array(values)[known], np.array(speakers)[known]) if known.any() else None
    enough = mean is not None and mean.clusters >= MIN_SPEAKERS
    row: dict[str, object] = {
        "property": wanted.name,
        "estimate": np.nan if mean is None else mean.mean,
        "low": mean.low if mean is not None and enough else np.nan,
        "high": mean.high if mean is not None and enough else np.nan,
        "n_clips": int(known.sum()),
        "n_planned": len(values),
        "n_speakers": 0 if mean is None else mean.clusters,
        "threshold": wanted.threshold,
        "passed": "",
    }
    if wanted.threshold is not None:
        row["passed"] = "no claim" if mean is None or not enough else "yes" if wanted.passed(mean.low) else "no"
    return row


def _by_emotion(clips: Sequence[_Clip]) -> list[tuple[Property, list[_Clip]]]:
    return [
        (replace(FILLS, name=f"{FILLS.name}-{emotion}", threshold=None), [c for c in clips if c.emotion == emotion])
        for emotion in sorted({clip.emotion for clip in clips})
    ]


def _averaged(part: pd.DataFrame, generator: np.random.Generator) -> dict[str, object]:
    """Spearman correlation of the levels with the mean score over clips; percentile bootstrap over speakers."""
    read = part[part["check"] == "ladder"].sort_values("clip", kind="stable")
    scores = read.pivot(index="clip", columns="level", values="score")
    speakers = read.groupby("clip")["speaker"].first().reindex(scores.index)
    whole = scores.notna().all(axis=1).to_numpy()
    values, levels = scores.to_numpy()[whole], scores.columns.to_numpy()
    codes, names = pd.factorize(speakers[whole])
    low = high = estimate = np.nan
    if len(values):
        estimate = rank_follow(levels, values.mean(axis=0))
    if len(names) >= MIN_SPEAKERS:
        drawn = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)
        means = drawn[:, codes] @ values
        low, high = np.percentile(_rows_follow(levels, means), [2.5, 97.5])
    return {
        "property": AVERAGED, "estimate": estimate, "low": low, "high": high, "n_clips": len(values),
        "n_planned": len(scores), "n_speakers": len(names), "threshold": None, "passed": "",
    }  # fmt: skip


def _untested(part: pd.DataFrame) -> dict[str, object]:
    return {"property": "", "n_clips": 0, "n_planned": part["clip"].nunique(), "n_speakers": 0, "passed": ""}


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """One line a metric: whether every recogniser qualifies it, and what fails where.

    Returns
    -------
    DataFrame
        Columns `VERDICT_COLUMNS`: ``qualified`` is ``yes``, ``no``, ``no claim`` or ``not tested``; ``fails`` names
        property and recogniser with the lower end of the interval, worst first, and behind ``fills`` the estimate of
        each emotion.
    """
    lines = []
    for metric, part in table.groupby("metric", sort=False):
        required = part[part["threshold"].notna()]
        failed = required[required["passed"] == "no"].sort_values("low")
        unclear = required[required["passed"] == "no claim"]
        qualified = "not tested" if required.empty else "no" if len(failed) else "no claim" if len(unclear) else "yes"
        lines.append(
            {
                "metric": metric,
                "version": part["metric_version"].iloc[0],
                "qualified": qualified,
                "recognisers": " ".join(sorted(required["recogniser"].unique())),
                "fails": "; ".join(_told(row, part) for row in failed.itertuples()),
            }
        )
    return pd.DataFrame(lines, columns=VERDICT_COLUMNS)


def _told(row: Any, part: pd.DataFrame) -> str:
    low = f"{row.low:.2f}"
    if row.property == FILLS.name:
        of_emotion = part[(part["recogniser"] == row.recogniser) & part["property"].str.startswith(f"{FILLS.name}-")]
        estimates = of_emotion[["property", "estimate"]].itertuples(index=False)
        low += ": " + ", ".join(f"{name.removeprefix(f'{FILLS.name}-')} {value:.2f}" for name, value in estimates)
    return f"{row.property} on {row.recogniser} ({low})"


def property_names(table: pd.DataFrame) -> list[str]:
    """Names of the properties in a table, in the order in which they are told; each emotion's behind ``fills``."""
    known = [p.name for p in PROPERTIES] + [AVERAGED]

    def place(name: str) -> tuple[int, str]:
        return known.index(name if name in known else FILLS.name), name

    return sorted(set(table["property"]) - {""}, key=place)


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """Estimates with metrics as rows and (recogniser, property) as columns, in the order of both."""
    tested = table[table["property"] != ""]
    columns = [(r, p) for r in tested["recogniser"].unique() for p in property_names(tested)]
    found = tested.pivot(index="metric", columns=["recogniser", "property"], values="estimate")
    return found.reindex(index=tested["metric"].unique(), columns=pd.MultiIndex.from_tuples(columns))
