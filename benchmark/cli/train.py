"""``serxai train``: training of fold models, with held-out scores and confusion matrix."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import Any

from rich.table import Table

from ...datasets.corpora import load_corpus
from ...datasets.schemes import kept_first, read_scheme
from ...models.card import REFIT
from ...models.training import train_fold_models
from ..report.catalogue import confusion
from ..report.leaks import leak_notes
from ..run.execution import default_workers
from .console import Bars, Console


def run(arguments: Namespace) -> int:
    """Train fold models, write them, and print UAR and accuracy on held-out speakers."""
    with Bars() as bars:
        corpus = load_corpus(arguments.corpus, arguments.data_root, partial(bars, f"rendering {arguments.corpus}"))
        kept, *others = (
            scheme if isinstance(scheme, int) else read_scheme(scheme, corpus, arguments.folds_root)
            for scheme in kept_first(arguments.folds)
        )
        models = train_fold_models(
            arguments.model,
            corpus,
            arguments.out,
            folds=kept,
            others=others,
            seed=arguments.seed,
            emotions=arguments.emotion or None,
            dimensions=arguments.dimension,
            width=arguments.width,
            options={"layer": _layer(arguments.layer), "pooling": arguments.pooling},
            workers=arguments.workers or default_workers(),
            progress=partial(bars, f"training {arguments.model} on {corpus.name}"),
        )
    scores = models.info["scores"]
    console = Console()
    measures = _measures(models.info)
    table = Table("fold", "held-out speakers", "clips", *measures, box=None, header_style="bold")
    for fold, held_out in models.folds.speakers.items():
        spoken = " ".join(held_out) or "none: speakers are shared"
        table.add_row(fold, spoken, *_numbers(scores["folds"][fold]))
    table.add_row("all", f"{scores['pooled']['speakers']} speakers", *_numbers(scores["pooled"]), style="bold")
    console.print(table)
    if "layers" in scores:
        console.print(_layers(scores["layers"], models.info["front_end"]))
    if "schemes" in scores:
        console.print(_schemes(scores["schemes"], measures))
    for note in leak_notes({arguments.model: models.info}):
        console.print(note, soft_wrap=True)
    told = f"model: {models.folder} (its folds, and a refit on all speakers)"
    if "confusion" in scores:
        picture = confusion(scores["confusion"], models.info["classes"], models.folder / "confusion.png")
        told += f"\nconfusion matrix: {picture}"
    console.print(told, highlight=False, soft_wrap=True)
    return 0


def _measures(info: dict[str, Any]) -> list[str]:
    """Titles of what `_numbers` gives after the clips."""
    return [f"CCC {name}" for name in info["classes"]] if info.get("regression") else ["UAR", "accuracy"]


def _layer(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdecimal() else text


def _layers(validated: dict[str, list[dict[str, Any]]], front_end: dict[str, Any]) -> Table:
    """Hidden states of a backbone: UAR validated on all speakers and the folds that chose it, or weight in the sum."""
    rows, chosen = validated[REFIT], front_end.get("layers", {})
    if "weight" in rows[0]:
        table = Table("hidden state", "weight of the refit", "weights of the folds", box=None, header_style="bold")
        for row in rows:
            others = [each[row["layer"]]["weight"] for fold, each in validated.items() if fold != REFIT]
            table.add_row(str(row["layer"]), f"{row['weight']:.3f}", f"{min(others):.3f} to {max(others):.3f}")
        return table
    table = Table("hidden state", "UAR, validated", "in the training parts", "chosen by", box=None, header_style="bold")
    for row in rows:
        layer = row["layer"]
        inside = [each[layer]["uar"] for fold, each in validated.items() if fold != REFIT]
        table.add_row(
            str(layer),
            _with_interval(row, "uar"),
            f"{min(inside):.3f} to {max(inside):.3f}",
            " ".join(fold for fold, one in chosen.items() if one == layer),
        )
    return table


def _schemes(rows: list[dict[str, Any]], measures: list[str]) -> Table:
    """Scores of each division into folds, side by side."""
    table = Table(box=None, header_style="bold")
    for column in ("scheme", "folds", "shared speakers", "clips", *measures):
        table.add_column(column, no_wrap=True)
    for row in rows:
        name = row["scheme"] + (" (kept)" if row["kept"] else "")
        shared = f"{row['shared_speakers']} of {row['speakers']}"
        table.add_row(name, str(row["folds"]), shared, *_numbers(row))
    return table


def _numbers(score: dict[str, Any]) -> tuple[str, ...]:
    if "ccc" in score:
        intervals = score.get("ccc_interval", {})
        return str(score["n"]), *(_told(value, intervals.get(name)) for name, value in score["ccc"].items())
    return str(score["n"]), _with_interval(score, "uar"), _with_interval(score, "accuracy")


def _with_interval(score: dict[str, Any], name: str) -> str:
    return _told(score[name], score.get(f"{name}_interval"))  # a single fold has too few speakers for one


def _told(value: float, interval: list[float] | None) -> str:
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
