"""Parsers of the commands that say what there is: ``ls``, ``show`` and ``completion``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_command
from .kinds import KINDS, SHOWN

LISTS = (*KINDS, "presets", "figures")
SHELLS = ("bash", "zsh")


def _ls(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "ls",
        "list registered corpora, models, methods, metrics, ...",
        ".ls:ls",
        """
        serxai ls methods
        serxai ls metrics --long
        serxai ls metrics --json
        """,
    )
    parser.add_argument("kind", choices=LISTS, metavar="KIND", help=", ".join(LISTS))
    parser.add_argument("--long", action="store_true", help="all a reader must know of each; default one line each")
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], metavar="DIR", help="trained models to list, too"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _show(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "show",
        "show one method, metric, recogniser, corpus, ...: definition, parameters, cost, verdict, citation, example",
        ".show:show",
        """
        serxai show method emolime
        serxai show metric abpc
        serxai show corpus emodb
        """,
    )
    parser.add_argument("kind", choices=tuple(SHOWN), metavar="KIND", help=", ".join(SHOWN))
    parser.add_argument("name", metavar="NAME", help="see: serxai ls")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _completion(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands,
        "completion",
        "print a script that completes commands, flags and names in a shell",
        ".completion:completion",
        """
        source <(serxai completion bash)
        serxai completion bash > ~/.local/share/bash-completion/completions/serxai
        """,
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


COMMANDS = (_ls, _show, _completion)
