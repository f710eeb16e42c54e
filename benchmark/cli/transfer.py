"""``serxai transfer``: recall for every pair of training and test corpus, as table and heat map."""

from __future__ import annotations

import json
from argparse import Namespace
from functools import partial
from typing import Any

from rich.table import Table

from ...datasets.corpora import load_corpus
from ...models.obtain import obtain_models
from ...models.transfer import transfer_row
from ..report.catalogue import transfer as draw
from ..storage.files import write_atomically, writing
from .console import Bars, Console


def run(arguments: Namespace) -> int:
    """Train where needed, test every pair of corpora, write numbers and heat map, print the table."""
    names = list(dict.fromkeys(arguments.corpus))
    rows = []
    with Bars() as bars:
        corpora = {name: load_corpus(name, arguments.data_root, partial(bars, f"rendering {name}")) for name in names}
        for trained_on in corpora:
            models = obtain_models(
                arguments.model,
                partial(corpora.__getitem__, trained_on),
                progress=partial(bars, f"training {arguments.model} on {trained_on}"),
            )
            assert models is not None  # trained where there was none
            for tested_on, other in corpora.items():
                rows.append(transfer_row(models, other, progress=partial(bars, f"{trained_on} to {tested_on}")))
    with writing(arguments.out, resumable=False):
        arguments.out.mkdir(parents=True, exist_ok=True)
        write_atomically(arguments.out / "transfer.json", json.dumps(rows, indent=2).encode())
        picture = draw(rows, arguments.out / "transfer.png", f"{arguments.model}: UAR on speakers not heard")
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    columns = ("trained on", "tested on", "emotions", "clips", "speakers", "seen", "UAR", "folds alone", "ensemble")
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        counts = str(len(row["emotions"])), str(row["n"]), str(row["speakers"])
        spread = f"{row['fold_range'][0]:.3f} to {row['fold_range'][1]:.3f}" if "fold_range" in row else ""
        averaged = _with_interval(row["ensemble"]) if "ensemble" in row else ""
        table.add_row(
            row["trained_on"], row["tested_on"], *counts, row["seen_in_training"], _with_interval(row), spread, averaged
        )
    console = Console()
    console.print(table)
    console.print(
        "UAR: on the corpus of training of held-out speakers, elsewhere of the model refitted on all speakers; folds "
        "alone: least and greatest UAR of one fold's model; ensemble: mean of the folds' log-odds.",
        highlight=False,
    )
    console.print(f"heat map: {picture}", highlight=False, soft_wrap=True)
    return 0


def _with_interval(scores: dict[str, Any]) -> str:
    interval = scores["uar_interval"]
    return f"{scores['uar']:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
