"""Command-line parser and dispatch of ``serxai COMMAND``.

Importing this module imports none of the commands: a command's arguments are checked by `inputs`, which needs neither
torch nor pandas, and its module is imported only when they are right.
"""

from __future__ import annotations

import argparse
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

from ... import __version__
from ...registry import PluginWarning
from .terminal_text import printable

DONE, FAILED_CELLS, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
RUN_FOLDER = "folder made by `serxai run`, such as runs/quick"
LISTS = ("corpora", "models", "methods", "metrics", "conditions", "cues", "presets", "figures")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 finished with failed cells, 2 bad input).

    The one place where exceptions end: whatever a command raises becomes a message and an exit status.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an ASCII terminal, a file name that is not UTF-8
    arguments = build_parser().parse_args(given)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = partial(_show_warning, warnings.showwarning)
            if arguments.check:
                _load(f".inputs:{arguments.check}")(arguments)
            status: int = _load(arguments.handler)(arguments)
            return status
    except KeyboardInterrupt:
        kept = " What is finished is kept; run again with --resume." if arguments.command in ("run", "qualify") else ""
        print(f"serxai: interrupted.{kept}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return DONE
    except Exception as error:
        from .failures import explain_failure

        if arguments.debug:
            traceback.print_exception(error)
        print(f"serxai: {explain_failure(error, given)}", file=sys.stderr)
        return BAD_INPUT


def _show_warning(show: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Print the warning of a broken package in one line, any other as Python does."""
    if issubclass(category, PluginWarning):
        print(f"serxai: {printable(str(message))}", file=sys.stderr)
    else:
        show(message, category, *where)


class _Parser(argparse.ArgumentParser):
    """Parser whose messages hold no control characters of what was typed."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def _path(text: str) -> Path:
    """A path that is not empty, which would mean the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty; give one (the current folder is .)")
    return Path(text)


def _add_debug(parser: argparse.ArgumentParser, default: object) -> None:
    parser.add_argument("--debug", action="store_true", default=default, help="show the traceback of an error")


def _load(target: str) -> Callable[[argparse.Namespace], Any]:
    module, function = target.split(":")
    handler: Callable[[argparse.Namespace], Any] = getattr(import_module(module, __package__), function)
    return handler


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = _Parser(
        prog="serxai",
        description="Benchmark explanations of speech emotion recognition: run, score, test, rank.",
        epilog="Start with `serxai run`: planted corpus, bundled recogniser, nine cheap methods, fourteen metrics.",
    )
    parser.add_argument("--version", action="version", version=f"serxai {__version__}")
    _add_debug(parser, False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _run(commands)
    _qualify(commands)
    _status(commands)
    _ls(commands)
    _explain(commands)
    _train(commands)
    _transfer(commands)
    _corpus(commands)
    _leaderboard(commands)
    _figures(commands)
    _compare(commands)
    _export(commands)
    _reproduce(commands)
    _validate(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction, name: str, summary: str, handler: str, examples: str, check: str = ""
) -> argparse.ArgumentParser:
    """Add the parser of a command.

    `handler` is ``module:function`` in this package. `check` names the function of `inputs` that refuses wrong
    arguments first, before the handler's module and its libraries are imported.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog="examples:\n" + "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_debug(parser, argparse.SUPPRESS)  # either place: before the command and behind it
    parser.set_defaults(handler=handler, check=check)
    return parser


def _add_many(parser: argparse.ArgumentParser, flag: str, metavar: str, text: str) -> None:
    parser.add_argument(flag, action="append", default=[], metavar=metavar, help=text + " (may be repeated)")


def _add_data_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-root",
        type=_path,
        metavar="DIR",
        help="folder that holds the corpora, one sub-folder each (default: $SERXAI_DATA, else the user cache folder)",
    )


def _add_partial(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--partial", action="store_true", help="accept incomplete runs, and mark what is missing; default: refuse them"
    )


def _add_ensemble(parser: argparse.ArgumentParser, default: bool | None) -> None:
    parser.add_argument(
        "--ensemble",
        action="store_true",
        default=default,
        help="explain speakers of other corpora by the mean of the fold models' log-odds, not by the model refitted on "
        "all speakers",
    )


def _add_param(parser: argparse.ArgumentParser) -> None:
    text = "parameter of a method, as in beyond-saliency.cues=egemaps; a wrong name lists those that are allowed"
    _add_many(parser, "--param", "METHOD.NAME=VALUE", text)


def _add_trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust",
        "--trust-remote-code",
        action="store_true",
        help="let code run that a file names (python: in settings, remote code of a checkpoint); see docs/security.md",
    )


def _run(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands, "run", "run a benchmark: explain, score, test, rank", ".run:run",
        """
        serxai run
        serxai run --corpus emodb --model cnn --limit 40 --data-root DIR --out runs/emodb
        serxai run --method emolime --method random --metric deletion --fill attenuate --fill noise
        serxai run --out runs/emodb --resume
        serxai run --preset full --corpus emodb --data-root DIR --dry-run
        serxai run --target anger-sadness --method crp --method random
        """,
    )  # fmt: skip
    parser.add_argument(
        "config",
        nargs="?",
        type=_path,
        metavar="CONFIG.toml",
        help="settings, as in serxai/benchmark/presets; flags override them",
    )
    parser.add_argument(
        "--preset", metavar="NAME", help="shipped settings to start from (see: serxai ls presets); default quick"
    )
    _add_many(parser, "--corpus", "N", "corpus to explain; see: serxai ls corpora")
    _add_many(parser, "--model", "N", "recogniser; see: serxai ls models")
    _add_many(parser, "--method", "N", "explanation method, or `all`; see: serxai ls methods")
    _add_param(parser)
    _add_many(parser, "--metric", "N", "metric, `all` or `core`; see: serxai ls metrics")
    _add_many(
        parser, "--condition", "N",
        "distribution shift, `clean` among them; see: serxai ls conditions; default clean where --metric is given",
    )  # fmt: skip
    _add_many(parser, "--emotion", "N", "explain only clips of this emotion")
    _add_many(
        parser,
        "--fill",
        "N",
        "what replaces removed parts: attenuate, noise, spectral-mean, zero, twin; default: the first with reach",
    )
    parser.add_argument("--target", metavar="predicted|true|EMOTION|A-B", help="class to explain; default predicted")
    parser.add_argument(
        "--trained-on", metavar="CORPUS", help="training corpus of the model; default the corpus explained"
    )
    _add_ensemble(parser, None)
    parser.add_argument(
        "--limit",
        type=int,
        metavar="CLIPS",
        help="maximum of clips per corpus, balanced over speakers and emotions; 0 for all",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of every draw; default 0")
    parser.add_argument("--repeats", type=int, metavar="N", help="seeds per stochastic method; default 1")
    _add_many(
        parser, "--checkpoint", "[MODEL=]PATH", "a folder written by `serxai train`, or the file of a foreign model"
    )
    _add_trust(parser)
    _add_data_root(parser)
    parser.add_argument(
        "--out", type=_path, metavar="DIR", help="run folder; default runs/PRESET, or the next free one"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in --out with its own settings; corpora, models, methods, metrics, conditions and fills "
        "given now are added to them, other flags replace them; what is finished costs nothing",
    )
    parser.add_argument("--retry-failed", action="store_true", help="with --resume: compute failed rows again")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the cores of this machine")
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where the recogniser runs; default cpu")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be computed and what it costs; compute nothing"
    )
    parser.add_argument(
        "--memory", "--max-memory", type=float, metavar="GB", help="memory that all workers may hold together"
    )
    parser.add_argument(
        "--batch-memory", type=float, metavar="GB", help="memory that one batch of copies may take in the recogniser"
    )
    parser.add_argument("--executor", default="local", choices=("local", "ray"), help="where shards run; default local")
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="cluster to join (auto: the one running); default a new one"
    )
    parser.add_argument("--json", action="store_true", help="print the leaderboard as JSON instead of a table")


def _qualify(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands, "qualify", "test the metrics themselves on explanations of known quality", ".qualify:run",
        """
        serxai qualify --dry-run
        serxai qualify --metric deletion --metric quantus:PixelFlipping --limit 16 --out runs/two-metrics
        serxai qualify --metric all --model planted-rule --limit 12
        serxai qualify SETTINGS.toml --out runs/qualify
        serxai qualify --resume --out runs/qualify --metric gini
        """,
    )  # fmt: skip
    parser.add_argument(
        "config", nargs="?", type=_path, metavar="CONFIG.toml",
        help="settings, as in serxai/benchmark/qualification/defaults.toml; flags override them",
    )  # fmt: skip
    _add_many(parser, "--metric", "N", "metric to qualify, or all; default all and four of Quantus")
    _add_many(parser, "--model", "N", "recogniser; default planted-rule (white box) and cnn")
    _add_many(parser, "--fill", "N", "fills to compare, the first used elsewhere; default all four, twin first")
    _add_many(parser, "--emotion", "N", "planted emotion; default anger, happiness, sadness")
    _add_many(parser, "--corpus", "N", "planted corpus; default planted")
    parser.add_argument(
        "--trained-on", metavar="CORPUS", help="training corpus of the recognisers; default the corpus itself"
    )
    parser.add_argument(
        "--limit", type=int, metavar="CLIPS",
        help="at most so many clips per corpus, balanced; default 48 (16 voices x 3 emotions), 0 for all",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, metavar="N", help="seed of every draw; default 0")
    _add_many(
        parser, "--checkpoint", "[MODEL=]PATH", "a folder written by `serxai train`, or the file of a foreign model"
    )
    _add_trust(parser)
    _add_data_root(parser)
    parser.add_argument(
        "--out", type=_path, metavar="DIR", help="folder to write to; default runs/qualify, or the next free one"
    )
    parser.add_argument(
        "--resume", action="store_true",
        help="continue the qualification in --out with its own settings, but for a file or flags given now; only "
        "clips and metrics that are new or have another version are computed",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the cores of this machine")
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where the recogniser runs; default cpu")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be computed, and what it costs")
    parser.add_argument("--json", action="store_true", help="print verdicts and estimates as JSON instead of a table")


def _status(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "status",
        "show what a run has done, and its failures by reason",
        ".status:status",
        "serxai status runs/quick",
        "status",
    )
    parser.add_argument("run", type=_path, metavar="RUN", help=RUN_FOLDER)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _ls(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "ls",
        "list registered corpora, models, methods, metrics, ...",
        ".ls:ls",
        """
        serxai ls methods
        serxai ls metrics --json
        """,
    )
    parser.add_argument("kind", choices=LISTS, metavar="KIND", help=", ".join(LISTS))
    parser.add_argument("--json", action="store_true", help="print JSON")


def _explain(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "explain",
        "explain one audio file",
        ".explain:run",
        """
        serxai explain FILE.wav --model cnn --method saliency --method emolime --out out/
        serxai explain FILE.wav --trained-on emodb --data-root DIR --method emolime --target anger
        serxai explain FILE.wav --method beyond-saliency --param beyond-saliency.base=crp
        """,
        "explain",
    )
    parser.add_argument("audio", type=_path, metavar="AUDIO", help="any file libsndfile reads, at most 60 s")
    parser.add_argument("--model", default="cnn", metavar="N", help="recogniser; default cnn")
    parser.add_argument(
        "--checkpoint", type=_path, metavar="PATH", help="folder written by `serxai train`, or a foreign model's file"
    )
    _add_trust(parser)
    parser.add_argument(
        "--trained-on",
        default="planted",
        metavar="CORPUS",
        help="training corpus of the model; default planted (bundled)",
    )
    _add_ensemble(parser, False)
    _add_many(parser, "--method", "N", "explanation method; default saliency, emolime and beyond-saliency")
    _add_param(parser)
    parser.add_argument(
        "--target",
        default="predicted",
        metavar="EMOTION|A-B",
        help="class to explain, or A-B: why A rather than B; default the predicted one",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of every draw; default 0")
    _add_data_root(parser)
    parser.add_argument("--out", type=_path, default=Path("out"), metavar="DIR", help="default out")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _train(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "train",
        "train a recogniser in speaker-grouped folds",
        ".train:run",
        """
        serxai train cnn --corpus emodb --data-root DIR --out models/emodb
        serxai train cnn --corpus planted --out models/planted
        """,
        "train",
    )
    parser.add_argument("model", metavar="MODEL", help="see: serxai ls models")
    parser.add_argument("--corpus", required=True, metavar="N", help="training corpus; see: serxai ls corpora")
    _add_data_root(parser)
    parser.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder to write the models to")
    _add_many(
        parser, "--emotion", "N", "emotion class to train on; default the four common ones, if the corpus has them"
    )
    parser.add_argument("--folds", type=int, metavar="N", help="speaker-grouped folds; default 5")
    parser.add_argument(
        "--width", type=int, metavar="N", help="channels of the first layer; default depends on the corpus"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of weights and batches; default 0")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the cores of this machine")


def _transfer(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "transfer",
        "train on each corpus, test on each, as a heat map",
        ".transfer:run",
        "serxai transfer opensmile-svc --corpus emodb --corpus ravdess --data-root DIR --out transfer",
        "transfer",
    )
    parser.add_argument("model", metavar="MODEL", help="see: serxai ls models")
    _add_many(parser, "--corpus", "N", "corpus to train and test on, two or more")
    _add_data_root(parser)
    parser.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _corpus(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "corpus",
        "verify a corpus, probe it for shortcuts, or fetch it",
        "",
        """
        serxai corpus verify emodb --data-root DIR
        serxai corpus probe tess --data-root DIR --out probes
        serxai corpus fetch emodb --data-root DIR
        """,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = _command(
        actions,
        "verify",
        "check presence, counts, checksums, sound of a corpus' files",
        ".corpus:verify",
        """
        serxai corpus verify emodb --data-root DIR
        serxai corpus verify tess --json
        """,
        "corpus",
    )
    probe = _command(
        actions,
        "probe",
        "report how well duration, padding, level or silence alone predict the label",
        ".probe:probe",
        "serxai corpus probe tess --data-root DIR --out probes",
        "corpus",
    )
    fetch = _command(
        actions,
        "fetch",
        "fetch a public corpus through audb (extra)",
        ".fetch:fetch",
        "serxai corpus fetch emodb --data-root DIR",
        "corpus",
    )
    for action in (verify, probe, fetch):
        action.add_argument("name", metavar="NAME", help="see: serxai ls corpora")
        _add_data_root(action)
        action.add_argument("--json", action="store_true", help="print JSON")
    probe.add_argument("--out", type=_path, metavar="DIR", help="also write the report as CSV, JSON and picture")


def _leaderboard(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "leaderboard",
        "build the leaderboard of one or several runs",
        ".results:leaderboard",
        "serxai leaderboard runs/quick runs/emodb --out board",
        "leaderboard",
    )
    parser.add_argument("runs", nargs="+", type=_path, metavar="RUN", help=RUN_FOLDER)
    _add_partial(parser)
    parser.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder to write to")


def _figures(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "figures",
        "draw a published figure with its numbers as CSV",
        ".results:figures",
        """
        serxai figures ranking --run runs/quick --out figures
        serxai figures emolime-example --run runs/emodb --out figures
        """,
        "figures",
    )
    parser.add_argument("name", metavar="NAME", help="see: serxai ls figures")
    parser.add_argument("--run", type=_path, required=True, metavar="RUN", help=RUN_FOLDER)
    _add_data_root(parser)
    parser.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder to write to")


def _compare(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "compare",
        "test methods pairwise on one metric",
        ".compare:compare",
        """
        serxai compare runs/quick --metric abpc
        serxai compare runs/quick runs/more --metric abpc --margin 0.2 --difference 0.5
        serxai compare runs/paper-emolime --metric deletion --method emolime-paper --method emolime
        """,
        "compare",
    )
    parser.add_argument("runs", nargs="+", type=_path, metavar="RUN", help=RUN_FOLDER)
    _add_partial(parser)
    parser.add_argument("--metric", required=True, metavar="N", help="metric that the run has scored")
    _add_many(parser, "--method", "N", "only these methods; also compares their maps, noise and cost")
    parser.add_argument("--corpus", metavar="N", help="only this corpus of the run")
    parser.add_argument(
        "--margin", type=float, metavar="X", help="margin of the equivalence test; default that of the metric's record"
    )
    parser.add_argument(
        "--difference", type=float, metavar="X", help="true difference to tell the clips and speakers needed for"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _export(commands: argparse._SubParsersAction) -> None:
    parser = _command(
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
    _add_many(parser, "--method", "N", "method of the run; default all that explain by at most 16 parts")
    parser.add_argument(
        "--bands",
        action="store_true",
        help="also write band profiles with intervals, their reliability, and what the mask tables say",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")


def _reproduce(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "reproduce",
        "set the reproduced papers' recipes beside what their authors' programs gave",
        "",
        """
        serxai reproduce emolime --data-root DIR
        serxai reproduce beyond-saliency --data-root DIR --checkpoint best_model_tess.pth
        """,
    )
    actions = parser.add_subparsers(dest="paper", required=True, metavar="PAPER")
    emolime = _command(
        actions,
        "emolime",
        "compare band weights on black boxes with known weights (7 clips of emodb and ravdess)",
        ".reproduce:emolime",
        "serxai reproduce emolime --data-root DIR --limit 1",
    )
    beyond = _command(
        actions,
        "beyond-saliency",
        "compare maps, windows and cues of both halves (8 clips of tess)",
        ".reproduce:beyond_saliency",
        "serxai reproduce beyond-saliency --data-root DIR --checkpoint best_model_tess.pth",
    )
    beyond.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="the authors' best_model_tess.pth"
    )
    beyond.add_argument(
        "--without-occlusion", action="store_true", help="leave out the occlusion half, 13 s of a core for each clip"
    )
    for action in (emolime, beyond):
        _add_data_root(action)
        action.add_argument("--limit", type=int, default=0, metavar="CLIPS", help="only the first clips; default all")
        action.add_argument("--out", type=Path, metavar="DIR", help="also write the numbers as CSV")


def _validate(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands,
        "validate",
        "check a run: schema, versions, coverage, a sample scored again",
        ".validate:run",
        "serxai validate runs/quick --sample 4",
        "validate",
    )
    parser.add_argument("run", type=_path, metavar="RUN", help=RUN_FOLDER)
    parser.add_argument("--sample", type=int, default=2, metavar="CLIPS", help="clips to score again; default 2")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the sample; default 0")
    _add_many(parser, "--model", "N", "recogniser of the run that this command may load although its name is a path")
    _add_many(parser, "--checkpoint", "MODEL=PATH", "checkpoint of a model; that of the run's files is never read")
    _add_trust(parser)
    _add_data_root(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
