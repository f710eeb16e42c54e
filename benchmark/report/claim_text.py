"""Verdicts on the papers' claims in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ...methods.record import EXTERNAL
from ...methods.records import METHODS
from ..analysis.claim_counts import verdict_counts
from ..analysis.claim_scope import CHANCE, COUNTED, CROSSED, FEW, MADE, POOLED, UNHEARD, asks_no_recogniser
from ..analysis.claim_tables import BEYOND_SALIENCY
from ..analysis.claims import CLAIM_1, NOT_TESTABLE, PUBLISHED, VERDICTS, Finding
from ..analysis.leaderboard import ordered
from ..analysis.shown_names import plain_name
from ..stats.wording import p_text
from .tables import number

MEANING = {
    CLAIM_1: "explanations are more alike across recognisers than across corpora",
    "EmoLIME 2": "low bands drive some emotions with deep features",
    "EmoLIME 3": "high bands go with arousal",
    "Beyond Saliency 1": "salient windows carry cues that sources expect, more than rules that know no recogniser",
    "Beyond Saliency 2": "high-arousal emotions show stronger and more variable markers in salient windows",
    "Beyond Saliency 3": "misclassified clips are less plausible",
}
LIMITS = {  # what is fixed, and what cannot be told
    CLAIM_1: "Fixed: corpora and recognisers of the runs, explained against one fill; speakers are resampled within "
    "corpora. Cannot be told: "
    "whether other corpora and recognisers behave so (exchanged labels: how far these few could carry it).",
    "EmoLIME 2": "Fixed: corpus and recogniser of each setting, the lowest of eight bands (below 386 Hz). Cannot be "
    "told: that deep features are the cause; compare hand-crafted features and energy.",
    "EmoLIME 3": "Fixed: corpus and recogniser of each setting, bands above 2.5 kHz, arousal by emotion. Cannot be "
    "told: whether arousal or another property of these emotions goes with them.",
    "Beyond Saliency 1": "Fixed: the rules that know no recogniser, sources that state directions, windows of 150 ms. "
    "Cannot be told: whether the recogniser uses the cues that lie there.",
    "Beyond Saliency 2": "Fixed: arousal by emotion, markers as listed. Cannot be told from `level` alone: speech of "
    "high arousal has stronger markers everywhere; `beyond the clip` is what the windows add.",
    "Beyond Saliency 3": "Fixed: the recognisers, and so which clips are misclassified. Cannot be told: whether less "
    "plausible explanations cause errors or unusual clips cause both.",
}
LEGEND = (
    "supported, contradicted: the whole 95 % interval on one side of 0; equivalent: smaller than the metric's margin; "
    "by construction: the method asks no recogniser, so that nothing else could come out; described only: fewer than 6 "
    "speakers, or a recogniser at chance. Counted: recorded corpora of 6 speakers or more, by recognisers of their own "
    "above chance; methods that ask no recogniser once for each corpus. Fixed: corpora and recognisers of the runs, "
    "so that nothing is said about others; no correction over settings: of many, one in forty is 'supported' by chance."
)
BASELINES = "baselines that ask no recogniser"
OTHERS = "other methods"


def of_claim(found: Sequence[Finding], claim: str) -> list[Finding]:
    """Findings on one of the claims of `MEANING`."""
    return [one for one in found if one.claim.startswith(claim) or one.claim == BEYOND_SALIENCY == claim[:-2]]


# -- in short ----------------------------------------------------------------------------------------------------------


def results_in_short(found: Sequence[Finding], claim: str) -> Iterator[str]:
    """Lines on what was found about a claim: one sentence for each part of the claim and family of methods.

    Parameters
    ----------
    found : sequence of Finding
        On all claims.
    claim : str
        One of `MEANING`.
    """
    chosen = of_claim(found, claim)
    if not chosen:
        yield "nothing was decided"
        return
    counts = verdict_counts(chosen)
    for part in dict.fromkeys(one.claim for one in chosen):
        title = part.removeprefix(f"{claim}, ")
        if title != part:
            yield f"{title}:"
        methods = list(dict.fromkeys(one.method for one in chosen if one.claim == part))
        told = {
            m: _first_claim([one for one in chosen if one.method == m]) if part == CLAIM_1 else _counts(counts, part, m)
            for m in ordered(methods, [PUBLISHED, *METHODS.names()])
        }
        for family, members in _families([m for m in told if told[m]]).items():
            yield f"  {family}: {'; '.join(told[m] for m in members)}."
        rows = counts.loc[part]
        for why, of_why in (
            ("not testable", rows["settings"].gt(0) & rows[NOT_TESTABLE].eq(rows["settings"])),
            ("in no setting that is counted", rows["settings"].eq(0)),
        ):
            names = [m for m in told if of_why[m] and not told[m]]
            if names:
                yield f"  {why}: {', '.join(names)}."


def _counts(counts: pd.DataFrame, claim: str, method: str) -> str:
    """How often a method got each verdict; empty where there is none."""
    row = counts.loc[(claim, method)]
    if row["settings"] == row[NOT_TESTABLE]:
        return ""
    verdicts = ", ".join(f"{int(row[name])} {name}" for name in VERDICTS if row[name])
    one, several = ("corpus", "corpora") if asks_no_recogniser(method) else ("setting", "settings")
    text = f"{method} in {int(row['settings'])} {one if row['settings'] == 1 else several}: {verdicts}"
    if pd.isna(row["together"]):
        return text
    effect = _effect(row["together_estimate"], row["together_low"], row["together_high"])
    return f"{text}, together {row['together']} {effect}"


def _first_claim(found: Sequence[Finding]) -> str:
    """What EmoLIME 1 comes to for a method, with and without the lowest band; empty where it is not testable."""
    known = [one for one in found if one.claim == CLAIM_1 and one.verdict != NOT_TESTABLE]
    if not known:
        return ""
    first = known[0]
    beside = next((one for one in known[1:] if "without the lowest band" in one.effect), None)
    text = f"{first.method} {first.verdict} {_effect(first.estimate, first.low, first.high)}"
    if beside is not None:
        text += f", without the lowest band {beside.verdict} {_effect(beside.estimate, beside.low, beside.high)}"
    return text + (f" (not counted: {first.scope})" if first.scope != COUNTED else "")


def _effect(estimate: float, low: float, high: float) -> str:
    return number(estimate) + (f" [{number(low)}, {number(high)}]" if np.isfinite(low) else "")


def _families(methods: Sequence[str]) -> dict[str, list[str]]:
    """Methods by family of their record, in the order given."""
    found: dict[str, list[str]] = {}
    for method in methods:
        name = plain_name(method)
        family = METHODS.get(name).family if name in METHODS else OTHERS
        if method == PUBLISHED:
            family = "the paper"
        elif asks_no_recogniser(method):
            family = BASELINES
        elif family not in (EXTERNAL, OTHERS):
            family = f"{family} methods"
        found.setdefault(family, []).append(method)
    return found


def not_counted(found: Sequence[Finding]) -> Iterator[str]:
    """Lines on the settings whose verdicts are not counted, with the reason; those of the first claim say so there."""
    for reason in (MADE, FEW, CROSSED, CHANCE):
        settings: dict[str, str] = {}
        for one in found:
            if one.scope == reason and one.claim != CLAIM_1:
                corpus, _, model = one.setting.partition("; ")
                at_chance = next((note for note in one.note.split("; ") if note.startswith(UNHEARD)), "")
                settings[f"{model} on {corpus}"] = at_chance
        if settings:
            named = (name + (f" ({note})" if note else "") for name, note in sorted(settings.items()))
            yield f"not counted, {reason}: {', '.join(named)}"


# -- every finding -----------------------------------------------------------------------------------------------------


def finding_text(one: Finding, claim: str) -> str:
    """One line on a finding on a claim of `MEANING`; its note stands below."""
    aside_from = "" if one.scope in (COUNTED, POOLED) else f" (not counted: {one.scope})"
    verdict = one.verdict + aside_from
    aside = f" ({one.claim.removeprefix(claim + ', ')})" if one.claim != claim else ""
    setting = f", {one.setting}" if one.setting else ""
    p = f", p {p_text(one.p)}" if np.isfinite(one.p) else ""
    more = f" ({one.n_explanations} explanations)" if one.n_explanations != one.n_clips else ""
    n = f", {one.n_clips} clips{more}, {one.n_speakers} speakers" if one.n_clips else ""
    effect = _effect(one.estimate, one.low, one.high)
    return f"{verdict}: {one.method}{aside}{setting}: {one.effect}: {effect}{p}{n}"
