"""The claims of the Beyond Saliency paper, decided for every method on the cues of salient windows.

Conventions
-----------
Input is the table of `salient_cues.cue_table`. Verdicts are those of `claims`; one more word: *equivalent*, where a
difference is shown to be smaller than a margin (two one-sided tests at 5 %).

Each claim is decided for each corpus and recogniser, and over those that are counted (`claim_scope`) together (setting
``all``), with the speakers of all corpora as clusters and classes compared within corpus and recogniser.

1. *Salient windows carry cues*: agreement with what sources expect of the class explained, less that of each rule that
   chooses as many windows without the recogniser. Supported where the whole interval of every difference lies above 0
   (intersection-union); contradicted where one rule is better, p corrected for the number of rules.
2. *High-arousal emotions show stronger and more variable markers in salient windows*: emotions of high less of low
   arousal within speakers. Three readings: ``level`` (mean z of F0, loudness, high-frequency energy), ``variability``
   (mean z of the variability of F0 and loudness inside the windows), ``variance`` (absolute deviation of a clip's level
   from the median of its emotion; Brown and Forsythe 1974). Each also *beyond the clip*: the same of salient less as
   many windows anywhere, which tells the explanation from the speech.
3. *Misclassified clips are less plausible*: plausibility (agreement less that of the best rule, as metric
   ``neutral-agreement``) of correct less of misclassified clips of one class, judged for the predicted class and for
   the true one. Interval and equivalence by the jackknife over speakers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ...metrics.neutral_agreement import RIVALS
from ...metrics.records import METRICS
from ..stats.cluster_variance import LEVEL, MIN_SPEAKERS
from ..stats.clustered import Estimate, clustered_mean
from .claim_scope import Heard, recognition_of, scopes, settings
from .claims import (
    CONTRADICTED,
    EQUIVALENT,
    HIGH_AROUSAL,
    LOW_AROUSAL,
    SUPPORTED,
    UNDECIDED,
    Finding,
    in_setting,
    signed,
    sizes,
    verdict_of,
)
from .recogniser_titles import recogniser_titles
from .salient_cues import ANYWHERE, OWN, SALIENT, TRUE

CLAIM_1, CLAIM_2, CLAIM_3 = "Beyond Saliency 1", "Beyond Saliency 2", "Beyond Saliency 3"
BEYOND = "beyond the clip"
LEVELS = ("f0_level", "loudness", "high_frequency_energy")  # what all sources expect higher with arousal
VARIABILITIES = ("f0_variability", "loudness_variability")
SCORE = "neutral-agreement"  # whose record states the margin of equivalence
ALPHA = 0.05


def beyond_saliency_claims(table: pd.DataFrame, heard: Heard | None = None) -> list[Finding]:
    """Findings on the three claims, for each method, corpus and recogniser of the table.

    Parameters
    ----------
    table : DataFrame
        Of `salient_cues.cue_table`.
    heard : mapping, optional
        How well recognisers do (`claim_scope.recognition_of`); default that of the table.
    """
    heard = recognition_of(table) if heard is None else heard
    table = table.reset_index(drop=True)
    titles = recogniser_titles(table)
    scope = scopes(table, titles, heard)
    table = table.assign(model=titles)
    parts = [
        (str(method), setting)
        for method, rows in table.groupby("method", sort=True)
        for setting in settings(rows, titles[rows.index], scope[rows.index], heard)
    ]
    return [
        one
        for decide in (windows_carry_cues, arousal_markers, misclassified)
        for method, setting in parts
        for one in in_setting(decide(setting.rows, method, setting.name), setting)
    ]


# -- claim 1: salient windows carry cues -------------------------------------------------------------------------------


def windows_carry_cues(part: pd.DataFrame, method: str, setting: str) -> Iterator[Finding]:
    """Agreement of salient windows less that of the best rule without the recogniser.

    Parameters
    ----------
    part : DataFrame
        Rows of one method, corpus and recogniser.
    method, setting : str
    """
    known = part[part[OWN].notna()]
    effect = "agreement with sources, salient windows - best rule without the recogniser"
    rules = [name for name in RIVALS if name != method and known[name].notna().any()]
    if known.empty or not rules:
        yield Finding(CLAIM_1, method, setting, effect, note=f"no clip of {len(part)} whose class any source describes")
        return
    differences = {name: known[OWN] - known[name] for name in rules}
    found = {name: _mean(differences[name], known) for name in rules}
    # at the level corrected for choosing the best of several rules
    strict = {name: _mean(differences[name], known, 1 - (1 - LEVEL) / len(rules)) for name in rules}
    best = min(found, key=lambda name: found[name].mean)
    estimate = found[best]
    verdict = verdict_of(estimate.mean, *estimate.bounds)
    if verdict in (SUPPORTED, CONTRADICTED, UNDECIDED):
        beaten = all(each.low > 0 for each in found.values())
        lost = any(each.high < 0 for each in strict.values())
        verdict = SUPPORTED if beaten else CONTRADICTED if lost else UNDECIDED
    by_class = differences[best].groupby(known["target"]).mean()
    told = "; ".join(f"{name} {_interval(each)}" for name, each in found.items())
    yield Finding(
        CLAIM_1, method, setting, f"{effect} ({best})", estimate.mean, *estimate.bounds, estimate.p,
        *sizes(known), estimate.n_speakers, verdict,
        f"against each rule: {told}; by class: {', '.join(f'{e} {signed(v)}' for e, v in by_class.items())}",
    )  # fmt: skip


def _mean(values: pd.Series, facts: pd.DataFrame, level: float = LEVEL) -> Estimate:
    sentences = facts["sentence"].tolist() if facts["sentence"].ne("").all() else None
    return clustered_mean(values.to_numpy(dtype=np.float64), facts["speaker"].tolist(), sentences, level)


def _interval(estimate: Estimate) -> str:
    low, high = estimate.bounds
    return signed(estimate.mean) + (f" [{low:+.2f}, {high:+.2f}]" if np.isfinite(low) else "")


# -- claim 2: arousal --------------------------------------------------------------------------------------------------


def arousal_markers(part: pd.DataFrame, method: str, setting: str) -> Iterator[Finding]:
    """Level, variability and variance of markers, emotions of high less of low arousal within speakers.

    Parameters
    ----------
    part : DataFrame
        Rows of one method, corpus and recogniser.
    method, setting : str
    """
    for reading in ("level", "variability", "variance"):
        inside, anywhere = (_marker(part, where, reading) for where in (SALIENT, ANYWHERE))
        told = {where: arousal_contrast(values, part) for where, values in ((SALIENT, inside), (ANYWHERE, anywhere))}
        beyond = arousal_contrast(inside - anywhere, part)
        of_clip = f"as many windows anywhere in the clip: {_interval(told[ANYWHERE])}"
        cues = ", ".join(LEVELS if reading != "variability" else VARIABILITIES)
        for claim, estimate, note in (
            (f"{CLAIM_2}, {reading}", told[SALIENT], f"{cues}; {of_clip}"),
            (f"{CLAIM_2}, {reading} {BEYOND}", beyond, "salient less anywhere: what the explanation adds"),
        ):
            yield Finding(
                claim, method, setting, f"{reading} of markers (z), emotions of high - of low arousal", estimate.mean,
                *estimate.bounds, estimate.p, *sizes(part[inside.notna() & _aroused(part).notna()]),
                estimate.n_speakers, verdict_of(estimate.mean, *estimate.bounds), note,
            )  # fmt: skip


def _marker(part: pd.DataFrame, where: str, reading: str) -> pd.Series:
    """Marker of each clip; NaN where none of its cues is known."""
    cues = VARIABILITIES if reading == "variability" else LEVELS
    level = part[[f"{where} {cue}" for cue in cues]].astype(float).mean(axis=1)
    if reading != "variance":
        return level
    kinds = [part["corpus"], part["model"], part["emotion"]]
    return (level - level.groupby(kinds).transform("median")).abs()


def _aroused(part: pd.DataFrame) -> pd.Series:
    """1 for emotions of high arousal, 0 for those of low arousal, else NaN."""
    return part["emotion"].map(dict.fromkeys(HIGH_AROUSAL, 1.0) | dict.fromkeys(LOW_AROUSAL, 0.0))


def arousal_contrast(values: pd.Series, part: pd.DataFrame) -> Estimate:
    """Mean over speakers of the mean of clips of high arousal less that of low arousal.

    Parameters
    ----------
    values : Series
        Of each clip.
    part : DataFrame
        Columns ``speaker`` and ``emotion``, same index.
    """
    means = values.groupby([part["speaker"], _aroused(part)]).mean().unstack()
    difference = (means.get(1.0, pd.Series(dtype=float)) - means.get(0.0, pd.Series(dtype=float))).dropna()
    return clustered_mean(difference.to_numpy(dtype=np.float64), difference.index.tolist())


# -- claim 3: misclassified clips --------------------------------------------------------------------------------------


class ClassDifference(NamedTuple):
    """Difference of two groups of clips within classes, with the jackknife over speakers.

    Attributes
    ----------
    mean, se : float
    df : int
    n_first, n_second : int
        Clips that were compared, of each group.
    n_speakers : int
        Speakers with clips of the smaller group.
    """

    mean: float
    se: float
    df: int
    n_first: int
    n_second: int
    n_speakers: int

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Student's t interval; NaN without a claim: fewer than 6 speakers, or one value for all."""
        if self.df < MIN_SPEAKERS - 1 or not self.se > 0:
            return np.nan, np.nan
        half = float(stats.t.ppf((1 + level) / 2, self.df)) * self.se
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """Two-sided p of no difference; NaN without a claim."""
        if not np.isfinite(self.interval()[0]):
            return np.nan
        return float(2 * stats.t.sf(abs(self.mean) / self.se, self.df))


def within_class_difference(values: Any, first: Any, classes: Any, speakers: Any) -> ClassDifference:
    """Mean of one group of clips less that of the others, within classes.

    Each class counts with its least-squares weight n1 n2 / (n1 + n2). Standard error by the jackknife over speakers;
    degrees of freedom: speakers with clips of the smaller group, less one.

    Parameters
    ----------
    values : array_like, shape (n,)
        Without NaN.
    first : array_like of bool, shape (n,)
    classes, speakers : array_like, shape (n,)
    """
    x, group = np.asarray(values, dtype=np.float64), np.asarray(first, dtype=bool)
    label, n_classes = _coded(classes)
    speaker, n_speakers = _coded(speakers)

    def summed(weights: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        found = np.zeros((n_speakers, n_classes))
        np.add.at(found, (speaker[chosen], label[chosen]), weights[chosen])
        return found

    ones = np.ones_like(x)
    counts, sums = ([summed(w, chosen) for chosen in (group, ~group)] for w in (ones, x))

    def estimate(left_out: np.ndarray) -> np.ndarray:
        """For each set of speakers left out, bool of shape (sets, speakers)."""
        kept = 1.0 - left_out
        n1, n2 = (kept @ c for c in counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            apart = (kept @ sums[0]) / n1 - (kept @ sums[1]) / n2
            weight = n1 * n2 / (n1 + n2)
            both = (n1 > 0) & (n2 > 0)
            found: np.ndarray = np.where(both, apart * weight, 0).sum(axis=1) / np.where(both, weight, 0).sum(axis=1)
        return found

    n1, n2 = (c.sum(axis=0) for c in counts)
    compared = (n1 > 0) & (n2 > 0)
    smaller = counts[0] if n1[compared].sum() < n2[compared].sum() else counts[1]
    n_smaller = int((smaller[:, compared].sum(axis=1) > 0).sum())
    mean = float(estimate(np.zeros((1, n_speakers), dtype=bool))[0]) if compared.any() else np.nan
    left_out = estimate(np.eye(n_speakers, dtype=bool)) if compared.any() else np.full(n_speakers, np.nan)
    se = np.nan
    if np.isfinite(left_out).all() and n_speakers > 1:
        se = float(np.sqrt((n_speakers - 1) / n_speakers * np.sum((left_out - left_out.mean()) ** 2)))
    return ClassDifference(mean, se, n_smaller - 1, int(n1[compared].sum()), int(n2[compared].sum()), n_smaller)


def _coded(labels: Any) -> tuple[np.ndarray, int]:
    codes, known = pd.factorize(np.asarray(labels))
    return codes, len(known)


def misclassified(part: pd.DataFrame, method: str, setting: str) -> Iterator[Finding]:
    """Plausibility of correct less of misclassified clips, judged for the predicted class and for the true one.

    Parameters
    ----------
    part : DataFrame
        Rows of one method, corpus and recogniser.
    method, setting : str
    """
    margin = float(METRICS.get(SCORE).equivalence_margin or np.nan)
    part = part[part["target"] == part["predicted"]]
    for judged, prefix, label in (("predicted class", "", "predicted"), ("true class", f"{TRUE} ", "emotion")):
        rivals = part[[prefix + name for name in RIVALS]].astype(float).max(axis=1)
        score = part[prefix + OWN].astype(float) - rivals
        known = part[score.notna()]
        claim = f"{CLAIM_3}, judged for the {judged}"
        effect = "plausibility, correct - misclassified clips"
        right = known["predicted"] == known["emotion"]
        classes = known["corpus"] + "/" + known["model"] + "/" + known[label]
        found = within_class_difference(score[score.notna()], right, classes, known["speaker"])
        both = right.groupby(classes).transform("nunique") > 1  # classes with clips of both kinds are compared
        low, high = found.interval()
        inner = found.interval(1 - 2 * ALPHA)
        verdict = verdict_of(found.mean, low, high)
        if verdict == UNDECIDED and -margin < inner[0] and inner[1] < margin:
            verdict = EQUIVALENT
        wrong = score[score.notna()][known["predicted"] != known["emotion"]]
        told = f"{found.n_first} correct, {found.n_second} misclassified clips of the same classes"
        bounds = f"; 90 % [{inner[0]:+.2f}, {inner[1]:+.2f}], margin {margin:g}" if np.isfinite(inner[0]) else ""
        mean_wrong = f"; misclassified clips score {wrong.mean():+.2f}" if len(wrong) else ""
        few = f"; misclassified clips of {found.n_speakers} speakers" if found.n_speakers < MIN_SPEAKERS else ""
        yield Finding(
            claim, method, setting, effect, found.mean, low, high, found.p, *sizes(known[both]),
            int(known["speaker"].nunique()), verdict, told + bounds + mean_wrong + few,
        )  # fmt: skip
