"""Properties of a metric, each computed from the scores of the trials of one clip.

Scores are oriented: higher is better whatever the metric's direction. A metric that gives all levels of a clip the same
score is *silent* there: its correlation, agreement and resilience count as 0, so that no metric passes by constant
scores.

Sources
-------
Intraclass correlation: Shrout & Fleiss 1979, Psychological Bulletin 86(2), ICC(2,1). Concordance: Kendall & Babington
Smith 1939, Annals of Mathematical Statistics 10(3), with correction for ties. Noise resilience and adversary
reactivity: after the inter-consistency criteria of Hedström, Bommer, Wickstrøm, Samek, Lapuschkin, Höhne 2023, "The
meta-evaluation problem in explainable AI" (MetaQuantus), TMLR; docs/qualification.md says what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from ..stats.concordance import concordance
from .rivals import MODEL_BLIND


def rank_follow(levels: np.ndarray, scores: np.ndarray) -> float:
    """Spearman correlation of scores with levels; 0 for scores that are all equal.

    Parameters
    ----------
    levels, scores : array, shape (n,)
        Levels must not all be equal.
    """
    x, y = (rankdata(v) - (len(v) + 1) / 2 for v in (levels, scores))
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else 0.0


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


def order_kept(clean: np.ndarray, noisy: np.ndarray) -> float:
    """Share of the pairs with different clean scores whose order the noisy scores keep; 0 if there is no such pair.

    Parameters
    ----------
    clean, noisy : array, shape (n,)
    """
    first, second = np.triu_indices(len(clean), 1)
    order = np.sign(clean[first] - clean[second])
    kept = order == np.sign(noisy[first] - noisy[second])
    return float(np.mean(kept[order != 0])) if order.any() else 0.0


# -- properties --------------------------------------------------------------------------------------------------------


class Check(NamedTuple):
    """Trials of one check, one clip and one metric.

    Attributes
    ----------
    levels, scores : array, float64, shape (n_trials,)
    draws : array of int, shape (n_trials,)
    fills : array of str, shape (n_trials,)
    """

    levels: np.ndarray
    draws: np.ndarray
    fills: np.ndarray
    scores: np.ndarray

    def at(self, level: float) -> np.ndarray:
        """Scores of one level."""
        return self.scores[self.levels == level]

    def under(self, fill: str) -> Check:
        """Trials under one fill."""
        chosen = self.fills == fill
        return Check(*(part[chosen] for part in self))

    def table(self, rows: np.ndarray) -> np.ndarray:
        """Scores as a matrix, `rows` (draws or fills) by levels."""
        order = np.lexsort((self.levels, rows))
        return self.scores[order].reshape(len(set(rows.tolist())), -1)


Trials = Mapping[str, Check]  # of one clip and metric


def _follow(check: Check) -> float:
    return rank_follow(check.levels, check.scores)


def _monotone(trials: Trials) -> float:
    return _follow(trials["ladder"])


def _worst(trials: Trials) -> np.ndarray:
    return np.append(trials["random"].scores, trials["ladder"].at(0.0))


def _discriminating(trials: Trials) -> float:
    return win_share(trials["ladder"].at(1.0), _worst(trials))


def _seeds(trials: Trials) -> float:
    scores = trials["seed"].table(trials["seed"].draws).T
    return max(intraclass(scores), -1.0) if np.ptp(scores) > 0 else 0.0  # of few levels the estimate can be below -1


def _fills(trials: Trials) -> float:
    agreement = concordance(trials["fill"].table(trials["fill"].fills))
    return agreement if np.isfinite(agreement) else 0.0


def _degraded(check: str) -> Callable[[Trials], float]:
    def correlation(trials: Trials) -> float:
        best, left = trials["ladder"].at(1.0), trials[check]
        return rank_follow(np.append(left.levels, 1.0), np.append(left.scores, best))

    return correlation


def _resilience(trials: Trials) -> float:
    noisy = trials["noise"]
    clean = np.concatenate([trials["ladder"].at(level) for level in noisy.levels])
    return order_kept(clean, noisy.scores)


def _reactivity(trials: Trials) -> float:
    disrupted = trials["disrupted"]
    clean = np.concatenate([trials["ladder"].at(level) for level in disrupted.levels])
    return float(np.mean(clean > disrupted.scores))


def _negated(trials: Trials) -> float:
    return win_share(_worst(trials), trials["negated"].scores)


def _rivals(trials: Trials) -> float:
    scores = [part.at(0.0) for check in MODEL_BLIND if (part := trials.get(check)) is not None]
    return win_share(trials["ladder"].at(1.0), np.concatenate(scores))


def _monotone_under(fill: str, check: str, trials: Trials) -> float:
    return _follow(trials[check].under(fill))


def _worst_under(fill: str, check: str, trials: Trials) -> np.ndarray:
    return np.append(trials["fill random"].under(fill).scores, trials[check].under(fill).at(0.0))


def _discriminating_under(fill: str, check: str, trials: Trials) -> float:
    return win_share(trials[check].under(fill).at(1.0), _worst_under(fill, check, trials))


def _negated_under(fill: str, check: str, trials: Trials) -> float:
    return win_share(_worst_under(fill, check, trials), trials["fill negated"].under(fill).scores)


def _own_fills(trials: Trials) -> float:
    own = trials["own fill"]
    return float(np.mean([_follow(own.under(fill)) for fill in sorted(set(own.fills.tolist()))]))


def _real(trials: Trials) -> float:
    return win_share(trials["real"].at(1.0), trials["real"].at(0.0))


@dataclass(frozen=True)
class Property:
    """One property of a metric.

    Attributes
    ----------
    name : str
    checks : tuple of str
        Checks whose trials it is computed from.
    threshold : float or None
        Required value of the interval's lower end; None where nothing is required.
    chance : float
        Value at chance level; of ``fills`` with four of them (1 over their number).
    least : float
        Smallest possible value; the largest is 1.
    of_clip : callable
        Value from the trials of one clip.
    summary : str
    above : bool
        Whether the lower end must exceed the threshold, not only reach it.
    share : bool
        Whether a clip's value is 0 or 1, so that the mean is a proportion of clips.
    fill : str
        Fill whose trials alone it reads; empty for the trials of its checks whatever their fill.
    """

    name: str
    checks: tuple[str, ...]
    threshold: float | None
    chance: float
    least: float
    of_clip: Callable[[Trials], float]
    summary: str
    above: bool = False
    share: bool = False
    fill: str = ""

    def reached(self, value: float) -> bool:
        """Whether a value is high enough."""
        assert self.threshold is not None
        return value > self.threshold if self.above else value >= self.threshold


PROPERTIES = (
    Property("monotone", ("ladder",), 0.9, 0, -1, _monotone, "Spearman correlation of the score with the level"),
    Property("oracle-vs-random", ("ladder", "random"), 0.9, 0.5, 0, _discriminating,
             "area under the curve, the best map against five drawn at random", above=True),
    Property("seeds", ("seed",), 0.9, 0, -1, _seeds,
             "intraclass correlation over two draws of the metric's own randomness"),
    Property("real", ("real",), 0.9, 0.5, 0, _real,
             "share of clips on which two methods are scored in their known order", share=True),
    Property("negated", ("ladder", "random", "negated"), 0.9, 0.5, 0, _negated,
             "area under the curve, five maps drawn at random against the truth with its signs turned", above=True),
    Property("rivals", ("ladder", "energy", "shift", "edges"), 0.8, 0.5, 0, _rivals,
             "area under the curve, the truth against energy, edges, another class' truth, and its own 320 ms late"),
    Property("fills", ("fill",), 0.7, 0.25, 0, _fills, "Kendall's W of the order of maps over the fills"),
    Property("own-fills", ("own fill",), None, 0, -1, _own_fills,
             "Spearman correlation with the share of the truth under the fill used, mean over fills (white box)"),
    Property("energy", ("ladder", "energy"), None, 0, -1, _degraded("energy"),
             "Spearman correlation with the share of the truth in its mixture with energy"),
    Property("shift", ("ladder", "shift"), None, 0, -1, _degraded("shift"), "... with the truth's shift, 320 to 0 ms"),
    Property("coarse", ("ladder", "coarse"), None, 0, -1, _degraded("coarse"), "... with its resolution"),
    Property("methods", ("ladder", "method"), None, 0, -1, _degraded("method"),
             "Spearman correlation with the cosine of a real method's map and the exact one (white boxes)"),
    Property("blur", ("ladder", "blur"), None, 0, -1, _degraded("blur"),
             "Spearman correlation with what is left of the truth after blurring"),
    Property("signs", ("ladder", "signs"), None, 0, -1, _degraded("signs"), "... after flipping signs"),
    Property("shuffle", ("ladder", "shuffle"), None, 0, -1, _degraded("shuffle"), "... after exchanging cells"),
    Property("resilience", ("ladder", "noise"), None, 0.5, 0, _resilience,
             "share of orders of the clean maps that 5 % noise on them keeps"),
    Property("reactivity", ("ladder", "disrupted"), None, 0.5, 0, _reactivity,
             "share of maps that score worse with their cells exchanged"),
)  # fmt: skip


def fill_properties(fill: str, own: bool) -> tuple[Property, ...]:
    """Properties under one fill that is not the first.

    Parameters
    ----------
    fill : str
    own : bool
        Whether the truth of the fill is known, as it is for white boxes.
    """
    check = "own fill" if own else "fill"
    return (
        Property(f"monotone-{fill}", (check,), 0.9, 0, -1, partial(_monotone_under, fill, check),
                 f"monotone under {fill}", fill=fill),
        Property(f"oracle-vs-random-{fill}", (check, "fill random"), 0.9, 0.5, 0,
                 partial(_discriminating_under, fill, check), f"oracle-vs-random under {fill}", above=True, fill=fill),
        Property(f"negated-{fill}", (check, "fill random", "fill negated"), 0.9, 0.5, 0,
                 partial(_negated_under, fill, check), f"negated under {fill}", above=True, fill=fill),
    )  # fmt: skip
