"""Parsers of ``serxai results``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .arguments import add_command, add_data_root, nonempty_path

RESULTS = Path("results")


def _results(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands, "results", "add runs to committed results, and rebuild board and numbers from them", "",
        """
        serxai results add runs/emodb-cnn --to results --data-root DIR
        serxai results build results
        serxai results build results --check
        """,
    )  # fmt: skip
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = add_command(
        actions, "add", "write the compact record of runs: scores, band profiles, cues; no map, no sound",
        ".record:add",
        """
        serxai results add runs/emodb-cnn --to results --data-root DIR
        serxai results add runs/emodb-cnn runs/emodb-whisper --to results
        serxai results add runs/emodb-cnn --beside runs/emodb-cnn-seed1 --beside runs/emodb-cnn-seed2
        serxai results add runs/emodb-cnn-seed1 --as cnn-seed1
        """,
        "results_add",
    )  # fmt: skip
    add.add_argument("runs", nargs="+", type=nonempty_path, metavar="RUN", help="finished runs; compared with another")
    add.add_argument(
        "--to", type=nonempty_path, default=RESULTS, metavar="DIR", help="folder of results; default results"
    )
    add.add_argument("--name", metavar="N", help="name of the piece; default that of the run's folder")
    add.add_argument("--as", metavar="N", help="name of the recogniser's folder; default its own")
    add.add_argument(
        "--without-cues", action="store_true",
        help="leave out cues of salient windows, for which the corpus is read; Beyond Saliency's claims need them",
    )  # fmt: skip
    add.add_argument(
        "--beside", action="append", type=nonempty_path, default=[], metavar="RUN",
        help="run to compare with that gets no record, as another training of the recogniser (may be repeated)",
    )  # fmt: skip
    add_data_root(add)
    add.add_argument("--json", action="store_true", help="print JSON")
    _build(actions)


def _build(actions: argparse._SubParsersAction) -> None:
    build = add_command(
        actions, "build", "rebuild board, figures and every marked number from the records alone", ".record:build",
        """
        serxai results build results
        serxai results build results --check
        serxai results build results --out build/results --text README.md --text docs
        """,
        "results_build",
    )  # fmt: skip
    build.add_argument("results", nargs="?", type=nonempty_path, default=RESULTS, metavar="DIR", help="default results")
    build.add_argument(
        "--out", type=nonempty_path, default=Path("build/results"), metavar="DIR",
        help="folder for page and figures, which are not committed; default build/results",
    )  # fmt: skip
    build.add_argument(
        "--text", action="append", type=nonempty_path, default=[], metavar="PATH",
        help="text or folder of texts with marked numbers; default README.md, results/README.md and docs (repeat)",
    )  # fmt: skip
    build.add_argument(
        "--check", action="store_true", dest="compare", help="change nothing that is committed; tell what differs"
    )
    build.add_argument(
        "--workers", type=int, choices=(1, 2), default=min(2, os.cpu_count() or 1), metavar="N",
        help="processes, 1 or 2; default 2 where this machine has as many cores",
    )  # fmt: skip


COMMANDS = (_results,)
