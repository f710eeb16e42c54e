"""Plausibility of a run's explanations: per emotion, cue and source, with intervals and a random row.

Read from stored explanations of clean clips, without any model call. Conventions of the one long table (`COLUMNS`):

- ``emotion`` is the class explained; ``method`` is a method of the run, or ``random windows``: as many windows of each
  clip drawn at random, which every measure treats as it treats an explanation.
- ``measure`` says what ``value`` is, with its 95 % interval clustered by speaker (missing below 6 speakers and where
  all clips are equal), and ``chance`` what it would be by chance; ``gain`` is the mean difference of the two, clip by
  clip.

  ``direction-agreement``  share of clips whose salient-minus-rest contrast of the cue has the direction that the source
      expects; chance is the same share of matched random windows. ``source`` is a source of the literature, or
      ``measured``: the direction in the corpus itself, found on the *other* speakers. They are never merged.
  ``salience-contrast``  mean effect of the cue (standard deviations over circular shifts); ``p`` is Fisher's way to
      combine the clips' p values.
  ``cue-recall``, ``cue-precision``  of planted families, pooled by speaker (`metrics.planted_cues`).
  any other  mean score of that metric of the run; ``... correct - wrong`` is the difference between the clips that the
      recogniser got right and wrong, within speakers who have both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from scipy import stats

from ..cues.expert import NEUTRAL, directions
from ..cues.records import LEVEL_CUES, REGION_CUES
from ..cues.windows import TOP, WindowCues, salient_windows, window_edges, window_relevance
from ..datasets.clip import Clip
from ..datasets.corpora import load_corpus
from ..datasets.corpus import Corpus
from ..errors import ClipError, InputError, NotApplicable
from ..keys import rng
from ..metrics.planted_cues import claims, family_precision, family_recall, planted_cues, pooled_effects
from ..metrics.plausibility import DRAWS, KEEP
from ..metrics.salience_contrast import ShiftTest, shift_test
from .cue_report import clip_table
from .figures_board import STYLE, footnote, new_figure, save, title
from .statistics import MIN_SPEAKERS, Estimate, clustered_mean
from .store import Explanation, Store

COLUMNS = [
    "corpus", "model", "measure", "emotion", "cue", "source", "direction", "method", "value", "low", "high", "chance",
    "gain", "gain_low", "gain_high", "p", "clips", "speakers",
]  # fmt: skip
CONTRASTS = [
    "corpus", "model", "method", "emotion", "clip", "speaker", "cue", "contrast", "effect", "p", "rising"
]  # fmt: skip
RANDOM = "random windows"
MEASURED = "measured"
MIN_POOL = 4  # clips of one speaker and emotion; of fewer, hardly any cue can be claimed
PRETENDED = 100  # draws that stand in for an explanation, to know what chance recalls
SEPARATE = 0.975  # quantile of t that a measured direction must pass

Progress = Callable[[int, int], None]
Pool = tuple[str, str, str, str, str]


# -- the corpus' own directions ----------------------------------------------------------------------------------------


def own_cues(corpus: Corpus, progress: Progress | None = None) -> pd.DataFrame:
    """Cues of all clips of a corpus: ``speaker``, ``emotion`` and a column a cue; levels NaN where not comparable."""
    table = clip_table(corpus, list(corpus.table.index), progress=progress)
    return table if corpus.record.level_comparable else table.assign(**dict.fromkeys(LEVEL_CUES, np.nan))


def measured_directions(table: pd.DataFrame, without: str) -> dict[str, dict[str, int]]:
    """Directions of cues by emotion in a corpus, from all speakers but one.

    Each speaker's mean is taken relative to the same speaker's neutral clips (where there are none, to all clips of the
    speaker). A direction counts where the mean over speakers differs from 0 by a t test at 5 %, else it is 0.

    Parameters
    ----------
    table : DataFrame
        Of `own_cues`.
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
    found: dict[str, dict[str, int]] = {}
    for emotion, part in pd.concat(relative).groupby(level="emotion"):
        if emotion == NEUTRAL:
            continue
        values = part[list(REGION_CUES)].to_numpy(dtype=np.float64)
        n = np.isfinite(values).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nansum(values, axis=0) / n
            error = np.sqrt(np.nansum((values - mean) ** 2, axis=0) / (n - 1) / n)
            clear = np.abs(mean) > stats.t.ppf(SEPARATE, n - 1) * error
        found[str(emotion)] = {
            cue: int(np.sign(m)) if c else 0 for cue, m, c in zip(REGION_CUES, mean, clear, strict=True)
        }
    return found


# -- clip by clip ------------------------------------------------------------------------------------------------------


def clip_rows(
    clip: Clip, explanations: Sequence[Explanation], seed: tuple
) -> Iterator[tuple[dict[str, Any], ShiftTest, np.ndarray]]:
    """What each explanation of a clip, and a random one for each class explained, points at.

    Yields
    ------
    facts : dict
        ``method``, ``emotion`` (the class explained).
    test : ShiftTest
        Contrasts of the cues, and those of all circular shifts.
    rising : array, shape (n_cues,)
        Share of matched random windows with a positive contrast; NaN where none has the cue.
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
    pointed = [(RANDOM, target, drawn) for target in targets]
    for e in explanations:
        scores = window_relevance(e.attribution.values, e.attribution.grid.time_edges_s, edges)
        generator = rng("plausibility report", *seed, e.attribution.method)
        try:
            pointed.append((e.attribution.method, e.attribution.target, salient_windows(scores, generator)))
        except NotApplicable:
            continue
    for method, target, salient in pointed:
        generator = rng("plausibility report", *seed, method, target, "controls")
        random = cues.contrasts(cues.matched_sets(salient, generator, DRAWS, KEEP))
        known = np.isfinite(random).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            rising = (random > 0).sum(axis=0) / known
        yield {"method": method, "emotion": target}, shift_test(tracks, edges, salient), rising


def contrast_table(
    explanations: Iterable[Explanation], corpora: Mapping[str, Corpus], progress: Progress | None = None
) -> tuple[pd.DataFrame, dict[Pool, list[tuple[Mapping[str, float], ShiftTest]]]]:
    """One row per explanation and cue; and of explanations of a planted emotion, what was planted and the shift test.

    Returns
    -------
    table : DataFrame
        Columns `CONTRASTS`; ``rising`` is the share of matched random windows with a positive contrast.
    pools : dict
        Lists by (corpus, model, method, emotion, speaker).
    """

    def of_clip(e: Explanation) -> tuple[str, str, str]:
        return e.corpus, e.model, e.clip

    groups = [(k, list(g)) for k, g in groupby(sorted(explanations, key=of_clip), key=of_clip)]
    rows: list[tuple] = []
    pools: dict[Pool, list[tuple[Mapping[str, float], ShiftTest]]] = {}
    for done, ((corpus, model, name), group) in enumerate(groups, 1):
        clip = corpora[corpus].clip(name)
        first = [e for e in group if e.repeat == 0]
        for facts, test, rising in clip_rows(clip, first, (corpus, name)):
            method, emotion = facts["method"], facts["emotion"]
            if clip.plant is not None and clip.plant.words and emotion == clip.emotion:
                pool = (corpus, model, method, emotion, clip.speaker)
                pools.setdefault(pool, []).append((clip.plant.cues, test))
            shared = (corpus, model, method, emotion, name, clip.speaker)
            rows += [
                (*shared, *values) for values in zip(REGION_CUES, test.own, test.effects, test.p, rising, strict=True)
            ]
        if progress is not None:
            progress(done, len(groups))
    return pd.DataFrame(rows, columns=CONTRASTS), pools


# -- tables ------------------------------------------------------------------------------------------------------------


def _row(values: pd.Series, speakers: pd.Series, chance: Any = None, **facts: Any) -> dict[str, Any]:
    """One row of the report: mean and interval, and those of the gain over chance where it is known clip by clip."""
    found = clustered_mean(values.to_numpy(), speakers.tolist())
    row = facts | {"value": found.mean, "clips": found.n, "speakers": found.clusters} | _bounds(found, "low", "high")
    if chance is None:
        return row | {"chance": 0.0}
    gain = clustered_mean((values - chance).to_numpy(), speakers.tolist())
    row |= {"chance": float(np.nanmean(chance)), "gain": gain.mean} | _bounds(gain, "gain_low", "gain_high")
    for name in ("low", "high"):  # what has a chance level of its own is a share
        if name in row:
            row[name] = float(np.clip(row[name], 0, 1))
    return row


def _bounds(found: Estimate, *names: str) -> dict[str, float]:
    """The interval, where it claims something: not below 6 speakers, nor where all clips have the same value."""
    if found.clusters < MIN_SPEAKERS or not found.se > 0:
        return {}
    return dict(zip(names, (found.low, found.high), strict=True))


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
    known = table[np.isfinite(table["contrast"]) & np.isfinite(table["rising"])]
    for (corpus, model, emotion, cue, method), part in known.groupby(
        ["corpus", "model", "emotion", "cue", "method"], sort=False
    ):
        expected = {source: pd.Series(cues.get(cue, 0), part.index) for source, cues in directions(emotion).items()}
        if own is not None:
            told = [own.get((corpus, s), {}).get(emotion, {}).get(cue, 0) for s in part["speaker"]]
            expected[MEASURED] = pd.Series(told, part.index)
        for source, direction in expected.items():
            used = part[direction != 0]
            if used.empty:
                continue
            sign = direction[direction != 0]
            agrees = (np.sign(used["contrast"]) == sign).astype(float)
            chance = used["rising"].where(sign > 0, 1 - used["rising"])
            yield _row(
                agrees, used["speaker"], chance, corpus=corpus, model=model, measure="direction-agreement",
                emotion=emotion, cue=cue, source=source, direction=int(np.sign(sign.sum())), method=method,
            )  # fmt: skip


def effect_rows(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Salience contrast per corpus, model, emotion, cue and method."""
    known = table[np.isfinite(table["effect"])]
    for names, part in known.groupby(["corpus", "model", "emotion", "cue", "method"], sort=False):
        facts = dict(zip(["corpus", "model", "emotion", "cue", "method"], names, strict=True))
        p = float(stats.combine_pvalues(part["p"]).pvalue)
        yield _row(part["effect"], part["speaker"], measure="salience-contrast", **facts) | {"p": p}


def planted_rows(pools: Mapping[Pool, Sequence[tuple[Mapping[str, float], ShiftTest]]]) -> Iterator[dict[str, Any]]:
    """Recall and precision of planted cue families per corpus, model and method, over pools of at least 4 clips.

    Parameters
    ----------
    pools : mapping
        Of `contrast_table`: planted cues and shift test of each clip, by (corpus, model, method, emotion, speaker).
    """
    columns = ["corpus", "model", "method", "measure", "speaker", "value", "chance", "clips"]
    rows = []
    for pool, clips in pools.items():
        if len(clips) < MIN_POOL:
            continue
        corpus, model, method, _, speaker = pool
        truth = planted_cues([cues for cues, _ in clips])
        effects = pooled_effects([test for _, test in clips], rng("plausibility report", *pool))
        own = claims(effects)
        pretended = [claims(effects, row) for row in range(1, PRETENDED + 1)]
        for measure, score in (("cue-recall", family_recall), ("cue-precision", family_precision)):
            by_chance = [value for value in (score(claim, truth) for claim in pretended) if np.isfinite(value)]
            chance = float(np.mean(by_chance)) if by_chance else np.nan
            rows.append((corpus, model, method, measure, speaker, score(own, truth), chance, len(clips)))
    table = pd.DataFrame(rows, columns=columns).dropna(subset="value")  # nothing claimed: no precision
    for names, part in table.groupby(columns[:4], sort=False):
        row = _row(part["value"], part["speaker"], part["chance"], **dict(zip(columns, names, strict=False)))
        yield row | {"clips": int(part["clips"].sum())}


def score_rows(scores: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Mean plausibility scores per class explained, and their difference between right and wrong predictions."""
    ok = scores[(scores["family"] == "plausibility") & (scores["condition"] == "clean") & (scores["status"] == "ok")]
    for (corpus, model, metric, method), part in ok.groupby(
        ["corpus", "model", "metric", "method"], sort=False, observed=True
    ):
        measure, _, choice = str(metric).partition(":")
        causal = measure == "causal-cue-fidelity"
        facts = {"corpus": corpus, "model": model, "method": method}
        facts |= {"cue": choice} if causal else {"source": choice}
        for emotion, of_class in [("", part), *part.groupby("target", sort=True, observed=True)]:
            named = facts | {"measure": f"score of {measure}", "emotion": emotion}
            yield _row(of_class["value"], of_class["speaker"], **named)
        yield correctness_row(part) | facts | {"measure": f"{measure}: correct - wrong"}


def correctness_row(scores: pd.DataFrame) -> dict[str, Any]:
    """Mean score of correct less that of wrong predictions, within speakers who have both; a t test over speakers."""
    means = scores.groupby(["speaker", "correct"], observed=True)["value"].mean().unstack()
    both = means.reindex(columns=[True, False]).dropna()
    difference = (both[True] - both[False]).astype(float)
    row: dict[str, Any] = {"value": float(difference.mean()) if len(both) else np.nan, "chance": 0.0}
    row |= {"clips": int(scores["speaker"].isin(both.index).sum()), "speakers": len(both)}
    if len(both) >= MIN_SPEAKERS:
        test = stats.ttest_1samp(difference, 0.0)
        interval = test.confidence_interval()
        row |= {"low": float(interval.low), "high": float(interval.high), "p": float(test.pvalue)}
    return row


def plausibility_table(
    store: Store, data_root: str | Path | None = None, progress: Progress | None = None
) -> pd.DataFrame:
    """All rows of the report, columns `COLUMNS`.

    Parameters
    ----------
    store : Store
        A run.
    data_root : path, optional
        Where the corpora are; default that of the run.
    progress : callable, optional
        Told how many of how many clips are done, for the explanations and for each corpus.

    Raises
    ------
    InputError
        If the run holds no explanation of a clean clip.
    """
    root = data_root or store.info["execution"]["data_root"]
    explanations = list(store.explanations(condition="clean"))
    if not explanations:
        raise InputError(
            "figure plausibility: the run holds no explanation of a clean clip; finish it with `serxai run --resume`."
        )
    corpora = {name: load_corpus(name, root) for name in dict.fromkeys(e.corpus for e in explanations)}
    table, pools = contrast_table(explanations, corpora, progress)
    own = {}
    for name, corpus in corpora.items():
        cues = own_cues(corpus, progress)
        for speaker in table.loc[table["corpus"] == name, "speaker"].unique():
            own[name, speaker] = measured_directions(cues, speaker)
    rows = [
        *agreement_rows(table, own),
        *effect_rows(table),
        *planted_rows(pools),
        *score_rows(store.scores()),
    ]
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


# -- the figure --------------------------------------------------------------------------------------------------------


def draw_plausibility(table: pd.DataFrame, picture: str | Path) -> Path:
    """Heat map of the gain in direction agreement, a panel per emotion, a row per cue and source; all numbers as CSV.

    Parameters
    ----------
    table : DataFrame
        Of `plausibility_table`; its first corpus and model are drawn.
    picture : path

    Raises
    ------
    InputError
        If no source speaks of any emotion explained.
    """
    shown = table[table["measure"] == "direction-agreement"]
    if shown.empty:
        raise InputError(
            "figure plausibility: no source expects anything of the emotions explained (neutral has none)."
        )
    first = shown.iloc[0]
    shown = shown[(shown["corpus"] == first["corpus"]) & (shown["model"] == first["model"])]
    methods = [*[m for m in dict.fromkeys(shown["method"]) if m != RANDOM], RANDOM]
    panels = [
        (emotion, part.assign(row=part["cue"] + "  " + part["source"]))
        for emotion, part in shown.groupby("emotion", sort=True)
    ]
    tallest = max(part["row"].nunique() for _, part in panels)
    with rc_context(STYLE):
        figure = new_figure(1.2 + len(panels) * (2.3 + 0.5 * len(methods)), 2.6 + 0.2 * tallest)
        for ax, (emotion, part) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            rows = list(dict.fromkeys(part.sort_values(["cue", "source"], kind="stable")["row"]))
            gains = part.pivot(index="row", columns="method", values="gain").reindex(index=rows, columns=methods)
            sns.heatmap(
                gains, annot=True, fmt="+.2f", cmap="vlag", vmin=-1, vmax=1, cbar=False, linewidths=0.5, ax=ax,
                annot_kws={"fontsize": 7}, xticklabels=methods, yticklabels=rows,
            )  # fmt: skip
            ax.set(xlabel="", ylabel="")
            ax.set_title(f"{emotion}, {part['clips'].max()} clips", loc="left", fontweight="bold")
            ax.tick_params(length=0)
            ax.tick_params(axis="x", rotation=90)
        title(
            figure,
            f"direction agreement of cues, gain over matched random windows: {first['corpus']}, {first['model']}",
        )
        footnote(
            figure, "0 is chance; intervals, other measures and other recognisers in the CSV; sources are never merged"
        )
        return save(figure, table, picture)


def plausibility_of_run(store: Store, picture: Path, data_root: Path | None = None) -> Path:
    """`draw_plausibility` of a run."""
    return draw_plausibility(plausibility_table(store, data_root), picture)
