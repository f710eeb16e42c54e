"""The claims of the EmoLIME paper, decided for every method on explanations of one or several runs.

Conventions
-----------
A claim is *supported* where the effect that it states is above 0 with its whole 95 % interval, *contradicted* where it
is below 0 with its whole interval, else *undecided*; below 6 speakers, and for a recogniser at chance, it is *described
only*, and *not testable* where the runs lack what it needs. Corpora and recognisers are fixed: two or three of them are
no sample of others. Which verdicts are counted, and pooled: `claim_scope`.

Input is the table of `band_table`: clips of condition ``clean``, explained for the class that the run's target rule
names. One clip has as many explanations as recognisers (and classes) explained it; both are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from ...audio.fill_records import FILL_NAMES
from ..stats.cluster_variance import LEVEL, MIN_SPEAKERS
from ..stats.clustered import Estimate, clustered_mean
from ..stats.multiplicity import holm
from ..stats.wording import p_text
from .authors import digitised_weights
from .band_table import AGAINST, BANDS, crossed, kind_titles, kinds, made_speech
from .claim_scope import (
    CHANCE,
    COUNTED,
    CROSSED,
    FEW,
    MADE,
    READING,
    TOGETHER,
    Heard,
    Setting,
    asks_no_recogniser,
    heard_at_chance,
    of_few_speakers,
    reasons,
    recognition_of,
    scopes,
    setting_of,
    settings,
)
from .corpus_axis import ProfileContrast, pair_masks, profile_contrast, profiles_of
from .same_fill import of_other_fills
from .shown_names import title_parts

HIGH_AROUSAL, LOW_AROUSAL = ("anger", "happiness", "fear"), ("sadness", "neutral", "boredom")
LOW_BANDS = 1  # of 8: below 386 Hz, the band that EmoLIME's figure labels 0-1 kHz
HIGH_BANDS = 3  # of 8: above 2484 Hz
HAND_CRAFTED = ("opensmile-svc", "praat-svc")  # recognisers without deep features
PUBLISHED = "published weights"
SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
EQUIVALENT, DESCRIBED, NOT_TESTABLE = "equivalent", "described only", "not testable"
BY_CONSTRUCTION = "by construction"  # an effect that a method shows because it asks no recogniser
VERDICTS = (SUPPORTED, CONTRADICTED, EQUIVALENT, UNDECIDED, BY_CONSTRUCTION, DESCRIBED, NOT_TESTABLE)


@dataclass(frozen=True)
class Finding:
    """One effect of one claim.

    Attributes
    ----------
    claim : str
        Paper and number, e.g. ``EmoLIME 1``.
    method : str
    setting : str
        Corpora and recognisers.
    effect : str
        What is estimated, in words; positive favours the claim.
    estimate, low, high, p : float
        NaN where it cannot be estimated.
    n_clips, n_explanations, n_speakers : int
    verdict : str
        One of `VERDICTS`, see the module; equivalent: `beyond_saliency_claims`.
    note : str
        What is fixed, what else was found, what cannot be told.
    scope : str
        ``counted``, or why the verdict is not counted (`claim_scope`).
    """

    claim: str
    method: str
    setting: str
    effect: str
    estimate: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    n_clips: int = 0
    n_explanations: int = 0
    n_speakers: int = 0
    verdict: str = NOT_TESTABLE
    note: str = ""
    scope: str = COUNTED


def verdict_of(estimate: float, low: float, high: float) -> str:
    """Word of an estimate with its interval; see the module."""
    if not np.isfinite(estimate):
        return NOT_TESTABLE
    if not (np.isfinite(low) and np.isfinite(high)):
        return DESCRIBED
    return SUPPORTED if low > 0 else CONTRADICTED if high < 0 else UNDECIDED


def with_note(one: Finding, note: str) -> Finding:
    """A finding with one more remark."""
    return replace(one, note=f"{one.note}; {note}" if one.note and note else one.note or note)


def in_setting(found: Iterable[Finding], setting: Setting) -> Iterator[Finding]:
    """Findings on a setting, with its scope; those of a recogniser at chance described only."""
    for one in found:
        verdict = DESCRIBED if setting.unheard and one.verdict != NOT_TESTABLE else one.verdict
        yield replace(with_note(one, setting.unheard), scope=setting.scope, verdict=verdict)


def emolime_claims(table: pd.DataFrame, methods: Sequence[str] = (), heard: Heard | None = None) -> list[Finding]:
    """Findings on EmoLIME's three claims, those on the weights published with it first.

    Parameters
    ----------
    table : DataFrame
        Of `band_table`.
    methods : sequence of str
        Default all of the table.
    heard : mapping, optional
        How well recognisers do (`claim_scope.recognition_of`); default that of the table.
    """
    chosen = list(methods) or sorted(table["method"].unique())
    heard = recognition_of(table) if heard is None else heard
    found = list(published_claim())
    for decide in (across_models_and_corpora, low_bands, high_bands_and_arousal):
        for method in chosen:
            found += decide(table[table["method"] == method], method, heard)
    return found


def beside_blind(found: Sequence[Finding]) -> list[Finding]:
    """Findings, each with a remark where a method that asks no recogniser shows the same there.

    Such a verdict is about the speech, or about how maps are made, and cannot be told from one about explanations. What
    such a method shows by construction counts as shown.
    """

    def place(one: Finding) -> tuple[str, str, str]:
        if one.claim == CLAIM_1:  # its corpora matter to maps that ask no recogniser, recognisers do not
            return one.claim, one.setting.partition("; ")[0], one.effect
        pooled = one.setting.startswith(TOGETHER)  # over the settings of the method, and these are fewer for the others
        return one.claim, TOGETHER if pooled else one.setting, ""  # the effect names what was chosen for the method

    blind: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in found:
        if asks_no_recogniser(one.method):
            verdict = one.verdict
            if verdict == BY_CONSTRUCTION:
                verdict = verdict_of(one.estimate, one.low, one.high)
            blind.setdefault(place(one), {})[one.method] = verdict
    told = []
    for one in found:
        if one.verdict in (SUPPORTED, CONTRADICTED) and not asks_no_recogniser(one.method):
            alike = sorted(name for name, verdict in blind.get(place(one), {}).items() if verdict == one.verdict)
            if alike:
                note = f"{' and '.join(alike)} without asking the recogniser: cannot be told from the speech"
                one = with_note(one, f"the same for {note}")
        told.append(one)
    return told


def sizes(part: pd.DataFrame) -> tuple[int, int]:
    """Clips and explanations of a table with one row for each explanation."""
    return len(part[["corpus", "clip"]].drop_duplicates()), len(part)


# -- claim 1: more alike across recognisers than across corpora --------------------------------------------------------

CLAIM_1 = "EmoLIME 1"


PRINCIPAL = "8 bands, disjoint speakers"  # the reading of claim 1 that is counted
ALIKE = "asks no recogniser, so its maps of a clip are the same for all: what is left is how far corpora differ"


def across_models_and_corpora(table: pd.DataFrame, method: str, heard: Heard | None = None) -> Iterator[Finding]:
    """Similarity of profiles across recognisers less that across corpora, with and without the lowest band.

    Four readings, of which that of `PRINCIPAL` is counted. For methods that ask no recogniser the claim holds by
    construction.
    """
    heard = recognition_of(table) if heard is None else heard
    table, left_out = deciding_explanations(table, heard)
    profiles = profiles_of(table, method)
    corpora, models = ({cell[k] for cell in profiles.cells} for k in (0, 1))
    setting = setting_of(corpora, models)
    of_others = sorted(set((kinds(table) + " on " + table["corpus"])[crossed(table)]))
    fills = sorted(set(table[AGAINST]) & set(FILL_NAMES))
    if len(corpora) < 2 or len(models) < 2:
        yield Finding(
            CLAIM_1, method, setting, "similarity across recognisers - across corpora",
            note="needs two corpora, each explained by the same two kinds of recogniser"
            if len(table)
            else "its maps say nothing about frequency",
        )  # fmt: skip
        return
    titles = kind_titles(table)
    left = set(reasons(table, titles, heard))
    scope = next((reason for reason in (MADE, FEW, CROSSED, CHANCE) if reason in left), COUNTED)
    at_chance = sorted(
        {f"{title} on {corpus}: {heard[corpus, title].note}"
         for corpus, title in set(zip(table["corpus"], titles, strict=True))
         if (corpus, title) in heard and heard[corpus, title].at_chance}
    )  # fmt: skip
    for shared in (False, True):
        for lowest in (True, False):
            chosen = profiles if lowest else profiles.above_lowest()
            found = profile_contrast(chosen, shared)
            bands = "8 bands" if lowest else "without the lowest band"
            reading = f"{bands}, {'same clips for both recognisers' if shared else 'disjoint speakers'}"
            verdict = verdict_of(found.difference, found.low, found.high)
            if at_chance and verdict != NOT_TESTABLE:
                verdict = DESCRIBED
            by_construction = asks_no_recogniser(method) and verdict in (SUPPORTED, CONTRADICTED, UNDECIDED)
            yield Finding(
                CLAIM_1, method, setting, f"similarity across recognisers - across corpora ({reading})",
                found.difference, found.low, found.high, found.p, found.n_clips, found.n_explanations,
                sum(found.speakers.values()), BY_CONSTRUCTION if by_construction else verdict,
                (f"{ALIKE}; " if by_construction else "")
                + _profile_note(found)
                + (f"; explained against {' and '.join(fills)}" if fills else "")
                + (f"; trained on another corpus: {', '.join(of_others)}" if of_others else "")
                + "".join(f"; {note}" for note in at_chance)
                + (f"; left out: {'; '.join(left_out)}" if left_out else ""),
                READING if scope == COUNTED and reading != PRINCIPAL else scope,
            )  # fmt: skip


def deciding_explanations(table: pd.DataFrame, heard: Heard | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Explanations that claim 1 is decided on, and what is left out, with the reason.

    They are of recorded corpora with 6 speakers or more, by recognisers that were trained on the corpus that they hear
    and hear emotion there: synthesised and edited speech is no other corpus, two speakers leave all corpora together
    without an interval, and one set of weights that hears two corpora is no second recogniser. All are against one
    fill, that of most settings. Each of the five is kept where else nothing could be compared.
    """
    known = recognition_of(table) if heard is None else heard
    few = set(table["corpus"][of_few_speakers(table)])
    left_out_for: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
        MADE: made_speech,
        FEW: lambda t: t["corpus"].isin(few),
        CROSSED: crossed,
        CHANCE: lambda t: heard_at_chance(t, kind_titles(t), known),
        "explained against another fill": of_other_fills,
    }
    left_out = []
    for reason, of_rows in left_out_for.items():
        gone = of_rows(table).astype(bool)
        if not gone.any():
            continue
        kept = table[~gone]
        cells = kept.assign(kind=kinds(kept))[["corpus", "kind", "target"]].drop_duplicates()
        pairs = pair_masks(list(cells.itertuples(index=False, name=None)))
        if pairs["models"].any() and pairs["corpora"].any():
            of_gone = table[gone]
            named = of_gone["corpus"] if reason in (MADE, FEW) else kinds(of_gone) + " on " + of_gone["corpus"]
            left_out.append(f"{', '.join(sorted(set(named)))} ({reason})")
            table = kept
    return table, left_out


def _profile_note(found: ProfileContrast) -> str:
    means = ", ".join(f"{kind} {value:.2f}" for kind, value in found.means.items())
    by_emotion = "; ".join(
        f"{e} {signed(d)}" + (f" [{low:+.2f}, {high:+.2f}]" if np.isfinite(low) else "")
        for e, (d, low, high) in found.by_emotion.items()
        if np.isfinite(d)
    )
    labels = f"; exchanged labels p {p_text(found.p_permutation)}" if np.isfinite(found.p_permutation) else ""
    return (
        f"means: {means}; by emotion: {by_emotion}{labels}. Fixed: {found.n_corpora} corpora, {found.n_models} "
        "recognisers; others may differ"
    )


def published_claim() -> Iterator[Finding]:
    """Claim 1 on the weights read off the paper's figure: one difference for each of four emotions, no clips."""
    table = digitised_weights()
    for corpora in (("EMODB", "RAVDESS", "IEMOCAP"), ("EMODB", "RAVDESS")):
        part = table[table["corpus"].isin(corpora)]
        for first in (0, 1):
            by_emotion = {e: _published_difference(of_emotion, first) for e, of_emotion in part.groupby("emotion")}
            values = np.array(list(by_emotion.values()))
            test = stats.ttest_1samp(values, 0)
            half = stats.t.ppf((1 + LEVEL) / 2, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size)
            low, high = values.mean() - half, values.mean() + half
            told = "; ".join(f"{e} {d:+.2f}" for e, d in by_emotion.items())
            yield Finding(
                CLAIM_1, PUBLISHED, setting_of(corpora, ("ComParE", "wav2vec2")),
                f"cosine across recognisers - across corpora ({'8 bands' if not first else 'without the lowest band'})",
                float(values.mean()), float(low), float(high), float(test.pvalue), 0, 0, 0,
                verdict_of(values.mean(), low, high),
                f"by emotion: {told}. Interval and p over four emotions, the only replicates that were published",
                READING if first or len(corpora) < 3 else COUNTED,
            )  # fmt: skip


def _published_difference(part: pd.DataFrame, first_band: int) -> float:
    weights = {
        named: rows.sort_values("band")["weight"].to_numpy()[first_band:]
        for named, rows in part.groupby(["model", "corpus"])
    }
    across: dict[str, list[float]] = {"models": [], "corpora": []}
    for (one, a), (other, b) in combinations(weights.items(), 2):
        differ = [k for k in range(2) if one[k] != other[k]]
        if len(differ) == 1:
            cosine = a @ b / np.sqrt((a @ a) * (b @ b))
            across["models" if differ == [0] else "corpora"].append(cosine)
    return float(np.mean(across["models"]) - np.mean(across["corpora"]))


# -- claims 2 and 3: low bands, high bands and arousal -----------------------------------------------------------------

CLAIM_2, CLAIM_3 = "EmoLIME 2", "EmoLIME 3"


BY_HAND = f"{CLAIM_2}, hand-crafted features"


def low_bands(table: pd.DataFrame, method: str, heard: Heard | None = None) -> Iterator[Finding]:
    """Claim 2, "low bands drive some emotions with deep features": the lowest band against the mean of the others.

    One finding for each corpus and recogniser, and one over those counted: the emotion with the largest mean / standard
    error among those of six speakers or more, p corrected by Holm over its emotions. Recognisers on hand-crafted
    features stand beside.
    """
    heard = recognition_of(table) if heard is None else heard
    titles = kind_titles(table)
    by_hand = titles.map(lambda title: title_parts(title)[0] in HAND_CRAFTED).astype(bool)
    for claim, chosen in ((CLAIM_2, ~by_hand), (BY_HAND, by_hand)):
        rows, named = table[chosen], titles[chosen]
        for setting in settings(rows, named, scopes(rows, named, heard), heard):
            yield from in_setting([_lowest_band(setting, claim, method)], setting)


def _lowest_band(setting: Setting, claim: str, method: str) -> Finding:
    part = setting.rows
    lead = part[BANDS[:LOW_BANDS]].mean(axis=1) - part[BANDS[LOW_BANDS:]].mean(axis=1)
    found = {str(e): _estimate(lead[of_e.index], of_e) for e, of_e in part.groupby("target", sort=True)}
    p = dict(zip(found, holm([e.p for e in found.values()]), strict=True))
    tested = [e for e in found if found[e].n_speakers >= MIN_SPEAKERS] or list(found)
    best = max(tested, key=lambda e: (found[e].mean / found[e].se) if found[e].se > 0 else -np.inf)
    drives = [e for e in found if p[e] < 1 - LEVEL and found[e].mean > 0]
    estimate = found[best]
    verdict = verdict_of(estimate.mean, *estimate.bounds)
    if verdict == SUPPORTED or drives:  # the best of several emotions was chosen: its interval does not decide
        verdict = SUPPORTED if drives else UNDECIDED
    told = "; ".join(
        f"{e} {signed(v.mean, 3)}" + (f" (Holm p {p_text(p[e])})" if np.isfinite(p[e]) else "")
        for e, v in found.items()
    )
    return Finding(
        claim, method, setting.name, f"weight below 386 Hz - mean of the other bands, {best}", estimate.mean,
        *estimate.bounds, p[best], *sizes(part[part["target"] == best]), estimate.n_speakers, verdict,
        f"driven: {', '.join(drives) or 'none'}; {told}",
    )  # fmt: skip


def high_bands_and_arousal(table: pd.DataFrame, method: str, heard: Heard | None = None) -> Iterator[Finding]:
    """Claim 3, "high bands go with arousal": weight above 2484 Hz, high less low arousal, within speakers.

    One finding for each corpus and recogniser, and one over those counted.
    """
    heard = recognition_of(table) if heard is None else heard
    titles = kind_titles(table)
    for setting in settings(table, titles, scopes(table, titles, heard), heard):
        yield from in_setting([_highest_bands(setting, method)], setting)


def _highest_bands(setting: Setting, method: str) -> Finding:
    part = setting.rows.assign(high=setting.rows[BANDS[-HIGH_BANDS:]].mean(axis=1))
    means = [part[part["target"].isin(kind)].groupby("speaker")["high"].mean() for kind in (HIGH_AROUSAL, LOW_AROUSAL)]
    difference = (means[0] - means[1]).dropna()
    estimate = clustered_mean(difference.to_numpy(), difference.index.tolist())
    return Finding(
        CLAIM_3, method, setting.name, "weight above 2.5 kHz, emotions of high - of low arousal", estimate.mean,
        *estimate.bounds, estimate.p, *sizes(part[part["target"].isin([*HIGH_AROUSAL, *LOW_AROUSAL])]),
        estimate.n_speakers, verdict_of(estimate.mean, *estimate.bounds),
        f"high arousal {signed(means[0].mean(), 3)}, low arousal {signed(means[1].mean(), 3)} (means over speakers)",
    )  # fmt: skip


def _estimate(values: pd.Series, facts: pd.DataFrame) -> Estimate:
    sentences = facts["sentence"].tolist() if facts["sentence"].ne("").all() else None
    return clustered_mean(values.to_numpy(), facts["speaker"].tolist(), sentences)


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign; a dash where it is missing."""
    return f"{value:+.{digits}f}" if np.isfinite(value) else "–"
