"""``serxai new KIND NAME``: a package with one method, metric, corpus or recogniser, its entry point and its test."""

from __future__ import annotations

import keyword
import re
from argparse import Namespace
from importlib.resources import files
from pathlib import Path
from string import Template

from ...errors import InputError
from ...registry import Registry
from ..storage.files import write_atomically, writing
from .console import Console

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
GROUPS = {"method": "methods", "metric": "metrics", "corpus": "corpora", "recogniser": "models"}


def new(arguments: Namespace) -> int:
    """Write the package and say what to do with it."""
    name, kind = arguments.name, arguments.kind
    if not NAME.fullmatch(name) or len(name) > 40:
        raise InputError(f"NAME {name!r}: take small letters, digits and hyphens, such as my-{kind}.")
    if keyword.iskeyword(name.capitalize()):
        raise InputError(f"NAME {name!r}: a class cannot be called {name.capitalize()}; take another.")
    if name in _registry(kind):
        raise InputError(f"NAME {name!r}: a {kind} of this name is registered; take another.")
    folder = (arguments.out or Path()) / name
    if folder.exists():
        raise InputError(f"{folder}: is there already; give another NAME or --out.")
    package = "serxai_" + name.replace("-", "_")
    words = {
        "name": name, "package": package, "kind": kind, "group": GROUPS[kind],
        "class": "".join(part.capitalize() for part in name.split("-")),
    }  # fmt: skip
    with writing(folder, resumable=False):
        for source, target in _files(kind, package):
            text = (files("serxai.benchmark.cli.scaffold") / source).read_text("utf-8")
            write_atomically(folder / target, Template(text).substitute(words).encode())
    Console().print(
        f"{folder}: a package with the {kind} {name!r}. Next:\n"
        f"  pip install --no-build-isolation -e {folder}\n"
        f"  serxai check {kind} {name}\n"
        f"  pytest {folder}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    return 0


def _files(kind: str, package: str) -> list[tuple[str, str]]:
    return [
        ("pyproject.toml.txt", "pyproject.toml"),
        ("README.md.txt", "README.md"),
        (f"{kind}.py.txt", f"{package}/__init__.py"),
        (f"test_{kind}.py.txt", f"tests/test_{package}.py"),
    ]


def _registry(kind: str) -> Registry:
    from ...datasets.corpora import CORPORA
    from ...methods.records import METHODS
    from ...metrics.records import METRICS
    from ...models.records import MODELS

    found: dict[str, Registry] = {"method": METHODS, "metric": METRICS, "corpus": CORPORA, "recogniser": MODELS}
    return found[kind]
