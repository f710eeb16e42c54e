"""``serxai leaderboard``, ``figures`` and ``compare``: everything that reads finished runs."""

from __future__ import annotations

import json
from argparse import Namespace

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import InputError, UnknownNameError
from .figures import draw_figure
from .leaderboard import SETTING, setting_title
from .report import write_board
from .statistics import CELL, compare_pairwise
from .store import Store


def leaderboard(arguments: Namespace) -> int:
    """One board from several runs."""
    stores = [Store(path) for path in arguments.runs]
    infos = [store.info for store in stores]
    scores = pd.concat([store.scores() for store in stores], ignore_index=True)
    if scores.empty:
        raise InputError(f"{', '.join(map(str, arguments.runs))}: no scores yet; finish the run with --resume.")
    _, page = write_board(scores, infos, arguments.out)
    Console().print(f"leaderboard: {page.resolve()}", highlight=False, soft_wrap=True)
    return 0


def figures(arguments: Namespace) -> int:
    """Draw one figure by name."""
    for path in draw_figure(arguments.name, Store(arguments.run), arguments.out, arguments.data_root):
        Console().print(str(path), highlight=False, soft_wrap=True)
    return 0


def compare(arguments: Namespace) -> int:
    """Pairwise tests on one metric."""
    scores = Store(arguments.run).scores()
    if arguments.corpus is not None:
        known = sorted(scores["corpus"].unique())
        if arguments.corpus not in known:
            raise UnknownNameError("corpus of this run", arguments.corpus, known)
        scores = scores[scores["corpus"] == arguments.corpus]
    pairs = compare_pairwise(scores, arguments.metric)
    if arguments.json:
        print(json.dumps(json.loads(pairs.to_json(orient="records")), indent=2))
        return 0
    console = Console()
    for cell, group in pairs.groupby(CELL, dropna=False, sort=False):
        facts = dict(zip(CELL, cell, strict=True))
        setting = setting_title({name: facts[name] for name in SETTING})
        under = ", ".join(filter(None, (facts["condition"], facts["fill"] and f"fill {facts['fill']}")))
        title = escape(f"{arguments.metric}, {under}: {setting}")
        table = Table("better", "worse", title=title, title_justify="left", box=None, header_style="bold")
        for column in ("difference", "95 % interval", "p (Holm)", "effect", "clips", "speakers"):
            table.add_column(column, justify="right")
        for pair in group.sort_values("difference", key=abs, ascending=False).itertuples():
            ahead = pair.difference >= 0
            sign = 1 if ahead else -1
            low, high = sorted((sign * pair.low, sign * pair.high))
            table.add_row(
                escape(pair.method_a if ahead else pair.method_b),
                escape(pair.method_b if ahead else pair.method_a),
                f"{abs(pair.difference):.3f}",
                f"[{low:.3f}, {high:.3f}]" if pd.notna(low) else "",
                f"{pair.p_holm:.4f}" if pd.notna(pair.p_holm) else pair.note,
                f"{sign * pair.effect:.2f}" if pd.notna(pair.effect) else "",
                str(pair.n_clips),
                str(pair.n_speakers),
            )
        console.print(table)
    return 0
