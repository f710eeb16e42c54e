"""Figures of robustness: similarity over the strength of shifts, profiles across corpora and recognisers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes

from ....audio import band_edges_hz
from ....datasets.shifts.conditions import CONDITIONS
from ....errors import InputError
from ....methods.records import METHODS, baselines
from ....metrics.similarity import PROFILE_BANDS
from ...analysis.authors import digitised_weights
from ...analysis.claims import band_weights, published_correlations
from ...analysis.corpus_axis import profiles_of, similarity_matrix
from ...analysis.leaderboard import ordered
from ...analysis.robustness import clip_rows, pooled
from ...analysis.stored_maps import StoredMap, stored_maps
from ...stats.clustered import clustered_mean
from ...storage.store import Store
from .style import BLUE, GREY, STYLE, footnote, new_figure, save, title

if TYPE_CHECKING:
    from ....progress import Progress

MAX_METHODS = 8  # drawn with a colour each
PUBLISHED_BESIDE = {"opensmile-svc": "ComParE", "praat-svc": "ComParE"}  # the paper's panel beside; others: wav2vec2
CORPUS_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#767676")


# -- similarity over the strength of a shift ---------------------------------------------------------------------------


def draw_shift(table: pd.DataFrame, picture: str | Path) -> Path:
    """Similarity of each method over the measured strength of each kind of shift; below, changed predictions.

    Parameters
    ----------
    table : DataFrame
        Of `analysis.robustness.pooled`, axis ``shift``; its first corpus and recogniser are drawn.
    picture : path

    Raises
    ------
    InputError
        If it has no shift of at least two strengths.
    """
    table = table[table["axis"] == "shift"]
    if table.empty:
        raise InputError(
            "figure: the run explains no shifted clip; run it with --condition clean --condition noise-20db."
        )
    first = table.iloc[0]
    part = table[(table["corpus"] == first["corpus"]) & (table["model"] == first["model"])]
    kinds: dict[str, list[str]] = {}
    for condition in part["other"].unique():
        record = CONDITIONS.get(condition)
        kinds.setdefault(f"{record.kind} ({record.unit})", []).append(condition)
    methods = ordered(part["method"], METHODS.names())[:MAX_METHODS]
    colours = dict(zip(methods, sns.color_palette("colorblind", len(methods)), strict=True))
    with rc_context(STYLE):
        figure = new_figure(2.2 + 2.6 * len(kinds), 5.2)
        axes = figure.subplots(2, len(kinds), sharey="row", squeeze=False, height_ratios=[3, 1])
        for (kind, conditions), (above, below) in zip(kinds.items(), axes.T, strict=True):
            rows = part[part["other"].isin(conditions)].sort_values("strength")
            if "SNR" in kind or "kbit" in kind:  # the stronger shift is the smaller number
                above.invert_xaxis()
                below.invert_xaxis()
            for method in methods:
                of_method = rows[rows["method"] == method]
                above.plot(
                    of_method["strength"], of_method["similarity"], "o--" if method in baselines() else "o-",
                    color=colours[method], label=method, markersize=4,
                )  # fmt: skip
            means = rows.groupby("strength")[["floor", "ceiling"]].mean()
            above.fill_between(means.index, means["floor"], means["ceiling"], color=GREY, alpha=0.12, linewidth=0)
            changed = rows.groupby("strength")["changed"].mean()
            below.plot(changed.index, changed, "o-", color=GREY, markersize=4)
            below.set(xlabel=kind, ylim=(0, 1))
        axes[0, 0].set_ylabel("similarity to the clean map")
        axes[1, 0].set_ylabel("predictions\nchanged")
        axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        title(figure, f"explanations under shift: {first['corpus']}, {first['model']}")
        footnote(
            figure,
            f"clips whose predicted class is unchanged, {part['n_clips'].min()} to {part['n_clips'].max()} of "
            f"{part['n_all'].max()}; grey: floor (other clips) to ceiling (a repeat), means over methods; strength as "
            "measured; dashed: baselines. A map that ignores the recogniser is stable too: see the bar in faithfulness",
        )
        return save(figure, part, picture)


def shift_of_runs(
    stores: Sequence[Store], picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """Draw `draw_shift` of runs."""
    return draw_shift(pooled(clip_rows(stored_maps(stores), axes=["shift"], progress=progress)), picture)


# -- profiles across corpora and recognisers ---------------------------------------------------------------------------


def similarity_table(maps: Sequence[StoredMap], method: str) -> pd.DataFrame:
    """Mean profile correlation of each two settings (corpus, recogniser), same emotion, disjoint speakers."""
    profiles = profiles_of(maps, method)
    everyone = {corpus: np.ones(n, dtype=bool) for corpus, n in profiles.speakers.items()}
    matrix = similarity_matrix(profiles, everyone, shared=False)
    rows = []
    for i, one in enumerate(profiles.cells):
        for j, other in enumerate(profiles.cells):
            if one[2] == other[2]:
                rows.append((f"{one[0]}, {one[1]}", f"{other[0]}, {other[1]}", one[2], matrix[i, j]))
    return pd.DataFrame(rows, columns=["setting", "other", "emotion", "correlation"])


def draw_robustness_map(table: pd.DataFrame, method: str, picture: str | Path) -> Path:
    """Heat map of profile correlations, settings by settings.

    Parameters
    ----------
    table : DataFrame
        Of `similarity_table`.
    method : str
    picture : path

    Raises
    ------
    InputError
        If there is but one setting.
    """
    matrix = table.pivot_table(index="setting", columns="other", values="correlation", sort=True)
    if len(matrix) < 2:
        raise InputError("figure: needs runs of at least two corpora or recognisers; give --run for each.")
    size = 0.75 * len(matrix)
    with rc_context(STYLE):
        figure = new_figure(3.6 + size, 2.4 + size)
        ax = figure.subplots()
        sns.heatmap(
            matrix, annot=True, fmt=".2f", cmap="vlag", vmin=-1, vmax=1, square=True, linewidths=1, ax=ax,
            cbar_kws={"label": "correlation of band profiles", "shrink": 0.6}, annot_kws={"fontsize": 8},
        )  # fmt: skip
        ax.set(xlabel="", ylabel="")
        ax.tick_params(length=0)
        title(figure, f"band profiles of {method} across corpora and recognisers")
        footnote(
            figure, "means over emotions; both profiles from disjoint halves of the speakers; diagonal: split half"
        )
        return save(figure, table, picture)


def robustness_map_of_runs(
    stores: Sequence[Store], picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """Draw `draw_robustness_map` of the runs' EmoLIME explanations, or of their first method's."""
    maps = stored_maps(stores)
    method = _band_method(maps)
    return draw_robustness_map(similarity_table(maps, method), method, picture)


def _band_method(maps: Sequence[StoredMap]) -> str:
    methods = ordered({one.method for one in maps}, METHODS.names())
    known = [name for name in methods if name.startswith("emolime")] or [m for m in methods if m not in baselines()]
    if not known:
        raise InputError("figure: the runs hold no explanation by a method; run with --method emolime.")
    return known[0]


# -- EmoLIME's robustness figure ---------------------------------------------------------------------------------------


def draw_emolime_robustness(maps: Sequence[StoredMap], method: str, picture: str | Path) -> Path:
    """EmoLIME's figure: mean band weights by recogniser (rows) and emotion (columns), a line for each corpus.

    Weights read off the published figure are dashed, scaled like ours; each panel states the correlation with the
    published line of the same corpus.

    Parameters
    ----------
    maps : sequence of StoredMap
    method : str
    picture : path
    """
    weights = band_weights([one for one in maps if one.condition == "clean" and one.repeat == 0], method)
    if weights.empty:
        raise InputError(f"figure: the runs hold no explanation by {method}.")
    profiles = _profile_table(weights)
    correlations = published_correlations(maps, method)
    models, emotions = sorted(profiles["model"].unique()), sorted(profiles["emotion"].unique())
    corpora = sorted(profiles["corpus"].unique())
    colours = dict(zip(corpora, np.resize(CORPUS_COLOURS, len(corpora)), strict=True))
    with rc_context(STYLE):
        figure = new_figure(1.2 + 2.2 * len(emotions), 1.2 + 2.0 * len(models))
        axes = figure.subplots(len(models), len(emotions), sharex=True, sharey=True, squeeze=False)
        for model, line in zip(models, axes, strict=True):
            for emotion, ax in zip(emotions, line, strict=True):
                _panel(ax, profiles, correlations, (model, emotion), colours)
            line[0].set_ylabel(f"{model}\nweight")
        for ax, emotion in zip(axes[0], emotions, strict=True):
            ax.set_title(emotion)
        for ax in axes[-1]:
            ax.set_xlabel("band (kHz)")
        handles = [axes[0, 0].plot([], [], "o-", color=c, label=name, markersize=4)[0] for name, c in colours.items()]
        handles += axes[0, 0].plot([], [], "--", color=GREY, label="published")
        axes[0, -1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))
        title(figure, f"band weights of {method} by recogniser, emotion and corpus")
        footnote(
            figure,
            "weights of a clip scaled to a sum of absolute values of 1, means with 95 % intervals (none below 6 "
            "speakers); r: correlation with the published line (in brackets: with the other emotions' lines)",
        )
        return save(figure, profiles, picture)


def _profile_table(weights: pd.DataFrame) -> pd.DataFrame:
    edges = band_edges_hz(PROFILE_BANDS)
    rows = []
    for (corpus, model, emotion), part in weights.groupby(["corpus", "model", "emotion"]):
        for band in range(PROFILE_BANDS):
            e = clustered_mean(part[band].to_numpy(), part["speaker"].tolist())
            place = (corpus, model, emotion, band, edges[band], edges[band + 1])
            rows.append((*place, e.mean, *e.bounds, e.n_clips, e.n_speakers))
    columns = ["corpus", "model", "emotion", "band", "low_hz", "high_hz", "weight", "low", "high", "clips", "speakers"]
    return pd.DataFrame(rows, columns=columns)


def _panel(
    ax: Axes, profiles: pd.DataFrame, correlations: pd.DataFrame, place: tuple[str, str], colours: dict[str, Any]
) -> None:
    model, emotion = place
    theirs = PUBLISHED_BESIDE.get(model, "wav2vec2")
    published = digitised_weights().assign(corpus=lambda t: t["corpus"].str.lower())
    told = []
    for corpus, colour in colours.items():
        own = profiles[(profiles["corpus"] == corpus) & (profiles["model"] == model) & (profiles["emotion"] == emotion)]
        if len(own):
            ax.plot(own["band"], own["weight"], "o-", color=colour, markersize=3, linewidth=1.3)
            ax.fill_between(own["band"], own["low"], own["high"], color=colour, alpha=0.15, linewidth=0)
        line = published[
            (published["corpus"] == corpus) & (published["model"] == theirs) & (published["emotion"] == emotion)
        ].sort_values("band")
        if len(line):
            ax.plot(line["band"], line["weight"] / line["weight"].abs().sum(), "--", color=colour, linewidth=1)
        found = correlations[
            (correlations["corpus"] == corpus)
            & (correlations["model"] == model)
            & (correlations["emotion"] == emotion)
            & (correlations["published"] == theirs)
        ]
        told += [f"r {row.same:.2f} ({row.other:.2f})" for row in found.itertuples()]
    ax.axhline(0, color=GREY, linewidth=0.7, zorder=0)
    edges = band_edges_hz(PROFILE_BANDS) / 1000
    ax.set_xticks(
        range(0, PROFILE_BANDS, 2), [f"{edges[i]:.1f}-{edges[i + 1]:.1f}" for i in range(0, PROFILE_BANDS, 2)]
    )
    ax.tick_params(axis="x", rotation=45)
    ax.text(0.98, 0.97, "\n".join(told), transform=ax.transAxes, ha="right", va="top", fontsize=7, color=BLUE)


def emolime_robustness_of_runs(
    stores: Sequence[Store], picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """Draw `draw_emolime_robustness` of runs."""
    maps = stored_maps(stores)
    return draw_emolime_robustness(maps, _band_method(maps), picture)
