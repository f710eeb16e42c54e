"""What was run, on what, and with which reservations: texts of the HTML pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...datasets.shifts.conditions import CONDITIONS
from ..analysis.bar import ENERGY, RANDOM
from ..analysis.leaderboard import ordered
from ..stats.cluster_variance import MIN_SENTENCES, MIN_SPEAKERS, THESE_SENTENCES
from ..stats.clustered import clustered_mean
from .tables import number


def plain(value: Any) -> str:
    """Format a value as text: a dash where it is missing, numbers to three digits."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def recogniser_row(name: str, card: Mapping[str, Any]) -> list[str]:
    """Name, held-out UAR with interval, clips and speakers of a recogniser."""
    pooled = card.get("scores", {}).get("pooled", {})
    low, high = pooled.get("uar_interval") or (None, None)
    interval = "–" if low is None else f"{low:.3f} … {high:.3f}"
    return [name, plain(pooled.get("uar")), interval, plain(pooled.get("n")), plain(pooled.get("speakers"))]


def recognition(scores: pd.DataFrame) -> list[list[str]]:
    """Rows of recognition performance on the clips whose explanations are scored."""
    known = scores[scores["correct"].notna()]
    keys = ["corpus", "model", "trained_on", "seen_in_training", "condition"]
    rows = []
    for names, part in known.groupby(keys, dropna=False, sort=True):
        clips = part.drop_duplicates("clip")
        correct = clips["correct"].astype(float)
        accuracy = clustered_mean(correct.to_numpy(), clips["speaker"].to_numpy())
        uar = correct.groupby(clips["emotion"]).mean().mean()
        claim = accuracy.clusters >= MIN_SPEAKERS
        interval = f"{max(accuracy.low, 0):.3f} … {min(accuracy.high, 1):.3f}" if claim else "–"
        corpus, model, trained_on, seen, condition = map(str, names)
        rows.append(
            [
                f"{corpus}, {model} trained on {trained_on}",
                condition,
                str(accuracy.n),
                str(accuracy.clusters),
                f"{uar:.3f}",
                f"{accuracy.mean:.3f}",
                interval,
                seen,
            ]
        )
    place = {name: i for i, name in enumerate(ordered((row[1] for row in rows), CONDITIONS.names()))}
    return sorted(rows, key=lambda row: (row[0], place[row[1]]))


def origin_facts(scores: pd.DataFrame, infos: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Conditions, fills, targets and counts of the scores, and where each run was made."""
    status = scores["status"].value_counts()
    counts = ", ".join(f"{status.get(name, 0)} {name}" for name in ("ok", "failed", "skipped"))
    facts = [
        ("conditions", ", ".join(ordered(scores["condition"], CONDITIONS.names()))),
        ("fills", ", ".join(sorted(set(scores["fill"]) - {""})) or "none"),
        ("targets", ", ".join(sorted(scores["target_rule"].unique()))),
        ("scores", f"{len(scores)} planned: {counts}"),
    ]
    for info in infos:
        machine = info.get("machine", {})
        where = [machine.get("platform"), machine.get("cores") and f"{machine['cores']} cores"]
        calls = info.get("model_calls")
        what = [info.get("status"), calls is not None and f"{calls} model calls", *where]
        facts.append(("run", ", ".join(str(text) for text in what if text)))
        facts += _tuned(info.get("tuning"))
    return facts


def _tuned(tuning: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Tuned parameters of each method, chosen on clips that are not scored."""
    facts: list[tuple[str, str]] = []
    if tuning is None:
        return facts
    for method, entry in tuning["methods"].items():
        row = next(row for row in entry["candidates"] if row["parameters"] == entry["chosen"])
        chosen = ", ".join(f"{name} = {value}" for name, value in entry["chosen"].items())
        where = f"{row['clips']} of {row['planned']} clips that are not scored"
        interval = "" if row["low"] is None else f" [{number(row['low'])}, {number(row['high'])}]"
        facts.append(
            (
                f"tuned: {method}",
                f"{chosen}; best of {len(entry['candidates'])} by mean {tuning['metric']} "
                f"{number(row['mean'])}{interval} on {where}",
            )
        )
    return facts


def warnings(scores: pd.DataFrame, board: pd.DataFrame) -> Iterable[str]:
    """Sentences on what cannot be claimed."""
    few = board.groupby("corpus")["n_speakers"].max()
    for corpus, speakers in few[few < MIN_SPEAKERS].items():
        yield f"{corpus}: {speakers} speakers. Nothing is claimed about a population: no intervals, no tests."
    for seen in sorted(set(scores["seen_in_training"]) - {"no"}):
        yield f"Some recognisers may have heard the speakers they are tested on (seen in training: {seen}); set apart."
    for baseline in (RANDOM, ENERGY):
        if len(scores) and baseline not in set(scores["method"]):
            yield f"The baseline `{baseline}` was not run: no method is marked better in faithfulness and localisation."
    for corpus in sorted(board.loc[board["scope"] == THESE_SENTENCES, "corpus"].unique()):
        yield (
            f"{corpus}: intervals and tests are about these sentences (fewer than {MIN_SENTENCES} were read, or they "
            "are not known), not about others."
        )
