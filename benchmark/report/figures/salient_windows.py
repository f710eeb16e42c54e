"""Figure of Beyond Saliency: the salient windows of a clip on its spectrogram and waveform."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.ticker import FixedLocator, FuncFormatter

from ....audio import SAMPLE_RATE
from ....errors import InputError, NotApplicable
from ....methods.record import PREFIX
from ....metrics.salience_contrast import window_scores
from ...analysis.salient_cues import Voices, salient_windows
from ...analysis.stored_maps import CLEAN, FoundMap
from ...storage.store import Explanation
from .choice import explainers, short_name
from .maps import TICKS_HZ, spectrogram
from .of_runs import FigureOfRuns, beside
from .style import GREY, INK, PALETTE, PAPER, PAPER_DPI, SMALL, TWO_COLUMNS, new_page, save

NAME = "beyond-saliency-windows"
MAX_CLIPS, MAX_METHODS = 3, 4
FIRST = ("beyond-saliency",)
BESIDE = ("energy",)


class ClipWindows(NamedTuple):
    """Salient windows of one clip by several methods.

    Attributes
    ----------
    corpus, model, clip, emotion, predicted, target : str
    samples : array, shape (n_samples,)
    windows : dict of str to (array, array)
        By method: window edges of the clip in seconds, shape (n + 1,), and rank of each window, shape (n,): 1 for the
        most relevant of the salient ones, 0 for those that are not salient.
    """

    corpus: str
    model: str
    clip: str
    emotion: str
    predicted: str
    target: str
    samples: np.ndarray
    windows: dict[str, tuple[np.ndarray, np.ndarray]]


def ranked_windows(e: Explanation, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Window edges of a clip in seconds and the rank of each window, see `ClipWindows`.

    Raises
    ------
    NotApplicable
        For clips shorter than two windows, and as `analysis.salient_cues.salient_windows`.
    """
    edges, scores = window_scores(e.attribution, duration_s)
    chosen = salient_windows(scores, e.corpus, e.clip)
    order = np.lexsort((np.arange(len(scores)), -scores, ~chosen))
    rank = np.zeros(len(scores), dtype=int)
    rank[order[: chosen.sum()]] = np.arange(1, chosen.sum() + 1)
    return edges, rank


def draw_windows(clips: Sequence[ClipWindows], picture: str | Path) -> Path:
    """Draw the salient windows of clips: a column for each clip; spectrogram, a strip for each method, waveform.

    Parameters
    ----------
    clips : sequence of ClipWindows
    picture : path
    """
    methods = list(dict.fromkeys(name for one in clips for name in one.windows))
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(methods)}
    strip = 0.17 * len(methods) + 0.08
    heights = (1.7, strip, 0.9)
    models = ", ".join(dict.fromkeys(short_name(one.model, one.corpus) for one in clips))
    note = (
        "Windows of 150 ms with the most positive relevance for the predicted emotion, at most five and at most half "
        "of the clip's; numbers: order of relevance, 1 the most. On spectrogram (dB below its maximum, mel axis) and "
        f"waveform: those of {methods[0]}, or of the first method that has any there; in between those of every "
        "method."
    )
    with rc_context(PAPER):
        heading = f"Salient windows of explanations: {models}"
        figure, content = new_page(TWO_COLUMNS, 1.0 + sum(heights), heading, note)
        axes = content.subplots(3, len(clips), sharex="col", squeeze=False, height_ratios=heights)
        for column, one in zip(axes.T, clips, strict=True):
            above, between, below = column
            duration = spectrogram(above, one.samples)
            above.yaxis.set_major_locator(FixedLocator(TICKS_HZ))
            above.yaxis.set_major_formatter(FuncFormatter(lambda hz, _: f"{hz / 1000:g}"))
            first = next(name for name in methods if name in one.windows)
            _frames(above, *one.windows[first], colours[first])
            _strips(between, one, methods, colours)
            _waveform(below, one, first, colours[first])
            below.set(xlabel="time / s", xlim=(0, duration))
            heard = "recognised" if one.predicted == one.emotion else f"recognised as {one.predicted}"
            above.set_title(f"{one.clip} ({one.corpus})\n{one.emotion}, {heard}", loc="left", fontweight="bold")
            for ax in (above, between):
                ax.tick_params(labelbottom=False)
        axes[0, 0].set_ylabel("frequency / kHz")
        axes[2, 0].set_ylabel("waveform")
        for ax in axes[1, 1:]:
            ax.tick_params(labelleft=False)
        return save(figure, _numbers(clips), picture, dpi=PAPER_DPI)


def _frames(ax: Any, edges: np.ndarray, rank: np.ndarray, colour: str) -> None:
    for start, end, place in zip(edges[:-1], edges[1:], rank, strict=True):
        if place:
            ax.axvspan(start, end, facecolor=colour, alpha=0.13, edgecolor="none")
            ax.axvspan(start, end, facecolor="none", edgecolor=colour, linewidth=0.9)
            ax.text(
                (start + end) / 2, 5900, str(place), color="white", ha="center", va="center", fontsize=SMALL,
                bbox={"boxstyle": "circle,pad=0.2", "facecolor": colour, "edgecolor": "none"},
            )  # fmt: skip


def _strips(ax: Any, one: ClipWindows, methods: Sequence[str], colours: dict[str, str]) -> None:
    for row, method in enumerate(methods):
        if method not in one.windows:
            ax.text(0.0, row, " no salient windows", va="center", fontsize=SMALL, color=GREY)
            continue
        edges, rank = one.windows[method]
        for start, end, place in zip(edges[:-1], edges[1:], rank, strict=True):
            if place:
                ax.barh(
                    row, end - start, left=start, height=0.72, color=colours[method], edgecolor="white", linewidth=0.5
                )
                ax.text((start + end) / 2, row, str(place), color="white", ha="center", va="center", fontsize=SMALL - 1)
    ax.set(ylim=(len(methods) - 0.4, -0.6))
    ax.set_yticks(range(len(methods)), methods)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _waveform(ax: Any, one: ClipWindows, method: str, colour: str) -> None:
    times = np.arange(one.samples.size) / SAMPLE_RATE
    ax.plot(times, one.samples, color=GREY, linewidth=0.35, rasterized=True)
    edges, rank = one.windows[method]
    for start, end, place in zip(edges[:-1], edges[1:], rank, strict=True):
        if place:
            inside = (times >= start) & (times < end)
            ax.plot(times[inside], one.samples[inside], color=colour, linewidth=0.35, rasterized=True)
            ax.axvspan(start, end, color=colour, alpha=0.13, linewidth=0)
    largest = float(np.abs(one.samples).max()) or 1.0
    ax.set(ylim=(-1.1 * largest, 1.1 * largest), yticks=[])
    ax.axhline(0, color=INK, linewidth=0.3, zorder=0)
    ax.spines["left"].set_visible(False)


def _numbers(clips: Sequence[ClipWindows]) -> pd.DataFrame:
    rows = []
    for one in clips:
        for method, (edges, rank) in one.windows.items():
            place = (one.corpus, one.model, one.clip, one.emotion, one.predicted, one.target, method)
            rows += [(*place, *window) for window in zip(edges[:-1], edges[1:], rank, strict=True)]
    columns = ["corpus", "model", "clip", "emotion", "predicted", "target", "method", "start_s", "end_s", "rank"]
    return pd.DataFrame(rows, columns=columns)


def windows_of_runs(figure: FigureOfRuns) -> Path:
    """Draw `draw_windows` of the clips that are chosen, else of one that is recognised and one that is not.

    Raises
    ------
    InputError
        If a clip is not explained, no method has salient windows on it, or the corpus is not on disk.
    """
    choice = figure.choice
    if len(choice.clips) > MAX_CLIPS:
        raise InputError(f"--clip: figure {NAME} shows at most {MAX_CLIPS}, got {len(choice.clips)}.")
    found = figure.found(MAX_METHODS, condition=CLEAN, repeat=0)
    if not found:
        raise InputError(f"figure {NAME}: the runs hold no explanation of a clip as recorded; run them with --method.")
    corpus, model = figure.setting(found)
    chosen, methods = figure.methods((o for o in found if (o.corpus, o.recogniser) == (corpus, model)), _default)
    of_clip: dict[str, dict[str, FoundMap]] = {}
    for one in chosen:
        if one.target == one.predicted:
            of_clip.setdefault(one.clip, {})[one.method] = one
    missing = [clip for clip in choice.clips if clip not in of_clip]
    if missing:
        held = sorted(of_clip)
        raise InputError(
            f"--clip {missing[0]}: not explained by {', '.join(methods)} on {corpus} by {model}; give one of "
            f"{', '.join(held[:8])}{' ...' if len(held) > 8 else ''}."
        )
    voices, drawn = Voices(figure.data_root), list[ClipWindows]()
    wrong_and_right: set[bool] = set()
    for clip in choice.clips or sorted(of_clip):
        shown = _clip_windows(voices, of_clip[clip], methods)
        recognised = shown.predicted == shown.emotion
        if not shown.windows:
            if choice.clips:
                raise InputError(f"--clip {clip}: no method has salient windows there; give another, or --method.")
            continue
        if choice.clips or recognised not in wrong_and_right:
            wrong_and_right.add(recognised)
            drawn.append(shown)
        if not choice.clips and len(drawn) == 2:
            break
    if not drawn:
        raise InputError(
            f"figure {NAME}: no clip has salient windows by {', '.join(methods)}; run a method with resolution in "
            "time, such as --method beyond-saliency:saliency."
        )
    return draw_windows(sorted(drawn, key=lambda shown: shown.predicted != shown.emotion), figure.picture)


def _default(found: Sequence[FoundMap]) -> list[str]:
    known = {one.method for one in found}
    # beyond-saliency:saliency has the windows of saliency; maps made elsewhere may be called as any method
    same = {name.partition(":")[2] for name in known if not name.startswith(PREFIX)}
    explained = explainers((("", name) for name in known - same), FIRST)
    return [*explained[: MAX_METHODS - 1], *beside(BESIDE)(found)]


def _clip_windows(voices: Voices, by_method: dict[str, FoundMap], methods: Sequence[str]) -> ClipWindows:
    read = {method: one.explanation() for method, one in by_method.items()}
    first, e = next(iter(by_method.values())), next(iter(read.values()))
    corpus = voices.corpus(first.store, e.corpus)
    if e.clip not in corpus.table.index:
        raise InputError(f"figure {NAME}: clip {e.clip!r} of the run is not in {corpus.root}; complete the corpus.")
    clip = corpus.clip(e.clip)
    windows = {}
    for method, each in read.items():
        try:
            windows[method] = ranked_windows(each, clip.duration_s)
        except NotApplicable:
            continue
    return ClipWindows(
        first.corpus, first.recogniser, e.clip, clip.emotion, first.predicted, first.target,
        clip.samples, {name: windows[name] for name in methods if name in windows},
    )  # fmt: skip
