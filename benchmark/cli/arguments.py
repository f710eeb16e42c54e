"""Arguments that commands share, and the parser of one command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from .terminal_text import printable


class Parser(argparse.ArgumentParser):
    """Parser whose messages hold no control characters of what was typed."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit with status 2."""
        super().error(printable(message))


def nonempty_path(text: str) -> Path:
    """A path that is not empty, which would mean the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty; give one (the current folder is .)")
    return Path(text)


def add_debug(parser: argparse.ArgumentParser, default: object) -> None:
    """Add ``--debug``."""
    parser.add_argument("--debug", action="store_true", default=default, help="show the traceback of an error")


def add_command(
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
    add_debug(parser, argparse.SUPPRESS)  # either place: before the command and behind it
    parser.set_defaults(handler=handler, check=check)
    return parser


def add_many(parser: argparse.ArgumentParser, flag: str, metavar: str, text: str) -> None:
    """Add a flag that may be repeated; its values form a list."""
    parser.add_argument(flag, action="append", default=[], metavar=metavar, help=text + " (may be repeated)")


def add_data_root(parser: argparse.ArgumentParser) -> None:
    """Add ``--data-root``."""
    parser.add_argument(
        "--data-root",
        type=nonempty_path,
        metavar="DIR",
        help="folder that holds the corpora, one sub-folder each (default: $SERXAI_DATA, else the user cache folder)",
    )


def add_partial(parser: argparse.ArgumentParser) -> None:
    """Add ``--partial``."""
    parser.add_argument(
        "--partial", action="store_true", help="accept incomplete runs, and mark what is missing; default: refuse them"
    )


def add_ensemble(parser: argparse.ArgumentParser, default: bool | None) -> None:
    """Add ``--ensemble``."""
    parser.add_argument(
        "--ensemble",
        action="store_true",
        default=default,
        help="explain speakers of other corpora by the mean of the fold models' log-odds, not by the model refitted on "
        "all speakers",
    )


def add_param(parser: argparse.ArgumentParser) -> None:
    """Add ``--param``."""
    text = "parameter of a method, as in beyond-saliency.cues=egemaps; a wrong name lists those that are allowed"
    add_many(parser, "--param", "METHOD.NAME=VALUE", text)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust``."""
    parser.add_argument(
        "--trust",
        "--trust-remote-code",
        action="store_true",
        help="let code run that a file names (python: in settings, remote code of a checkpoint); see docs/security.md",
    )
