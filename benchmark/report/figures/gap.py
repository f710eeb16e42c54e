"""Scatter plot of EmoLIME's band weights, published recipe against exact, with the noise over seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context

from ....errors import InputError
from ...analysis.method_gap import pooled_slope, repeats_of
from ...run.runner import Progress
from ...stats.clustered import MIN_SPEAKERS, clustered_mean
from ...storage.store import Store
from .style import BLUE, GREY, ONE_COLUMN, PAPER, PAPER_DPI, TWO_COLUMNS, new_page, save

EXACT, AS_PUBLISHED = "emolime", ("emolime-paper-unshrunk", "emolime-paper")


def band_weights(store: Store, paper: str) -> pd.DataFrame:
    """Band weights of each clip by the exact and the published method.

    Parameters
    ----------
    store : Store
        A run.
    paper : str
        `AS_PUBLISHED` without or with its penalty.

    Returns
    -------
    DataFrame
        ``corpus``, ``model``, ``condition``, ``clip``, ``target``, ``low_hz``, ``high_hz``, the weights ``exact`` and
        ``paper`` (mean over repeats), their standard deviation ``sd`` over the ``repeats``; only clips both explain.
    """
    columns = ["corpus", "model", "condition", "clip", "target", "method", "status"]
    scores = store.scores(columns)
    rows = []
    for identity, by_method in repeats_of(store, scores[scores["method"].isin([EXACT, paper])]).items():
        if EXACT not in by_method or paper not in by_method:
            continue
        (exact,), drawn = by_method[EXACT].maps[:1], by_method[paper].maps
        weights = np.stack([map_.values[:, 0] for map_ in drawn]).astype(np.float64)
        sd = weights.std(axis=0, ddof=1) if len(drawn) > 1 else np.full(weights.shape[1], np.nan)
        edges = exact.grid.freq_edges_hz
        bands = zip(edges, edges[1:], exact.values[:, 0], weights.mean(axis=0), sd, strict=False)
        rows += [(*identity, *map(float, band), len(drawn)) for band in bands]
    return pd.DataFrame(rows, columns=[*columns[:5], "low_hz", "high_hz", "exact", "paper", "sd", "repeats"])


def emolime_gap_of_run(
    store: Store, picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """Draw `band_weights` of a run, one panel per corpus, recogniser and condition.

    Raises
    ------
    InputError
        If the run holds no clip that both methods explain.
    """
    scores = store.scores(["corpus", "model", "condition", "method", "clip", "speaker"])
    paper = next((name for name in AS_PUBLISHED if name in set(scores["method"])), AS_PUBLISHED[0])
    speakers = scores.drop_duplicates(["corpus", "clip"]).set_index(["corpus", "clip"])["speaker"].to_dict()
    table = band_weights(store, paper)
    if table.empty:
        raise InputError(
            f"figure emolime-gap: the run holds no clip explained by {EXACT} and {' or '.join(AS_PUBLISHED)}; make "
            "one with `serxai run --preset paper-emolime`."
        )
    panels = list(table.groupby(["corpus", "model", "condition"], sort=False))
    largest = 1.05 * float(np.abs(table[["exact", "paper"]].to_numpy()).max() + table["sd"].fillna(0).max())
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    width = ONE_COLUMN if columns == 1 else TWO_COLUMNS
    note = (
        "A point is a band of a clip, its bar the standard deviation over seeds (one explanation's noise); dashed: "
        f"equal weights; slope: 95 % interval, speakers as clusters (none below {MIN_SPEAKERS} speakers)."
    )
    with rc_context(PAPER):
        figure, content = new_page(
            width, 0.3 + rows * (0.75 + width / columns - 0.5), "Band weights as published and exact", note
        )
        axes = content.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        for ax, ((corpus, model, condition), part) in zip(axes, panels, strict=False):
            of_clips = list(part.groupby(["clip", "target"]))
            clips = [(c["paper"].to_numpy(), c["exact"].to_numpy()) for _, c in of_clips]
            slope, influence = pooled_slope(clips)
            low, high = clustered_mean(influence, [speakers[corpus, clip] for (clip, _), _ in of_clips]).bounds
            interval = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
            of_panel = pd.Series({"corpus": corpus, "model": model, "condition": condition})
            planned = scores[(scores[of_panel.index] == of_panel).all(axis=1)]
            counted = f"{part['clip'].nunique()} of {planned['clip'].nunique()} clips"
            ends = np.array([-largest, largest])
            ax.plot(ends, ends, color=GREY, linewidth=0.6, linestyle="--")
            ax.plot(ends, part["paper"].mean() + slope * (ends - part["exact"].mean()), color=BLUE, linewidth=0.8)
            ax.errorbar(
                part["exact"],
                part["paper"],
                part["sd"].fillna(0.0),
                fmt="o",
                markersize=2,
                elinewidth=0.6,
                color=BLUE,
                ecolor=GREY,
            )
            ax.set_title(f"{corpus}, {model}, {condition}\nslope {slope:.2f}{interval}, {counted}", loc="left")
            ax.set_xlabel(f"weight by {EXACT}")
            ax.set_xlim(*ends)
            ax.set_ylim(*ends)
            ax.set_aspect("equal")
        for ax in axes[::columns]:
            ax.set_ylabel(f"weight by {paper}")
        return save(figure, table, picture, dpi=PAPER_DPI)
