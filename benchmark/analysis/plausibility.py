"""Plausibility report of a run: per emotion, cue and source, with intervals and a random control.

Computed from stored explanations of clean clips, without model calls. Conventions of the one long table (`COLUMNS`):

- ``emotion`` is the class explained; ``method`` is a method of the run, or ``random windows``: as many windows of each
  clip drawn at random, which every measure treats as it treats an explanation.
- ``value`` is computed on ``clips`` clips, of ``planned``: those of the class that any method of the run explained (of
  scores: those that the run planned a score of). Repeats of a clip are averaged.
- ``measure`` says what ``value`` is, with its 95 % interval clustered by speaker and, where known, by sentence (missing
  below 6 speakers and where all clips are equal), and ``chance`` what it would be by chance; ``gain`` is the mean
  difference of the two, clip by clip.

  ``direction-agreement``  share of clips whose salient-minus-rest contrast of the cue has the direction that the source
      expects; chance is the same share of matched random windows. ``source`` is a source of the literature, or
      ``measured``: the direction measured in the corpus on the *other* speakers. They are never merged.
  ``salience-contrast``  mean effect of the cue (standard deviations over circular shifts); ``p`` is that of
      mean 0, with the same clusters as the interval.
  ``cue-recall``, ``cue-precision``  of planted families, over pools of clips of one speaker and emotion
      (`metrics.planted_cues`): recalled / planted and right / claimed families, summed over pools, which ``counted``
      counts; the interval (`clustered_proportion.clustered_share`) exists also where next to nothing is claimed.
      Chance is the same share of what random shifts of the same windows claim.
  any other  mean score of that metric of the run; ``...: correct - wrong`` is the difference between the clips that the
      recogniser got right and wrong, among those of one speaker in which it heard the same class; ``p`` is a t test
      over speakers, ``p_holm`` the same corrected for the number of methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ...audio import Grid, band_edges_hz
from ...audio.grid import SCORING_BANDS
from ...cues.expert import NEUTRAL, directions
from ...cues.records import LEVEL_CUES, REGION_CUES
from ...cues.windows import TOP, WindowCues, salient_windows, window_edges
from ...datasets.clip import Clip
from ...datasets.corpora import load_corpus
from ...datasets.corpus import Corpus
from ...errors import ClipError, InputError, NotApplicable
from ...keys import rng
from ...methods.attribution import Attribution
from ...metrics.planted_cues import FamilyCounts, claims, family_counts, planted_cues, pooled_effects
from ...metrics.plausibility import DRAWS, KEEP
from ...metrics.salience_contrast import ShiftTest, shift_test, window_scores
from ..stats.clustered import MIN_SPEAKERS, Estimate, clustered_mean, holm
from ..stats.clustered_proportion import clustered_share
from ..storage.clip_facts import with_clip_facts
from ..storage.store import Explanation, Store
from .cue_effects import clip_table

COLUMNS = [
    "corpus", "model", "measure", "emotion", "cue", "source", "direction", "method", "value", "low", "high", "chance",
    "gain", "gain_low", "gain_high", "p", "p_holm", "counted", "clips", "planned", "speakers",
]  # fmt: skip
CONTRASTS = [
    "corpus", "model", "method", "emotion", "clip", "speaker", "sentence", "cue", "contrast", "effect", "p", "rising"
]  # fmt: skip
RANDOM = "random windows"
MEASURED = "measured"
MIN_POOL = 4  # clips of one speaker and emotion; with fewer, hardly any cue can reach significance
CHANCE_DRAWS = 100  # random window sets per pool, for the chance level of recall and precision
T_QUANTILE = 0.975  # of the two-sided t test of a measured direction

Progress = Callable[[str, int, int], None]
Pool = tuple[str, str, str, str, str, int]


# -- directions measured in the corpus ---------------------------------------------------------------------------------


def corpus_cues(corpus: Corpus, progress: Progress | None = None) -> pd.DataFrame:
    """Cues of all clips of a corpus, as `clip_table`; level cues NaN where the corpus' levels are not comparable."""
    report = None if progress is None else partial(progress, f"measuring cues of {corpus.name}")
    table = clip_table(corpus, list(corpus.table.index), progress=report)
    return table if corpus.record.level_comparable else table.assign(**dict.fromkeys(LEVEL_CUES, np.nan))


def measured_directions(table: pd.DataFrame, without: str) -> dict[str, dict[str, int]]:
    """Measured direction of each cue by emotion in a corpus, leaving one speaker out.

    Each speaker's mean is taken relative to the same speaker's neutral clips (where there are none, to all clips of the
    speaker). A direction counts where the mean over speakers differs from 0 by a t test at 5 %, else it is 0.

    Parameters
    ----------
    table : DataFrame
        Of `corpus_cues`.
    without : str
        Speaker left out.

    Returns
    -------
    dict of str to dict of str to int
        ``{emotion: {cue: direction}}`` without neutral; empty with fewer than two other speakers.
    """
    means = table[table["speaker"] != without].groupby(["speaker", "emotion"])[list(REGION_CUES)].mean()
    relative = []
    for speaker, part in means.groupby(level="speaker"):
        part = part.droplevel("speaker")
        reference = part.loc[NEUTRAL] if NEUTRAL in part.index else part.mean()
        relative.append((part - reference).assign(speaker=speaker))
    if len(relative) < 2:
        return {}
    by_emotion: dict[str, dict[str, int]] = {}
    for emotion, part in pd.concat(relative).groupby(level="emotion"):
        if emotion == NEUTRAL:
            continue
        values = part[list(REGION_CUES)].to_numpy(dtype=np.float64)
        n = np.isfinite(values).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nansum(values, axis=0) / n
            error = np.sqrt(np.nansum((values - mean) ** 2, axis=0) / (n - 1) / n)
            clear = np.abs(mean) > stats.t.ppf(T_QUANTILE, n - 1) * error
        by_emotion[str(emotion)] = {
            cue: int(np.sign(m)) if c else 0 for cue, m, c in zip(REGION_CUES, mean, clear, strict=True)
        }
    return by_emotion


# -- rows per clip -----------------------------------------------------------------------------------------------------


def clip_rows(
    clip: Clip, explanations: Sequence[Explanation], seed: tuple
) -> Iterator[tuple[dict[str, Any], ShiftTest, np.ndarray]]:
    """Cue contrasts of each explanation of a clip, and of random windows for each class explained.

    Yields
    ------
    facts : dict
        ``method``, ``emotion`` (the class explained), ``repeat``.
    test : ShiftTest
        Contrasts of the cues, and those of all circular shifts.
    rising : array, shape (n_cues,)
        Share of matched random windows with a positive contrast; NaN where none has the cue, and for repeats.
    """
    try:
        edges = window_edges(clip.duration_s)
        tracks = clip.cue_tracks
    except (NotApplicable, ClipError):
        return
    cues = WindowCues(tracks, edges)
    n = len(edges) - 1
    drawn = rng("plausibility report", *seed, RANDOM).permutation(n) < min(TOP, n // 2)
    targets = dict.fromkeys(e.attribution.target for e in explanations)
    selections = [(RANDOM, target, 0, drawn) for target in targets]
    for e in explanations:
        _, scores = window_scores(e.attribution, clip.duration_s)
        repeat_seed = (e.repeat,) if e.repeat else ()
        generator = rng("plausibility report", *seed, e.attribution.method, *repeat_seed)
        try:
            salient = salient_windows(scores, generator)
        except NotApplicable:
            continue
        selections.append((e.attribution.method, e.attribution.target, e.repeat, salient))
    for method, target, repeat, salient in selections:
        rising = np.full(len(REGION_CUES), np.nan)
        if repeat == 0:
            generator = rng("plausibility report", *seed, method, target, "controls")
            random = cues.contrasts(cues.matched_sets(salient, generator, DRAWS, KEEP))
            with np.errstate(invalid="ignore", divide="ignore"):
                rising = (random > 0).sum(axis=0) / np.isfinite(random).sum(axis=0)
        yield {"method": method, "emotion": target, "repeat": repeat}, shift_test(tracks, edges, salient), rising


def contrast_table(
    explanations: Iterable[Explanation], corpora: Mapping[str, Corpus], progress: Progress | None = None
) -> tuple[pd.DataFrame, dict[Pool, list[tuple[Mapping[str, float], ShiftTest]]]]:
    """Contrast rows per explanation and cue, and the shift tests of explanations of a planted emotion.

    Returns
    -------
    table : DataFrame
        Columns `CONTRASTS`, NaN where a clip has no measurable cue; ``rising`` is the share of matched random
        windows with a positive contrast. Only the first of repeated explanations.
    pools : dict
        Planted cues and shift test of each clip, by (corpus, model, method, emotion, speaker, repeat).
    """

    def of_clip(e: Explanation) -> tuple[str, str, str]:
        return e.corpus, e.model, e.clip

    groups = [(k, list(g)) for k, g in groupby(sorted(explanations, key=of_clip), key=of_clip)]
    rows: list[tuple] = []
    pools: dict[Pool, list[tuple[Mapping[str, float], ShiftTest]]] = {}
    for done, ((corpus, model, name), group) in enumerate(groups, 1):
        clip = corpora[corpus].clip(name)
        measured: set[tuple[str, str]] = set()
        for facts, test, rising in clip_rows(clip, group, (corpus, name)):
            method, emotion = facts["method"], facts["emotion"]
            if clip.plant is not None and clip.plant.words and emotion == clip.emotion:
                pool = (corpus, model, method, emotion, clip.speaker, facts["repeat"])
                pools.setdefault(pool, []).append((clip.plant.cues, test))
            if facts["repeat"]:
                continue
            measured.add((method, emotion))
            shared = (corpus, model, method, emotion, name, clip.speaker, clip.sentence)
            rows += [
                (*shared, *values) for values in zip(REGION_CUES, test.own, test.effects, test.p, rising, strict=True)
            ]
        for method, target in dict.fromkeys((e.attribution.method, e.attribution.target) for e in group):
            if (method, target) not in measured:  # planned, but without a measurable cue
                unknown = (np.nan,) * 4
                shared = (corpus, model, method, target, name, clip.speaker, clip.sentence)
                rows += [(*shared, cue, *unknown) for cue in REGION_CUES]
        if progress is not None:
            progress("comparing cues", done, len(groups))
    return pd.DataFrame(rows, columns=CONTRASTS), pools


# -- tables ------------------------------------------------------------------------------------------------------------


def _explained(table: pd.DataFrame) -> dict[tuple[str, str, str], int]:
    """Clips that any method explained, by corpus, model and class explained."""
    return table.groupby(["corpus", "model", "emotion"], sort=False)["clip"].nunique().to_dict()


def _sentences(part: pd.DataFrame) -> list[Any] | None:
    """Sentence of each row; None where one is not known."""
    return part["sentence"].tolist() if "sentence" in part and part["sentence"].notna().all() else None


def _row(
    values: pd.Series, speakers: pd.Series, sentences: list[Any] | None = None, chance: Any = None, **facts: Any
) -> dict[str, Any]:
    """One row of the report: mean and interval, and those of the gain where chance is known per clip."""
    estimate = clustered_mean(values.to_numpy(), speakers.tolist(), sentences)
    row = facts | {"value": estimate.mean, "clips": estimate.n, "speakers": estimate.clusters}
    row |= _bounds(estimate, "low", "high")
    if chance is None:
        return row | {"chance": 0.0}
    gain = clustered_mean((values - chance).to_numpy(), speakers.tolist(), sentences)
    row |= {"chance": float(np.nanmean(chance)), "gain": gain.mean} | _bounds(gain, "gain_low", "gain_high")
    for name in ("low", "high"):  # a measure with a chance level per clip is a proportion
        if name in row:
            row[name] = float(np.clip(row[name], 0, 1))
    return row


def _bounds(estimate: Estimate, *names: str) -> dict[str, float]:
    """Interval bounds by name; none below 6 speakers, nor where all clips have the same value."""
    if estimate.clusters < MIN_SPEAKERS or not estimate.se > 0:
        return {}
    return dict(zip(names, (estimate.low, estimate.high), strict=True))


def agreement_rows(
    table: pd.DataFrame, own: Mapping[tuple[str, str], Mapping[str, Mapping[str, int]]] | None = None
) -> Iterator[dict[str, Any]]:
    """Direction agreement per corpus, model, emotion, cue, source and method.

    Parameters
    ----------
    table : DataFrame
        Of `contrast_table`.
    own : mapping, optional
        `measured_directions` by (corpus, speaker left out).
    """
    planned = _explained(table)
    known = table[np.isfinite(table["contrast"]) & np.isfinite(table["rising"])]
    for (corpus, model, emotion, cue, method), part in known.groupby(
        ["corpus", "model", "emotion", "cue", "method"], sort=False
    ):
        expected = {source: pd.Series(cues.get(cue, 0), part.index) for source, cues in directions(emotion).items()}
        if own is not None:
            measured = [own.get((corpus, s), {}).get(emotion, {}).get(cue, 0) for s in part["speaker"]]
            expected[MEASURED] = pd.Series(measured, part.index)
        for source, direction in expected.items():
            used = part[direction != 0]
            if used.empty:
                continue
            sign = direction[direction != 0]
            agrees = (np.sign(used["contrast"]) == sign).astype(float)
            chance = used["rising"].where(sign > 0, 1 - used["rising"])
            yield _row(
                agrees,
                used["speaker"],
                _sentences(used),
                chance,
                corpus=corpus,
                model=model,
                measure="direction-agreement",
                emotion=emotion,
                cue=cue,
                source=source,
                direction=int(np.sign(sign.sum())),
                method=method,
                planned=planned[corpus, model, emotion],
            )


def effect_rows(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Salience contrast per corpus, model, emotion, cue and method."""
    planned = _explained(table)
    known = table[np.isfinite(table["effect"])]
    for names, part in known.groupby(["corpus", "model", "emotion", "cue", "method"], sort=False):
        facts = dict(zip(["corpus", "model", "emotion", "cue", "method"], names, strict=True))
        facts["planned"] = planned[facts["corpus"], facts["model"], facts["emotion"]]
        # clips of one speaker are not independent, so their p values cannot be combined: the mean effect is tested
        p = clustered_mean(part["effect"].to_numpy(), part["speaker"].tolist(), _sentences(part)).p
        yield _row(part["effect"], part["speaker"], _sentences(part), measure="salience-contrast", **facts) | {"p": p}


def planted_rows(pools: Mapping[Pool, Sequence[tuple[Mapping[str, float], ShiftTest]]]) -> Iterator[dict[str, Any]]:
    """Recall and precision of planted cue families per corpus, model and method, over pools of at least 4 clips.

    Parameters
    ----------
    pools : mapping
        Of `contrast_table`: planted cues and shift test of each clip, by (corpus, model, method, emotion, speaker,
        repeat). Repeats are pools of their own: the more, the more claims of a method that seldom claims.
    """
    counted: dict[tuple[str, str, str], list[tuple[str, int, FamilyCounts, FamilyCounts]]] = {}
    explained: dict[tuple[str, str, str], int] = {}
    for pool, clips in pools.items():
        corpus, model, method, _, speaker, repeat = pool
        if repeat == 0:
            explained[corpus, model, method] = explained.get((corpus, model, method), 0) + len(clips)
        if len(clips) < MIN_POOL:
            continue
        truth = planted_cues([cues for cues, _ in clips])
        effects = pooled_effects([test for _, test in clips], rng("plausibility report", *pool))
        own = family_counts(claims(effects), truth)
        drawn = [family_counts(claimed, truth) for claimed in claims(effects, slice(1, CHANCE_DRAWS + 1))]
        by_chance = FamilyCounts(*np.sum(drawn, axis=0))
        counted.setdefault((corpus, model, method), []).append((speaker, 0 if repeat else len(clips), own, by_chance))
    for (corpus, model, method), rows in counted.items():
        planned = max(n for group, n in explained.items() if group[:2] == (corpus, model))
        speakers = [speaker for speaker, *_ in rows]
        claimed_families, chance_families = (np.array([row[k] for row in rows]) for k in (2, 3))
        for measure, whole in (("cue-recall", 1), ("cue-precision", 2)):
            share = clustered_share(claimed_families[:, 0], claimed_families[:, whole], speakers)
            chance_total = chance_families[:, whole].sum()
            chance = chance_families[:, 0].sum() / chance_total if chance_total else np.nan
            row = {"corpus": corpus, "model": model, "method": method, "measure": measure, "value": share.mean}
            row |= {"chance": chance, "gain": share.mean - chance, "counted": share.n}
            if share.clusters >= MIN_SPEAKERS and np.isfinite(share.low):
                row |= {"low": share.low, "high": share.high}
                row |= {"gain_low": share.low - chance, "gain_high": share.high - chance}
            yield row | {"clips": sum(n for _, n, *_ in rows), "planned": planned, "speakers": share.clusters}


def score_rows(scores: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Mean plausibility scores of all clips and per class explained."""
    of_family = scores[(scores["family"] == "plausibility") & (scores["condition"] == "clean")]
    for (corpus, model, metric, method), part in of_family.groupby(
        ["corpus", "model", "metric", "method"], sort=False, observed=True
    ):
        measure, _, choice = str(metric).partition(":")
        causal = measure == "causal-cue-fidelity"
        facts = {"corpus": corpus, "model": model, "method": method}
        facts |= {"cue": choice} if causal else {"source": choice}
        for emotion, of_class in [("", part), *part.groupby("target", sort=True, observed=True)]:
            known = _by_clip(of_class)
            if len(known):
                named = facts | {"measure": f"score of {measure}", "emotion": emotion}
                yield _row(
                    known["value"], known["speaker"], _sentences(known), planned=of_class["clip"].nunique(), **named
                )


def _by_clip(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores averaged over repeats, one row per clip and class explained."""
    ok = scores[scores["status"] == "ok"]
    first = ok.drop_duplicates(["clip", "target"])
    mean = ok.groupby(["clip", "target"], sort=False, observed=True)["value"].mean()
    return first.assign(value=mean.loc[list(zip(first["clip"], first["target"], strict=True))].to_numpy())


def correctness_rows(scores: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Difference in plausibility between correct and wrong predictions, by corpus, model, metric and method.

    Only explanations of the predicted class are compared: for another class there is no correct and wrong.
    """
    of_family = scores[(scores["family"] == "plausibility") & (scores["condition"] == "clean")]
    predicted = of_family[(of_family["target"] == of_family["predicted"]) & of_family["correct"].notna()]
    for (corpus, model, metric), part in predicted.groupby(["corpus", "model", "metric"], sort=False, observed=True):
        facts = {"corpus": corpus, "model": model, "measure": f"{metric}: correct - wrong"}
        rows = [
            correctness_row(_by_clip(of_method)) | {"method": method, "planned": of_method["clip"].nunique()}
            for method, of_method in part.groupby("method", sort=False, observed=True)
            if (of_method["status"] == "ok").any()
        ]
        for row, p_holm in zip(rows, holm([row.get("p", np.nan) for row in rows]), strict=True):
            yield facts | row | {"p_holm": p_holm}


def correctness_row(scores: pd.DataFrame) -> dict[str, Any]:
    """Mean score of correct minus wrong predictions within speaker and predicted class; t test over speakers.

    Classes differ in how plausible their explanations score and in how often they are predicted wrongly, so clips are
    compared only with clips of the same speaker and predicted class. A speaker's difference is the mean over classes
    with least-squares weights (n correct times n wrong over n); speakers are weighted equally.

    Parameters
    ----------
    scores : DataFrame
        Columns ``speaker``, ``target``, ``correct``, ``value``.
    """
    scores = scores.assign(correct=scores["correct"].astype(bool))
    cells = scores.groupby(["speaker", "target", "correct"], observed=True)["value"].agg(["mean", "size"])
    cells = cells.unstack("correct").reindex(columns=[(w, c) for w in ("mean", "size") for c in (True, False)]).dropna()
    mean, size = cells["mean"].astype(float), cells["size"].astype(float)
    weight = size[True] * size[False] / (size[True] + size[False])
    summed = ((mean[True] - mean[False]) * weight).groupby(level="speaker", observed=True).sum()
    difference = summed / weight.groupby(level="speaker", observed=True).sum()
    row: dict[str, Any] = {"value": float(difference.mean()) if len(difference) else np.nan, "chance": 0.0}
    row |= {"clips": int(size.to_numpy().sum()), "speakers": len(difference)}
    if len(difference) >= MIN_SPEAKERS and difference.std() > 0:
        test = stats.ttest_1samp(difference, 0.0)
        interval = test.confidence_interval()
        row |= {"low": float(interval.low), "high": float(interval.high), "p": float(test.pvalue)}
    return row


def plausibility_table(
    store: Store, data_root: str | Path | None = None, progress: Progress | None = None, measured: bool = True
) -> pd.DataFrame:
    """Plausibility report of a run, columns `COLUMNS`.

    Parameters
    ----------
    store : Store
        A run.
    data_root : path, optional
        Folder that holds the corpora; default that of the run.
    progress : callable, optional
        Called with (what, done, total).
    measured : bool
        Whether to add directions measured in the corpora as a source; cues of every clip of each corpus are then
        measured (0.1 s each).

    Raises
    ------
    InputError
        If the run holds no explanation of a clean clip.
    """
    info = store.info
    root, methods = data_root or info["execution"]["data_root"], set(info["config"]["methods"])
    explanations = [
        e._replace(attribution=_in_time(e.attribution))
        for e in store.explanations(condition="clean", first=True)
        if e.attribution.method in methods  # base explanations are stored as well
    ]
    if not explanations:
        raise InputError(
            "figure plausibility: the run holds no explanation of a clean clip; finish it with `serxai run --resume`."
        )
    corpora = {name: load_corpus(name, root) for name in dict.fromkeys(e.corpus for e in explanations)}
    table, pools = contrast_table(explanations, corpora, progress)
    own = {}
    for name, corpus in corpora.items() if measured else ():
        cues = corpus_cues(corpus, progress)
        for speaker in table.loc[table["corpus"] == name, "speaker"].unique():
            own[name, speaker] = measured_directions(cues, speaker)
    scores = with_clip_facts(store.scores(), [store.path])
    rows = [
        *agreement_rows(table, own),
        *effect_rows(table),
        *planted_rows(pools),
        *score_rows(scores),
        *correctness_rows(scores),
    ]
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def _in_time(attribution: Attribution) -> Attribution:
    """Reduce an attribution to relevance in the scoring grid's bands, all that salient windows need, to save memory."""
    grid = Grid(band_edges_hz(SCORING_BANDS), attribution.grid.time_edges_s)
    return replace(attribution, values=attribution.on(grid), grid=grid, errors=None, cues=(), base=None)
