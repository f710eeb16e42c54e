"""Picture of the board: how far each method is from `energy`, by corpus and recogniser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context

from ...analysis.bar import ENERGY, RANDOM
from ...analysis.shown_names import recogniser_title
from .style import BLUE, FAINT, GREY, INK, PAPER, SMALL, TWO_COLUMNS, new_page, save

METRIC = "abpc"
PER_ROW = 4
COLUMNS = ["corpus", "model", "trained_on", "metric", "fill", "method", "diff_energy", "diff_energy_low",
           "diff_energy_high", "p_bar", "n_tests", "passes_bar", "n_clips", "n_speakers"]  # fmt: skip


def draw_margins(
    board: pd.DataFrame, picture: str | Path, metric: str = METRIC, settings: pd.DataFrame | None = None
) -> Path | None:
    """Draw the difference of each method to `energy` in one metric, a panel for each corpus and recogniser.

    Parameters
    ----------
    board : DataFrame
        Columns `COLUMNS` (`analysis.leaderboard`), recorded clips. Of several fills the first is drawn.
    picture : path
    metric : str
    settings : DataFrame, optional
        Columns ``corpus``, ``model`` and ``trained_on`` of all that was run; those not drawn are named. Default those
        of `board`.

    Returns
    -------
    Path or None
        None where no recogniser has the metric with `energy` beside another method.
    """
    rows = board[(board["metric"] == metric) & ~board["method"].isin([ENERGY, RANDOM]) & board["diff_energy"].notna()]
    setting = ["corpus", "model", "trained_on"]
    first = rows.groupby(setting, sort=False)["fill"].transform("first") if len(rows) else rows["fill"]
    rows = rows.loc[rows["fill"] == first, COLUMNS].reset_index(drop=True)
    if rows.empty:
        return None
    order = rows.groupby("method")["diff_energy"].mean().sort_values().index.tolist()
    panels = list(rows.groupby(setting, sort=False))
    drawn = {names for names, _ in panels}
    everything = board if settings is None else settings
    places = everything[setting].astype(str).drop_duplicates().itertuples(index=False, name=None)
    missing = [f"{c} {recogniser_title(m, t, c)}" for c, m, t in places if (c, m, t) not in drawn]
    tests = rows["n_tests"].max()
    over = "the family" if pd.isna(tests) else f"the {int(tests)} tests of the family on this board"
    note = (
        "Mean over clips with 95 % interval of one test (speakers and sentences as clusters; none below 6 speakers), "
        "clips as recorded, the recogniser's first fill; right of 0: more faithful than a map that only says where the "
        f"sound is loud. Filled: passes the bar, better than random and than energy by p corrected over {over} (Holm). "
        "A larger difference may be open where speakers disagree more about it: p decides, not the mean."
    )
    if missing:
        note += f" Not drawn, {metric} was not scored beside energy: {'; '.join(missing)}."
    across = min(PER_ROW, len(panels))
    down = -(-len(panels) // across)
    with rc_context(PAPER):
        figure, content = new_page(
            TWO_COLUMNS, down * (0.55 + 0.13 * len(order)) + 0.35, f"{metric}: difference to `energy`", note,
        )  # fmt: skip
        axes = content.subplots(down, across, sharey=True, squeeze=False)
        for ax in axes.flat[len(panels) :]:
            ax.set_visible(False)
        for ax, ((corpus, model, trained_on), part) in zip(axes.flat, panels, strict=False):
            by_method = part.set_index("method")
            for y, method in enumerate(order):
                if method not in by_method.index:
                    continue
                row = by_method.loc[method]
                passes = row["passes_bar"] == "yes"
                colour = BLUE if passes else GREY
                low, high = row["diff_energy_low"], row["diff_energy_high"]
                if np.isfinite(low) and np.isfinite(high):
                    ax.plot([low, high], [y, y], color=colour, linewidth=0.9)
                ax.plot(row["diff_energy"], y, "o", color=colour, markerfacecolor=colour if passes else "white")
            ax.axvline(0, color=INK, linewidth=0.6)
            ax.grid(axis="y", color=FAINT, linewidth=0.5)
            ax.set_yticks(range(len(order)), order, fontsize=SMALL)
            counts = f"{int(part['n_clips'].max())} clips, {int(part['n_speakers'].max())} speakers"
            named = recogniser_title(str(model), str(trained_on), str(corpus))
            ax.set_title(f"{corpus}\n{named}\n{counts}", loc="left", fontsize=SMALL)
        return save(figure, rows, picture, kinds=("png",), dpi=200)
