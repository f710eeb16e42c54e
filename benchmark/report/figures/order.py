"""Critical-difference diagram: average ranks of methods over the cells of a board (Demsar 2006, JMLR 7)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.ticker import MaxNLocator

from ....errors import InputError
from ....methods.record import PREFIX
from ....methods.records import baselines
from ....metrics.records import METRICS, is_ranked
from ...analysis.abstention import completed
from ...analysis.external_ranks import won_by_knowing
from ...analysis.leaderboard import unique_scores
from ...analysis.pairs import order_over_cells
from ...stats.clustered import Cell, cells
from ...storage.store import Store
from .style import BLUE, FAINT, GREY, INK, PAPER, PAPER_DPI, SMALL, TWO_COLUMNS, new_page, save

if TYPE_CHECKING:
    from ...run.runner import Progress


def orders(scores: pd.DataFrame) -> pd.DataFrame:
    """Average ranks of methods in each family, over the cells of its core metrics (of all, where it has none).

    Parameters
    ----------
    scores : DataFrame
        Score rows.

    Returns
    -------
    DataFrame
        ``family``, ``method``, ``average_rank``, ``n_cells`` (of ``n_planned``), ``n_methods``,
        ``critical_difference``, ``chi2``, ``p``: only families with 2 cells or more, methods with a score in all of
        them, best first. Misses count as the worst score (`analysis.abstention`). Maps made elsewhere are left out of
        metrics that knowing the clip can win (`analysis.external_ranks`).
    """
    return orders_of(found.shared().cell for found in completed(cells(unique_scores(scores))))


def orders_of(laid_out: Iterable[Cell]) -> pd.DataFrame:
    """`orders` for cells that are laid out already, with misses filled in and shared clips alone."""
    laid_out = [_own_methods(cell) for cell in laid_out if is_ranked(cell.names["metric"])]
    rows = []
    for family in dict.fromkeys(cell.names["family"] for cell in laid_out):
        of_family = [cell for cell in laid_out if cell.names["family"] == family]
        core = [c for c in of_family if c.names["metric"] in METRICS and METRICS.get(c.names["metric"]).core]
        chosen = core or of_family
        order, methods = order_over_cells(chosen)
        if order is None:
            continue
        facts = {
            "n_cells": order.n_cells, "n_planned": len(chosen), "n_methods": len(methods),
            "critical_difference": order.critical_difference, "chi2": order.chi2, "p": order.p,
        }  # fmt: skip
        for rank, method in sorted(zip(order.ranks.tolist(), methods, strict=True)):
            rows.append({"family": family, "method": method, "average_rank": rank} | facts)
    return pd.DataFrame(rows)


def _own_methods(cell: Cell) -> Cell:
    """A cell without maps made elsewhere, where its metric can be won by knowing the clip."""
    outside = [name for name in cell.table.columns if str(name).startswith(PREFIX)]
    if not outside or not won_by_knowing(cell.names["metric"]):
        return cell
    rows = cell.rows[~cell.rows["method"].astype(str).isin(outside)]
    return cell._replace(rows=rows, table=cell.table.drop(columns=outside))


def critical_difference(table: pd.DataFrame, picture: str | Path) -> Path:
    """Draw `orders`: one panel a family; a bar joins methods whose average ranks differ by less than the critical one.

    Raises
    ------
    InputError
        If no family has two cells with the same methods.
    """
    if table.empty:
        raise InputError(
            "figure critical-difference: needs two or more cells (metrics, conditions, fills, models or corpora) of "
            "one family in which the same two or more methods have scores; run more of them."
        )
    panels = list(table.groupby("family", sort=False))
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    tallest = [max(len(part) for _, part in panels[columns * k : columns * (k + 1)]) for k in range(rows)]
    note = (
        "Grey bars join each method to the last whose average rank is within the critical difference (Nemenyi, 5 %). "
        "Grey points, *: baselines. Cells share clips and models: this describes how consistent the order is, it "
        "tests nothing."
    )
    with rc_context(PAPER):
        heights = [0.75 + 0.165 * n for n in tallest]
        figure, content = new_page(TWO_COLUMNS, 0.3 + sum(heights), "Average ranks of methods over cells", note)
        axes = content.subplots(rows, columns, squeeze=False, height_ratios=heights).ravel()
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        for ax, (family, part) in zip(axes, panels, strict=False):
            ranks, names = part["average_rank"].to_numpy(), part["method"].tolist()
            critical = float(part["critical_difference"].iloc[0])
            places = np.arange(len(part))
            colours = [GREY if name in baselines() else BLUE for name in names]
            ax.scatter(ranks, places, color=colours, s=14, zorder=3)
            for place, reach in enumerate(joined(ranks, critical)):
                if reach > place:
                    ax.plot([ranks[place], ranks[place]], [place, reach], color=GREY, linewidth=1.8, alpha=0.6)
            ax.plot([1, 1 + critical], [-1, -1], color=INK, linewidth=1.2, marker="|")
            ax.text(1, -1.25, f"critical difference {critical:.2f}", va="bottom", fontsize=SMALL, color=INK)
            ax.set_yticks(places, [f"{name} *" if name in baselines() else name for name in names])
            ax.set_ylim(len(part) - 0.5, -2.6)
            ax.set_xlim(0.8, max(len(part), 1 + critical) + 0.2)
            ax.xaxis.set_major_locator(MaxNLocator(7, integer=True))
            ax.set_xlabel("average rank, 1 the best")
            ax.set_title(f"{family}, {part['n_cells'].iloc[0]} cells", loc="left", fontweight="bold")
            ax.grid(axis="x", color=FAINT, linewidth=0.6)
            ax.set_axisbelow(True)
            ax.tick_params(axis="y", length=0)
        return save(figure, table, picture, dpi=PAPER_DPI)


def joined(ranks: np.ndarray, critical: float) -> list[int]:
    """Index of the last method within the critical difference of each, for average ranks in ascending order.

    Examples
    --------
    >>> joined(np.array([1.0, 1.5, 3.0]), 1.0)
    [1, 1, 2]
    """
    return [int(np.flatnonzero(ranks <= rank + critical)[-1]) for rank in ranks]


def critical_difference_of_run(
    store: Store, picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """Draw `critical_difference` of a run's scores."""
    return critical_difference(orders(store.scores()), picture)
