"""Figure of a cue-referenced explanation: map, salient part on spectrogram and waveform, and cue values."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.patches import Rectangle

from ....audio import SAMPLE_RATE
from ....cues.records import CUES, LEVEL_CUES, REGION_CUES
from ....errors import InputError
from ....methods.attribution import Attribution
from ....methods.beyond_saliency import PRAAT
from ....methods.caveats import is_unsigned
from ....methods.cue_sentence import BESIDE, verdict, votes
from ....methods.reading import reading
from .maps import AGAINST, FOR, colour_legend, spectrogram, tint
from .style import BLUE, GREY, INK, STYLE, footnote, new_figure, save

LIMIT_Z = 8.0  # longest bar; larger values are printed beside it, so that one outlier does not flatten the others
EXPECTED = {"expected": FOR, "unexpected": AGAINST, "disputed": GREY, "": GREY}


def beyond_saliency_figure(
    samples: np.ndarray,
    attribution: Attribution,
    heading: str,
    picture: str | Path,
    said: str | None = None,
    number: bool = False,
) -> Path:
    """Draw map, salient boxes on spectrogram and waveform, and standardised cues; the CSV holds the cue table.

    Where the cue table holds z values against the speaker's reference, bars show them, with a ring for the rest of the
    clip; else bars show the contrast with the rest in standard deviations of random windows. The tinted half of a row
    is the side that most sources (or the only one) expect.

    Parameters
    ----------
    samples : array, shape (n_samples,)
    attribution : Attribution
        By `BeyondSaliency`.
    heading : str
    picture : path
    said : str, optional
        What the explanation says, in a sentence; default `methods.reading.reading`.
    number : bool
        Whether the target is a number and no class.

    Raises
    ------
    InputError
        If the attribution has no cue table.
    """
    if not attribution.cues:
        raise InputError(
            f"beyond_saliency_figure: the attribution of method {attribution.method!r} has no cue table; "
            "explain the clip with method 'beyond-saliency'."
        )
    base = attribution.base or attribution
    with rc_context(STYLE):
        figure = new_figure(12.4, 7.4)
        panels: Any = figure.subfigures(1, 2, width_ratios=(1.05, 1), wspace=0.02)
        left, right = panels
        above, middle, below = left.subplots(3, 1, sharex=True, height_ratios=(1.2, 1.2, 0.7))
        duration = spectrogram(above, samples)
        _map(above, base)
        above.set_title(f"1. What {base.method} finds relevant", loc="left", fontweight="bold")
        spectrogram(middle, samples)
        _boxes(middle, attribution)
        middle.set_title("2. Its most relevant part on the spectrogram", loc="left", fontweight="bold")
        _waveform(below, samples, attribution)
        below.set_title("3. The same part of the waveform", loc="left", fontweight="bold")
        for ax in (above, middle):
            ax.set_ylabel("frequency / Hz")
        below.set(xlabel="time / s", xlim=(0, duration))
        right.suptitle("4. What the voice does there", x=0.02, ha="left", fontweight="bold", fontsize=10)
        _bars(right.subplots(), attribution)
        figure.suptitle(
            f"{heading}\n{fill(said or reading(attribution, number=number), 150)}", x=0.01, ha="left", fontsize=10.5
        )
        legend = colour_legend([is_unsigned(base)], attribution.target, number)
        footnote(
            figure,
            f"1: {legend}. 4: a tinted half is the side on which most sources, or the only one, expect the cue (beside "
            "it: how many of those that expect a change); green bars lie there, vermilion ones do not, grey ones have "
            "no source or as many for as against.",
        )
        return save(figure, cue_numbers(attribution), picture, kinds=("png",))


def _map(ax: Any, base: Attribution) -> None:
    values = base.values.astype(np.float64)
    largest = float(np.quantile(np.abs(values), 0.995 if values.size > 64 else 1.0)) or float(np.abs(values).max())
    limits = ax.get_xlim()
    tint(ax, (base.grid.freq_edges_hz, base.grid.time_edges_s), values, largest or 1.0, is_unsigned(base))
    ax.set_xlim(limits)


def _boxes(ax: Any, attribution: Attribution) -> None:
    """Draw salient windows, numbered by relevance, or salient cells."""
    freqs, times = attribution.grid.freq_edges_hz, attribution.grid.time_edges_s
    windows = len(freqs) == 2
    rank = {tuple(place): n for n, place in enumerate(_by_relevance(attribution), 1)}
    for row, column in rank:
        corner = times[column], max(freqs[row], 30.0) if windows else freqs[row]
        top = freqs[row + 1] * (0.97 if windows else 1)
        size = times[column + 1] - times[column], top - corner[1]
        ax.add_patch(Rectangle(corner, *size, facecolor=BLUE, alpha=0.16, edgecolor="none"))
        ax.add_patch(Rectangle(corner, *size, facecolor="none", edgecolor=BLUE, linewidth=1.4 if windows else 0.7))
        if windows:
            ax.text(
                (times[column] + times[column + 1]) / 2,
                5600,
                str(rank[row, column]),
                color="white",
                ha="center",
                va="center",
                fontsize=9,
                bbox={"boxstyle": "circle,pad=0.25", "facecolor": BLUE, "edgecolor": "none"},
            )


def _by_relevance(attribution: Attribution) -> list[tuple[int, int]]:
    places = np.argwhere(attribution.values > 0)
    order = np.argsort(-attribution.values[tuple(places.T)], kind="stable")
    return [(int(row), int(column)) for row, column in places[order]]


def _waveform(ax: Any, samples: np.ndarray, attribution: Attribution) -> None:
    times = np.arange(samples.size) / SAMPLE_RATE
    ax.plot(times, samples, color=GREY, linewidth=0.5)
    for start, end in attribution.cues[0]["windows_s"]:
        inside = (times >= start) & (times < end)
        ax.plot(times[inside], samples[inside], color=BLUE, linewidth=0.6)
        ax.axvspan(start, end, color=BLUE, alpha=0.12, linewidth=0)
    largest = float(np.abs(samples).max()) or 1.0
    ax.set(ylim=(-1.1 * largest, 1.1 * largest), yticks=[])
    ax.spines["left"].set_visible(False)


def _bars(ax: Any, attribution: Attribution) -> None:
    rows = list(attribution.cues)
    references = {row["reference"] for row in rows if row["reference"]}
    by_voice = bool(references)
    key = "z" if by_voice else "contrast_z"
    sizes = [abs(row[name]) for row in rows for name in (key, "z_rest") if row[name] is not None]
    limit = float(np.clip(1.15 * max(sizes, default=1.0), 2.0, LIMIT_Z))
    for place, row in enumerate(reversed(rows)):
        expected = _expected_side(row)
        if expected:
            ax.add_patch(
                Rectangle((0, place - 0.46), expected * limit, 0.92, facecolor=FOR, alpha=0.10, edgecolor="none")
            )
        value = row[key]
        if value is None:
            ax.text(0.03 * limit, place - 0.3, _why_no_bar(row, by_voice), va="center", fontsize=8, color=GREY)
        else:
            shown = float(np.clip(value, -limit, limit))
            ax.barh(place, shown, height=0.5, color=EXPECTED[_bar_verdict(row, value)], alpha=0.9)
            aside = "left" if value >= 0 else "right"
            ax.text(
                shown + np.sign(value or 1) * 0.02 * limit,
                place + 0.36,
                f"{value:+.1f}",
                va="center",
                ha=aside,
                fontsize=8,
                color=INK,
            )
        if by_voice and row["z_rest"] is not None:
            rest = float(np.clip(row["z_rest"], -limit, limit))
            ax.plot(rest, place, "o", markersize=7, markerfacecolor="white", markeredgecolor=INK, zorder=3)
        ax.text(1.02, place, _expectation(row), transform=ax.get_yaxis_transform(), va="center", fontsize=8.5)
    ax.axvline(0, color=INK, linewidth=0.9)
    ax.set(xlim=(-limit * 1.12, limit * 1.12), ylim=(-0.7, len(rows) - 0.3), yticks=range(len(rows)))
    ax.set_yticklabels([_label(row) for row in reversed(rows)])
    ax.tick_params(left=False)
    ax.spines["left"].set_visible(False)
    if by_voice:
        reference = BESIDE[next(iter(references))]
        ax.set_xlabel(f"standard deviations from {reference}\nbar: relevant part, ring: rest of the clip")
    else:
        other = "same cells moved" if "n_cells" in attribution.details else "rest of the clip"
        ax.set_xlabel(f"relevant part minus {other},\nin standard deviations of random parts of this clip")
    ax.text(
        1.02,
        len(rows) - 0.42,
        f"expected of\n{attribution.target}",
        transform=ax.get_yaxis_transform(),
        va="bottom",
        fontsize=8.5,
        color=GREY,
    )


def _why_no_bar(row: dict[str, Any], by_voice: bool) -> str:
    """Reason of a missing bar: that of the missing value itself, else what it could not be compared with."""
    if row["reason"]:
        return str(row["reason"]).split(";")[0]
    if by_voice:
        if row["measured_by"] not in PRAAT:
            return f"no reference in the units of {row['measured_by']}"
        return "levels not comparable" if row["cue"] in LEVEL_CUES else "no reference of the speaker"
    if row["measured_by"] not in PRAAT or row["cue"] not in REGION_CUES:
        return "not compared with random windows"
    return "too few random windows with a value"


def _directions(row: dict[str, Any]) -> list[int]:
    return [entry["direction"] for entry in row["sources"] if entry["direction"]]


def _expected_side(row: dict[str, Any]) -> int:
    return int(np.sign(sum(_directions(row))))


def _bar_verdict(row: dict[str, Any], value: float) -> str:
    side = _expected_side(row)
    return "" if not side else "expected" if np.sign(value) == side else "unexpected"


def _expectation(row: dict[str, Any]) -> str:
    ways = _directions(row)
    if not ways:
        return "no source" if not row["sources"] else "no change"
    side = _expected_side(row)
    if not side:
        return f"disputed ({ways.count(1)} : {ways.count(-1)})"
    return f"{'higher' if side > 0 else 'lower'} ({ways.count(side)} of {len(ways)})"


def _label(row: dict[str, Any]) -> str:
    here, elsewhere = ("–" if row[part] is None else f"{row[part]:.3g}" for part in ("salient", "rest"))
    return f"{CUES.get(row['cue']).label} ({row['unit']})\n{here} here, {elsewhere} elsewhere"


def cue_numbers(attribution: Attribution) -> pd.DataFrame:
    """Cue table with a column per source's direction, and whether the majority of sources is met."""
    sources = dict.fromkeys(entry["source"] for row in attribution.cues for entry in row["sources"])
    rows = []
    for row in attribution.cues:
        facts = {name: value for name, value in row.items() if name not in ("windows_s", "sources")}
        directions = {entry["source"]: entry["direction"] for entry in row["sources"]}
        facts["contrast_is"] = verdict(row) if votes(row) else ""
        rows.append(facts | {f"expected_{source}": directions.get(source) for source in sources})
    return pd.DataFrame(rows)
