"""Parsers of the commands for people who extend serxai."""

from __future__ import annotations

import argparse

from .arguments import add_command, add_data_root, add_param, nonempty_path

KINDS = ("method", "metric", "corpus", "recogniser")


def _check(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands, "check", "check that a method, metric, corpus or recogniser keeps to its interface", ".check:check",
        """
        serxai check method my-method
        serxai check method attn-lrp --model hf:PATH
        serxai check corpus emodb --data-root DIR
        """,
    )  # fmt: skip
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", help="as registered, see serxai ls; or python:MODULE:FACTORY")
    parser.add_argument("--model", metavar="N", help="recogniser to try a method on; default a small network")
    parser.add_argument("--trained-on", metavar="CORPUS", help="training corpus of a recogniser that is named")
    add_param(parser)
    add_data_root(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _new(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands, "new", "write a package with a method, metric, corpus or recogniser and its test", ".new:new",
        """
        serxai new method my-method
        serxai new corpus my-corpus --out packages
        """,
    )  # fmt: skip
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("name", metavar="NAME", help="small letters, digits and hyphens")
    parser.add_argument("--out", type=nonempty_path, metavar="DIR", help="where its folder is made; default here")


COMMANDS = (_check, _new)
