"""``serxai results``: records of runs, and what is rebuilt from them."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict

from ..results.add import add_runs
from ..storage.store import Store
from .console import Bars, Console
from .results import print_notes


def add(arguments: Namespace) -> int:
    """Write the records of runs."""
    stores = [Store(path) for path in arguments.runs]
    with Bars() as bars:
        added = add_runs(
            stores, arguments.to, arguments.data_root, arguments.name or "", getattr(arguments, "as") or "",
            not arguments.without_cues, bars,
        )  # fmt: skip
    if arguments.json:
        print(json.dumps([asdict(one) | {"folder": str(one.folder)} for one in added], indent=2))
        return 0
    for one in added:
        Console().print(
            f"{one.folder}: {one.rows} rows, {one.n_bytes / 1000:.0f} kB", highlight=False, soft_wrap=True, markup=False
        )
        print_notes(one.notes)
    return 0
