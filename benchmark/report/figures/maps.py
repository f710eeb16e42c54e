"""Explanations drawn over the clip's spectrogram, on a mel-scaled frequency axis in Hz.

Each function writes ``picture`` (PNG) and the numbers as CSV beside it, and returns the PNG's path.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ....audio import SAMPLE_RATE, Plane, scoring_grid
from ....errors import InputError
from ....methods.attribution import Attribution
from ....methods.caveats import NO_RESPONSE, POOR_FIT, Caveat, is_unsigned
from .style import BLUE, GREY, INK, STYLE, footnote, new_figure, save, title

FOR, AGAINST = "#009E73", "#D55E00"  # Okabe and Ito's bluish green and vermilion
AGAINST_TO_FOR = LinearSegmentedColormap.from_list("against-for", [AGAINST, "#ffffff", FOR])
MAGNITUDE = LinearSegmentedColormap.from_list("magnitude", ["#ffffff", BLUE])  # of maps without sign
REMARKS = {NO_RESPONSE: "nothing to explain", POOR_FIT: "poor fit, not to be read"}  # behind a panel's title
FLOOR_DB = -70.0
MAX_HZ = SAMPLE_RATE / 2
TICKS_HZ = (0, 250, 500, 1000, 2000, 4000, 8000)
MAX_CHANNELS = 8
MAX_BANDS = 16  # an explanation of at most this many bands is drawn with printed weights


def mel(hz: Any) -> Any:
    """Frequency in mel of one in Hz (O'Shaughnessy's formula)."""
    return 2595 * np.log10(1 + np.maximum(hz, 0) / 700)


def from_mel(values: Any) -> Any:
    """Frequency in Hz of one in mel."""
    return 700 * (10 ** (np.asarray(values) / 2595) - 1)


def _frequency_axis(ax: Any) -> None:
    """Mel-scaled, labelled in Hz."""
    ax.set_yscale("function", functions=(mel, from_mel))
    ax.set_ylim(0, MAX_HZ)
    ax.yaxis.set_major_locator(FixedLocator(TICKS_HZ))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda hz, _: f"{hz:.0f}"))


def spectrogram(ax: Any, samples: np.ndarray) -> float:
    """Draw a grey power spectrogram in dB below its maximum; return the clip's length in seconds."""
    plane = Plane(samples)
    power = plane.spectrum.abs().square().numpy()
    db = 10 * np.log10(np.maximum(power / max(float(power.max()), 1e-20), 1e-12))
    step_hz, step_s = plane.freqs_hz[1], plane.times_s[1] if len(plane.times_s) > 1 else plane.duration_s
    freqs = np.append(plane.freqs_hz - step_hz / 2, MAX_HZ).clip(0)
    times = (np.append(plane.times_s, plane.times_s[-1] + step_s) - step_s / 2).clip(0, plane.duration_s)
    times[-1] = max(times[-1], times[-2] + 1e-6)
    ax.pcolormesh(times, freqs, db, cmap="Greys", vmin=FLOOR_DB, vmax=0, rasterized=True)
    ax.set_xlim(0, plane.duration_s)
    _frequency_axis(ax)
    return plane.duration_s


def colour_legend(unsigned: Iterable[bool], target: str = "the target", number: bool = False) -> str:
    """Meaning of the colours of maps with and without sign.

    Parameters
    ----------
    unsigned : iterable of bool
        Of each map drawn, see `methods.caveats.is_unsigned`.
    target : str
    number : bool
        Whether the target is a number, which something raises or lowers, and no class.

    Examples
    --------
    >>> colour_legend([True], "anger")
    'blue: relevant, for or against (a map without sign); the fainter, the less relevant'
    >>> colour_legend([False], "arousal", number=True)
    'green: raises arousal, vermilion: lowers it; the fainter, the less relevant'
    """
    kinds = set(unsigned)
    signed, both = f"green: for {target}, vermilion: against it", "relevant, for or against"
    if number:
        signed, both = f"green: raises {target}, vermilion: lowers it", "moves it up or down"
    parts = [signed] * (False in kinds) + [f"blue: {both} (a map without sign)"] * (True in kinds)
    return "; ".join([*parts, "the fainter, the less relevant"])


def tint(
    ax: Any,
    attribution_edges: tuple[np.ndarray, np.ndarray],
    values: np.ndarray,
    largest: float,
    unsigned: bool = False,
) -> None:
    """Draw relevance over the spectrogram: colour by sign, blue for maps without sign, opacity by magnitude."""
    freqs, times = attribution_edges
    norm = Normalize(-largest, largest)
    strength = np.abs(values) / largest
    # hue by sign alone: the colour map's white centre would cover the spectrogram under weak cells
    colours = AGAINST_TO_FOR(norm(np.sign(values) * largest))
    if unsigned:
        colours = MAGNITUDE(np.ones(values.shape))
    colours[..., 3] = 0.75 * np.clip(strength, 0, 1) ** 0.8
    mesh = ax.pcolormesh(times, np.clip(freqs, 0, MAX_HZ), values, norm=norm, cmap=AGAINST_TO_FOR, rasterized=True)
    mesh.set_array(None)
    mesh.set_facecolor(colours.reshape(-1, 4))
    mesh.set_edgecolor("none")


def print_weights(
    ax: Any,
    edges: np.ndarray,
    weights: np.ndarray,
    duration_s: float,
    errors: np.ndarray | None = None,
    size: float = 9,
) -> None:
    """Print each band's frequency range and weight at its centre, with its standard error if known; size in points."""
    noise = [""] * len(weights) if errors is None else [f" ± {error:.2f}" for error in errors.ravel()]
    for low, high, weight, error in zip(edges[:-1], edges[1:], weights, noise, strict=True):
        middle = from_mel((mel(low) + mel(high)) / 2)
        ax.text(
            duration_s * 0.985,
            middle,
            f"{low:.0f}-{high:.0f} Hz  {weight:+.2f}{error}",
            ha="right",
            va="center",
            fontsize=size,
            color=INK,
            bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.2},
        )
    for edge in edges[1:-1]:
        ax.axhline(edge, color="white", linewidth=0.8)


def map_panel(ax: Any, samples: np.ndarray | None, attribution: Attribution, name: str, remark: str = "") -> None:
    """Draw one explanation into an Axes: spectrogram, relevance over it, title, scale of colours.

    Parameters
    ----------
    ax : matplotlib Axes
    samples : array, shape (n_samples,), or None
        Sound to draw the spectrogram of; None where it is not at hand.
    attribution : Attribution
    name : str
        Of the method, for the title.
    remark : str
        Behind the title, why the map is not to be read.
    """
    grid, values = attribution.grid, attribution.values.astype(np.float64)
    duration = float(grid.time_edges_s[-1])
    if samples is None:
        _frequency_axis(ax)
    else:
        duration = spectrogram(ax, samples)
    scale = float(np.abs(values).max()) or 1.0
    # clipped at the 99.5 % quantile, so that single cells do not hide the rest of a fine map
    largest = scale if values.size <= 64 else float(np.quantile(np.abs(values), 0.995)) or scale
    bands = grid.shape[1] == 1 and grid.shape[0] <= MAX_BANDS
    times = np.clip(grid.time_edges_s, 0, duration) if bands else grid.time_edges_s
    unsigned = is_unsigned(attribution)
    tint(ax, (grid.freq_edges_hz, times), values, largest, unsigned)
    if bands:
        print_weights(ax, grid.freq_edges_hz, values[:, 0], duration, attribution.errors)
    ax.set_xlim(0, duration)
    fit = f" (R² {attribution.details['r2']:.2f})" if "r2" in attribution.details else ""
    heading = f"{name}: {attribution.target}{fit}" + (f": {remark}" if remark else "")
    ax.set_title(heading, loc="left", fontweight="bold", color=GREY if remark else INK)
    ax.figure.colorbar(
        _colours(largest, unsigned),
        ax=ax,
        pad=0.015,
        aspect=18,
        extend="neither" if largest == scale else "max" if unsigned else "both",
        format=FuncFormatter(lambda x, _: f"{x:.2g}"),
        ticks=[0, largest] if unsigned else [-largest, 0, largest],
    )


def explanation_overlay(
    samples: np.ndarray,
    maps: Mapping[str, Attribution],
    heading: str,
    picture: str | Path,
    caveats: Mapping[str, Sequence[Caveat]] | None = None,
    number: bool = False,
) -> Path:
    """Draw each explanation over the clip's spectrogram, one panel per method.

    Green speaks for the target, vermilion against it; maps without sign are blue; opacity grows with relevance. A map
    that is not to be read says so in its title. The CSV holds every cell.

    Parameters
    ----------
    samples : array, shape (n_samples,)
    maps : dict of str to Attribution
    heading : str
        E.g. file, target and probability.
    picture : path
    caveats : dict of str to sequence of Caveat, optional
        By method, see `methods.caveats`.
    number : bool
        Whether the target is a number and no class.

    Raises
    ------
    InputError
        If there is no explanation to draw.
    """
    if not maps:
        raise InputError("explanation_overlay: there is no explanation to draw; no method could explain the clip.")
    columns = min(2, len(maps))
    rows = -(-len(maps) // columns)
    with rc_context(STYLE):
        figure = new_figure(5.6 * columns + 0.6, 3.1 * rows + 0.7)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for ax, (name, attribution) in zip(axes.ravel(), maps.items(), strict=False):
            remark = next((REMARKS[c.kind] for c in (caveats or {}).get(name, ()) if c.unreadable), "")
            map_panel(ax, samples, attribution, name, remark)
        for ax in axes.ravel()[len(maps) :]:
            ax.set_axis_off()
        _label_outer(axes, len(maps))
        title(figure, heading)
        footnote(figure, colour_legend(map(is_unsigned, maps.values()), number=number))
        return save(figure, _cells_of(maps), picture, kinds=("png",))


def explanation_panel(
    samples: np.ndarray, name: str, attribution: Attribution, caveats: Sequence[Caveat] = ()
) -> bytes:
    """Draw one explanation as `explanation_overlay` does, as PNG of a size that can be read on a phone.

    Parameters
    ----------
    samples : array, shape (n_samples,)
    name : str
        Of the method.
    attribution : Attribution
    caveats : sequence of Caveat
    """
    with rc_context(STYLE):
        figure = new_figure(4.7, 3.2)
        ax = figure.subplots()
        remark = next((REMARKS[c.kind] for c in caveats if c.unreadable), "")
        map_panel(ax, samples, attribution, name, remark)
        ax.set_ylabel("frequency / Hz")
        ax.set_xlabel("time / s")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def channel_maps(samples: np.ndarray, attribution: Attribution, heading: str, picture: str | Path) -> Path:
    """Draw the conditional maps of an explanation's channels, most relevant first, in one colour scale.

    The CSV holds the maps summed onto the scoring grid.

    Parameters
    ----------
    samples : array, shape (n_samples,)
    attribution : Attribution
        With `channels`, and in `details` the share of each; the first `MAX_CHANNELS` are drawn.
    heading : str
    picture : path

    Raises
    ------
    InputError
        If it has no channels.
    """
    if not attribution.channels:
        raise InputError(f"channel_maps: an explanation by {attribution.method} has no channels; crp's has.")
    shown = dict(list(attribution.channels.items())[:MAX_CHANNELS])
    sizes = np.abs(np.stack(list(shown.values())))
    largest = float(np.quantile(sizes, 0.999)) or float(sizes.max()) or 1.0
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    edges = attribution.grid.freq_edges_hz, attribution.grid.time_edges_s
    with rc_context(STYLE):
        figure = new_figure(3.2 * columns + 0.6, 2.3 * rows + 0.9)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for ax, (name, values) in zip(axes.ravel(), shown.items(), strict=False):
            duration = spectrogram(ax, samples)
            tint(ax, edges, values.astype(np.float64), largest)
            ax.set_xlim(0, duration)
            ax.set_title(f"{name}  {attribution.details.get(name, np.nan):.0%}", loc="left")
        for ax in axes.ravel()[len(shown) :]:
            ax.set_axis_off()
        _label_outer(axes, len(shown))
        figure.colorbar(
            _colours(largest),
            ax=axes,
            pad=0.015,
            aspect=25,
            extend="both",
            format=FuncFormatter(lambda x, _: f"{x:.2g}"),
            ticks=[-largest, 0, largest],
        )
        title(figure, f"{attribution.method}, channel by channel. {heading}")
        footnote(
            figure,
            "Percentages: share of all relevance that flows through the channel. Green: for the target, vermilion: "
            "against it; one scale for all panels.",
        )
        grid = scoring_grid(len(samples) / SAMPLE_RATE)
        cells = {
            name: replace(attribution, values=attribution.grid.transfer(values, grid), grid=grid, errors=None)
            for name, values in shown.items()
        }
        return save(figure, _cells_of(cells).rename(columns={"method": "channel"}), picture, kinds=("png",))


def _label_outer(axes: np.ndarray, used: int) -> None:
    columns = axes.shape[1]
    for place, ax in enumerate(axes.ravel()[:used]):
        if place % columns == 0:
            ax.set_ylabel("frequency / Hz")
        if place + columns >= used:
            ax.set_xlabel("time / s")
            ax.tick_params(labelbottom=True)


def _colours(largest: float, unsigned: bool = False) -> Any:
    from matplotlib.cm import ScalarMappable

    if unsigned:
        return ScalarMappable(Normalize(0, largest), MAGNITUDE)
    return ScalarMappable(Normalize(-largest, largest), AGAINST_TO_FOR)


def _cells_of(maps: Mapping[str, Attribution]) -> pd.DataFrame:
    parts = [attribution.to_frame().assign(method=name) for name, attribution in maps.items()]
    return pd.concat(parts, ignore_index=True).drop(columns="error", errors="ignore")
