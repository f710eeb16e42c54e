"""Ranking tables of a leaderboard, shared by all text formats and the HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...metrics.record import MODEL_CALLS
from ...metrics.records import METRICS, is_ranked
from ...metrics.verdict import labelled
from ..analysis.bar import BAR_FAMILIES
from ..analysis.leaderboard import ALPHA, RANKING, SETTING, family_ranking
from ..analysis.references import AGAINST
from ..stats.clustered import MIN_SPEAKERS


@dataclass(frozen=True)
class Line:
    """One method's line of a ranking table.

    Attributes
    ----------
    method : str
    baseline : bool
    unsigned : bool
        Whether no map of the method holds a negative value.
    rank : int or None
        Within the family.
    cells : dict of str to Series
        Board row of each metric.
    clips : str
        Clips that a mean rests on: the fewest and, where they differ, the most over the metrics.
    coverage : float
        The lowest over the metrics, in 0..1.
    calls : float
        Mean model calls of one explanation; NaN where the run did not count them.
    """

    method: str
    baseline: bool
    unsigned: bool
    rank: int | None
    cells: dict[str, pd.Series]
    clips: str
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


def below(table: Table) -> str:
    """Notes below a table: methods that were not tested, pairs whose order changes between trainings; often empty."""
    return "; ".join(filter(None, (_mismatches(table), _changes(table))))


def _changes(table: Table) -> str:
    """Pairs of methods whose order changes between trainings of the recogniser, by metric."""
    found: dict[str, list[str]] = {}
    trainings = 0
    for line in table.lines:
        for name, row in line.cells.items():
            trainings = max(trainings, int(row["n_retrainings"]))
            others = str(row["retraining_changes"]).split("; ")
            found.setdefault(name, []).extend(f"{line.method} / {o}" for o in others if o and line.method < o)
    told = "; ".join(f"{labelled(name)}: {', '.join(sorted(pairs))}" for name, pairs in found.items() if pairs)
    return f"{CHANGED} order changes between {trainings} trainings of the recogniser: {told}" if told else ""


def _mismatches(table: Table) -> str:
    found = {
        line.method: str(row[AGAINST]) for line in table.lines for row in line.cells.values() if bool(row["mismatch"])
    }
    told = "; ".join(f"{method} against {against}" for method, against in found.items())
    return f"{MISMATCH} not tested, explained {told}" if found else ""


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
                    unsigned=bool((rows["signed"] == "no").all()),
                    rank=None if pd.isna(ranked["rank"]) else int(ranked["rank"]),
                    cells={row["metric"]: row for _, row in rows.iterrows()},
                    clips=_span(rows["n_clips"]),
                    coverage=float(rows["coverage"].min()),
                    calls=float(calls.get((*setting.values(), condition, method), np.nan)),
                )
            )
        lines.sort(key=lambda line: (line.rank is None, line.rank or 0, line.method))
        metrics = dict(zip(part["metric"], part["direction"], strict=True))
        yield Table(setting, condition, fill, family, metrics, lines)


def tests_note(board: pd.DataFrame) -> str:
    """Over how many tests p of the bar is corrected, by family; empty on a board without tests."""
    known = board[board["n_tests"].notna()]
    counts = known.groupby("family", sort=False)["n_tests"].first()
    if counts.empty:
        return ""
    told = ", ".join(f"{n} tests of {family}" for family, n in counts.items())
    return (
        f"p of the bar, which decides the marks, is corrected by Holm over the board's {told}; p in its setting over "
        "the methods of one corpus, recogniser, condition, fill and metric alone, which decides nothing."
    )


def _span(counts: pd.Series) -> str:
    least, most = int(counts.min()), int(counts.max())
    return str(least) if least == most else f"{least}–{most}"


def additivity_notes(board: pd.DataFrame, setting: Mapping[str, str]) -> list[str]:
    """Lines on how much of the recogniser's response weights of single bands can say, one per condition and fill.

    The metric `additivity` is the same for all methods that scored every mask of the same bands; the row with the most
    clips is told.

    Parameters
    ----------
    board : DataFrame
    setting : dict of str to str
        Values of some columns of `SETTING`.
    """
    rows = board[(board["metric"] == ADDITIVITY) & board["mean"].notna() & ~board["mismatch"].astype(bool)]
    for column, value in setting.items():
        rows = rows[rows[column] == value]
    notes = []
    for (condition, fill), part in rows.groupby(["condition", "fill"], sort=False):
        row = part.sort_values("n_clips", kind="stable").iloc[-1]
        interval = "" if pd.isna(row["low"]) else f" [{number(row['low'])}, {number(row['high'])}]"
        where = f"fill {fill}" + (f", {condition}" if condition != "clean" else "")
        notes.append(
            f"Additivity of the recogniser ({where}, {row['n_clips']} clips): {number(row['mean'])}{interval} of the "
            "variance under removal of bands is that of single bands; the rest is interaction, which no weight of a "
            "band can show"
        )
    return notes


def calls_metrics() -> list[str]:
    """Metrics that count model calls, by the unit of their records."""
    return [record.name for record in METRICS if record.unit == MODEL_CALLS]


def number(value: float) -> str:
    """Format a score with about three digits, a dash where it is missing."""
    if pd.isna(value):
        return "–"
    size = abs(value)
    return f"{value:.2f}" if size < 9.995 else f"{value:.1f}" if size < 99.95 else f"{value:.0f}"


def flags(row: pd.Series) -> str:
    """Signs of a score: ! misses, ≠ another reference than the fill of the score, ⇅ order depends on the training."""
    return "!" * bool(row["n_misses"]) + MISMATCH * bool(row["mismatch"]) + CHANGED * bool(row["retraining_changes"])


def mark(row: pd.Series) -> str:
    """Significance mark: ▲ the method passes its family's bar, ▼ it is worse than random, else empty.

    A method with misses has none, nor has one explained against another fill, nor any in a metric that only describes.
    In families without a bar, ▲ means better than random.
    """
    if row["n_misses"] or row["mismatch"] or not is_ranked(row["metric"]):
        return ""
    better = row["passes_bar"] if row["family"] in BAR_FAMILIES else row["beats_random"]
    if better == "yes":
        return "▲"
    worse = pd.notna(row["p_holm"]) and row["p_holm"] < ALPHA and row["difference"] < 0
    return "▼" if worse else ""


ADDITIVITY, RECOGNISER = "additivity", "recogniser"  # the metric that boards tell in a line, and its family
MISMATCH = "≠"
CHANGED = "⇅"
UNSIGNED = "⁺"  # behind the name of a method
MISMATCH_RULE = f"{MISMATCH} explained against another fill than that of the score: neither letter, test nor mark"
CHANGED_RULE = f"{CHANGED} its order to another method is not the same on all trainings of the recogniser"
UNSIGNED_RULE = f"{UNSIGNED} unsigned: maps of the method hold no negative value, so nothing speaks against the class"
ARROWS = {"higher": "↑", "lower": "↓"}
BAR_RULE = (
    "▲ better: in faithfulness and localisation than random and than energy (the larger p of the two), in sanity than "
    "the score stated in the metric's record, in plausibility than each rule without the recogniser (random, energy, "
    "loud-quiet), all Holm-corrected over the marks of the family, elsewhere than random "
    "(Holm-corrected over methods); ▼ worse than random; all at 5 %"
)
MARKS = (
    f"* baseline; ± 95 % interval, speakers and, where known, sentences as clusters; {BAR_RULE}; no interval and no "
    f"mark below {MIN_SPEAKERS} speakers; ! has misses, which count as the worst score, and no mark; "
    f"{MISMATCH_RULE}; {CHANGED_RULE}; {UNSIGNED_RULE}; – no score"
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
