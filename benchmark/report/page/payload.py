"""What the start view shows, as plain data: settings, the board's rows, records, orders, failures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ....datasets.shifts.conditions import CONDITIONS, CURVES
from ....methods.records import METHODS, baselines
from ....metrics.record import FAMILIES
from ....metrics.records import METRICS
from ....metrics.verdict import board_grade, labelled, mark_meaning
from ...analysis.abstention import CompletedCell
from ...analysis.group_views import views_of
from ...analysis.leaderboard import RANKING, family_ranking, ordered
from ...analysis.shown_names import plain_name
from ...stats.clustered import Cell
from ..figures.order import joined, orders_of
from ..tables import mark
from .encode import rounded, table

CROSSED = "emotion and sex"  # view of both
PLACE = ["corpus", "model", "trained_on", "seen_in_training"]  # what stands for a setting of the page
MEASURE = ["metric", "space", "target_rule", "condition", "fill"]
BOARD = [
    "method", *MEASURE, "family", "rank", "family_rank", "mean", "low", "high", "mark", "group", "n_clips", "n_ok",
    "n_failed", "n_skipped", "n_planned", "n_misses", "coverage", "n_speakers", "n_sentences", "scope", "difference",
    "difference_low", "difference_high", "difference_clips", "p_holm", "effect", "superiority", "beats_random",
    "diff_energy", "diff_energy_low", "diff_energy_high", "p_bar", "p_setting", "passes_bar", "n_models", "models_low",
    "models_high", "n_fills", "fill_low", "fill_high", "model_calls", "mismatch", "explained_against", "note",
]  # fmt: skip
GROUPS = [
    "method", *MEASURE, "view", "group", "mean", "low", "high", "n_clips", "n_planned", "coverage", "n_misses", "gap",
    "gap_low", "gap_high",
]  # fmt: skip


class Setting(NamedTuple):
    """One recogniser on one corpus.

    Attributes
    ----------
    corpus, model, trained_on, seen_in_training : str
    """

    corpus: str
    model: str
    trained_on: str
    seen_in_training: str

    @property
    def recogniser(self) -> str:
        """The recogniser in words."""
        text = f"{self.model} trained on {self.trained_on}" if self.trained_on else self.model
        heard = "" if self.seen_in_training == "no" else f" (speakers seen in training: {self.seen_in_training})"
        return text + heard

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows of this setting."""
        chosen = np.ones(len(rows), dtype=bool)
        for name, value in zip(PLACE, self, strict=True):
            chosen &= rows[name].astype(str).to_numpy() == value
        return rows[chosen]


def settings_of(board: pd.DataFrame) -> list[Setting]:
    """Settings of a board, in its order."""
    places = board[PLACE].astype(str).drop_duplicates()
    return [Setting(*row) for row in places.itertuples(index=False, name=None)]


def with_ranks(board: pd.DataFrame) -> pd.DataFrame:
    """A board with the rank of each method within its family and with its mark."""
    ranking = family_ranking(board)[[*RANKING, "method", "rank"]].rename(columns={"rank": "family_rank"})
    out = board.merge(ranking, on=[*RANKING, "method"], how="left")
    marks = [mark(row) for _, row in board.iterrows()]
    return out.assign(mark=pd.Series(marks, index=out.index, dtype=object))


def board_tables(board: pd.DataFrame, settings: Sequence[Setting], more: pd.DataFrame) -> list[dict[str, Any]]:
    """The board's rows of each setting, and `more` ones with the same columns, as `encode.table`."""
    ranked = with_ranks(board)
    if len(more):
        every = pd.concat([ranked.astype(object), more.astype(object)], ignore_index=True)
        for name in ranked.columns[[pd.api.types.is_numeric_dtype(kind) for kind in ranked.dtypes]]:
            every[name] = every[name].where(every[name].notna(), np.nan).astype(float)
        ranked = every
    return [table(setting.of(ranked), BOARD) for setting in settings]


def group_tables(views: pd.DataFrame, settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Rows of `analysis.group_views.group_views` of each setting, as `encode.table`."""
    return [table(setting.of(views), GROUPS) for setting in settings]


def bar_tests(board: pd.DataFrame) -> list[tuple[str, int]]:
    """How many tests of the bar each family has, over which their p are corrected."""
    return [(str(family), int(part.notna().sum())) for family, part in board.groupby("family")["p_bar"]]


def crossed_views(scores: pd.DataFrame, found: Sequence[CompletedCell]) -> pd.DataFrame:
    """`group_views` of emotions and sexes together, such as "anger, female"; without rows where either is unknown."""
    if "sex" not in scores:
        return pd.DataFrame()
    sexes = set(scores["sex"].fillna("").astype(str))
    return views_of(found, CROSSED) if len(sexes) > 1 else pd.DataFrame()


def setting_facts(scores: pd.DataFrame, settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Names and counts of each setting; accuracy is that on the clips explained, as recorded."""
    facts = []
    for setting in settings:
        rows = setting.of(scores)
        plain = rows[rows["condition"] == "clean"] if (rows["condition"] == "clean").any() else rows
        clips = plain[plain["correct"].notna()].drop_duplicates("clip")
        correct = clips["correct"].astype(float)
        facts.append(
            {
                **dict(zip(PLACE, setting, strict=True)),
                "recogniser": setting.recogniser,
                "clips": int(rows["clip"].nunique()),
                "speakers": int(rows["speaker"].nunique()),
                "uar": rounded(correct.groupby(clips["emotion"].astype(str)).mean().mean()),
            }
        )
    return facts


def records(board: pd.DataFrame, infos: Sequence[Mapping[str, Any]], conditions: Iterable[str] = ()) -> dict[str, Any]:
    """What headings and dialogs explain: metrics, methods, conditions (those given too), corpora, with sources."""
    shifts = [*board["condition"].astype(str), *conditions]
    corpora = {name: facts for info in infos for name, facts in info.get("corpora", {}).items()}
    return {
        "metrics": [_metric(name, board) for name in ordered(board["metric"], METRICS.names())],
        "methods": [_method(name) for name in ordered(board["method"], METHODS.names())],
        "conditions": [_condition(name) for name in ordered(shifts, CONDITIONS.names())],
        "families": [name for name in FAMILIES if name in set(board["family"])]
        + sorted(set(board["family"]) - set(FAMILIES)),
        "corpora": [
            {"name": name, **{k: str(facts.get(k, "")) for k in ("version", "licence", "citation")}}
            for name, facts in corpora.items()
        ],
    }


def _metric(name: str, board: pd.DataFrame) -> dict[str, Any]:
    row = board[board["metric"] == name].iloc[0]
    facts: dict[str, Any] = {
        "name": name, "label": labelled(name), "family": str(row["family"]), "direction": str(row["direction"]),
        "grade": board_grade(name), "verdict": mark_meaning(name), "ranked": True, "core": True, "headline": False,
    }  # fmt: skip
    if name not in METRICS:
        return facts
    record = METRICS.get(name)
    texts = {key: str(getattr(record, key)) for key in ("summary", "citation", "version", "unit", "scale", "cost")}
    values = {key: rounded(getattr(record, key)) for key in ("perfect", "random")}
    flags = {key: bool(getattr(record, key)) for key in ("ranked", "core", "headline")}
    return facts | texts | values | flags | {"described": record.described}


def _method(name: str) -> dict[str, Any]:
    plain = plain_name(name)
    if plain not in METHODS:
        return {"name": name, "family": "", "baseline": False, "signed": True}
    record = METHODS.get(plain)
    texts = {key: str(getattr(record, key)) for key in ("family", "summary", "citation", "version", "cost", "needs")}
    return {
        "name": name, **texts, "resolution": record.resolution, "baseline": name in baselines(),
        "signed": record.signed,
    }  # fmt: skip


def _condition(name: str) -> dict[str, Any]:
    if name not in CONDITIONS:
        return {"name": name, "kind": "", "summary": ""}
    record = CONDITIONS.get(name)
    curve = next((curve for curve, members in CURVES.items() if name in members), "")
    return {
        "name": name, "kind": curve, "summary": record.summary,
        "strength": rounded(record.strength), "unit": record.unit,
    }  # fmt: skip


def order_diagrams(found: Sequence[CompletedCell], settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Average ranks with the critical difference of each family, over all settings and in each.

    Returns
    -------
    list of dict
        ``setting`` (its number, -1 for all together), ``family``, ``cells``, ``critical``, ``methods`` with
        ``ranks``, best first, and ``joined``: number of the last method that each cannot be told apart from.
    """
    cells = [each.shared().cell for each in found]
    places = [tuple(str(cell.names[name]) for name in PLACE) for cell in cells]
    parts = [
        (i, [cell for cell, place in zip(cells, places, strict=True) if place == tuple(setting)])
        for i, setting in enumerate(settings)
    ]
    if len(settings) > 1:
        parts.insert(0, (-1, cells))
    return [diagram for number, part in parts for diagram in _orders(number, part)]


def _orders(number: int, cells: Iterable[Cell]) -> Iterable[dict[str, Any]]:
    found = orders_of(cells)
    for family, part in found.groupby("family", sort=False) if len(found) else ():
        ranks, critical = part["average_rank"].to_numpy(), float(part["critical_difference"].iloc[0])
        yield {
            "setting": number, "family": str(family), "cells": int(part["n_cells"].iloc[0]),
            "critical": rounded(critical), "methods": part["method"].astype(str).tolist(),
            "ranks": [rounded(rank) for rank in ranks], "joined": joined(ranks, critical),
        }  # fmt: skip


def absent_families(board: pd.DataFrame, settings: Sequence[Setting]) -> list[str]:
    """Sentences on families of the start view in which nothing was scored: why, and for which settings."""
    where: dict[tuple[str, str], list[str]] = {}
    for family in ("faithfulness", "robustness", "plausibility", "localisation"):
        for setting in settings:
            part = setting.of(board)
            part = part[part["family"] == family]
            if part["mean"].notna().any():
                continue
            why = "no metric of the family was run"
            if len(part):
                reasons = list(dict.fromkeys(str(note) for note in part["note"] if note))
                why = "; ".join(reasons[:2]) or "no score"
            where.setdefault((family, why), []).append(f"{setting.corpus}, {setting.recogniser}")
    return [
        f"{family}: {why}." if len(names) == len(settings) else f"{family}: {why}: {'; '.join(names)}."
        for (family, why), names in where.items()
    ]
