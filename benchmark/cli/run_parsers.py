"""Parsers of the commands that read finished runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..report.defaults import EXAMPLE_CLIPS
from .arguments import add_command, add_data_root, add_many, add_partial, add_trust, nonempty_path

RUN_FOLDER = "folder made by `serxai run`, such as runs/quick"
# as `analysis.robustness.AXES` and `metrics.similarity.MEASURES`, whose modules are slow to import
AXES = ("shift", "model", "retraining", "seed")
MEASURES = ("spearman", "cosine", "top-overlap", "transport", "signs", "bands", "bands-above-lowest", "time")
RUNS = "folders made by `serxai run`: several corpora and recognisers"


def _status(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "status",
        "show what a run has done, and its failures by reason",
        ".status:status",
        """
        serxai status runs/quick
        serxai status results/
        """,
        "status",
    )
    parser.add_argument("run", type=nonempty_path, metavar="RUN", help=f"{RUN_FOLDER}; or a folder above runs")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _leaderboard(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "leaderboard",
        "build the leaderboard of one or several runs",
        ".results:leaderboard",
        "serxai leaderboard runs/quick runs/emodb --out board",
        "leaderboard",
    )
    parser.add_argument("runs", nargs="+", type=nonempty_path, metavar="RUN", help=RUN_FOLDER)
    add_partial(parser)
    add_data_root(parser)
    parser.add_argument(
        "--clips", type=int, default=EXAMPLE_CLIPS, metavar="N",
        help="clips of each corpus and recogniser to see, and to hear where the corpus is in the public domain; "
        f"default {EXAMPLE_CLIPS}",
    )  # fmt: skip
    parser.add_argument("--out", type=nonempty_path, required=True, metavar="DIR", help="folder to write to")


def _figures(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "figures",
        "draw a published figure with its numbers as CSV",
        ".results:figures",
        """
        serxai figures ranking --run runs/quick --out figures
        serxai figures emolime-example --run runs/emodb --out figures
        serxai figures robustness-map --run runs/emodb --run runs/ravdess --out figures
        serxai figures beyond-saliency-windows --run runs/emodb --clip 03a01Wa --out figures
        """,
        "figures",
    )
    parser.add_argument("name", metavar="NAME", help="see: serxai ls figures")
    parser.add_argument(
        "--run", type=nonempty_path, required=True, action="append", metavar="RUN",
        help=RUN_FOLDER + "; may be repeated for figures that compare runs",
    )  # fmt: skip
    add_many(parser, "--method", "N", "method to draw; default depends on the figure")
    add_many(parser, "--clip", "ID", "clip to draw; default the first that is recognised and explained")
    parser.add_argument("--corpus", metavar="N", help="corpus to draw, where a figure shows one; default the first")
    parser.add_argument("--model", metavar="N", help="recogniser to draw, where a figure shows one; default the first")
    add_data_root(parser)
    parser.add_argument("--out", type=nonempty_path, required=True, metavar="DIR", help="folder to write to")


def _compare(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "compare",
        "test methods pairwise on one metric",
        ".compare:compare",
        """
        serxai compare runs/quick --metric abpc
        serxai compare runs/quick runs/more --metric abpc --margin 0.2 --difference 0.5
        serxai compare runs/paper-emolime --metric deletion --method emolime-paper --method emolime
        serxai compare results/ --metric abpc --corpus emodb --model cnn --condition clean --fill attenuate
        """,
        "compare",
    )
    parser.add_argument("runs", nargs="+", type=nonempty_path, metavar="RUN", help=RUN_FOLDER)
    add_partial(parser)
    parser.add_argument("--metric", required=True, metavar="N", help="metric that the run has scored")
    add_many(parser, "--method", "N", "only these methods; where the runs have maps, also compares those")
    parser.add_argument(
        "--all-pairs", action="store_true", help="every pair of methods; default pairs with random and with energy"
    )
    add_many(parser, "--corpus", "N", "only this corpus of the runs")
    add_many(parser, "--model", "N", "only this recogniser, as cnn or as 'cnn (emodb)' for one trained on emodb")
    add_many(parser, "--condition", "N", "only this condition")
    add_many(parser, "--fill", "N", "only this fill")
    parser.add_argument(
        "--margin", type=float, metavar="X", help="margin of the equivalence test; default that of the metric's record"
    )
    parser.add_argument(
        "--difference", type=float, metavar="X", help="true difference to tell the clips and speakers needed for"
    )
    parser.add_argument("--csv", type=nonempty_path, metavar="FILE", help="also write every value of the pairs")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _export(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "export",
        "write the weights of a run's explanations as tables, clip x part",
        ".export:export",
        """
        serxai export runs/emodb --method emolime --out weights
        serxai export runs/emodb --method emolime --bands --out weights
        """,
        "export",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help=RUN_FOLDER)
    add_many(parser, "--method", "N", "method of the run; default all that explain by at most 16 parts")
    parser.add_argument(
        "--bands",
        action="store_true",
        help="also write band profiles with intervals, their reliability, and what the mask tables say",
    )
    parser.add_argument(
        "--maps", action="store_true", help="write the maps themselves, as a folder that `serxai score` reads"
    )
    parser.add_argument(
        "--statements", action="store_true",
        help="write what cue tables say (beyond-saliency and its relatives), as `serxai score --statements` reads it",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")


def _conventions(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "conventions",
        "score a run's maps at powers 1/2, 1 and 2 and by size, beside the attainable best",
        ".conventions:conventions",
        """
        serxai conventions runs/quick --out runs/quick/report
        serxai conventions runs/quick --metric abpc --limit 8 --spend-calls
        """,
        "conventions",
    )
    parser.add_argument("run", type=nonempty_path, metavar="RUN", help=RUN_FOLDER)
    add_many(parser, "--metric", "N", "metric of the run; default all that read the map alone, without a model call")
    parser.add_argument("--limit", type=int, default=0, metavar="CLIPS", help="at most so many clips a corpus; 0: all")
    parser.add_argument("--spend-calls", action="store_true", help="allow metrics that call the recogniser")
    add_data_root(parser)
    parser.add_argument(
        "--out", type=nonempty_path, metavar="DIR", help="write the tables there; RUN/report: the report shows them"
    )


def _add_runs(parser: argparse.ArgumentParser, file: str) -> None:
    """Add what commands on the explanations of several runs take; `file` is what ``--out`` gets."""
    parser.add_argument("runs", type=nonempty_path, nargs="+", metavar="RUN", help=RUNS)
    add_many(parser, "--method", "N", "method of the runs; default all")
    add_partial(parser)
    parser.add_argument("--out", type=nonempty_path, metavar="DIR", help=f"write {file} there")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _robustness(commands: argparse._SubParsersAction) -> None:
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
    _add_runs(parser, "robustness.csv and its clips")
    parser.add_argument(
        "--axis", action="append", choices=AXES, help="what differs between two explanations; repeat; default all"
    )
    parser.add_argument(
        "--measure", choices=MEASURES, default="spearman", help="similarity of two maps; default spearman"
    )


def _claims(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "claims",
        "decide the papers' claims for every method of the runs",
        ".claims:claims",
        """
        serxai claims runs/emodb runs/ravdess
        serxai claims runs/* --method emolime --out claims
        serxai claims runs/* --long --data-root DIR
        """,
        "claims",
    )
    _add_runs(parser, "claims.csv, its summary and the cues of salient windows")
    add_data_root(parser)
    parser.add_argument("--long", action="store_true", help="print every finding, with its interval and note")


def _validate(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "validate",
        "check a run or committed results: schema, versions, coverage, a sample scored again",
        ".validate:run",
        """
        serxai validate runs/quick --sample 4
        serxai validate results/
        serxai validate results/emodb/cnn --rescore 4 --data-root DIR
        """,
        "validate",
    )
    parser.add_argument("run", type=nonempty_path, metavar="RUN", help=f"{RUN_FOLDER}; or a folder of results")
    parser.add_argument(
        "--sample", "--rescore", type=int, metavar="CLIPS",
        help="clips to score again, of results for each piece; default 2 of a run, 0 of results",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the sample; default 0")
    add_many(parser, "--model", "N", "recogniser of the run that this command may load although its name is a path")
    add_many(parser, "--checkpoint", "MODEL=PATH", "checkpoint of a model; that of the run's files is never read")
    add_trust(parser)
    add_data_root(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _study(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "study",
        "write a listening study of a run, or score its answers as plausibility",
        ".study:run",
        """
        serxai study runs/emodb --clips 20 --method emolime --method saliency --out study
        serxai study score study answers-*.csv
        """,
        "study",
    )
    parser.add_argument("run", metavar="RUN|score", help=f"{RUN_FOLDER}; or the word score")
    parser.add_argument("answers", nargs="*", metavar="STUDY ANSWERS.csv", help="to score: the study's folder, files")
    parser.add_argument("--clips", type=int, default=20, metavar="N", help="clips of each recogniser; default 20")
    add_many(parser, "--method", "N", "method of the run; default all but baselines")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random maps; default 0")
    add_data_root(parser)
    parser.add_argument("--out", type=nonempty_path, metavar="DIR", help="folder to write to")
    parser.add_argument("--json", action="store_true", help="print JSON")


COMMANDS = (
    _status,
    _leaderboard,
    _study,
    _figures,
    _compare,
    _export,
    _conventions,
    _robustness,
    _claims,
    _validate,
)
