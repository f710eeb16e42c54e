"""Figures of Beyond Saliency: acoustic cues of salient windows, by emotion and by corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from ....cues.expert import directions
from ....cues.records import CUES
from ....errors import InputError
from ...analysis.cue_means import mean_z
from ...analysis.recogniser_titles import recogniser_titles
from ...analysis.salient_cues import RANDOM, REST, SALIENT, cues_of_maps
from ...analysis.shown_names import title_parts
from ...analysis.stored_maps import CLEAN, FoundMap
from ...stats.clustered import MIN_SPEAKERS
from .choice import explainers, one_of, short_name
from .of_runs import FigureOfRuns
from .style import (
    FAINT,
    GREY,
    INK,
    MARKERS,
    PALETTE,
    PAPER,
    PAPER_DPI,
    SMALL,
    TWO_COLUMNS,
    new_page,
    save,
)

CUES_NAME, CORPUS_NAME = "beyond-saliency-cues", "beyond-saliency-corpus"
FIRST = ("beyond-saliency",)  # methods that are drawn before others, unless one is named
CORRECT, WRONG = "correct prediction", "wrong prediction"
SALIENT_WINDOWS, RANDOM_WINDOWS, REST_OF_CLIP = "salient windows", "random windows", "rest of the clip"
COLOURS = {CORRECT: PALETTE[0], WRONG: PALETTE[1], RANDOM_WINDOWS: "#b9b9b9"}
HATCHES = {CORRECT: "", WRONG: "", RANDOM_WINDOWS: "////"}
ORDER = ("anger", "happiness", "fear", "surprise", "disgust", "sadness", "boredom", "neutral")  # by arousal
MAX_EMOTIONS = 4
LIMIT_Z = 30.0  # end of the axis; larger values are printed at the end of the bar, arrows show longer intervals
TINT = "#d9ece3"
NOTHING = (
    "the runs hold no explanation whose salient windows can be compared: {figure} needs a method with resolution in "
    "time and speakers with 3 neutral clips or more; run one with --method beyond-saliency:saliency, without --limit"
)


def by_arousal(emotions: pd.Series) -> list[str]:
    """Emotions, those of high arousal first; unknown ones last."""
    found = [e for e in ORDER if (emotions == e).any()]
    return found + sorted(set(emotions) - set(found))


# -- correct and wrong predictions -------------------------------------------------------------------------------------


def cue_means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean z of each cue by explained emotion: salient windows of correct and of wrong predictions, random windows.

    Parameters
    ----------
    table : DataFrame
        Of `analysis.salient_cues.cue_table`, of one corpus, recogniser and method.

    Returns
    -------
    DataFrame
        ``corpus``, ``model``, ``method``, ``emotion`` (the one explained) and the columns of `cue_means.mean_z`.
    """
    table = table.assign(model=recogniser_titles(table))
    first, parts = table.iloc[0], []
    right = table["predicted"] == table["emotion"]
    for emotion in by_arousal(table["target"]):
        here = table["target"] == emotion
        groups = {
            CORRECT: (SALIENT, here & right), WRONG: (SALIENT, here & ~right), RANDOM_WINDOWS: (RANDOM, here),
        }  # fmt: skip
        parts.append(mean_z(table, groups).assign(emotion=emotion))
    found = pd.concat(parts, ignore_index=True)
    found = found.assign(corpus=first["corpus"], model=first["model"], method=first["method"])
    return found[["corpus", "model", "method", "emotion", *parts[0].columns.drop("emotion")]]


def draw_cues(means: pd.DataFrame, picture: str | Path) -> Path:
    """Draw `cue_means` as bars, a panel for each explained emotion.

    Parameters
    ----------
    means : DataFrame
        Its first four emotions are drawn.
    picture : path
    """
    every = by_arousal(means["emotion"])
    emotions = every[:MAX_EMOTIONS]
    means = means[means["emotion"].isin(emotions)]
    cues = list(dict.fromkeys(means["cue"]))
    sizes = means[["z", "low", "high"]].abs().to_numpy()
    largest = float(np.nanmax(sizes)) if np.isfinite(sizes).any() else 1.0
    limit = float(np.clip(1.1 * largest, 1.5, LIMIT_Z))
    first = means.iloc[0]
    place = f"{first['corpus']}, {short_name(first['model'], first['corpus'])}"
    note = (
        "Mean z: standard deviations from as many windows of the same speaker's neutral clips, by the emotion "
        f"explained (the predicted one); lines: 95 % interval, speakers as clusters (none below {MIN_SPEAKERS} "
        "speakers). Random windows are of the same clips, matched in voiced time and energy: where their bar is as "
        "long, the cue is the clip's and not the explanation's. No bar: not measured, or levels that are not "
        "comparable in this corpus."
    )
    cut = int((means[["low", "high"]].abs() > limit).any(axis=1).sum())
    if cut:
        note += f" Arrows: {cut} intervals reach beyond {limit:g}; their ends are in the CSV."
    if len(every) > len(emotions):
        note += f" Not drawn, room for {MAX_EMOTIONS} emotions: {', '.join(every[MAX_EMOTIONS:])}."
    with rc_context(PAPER):
        height = 1.0 + 0.34 * len(cues)
        figure, content = new_page(TWO_COLUMNS, height, f"Cues of salient windows: {first['method']} on {place}", note)
        axes = content.subplots(1, len(emotions), sharex=True, sharey=True, squeeze=False)[0]
        for ax, emotion in zip(axes, emotions, strict=True):
            part = means[means["emotion"] == emotion]
            _bars(ax, part, cues, emotion, limit)
            counts = part.groupby("group")["n_clips"].max()
            ax.set_title(f"{emotion}\n{counts[CORRECT]} correct, {counts[WRONG]} wrong", fontweight="bold")
        axes[0].set_yticks(range(len(cues)), [CUES.get(cue).label for cue in reversed(cues)])
        axes[0].set(xlim=(-limit, limit), ylim=(-0.6, len(cues) - 0.4))
        axes[0].xaxis.set_major_locator(MaxNLocator(5, integer=True))
        handles: list[Any] = [
            Patch(
                facecolor=c, hatch=HATCHES[g], edgecolor="white", linewidth=0,
                label=g if g == RANDOM_WINDOWS else f"{SALIENT_WINDOWS}, {g}",
            )
            for g, c in COLOURS.items()
        ]  # fmt: skip
        handles.append(Patch(facecolor=TINT, label="side that most sources expect"))
        content.legend(handles=handles, loc="outside lower center", ncols=4)
        return save(figure, means, picture, dpi=PAPER_DPI)


def _bars(ax: Any, part: pd.DataFrame, cues: Sequence[str], emotion: str, limit: float) -> None:
    known = part.set_index(["cue", "group"])
    expected = directions(emotion) if emotion in ORDER else {}
    for place, cue in enumerate(reversed(cues)):
        if part.loc[part["cue"] == cue, "z"].isna().all():
            ax.text(
                0, place, "not compared", ha="center", va="center", fontsize=SMALL, color=GREY, zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )  # fmt: skip
            continue
        side = np.sign(sum(of_source.get(cue, 0) for of_source in expected.values()))
        if side:
            ax.add_patch(Rectangle((0, place - 0.46), side * limit, 0.92, facecolor=TINT, edgecolor="none", zorder=0))
        for k, (group, colour) in enumerate(COLOURS.items()):
            row = known.loc[(cue, group)]
            if not np.isfinite(row["z"]):
                continue
            y, shown = place + 0.28 * (1 - k), float(np.clip(row["z"], -limit, limit))
            ax.barh(y, shown, height=0.26, color=colour, hatch=HATCHES[group], edgecolor="white", linewidth=0, zorder=2)
            if np.isfinite(row["low"]):
                ends = np.clip([row["low"], row["high"]], -limit, limit)
                ax.plot(ends, [y, y], color=INK, linewidth=0.7, zorder=3)
                for end, arrow in ((row["low"], "<"), (row["high"], ">")):
                    if abs(end) > limit:
                        at = float(np.clip(end, -limit, limit)) * 0.98
                        ax.plot(at, y, arrow, color=INK, markersize=2.5, zorder=3)
            if abs(row["z"]) > limit:
                ax.text(
                    shown * 0.97, y, f"{row['z']:+.1f}", ha="right" if shown > 0 else "left", va="center",
                    fontsize=SMALL - 1, color=INK if group == RANDOM_WINDOWS else "white", zorder=4,
                    bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.4},
                )  # fmt: skip
    ax.axvline(0, color=INK, linewidth=0.7, zorder=3)
    ax.set_xlabel("z")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=FAINT, linewidth=0.5)
    ax.set_axisbelow(True)
    ax.spines["left"].set_visible(False)


def cues_of_runs(figure: FigureOfRuns) -> Path:
    """Draw `draw_cues` of one corpus, recogniser and method of runs.

    Raises
    ------
    InputError
        If no explanation has salient windows to compare, or a corpus is not on disk.
    """
    found = figure.found(1, condition=CLEAN, repeat=0)
    if found:
        setting = figure.setting(found)
        here = [one for one in found if (one.corpus, one.recogniser) == setting]
        table = _first_with_windows(figure, here)
        if len(table):
            return draw_cues(cue_means(table), figure.picture)
    raise InputError(f"figure {figure.name}: {NOTHING.format(figure=figure.name)}.")


def _first_with_windows(figure: FigureOfRuns, found: Sequence[FoundMap]) -> pd.DataFrame:
    """Cues of the method that is chosen, else of the first that has salient windows; `FIRST` before others."""
    table = pd.DataFrame()
    chosen, methods = figure.methods(found, lambda maps: explainers(((o.corpus, o.method) for o in maps), FIRST))
    for method in methods:
        table = cues_of_maps([one for one in chosen if one.method == method], figure.data_root, figure.progress)
        if len(table):
            break
    return table


# -- corpora side by side ----------------------------------------------------------------------------------------------


def corpus_means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean z of each cue by corpus and explained emotion: salient windows and the rest of the clip.

    Parameters
    ----------
    table : DataFrame
        Of `analysis.salient_cues.cue_table`, of one method, and of one recogniser in each corpus.

    Returns
    -------
    DataFrame
        ``corpus``, ``model``, ``method``, ``emotion`` (the one explained) and the columns of `cue_means.mean_z`.
    """
    table, parts = table.assign(model=recogniser_titles(table)), []
    for (corpus, model), of_corpus in table.groupby(["corpus", "model"], sort=False):
        for emotion in by_arousal(of_corpus["target"]):
            here = of_corpus["target"] == emotion
            found = mean_z(of_corpus, {SALIENT_WINDOWS: (SALIENT, here), REST_OF_CLIP: (REST, here)})
            parts.append(found.assign(corpus=corpus, model=model, method=table.iloc[0]["method"], emotion=emotion))
    found = pd.concat(parts, ignore_index=True)
    return found[
        ["corpus", "model", "method", "emotion", *found.columns.drop(["corpus", "model", "method", "emotion"])]
    ]


def draw_corpora(means: pd.DataFrame, picture: str | Path) -> Path:
    """Draw `corpus_means`, a panel for each cue.

    Parameters
    ----------
    means : DataFrame
    picture : path
    """
    emotions, corpora = by_arousal(means["emotion"]), list(dict.fromkeys(means["corpus"]))
    measured = means.dropna(subset=["z"])
    cues = [cue for cue in dict.fromkeys(means["cue"]) if (measured["cue"] == cue).any()]
    looks = {name: (PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(corpora)}
    columns = min(4, max(len(cues), 1))
    rows = max(-(-len(cues) // columns), 1)
    method = means.iloc[0]["method"]
    by_corpus = means.drop_duplicates("corpus")
    told = ", ".join(
        f"{row['corpus']} {_clips(means, row['corpus'])} clips by {short_name(row['model'], row['corpus'])}"
        for row in by_corpus.to_dict("records")
    )
    note = (
        f"{told}. Mean z: standard deviations from as many windows of the same speaker's neutral clips, by the "
        "emotion explained (high arousal on the left); filled: salient windows, open: the rest of the same clips; "
        f"lines: 95 % interval, speakers as clusters (none below {MIN_SPEAKERS} speakers). Where both differ from 0 "
        "alike, the speech does, not the explanation."
    )
    with rc_context(PAPER):
        heading = f"Cues of the salient windows of {method} by emotion and corpus"
        figure, content = new_page(TWO_COLUMNS, 0.6 + 1.65 * rows, heading, note)
        axes = content.subplots(rows, columns, squeeze=False)
        for ax, cue in zip(axes.ravel(), cues, strict=False):
            _points(ax, measured[measured["cue"] == cue], emotions, looks)
            ax.set_title(CUES.get(cue).label, fontweight="bold", loc="left")
        for ax in axes.ravel()[len(cues) :]:
            ax.set_axis_off()
        for line in axes:
            line[0].set_ylabel("z")
        handles = [Line2D([], [], color=c, marker=m, linestyle="", label=name) for name, (c, m) in looks.items()]
        handles += [
            Line2D([], [], color=GREY, marker="o", linestyle="", label=SALIENT_WINDOWS),
            Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="", label=REST_OF_CLIP),
        ]
        content.legend(handles=handles, loc="outside lower center", ncols=6)
        return save(figure, means, picture, dpi=PAPER_DPI)


def _clips(means: pd.DataFrame, corpus: str) -> int:
    of_corpus = means[(means["corpus"] == corpus) & (means["group"] == SALIENT_WINDOWS)]
    return int(of_corpus.groupby("emotion")["n_clips"].max().sum())


def _points(ax: Any, part: pd.DataFrame, emotions: Sequence[str], looks: dict[str, tuple[str, str]]) -> None:
    ax.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    step = 0.7 / (2 * len(looks))
    for c, (corpus, (colour, marker)) in enumerate(looks.items()):
        for g, group in enumerate((SALIENT_WINDOWS, REST_OF_CLIP)):
            rows = part[(part["corpus"] == corpus) & (part["group"] == group)].set_index("emotion").reindex(emotions)
            x = np.arange(len(emotions)) + (2 * c + g - len(looks) + 0.5) * step
            half = ((rows["high"] - rows["low"]) / 2).to_numpy(dtype=float)
            ax.errorbar(
                x, rows["z"].to_numpy(dtype=float), yerr=half, color=colour, marker=marker, linestyle="",
                markerfacecolor=colour if group == SALIENT_WINDOWS else "white", elinewidth=0.7, markersize=3.4,
            )  # fmt: skip
    for edge in np.arange(len(emotions) - 1) + 0.5:
        ax.axvline(edge, color=FAINT, linewidth=0.6, zorder=0)
    ax.set_xlim(-0.5, len(emotions) - 0.5)
    ax.set_xticks(range(len(emotions)), emotions, rotation=35, ha="right", rotation_mode="anchor")
    ax.locator_params(axis="y", nbins=5)


def _one_recogniser(found: Sequence[FoundMap]) -> dict[str, str]:
    """Recogniser of each corpus: the kind that explained most corpora, so that corpora alone differ where they can."""
    settings = list(dict.fromkeys((one.corpus, one.recogniser) for one in found))
    held = Counter(title_parts(model)[0] for _, model in settings)
    settings.sort(key=lambda setting: -held[title_parts(setting[1])[0]])
    return {corpus: model for corpus, model in reversed(settings)}


def corpora_of_runs(figure: FigureOfRuns) -> Path:
    """Draw `draw_corpora` of one method of runs: each corpus by one recogniser.

    Unless one is chosen, it is the one that explained most corpora.

    Raises
    ------
    InputError
        If no explanation has salient windows to compare, or a corpus is not on disk.
    """
    found, model = figure.found(1, condition=CLEAN, repeat=0), figure.choice.model
    if found:
        if model:
            one_of("--model", model, [one.recogniser for one in found])
            found = [one for one in found if model in (one.recogniser, title_parts(one.recogniser)[0])]
        first = _one_recogniser(found)
        table = _first_with_windows(figure, [one for one in found if first[one.corpus] == one.recogniser])
        if len(table):
            return draw_corpora(corpus_means(table), figure.picture)
    raise InputError(f"figure {figure.name}: {NOTHING.format(figure=figure.name)}.")
