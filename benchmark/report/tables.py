"""Ranking tables of a leaderboard, shared by all text formats and the HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...metrics.record import MODEL_CALLS
from ...metrics.records import METRICS
from ..analysis.leaderboard import ALPHA, RANKING, SETTING, family_ranking
from ..stats.clustered import MIN_SPEAKERS


@dataclass(frozen=True)
class Line:
    """One method's line of a ranking table.

    Attributes
    ----------
    method : str
    baseline : bool
    rank : int or None
        Within the family.
    cells : dict of str to Series
        Board row of each metric.
    coverage : float
        The lowest over the metrics, in 0..1.
    calls : float
        Mean model calls of one explanation; NaN where the run did not count them.
    """

    method: str
    baseline: bool
    rank: int | None
    cells: dict[str, pd.Series]
    coverage: float
    calls: float


@dataclass(frozen=True)
class Table:
    """Ranking table of one family: metrics as columns, methods as lines, best first."""

    setting: dict[str, str]
    condition: str
    fill: str
    family: str
    metrics: dict[str, str]
    lines: list[Line]

    @property
    def title(self) -> str:
        """Title without the setting."""
        return f"{self.family}, {self.condition}" + (f", fill {self.fill}" if self.fill else "")


def tables(board: pd.DataFrame) -> Iterator[Table]:
    """Ranking tables of a board, one per setting, condition, fill and family."""
    ranking = {tuple(row[[*RANKING, "method"]]): row for _, row in family_ranking(board).iterrows()}
    calls = board[board["metric"].isin(calls_metrics())].set_index([*SETTING, "condition", "method"])["mean"].to_dict()
    for names, part in board.groupby(RANKING, dropna=False, sort=False):
        setting = dict(zip(SETTING, names[: len(SETTING)], strict=True))
        condition, fill, family = names[len(SETTING) :]
        lines = []
        for method, rows in part.groupby("method", sort=True):
            ranked = ranking[(*names, method)]
            lines.append(
                Line(
                    method=str(method),
                    baseline=bool(ranked["baseline"]),
                    rank=None if pd.isna(ranked["rank"]) else int(ranked["rank"]),
                    cells={row["metric"]: row for _, row in rows.iterrows()},
                    coverage=float(rows["coverage"].min()),
                    calls=float(calls.get((*setting.values(), condition, method), np.nan)),
                )
            )
        lines.sort(key=lambda line: (line.rank is None, line.rank or 0, line.method))
        metrics = dict(zip(part["metric"], part["direction"], strict=True))
        yield Table(setting, condition, fill, family, metrics, lines)


def calls_metrics() -> list[str]:
    """Metrics that count model calls, by the unit of their records."""
    return [record.name for record in METRICS if record.unit == MODEL_CALLS]


def number(value: float) -> str:
    """Format a score with about three digits, a dash where it is missing."""
    if pd.isna(value):
        return "–"
    size = abs(value)
    return f"{value:.2f}" if size < 9.995 else f"{value:.1f}" if size < 99.95 else f"{value:.0f}"


def mark(row: pd.Series) -> str:
    """Significance mark: ▲ better than random, ▼ worse, else empty."""
    if pd.isna(row["p_holm"]) or row["p_holm"] >= ALPHA:
        return ""
    return "▲" if row["difference"] > 0 else "▼"


ARROWS = {"higher": "↑", "lower": "↓"}
MARKS = (
    "* baseline; ± 95 % interval, speakers as clusters; ▲ better, ▼ worse than random (CR2 test against random, "
    f"Holm-corrected, 5 %); no interval and no mark below {MIN_SPEAKERS} speakers; – no score"
)


def setting_title(setting: dict[str, str]) -> str:
    """Title of a setting: corpus, model, training corpus, and whatever is not the default."""
    text = f"{setting['corpus']}, {setting['model']} trained on {setting['trained_on']}"
    if setting["seen_in_training"] != "no":
        text += f" (speakers seen in training: {setting['seen_in_training']})"
    if setting["space"] != "audio":
        text += f", in the space of {setting['space']}"
    rule = setting.get("target_rule")
    return text if rule is None else text + f"; target: {rule}"
