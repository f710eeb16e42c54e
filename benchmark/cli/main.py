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
from typing import Any

from ... import __version__
from ...errors import TableWarning, TrainingWarning
from ...registry import PluginWarning
from . import catalogue_parsers, extension_parsers, record_parsers, run_parsers
from .arguments import Parser, add_debug
from .parsers import COMMANDS
from .terminal_text import printable

DONE, FAILED_CELLS, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


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
    """Print warnings of broken packages, of tables and of trainings in one line, any other as Python does."""
    if issubclass(category, PluginWarning | TableWarning | TrainingWarning):
        print(f"serxai: {printable(str(message))}", file=sys.stderr)
    else:
        show(message, category, *where)


def _load(target: str) -> Callable[[argparse.Namespace], Any]:
    module, function = target.split(":")
    handler: Callable[[argparse.Namespace], Any] = getattr(import_module(module, __package__), function)
    return handler


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = Parser(
        prog="serxai",
        description="Benchmark explanations of speech emotion recognition: run, score, test, rank.",
        epilog="Start with `serxai run`: planted corpus, bundled recogniser, ten cheap methods, fifteen metrics.",
    )
    parser.add_argument("--version", action="version", version=f"serxai {__version__}")
    add_debug(parser, False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    every = (
        *COMMANDS,
        *catalogue_parsers.COMMANDS,
        *run_parsers.COMMANDS,
        *extension_parsers.COMMANDS,
        *record_parsers.COMMANDS,
    )
    for add_parser in every:
        add_parser(commands)
    return parser
