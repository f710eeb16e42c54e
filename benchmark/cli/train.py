"""``serxai train``: training of fold models, with held-out scores and confusion matrix."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import Any

from rich.table import Table

from ...datasets.corpora import load_corpus
from ...models.checkpoint import REFIT
from ...models.training import train_fold_models
from ..report.catalogue import confusion
from ..run.execution import default_workers
from .console import Bars, Console


def run(arguments: Namespace) -> int:
    """Train fold models, write them, and print UAR and accuracy on held-out speakers."""
    with Bars() as bars:
        corpus = load_corpus(arguments.corpus, arguments.data_root, partial(bars, f"rendering {arguments.corpus}"))
        models = train_fold_models(
            arguments.model,
            corpus,
            arguments.out,
            folds=arguments.folds or 5,
            seed=arguments.seed,
            emotions=arguments.emotion or None,
            width=arguments.width,
            options={"layer": _layer(arguments.layer), "pooling": arguments.pooling},
            workers=arguments.workers or default_workers(),
            progress=partial(bars, f"training {arguments.model} on {corpus.name}"),
        )
    scores = models.info["scores"]
    picture = confusion(scores["confusion"], models.info["classes"], models.folder / "confusion.png")
    console = Console()
    table = Table("fold", "held-out speakers", "clips", "UAR", "accuracy", box=None, header_style="bold")
    for fold, held_out in models.folds.speakers.items():
        table.add_row(fold, " ".join(held_out), *_numbers(scores["folds"][fold]))
    table.add_row("all", f"{scores['pooled']['speakers']} speakers", *_numbers(scores["pooled"]), style="bold")
    console.print(table)
    if "layers" in scores:
        console.print(_layers(scores["layers"], models.info["front_end"]))
    console.print(
        f"model: {models.folder} (its folds, and a refit on all speakers)\nconfusion matrix: {picture}",
        highlight=False,
        soft_wrap=True,
    )
    return 0


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


def _numbers(score: dict[str, Any]) -> tuple[str, str, str]:
    return str(score["n"]), _with_interval(score, "uar"), _with_interval(score, "accuracy")


def _with_interval(score: dict[str, Any], name: str) -> str:
    interval = score.get(f"{name}_interval")  # a single fold has too few speakers for one
    return f"{score[name]:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
