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

import numpy as np
import pandas as pd
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

# trials of one clip and metric by check, each with level, draw, fill, status and score
Trials = Mapping[str, pd.DataFrame]


def _ladder(trials: Trials) -> pd.Series:
    return trials["ladder"].set_index("level")["score"]


def _monotone(trials: Trials) -> float:
    ladder = _ladder(trials)
    return rank_follow(ladder.index.to_numpy(), ladder.to_numpy())


def _discriminating(trials: Trials) -> float:
    ladder = _ladder(trials)
    worst = np.append(trials["random"]["score"], ladder[0.0])
    return win_share(ladder[[1.0]].to_numpy(), worst)


def _seeds(trials: Trials) -> float:
    scores = trials["seed"].pivot(index="level", columns="draw", values="score").to_numpy()
    return max(intraclass(scores), -1.0) if np.ptp(scores) > 0 else 0.0  # of few levels the estimate can be below -1


def _fills(trials: Trials) -> float:
    agreement = concordance(trials["fill"].pivot(index="fill", columns="level", values="score").to_numpy())
    return agreement if np.isfinite(agreement) else 0.0


def _degraded(check: str) -> Callable[[Trials], float]:
    def correlation(trials: Trials) -> float:
        left = trials[check].set_index("level")["score"]
        left[1.0] = _ladder(trials)[1.0]
        return rank_follow(left.index.to_numpy(), left.to_numpy())

    return correlation


def _resilience(trials: Trials) -> float:
    noisy = trials["noise"].set_index("level")["score"]
    return order_kept(_ladder(trials)[noisy.index].to_numpy(), noisy.to_numpy())


def _reactivity(trials: Trials) -> float:
    disrupted = trials["disrupted"].set_index("level")["score"]
    return float(np.mean(_ladder(trials)[disrupted.index].to_numpy() > disrupted.to_numpy()))


def _negated(trials: Trials) -> float:
    worst = np.append(trials["random"]["score"], _ladder(trials)[0.0])
    return win_share(worst, trials["negated"]["score"].to_numpy())


def _rivals(trials: Trials) -> float:
    scores = [part.loc[part["level"] == 0, "score"] for check in MODEL_BLIND if (part := trials.get(check)) is not None]
    return win_share(_ladder(trials)[[1.0]].to_numpy(), np.concatenate(scores))


def _methods(trials: Trials) -> float:
    near = trials["method"].set_index("level")["score"]
    levels = np.append(near.index.to_numpy(), 1.0)
    return rank_follow(levels, np.append(near.to_numpy(), _ladder(trials)[1.0]))


def _of_fill(trials: Trials, check: str, fill: str) -> pd.Series:
    part = trials[check]
    return part[part["fill"] == fill].set_index("level")["score"].sort_index()


def _monotone_under(fill: str, check: str, trials: Trials) -> float:
    ladder = _of_fill(trials, check, fill)
    return rank_follow(ladder.index.to_numpy(), ladder.to_numpy())


def _discriminating_under(fill: str, check: str, trials: Trials) -> float:
    ladder = _of_fill(trials, check, fill)
    worst = np.append(_of_fill(trials, "fill random", fill), ladder[0.0])
    return win_share(ladder[[1.0]].to_numpy(), worst)


def _negated_under(fill: str, check: str, trials: Trials) -> float:
    worst = np.append(_of_fill(trials, "fill random", fill), _of_fill(trials, check, fill)[0.0])
    return win_share(worst, _of_fill(trials, "fill negated", fill).to_numpy())


def _own_fills(trials: Trials) -> float:
    table = trials["own fill"].pivot(index="fill", columns="level", values="score")
    return float(np.mean([rank_follow(table.columns.to_numpy(), row) for row in table.to_numpy()]))


def _real(trials: Trials) -> float:
    score = trials["real"].set_index("level")["score"]
    return win_share(score[[1.0]].to_numpy(), score[[0.0]].to_numpy())


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
    Property("methods", ("ladder", "method"), None, 0, -1, _methods,
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
