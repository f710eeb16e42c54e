"""Parsers of the commands that read the explanations of several runs together."""

from __future__ import annotations

import argparse

from .arguments import add_command, add_many, add_partial, nonempty_path

# as `analysis.robustness.AXES` and `metrics.similarity.MEASURES`, whose modules are slow to import
AXES = ("shift", "model", "retraining", "seed")
MEASURES = ("spearman", "cosine", "top-overlap", "transport", "signs", "bands", "bands-above-lowest", "time")
RUNS = "folders made by `serxai run`: several corpora and recognisers"


def robustness(commands: argparse._SubParsersAction) -> None:
    """Add ``serxai robustness``."""
    parser = add_command(
        commands,
        "robustness",
        "compare explanations across shifts, recognisers, retrainings and seeds",
        ".claims:robustness",
        """
        serxai robustness runs/emodb
        serxai robustness runs/emodb-cnn runs/emodb-embedding --axis model --measure cosine
        serxai robustness runs/emodb --axis shift --out runs/emodb/robustness
        """,
        "robustness",
    )
    parser.add_argument("runs", type=nonempty_path, nargs="+", metavar="RUN", help=RUNS)
    parser.add_argument(
        "--axis", action="append", choices=AXES, help="what differs between two explanations; repeat; default all"
    )
    parser.add_argument(
        "--measure", choices=MEASURES, default="spearman", help="similarity of two maps; default spearman"
    )
    add_many(parser, "--method", "N", "method of the runs; default all")
    add_partial(parser)
    parser.add_argument("--out", type=nonempty_path, metavar="DIR", help="write robustness.csv and its clips there")
    parser.add_argument("--json", action="store_true", help="print JSON")


def claims(commands: argparse._SubParsersAction) -> None:
    """Add ``serxai claims``."""
    parser = add_command(
        commands,
        "claims",
        "decide the papers' claims for every method of the runs",
        ".claims:claims",
        """
        serxai claims runs/emodb runs/ravdess
        serxai claims runs/* --method emolime --out claims
        """,
        "claims",
    )
    parser.add_argument("runs", type=nonempty_path, nargs="+", metavar="RUN", help=RUNS)
    add_many(parser, "--method", "N", "method of the runs; default all")
    add_partial(parser)
    parser.add_argument("--out", type=nonempty_path, metavar="DIR", help="write claims.csv there")
    parser.add_argument("--json", action="store_true", help="print JSON")


COMMANDS = (robustness, claims)
