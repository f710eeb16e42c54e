"""``serxai results``: records of runs, and what is rebuilt from them."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from ...errors import InputError
from ..results.add import add_runs
from ..results.build import build_results
from ..storage.store import Store
from .console import Bars, Console
from .results import print_notes


def add(arguments: Namespace) -> int:
    """Write the records of runs."""
    stores = [Store(path) for path in arguments.runs]
    with Bars() as bars:
        added = add_runs(
            stores, arguments.to, arguments.data_root, arguments.name or "", getattr(arguments, "as") or "",
            not arguments.without_cues, bars, [Store(path) for path in arguments.beside],
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


def build(arguments: Namespace) -> int:
    """Rebuild board, tables, figures and numbers; with ``--check`` exit status 1 where what is committed differs."""
    texts = [path for given in arguments.text for path in _texts(given)]
    if not arguments.text:
        beside = arguments.results.resolve().parent
        texts = [path for given in (beside / "README.md", arguments.results / "README.md") for path in _texts(given)]
        texts += sorted((beside / "docs").glob("*.md"))
    with Bars() as bars:
        built = build_results(arguments.results, arguments.out, texts, arguments.compare, bars, arguments.workers)
    console = Console()
    for line in (*built.differences, f"board: {built.page.resolve()}", f"figures: {len(built.figures)} files"):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    print_notes(f"figure {name} not drawn: {why}" for name, why in built.not_drawn.items())
    return 1 if built.differences else 0


def _texts(path: Path) -> list[Path]:
    """Texts of a file or folder; a README need not be there."""
    if path.is_dir():
        return sorted(path.rglob("*.md"))
    if not path.is_file() and path.name != "README.md":
        raise InputError(f"--text {path}: no such file or folder.")
    return [path] if path.is_file() else []
