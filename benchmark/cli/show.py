"""``serxai show KIND NAME``: everything about one registered thing on one page."""

from __future__ import annotations

import inspect
import json
import re
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from ...errors import InputError
from ...registry import Record
from ...usage_notes import usage_note
from .kinds import KINDS, SHOWN

_SECTION = re.compile(r"\n(\w[\w ]*)\n-{3,}\n")  # of a numpydoc docstring
# facts that have a place of their own on the page
_APART = {"name", "target", "summary", "citation", "licence", "version"}
_SHIFT = "noise-20db"


def show(arguments: Namespace) -> int:
    """Print definition, parameters, cost, verdict, citation and example of one name."""
    kind = KINDS[SHOWN[arguments.kind]]
    try:
        record = kind.get(arguments.name)
    except InputError as error:
        raise InputError(f"NAME: {error}") from None
    page = describe(SHOWN[arguments.kind], record)
    if arguments.json:
        print(json.dumps(page, indent=2, default=str))
        return 0
    _print(kind.singular, page)
    return 0


def describe(plural: str, record: Record) -> dict[str, Any]:
    """Facts of a record: what stands on its page.

    Parameters
    ----------
    plural : str
        One of `KINDS`.
    record : Record

    Returns
    -------
    dict
        ``name``, ``summary``, ``definition``, ``formula`` (LaTeX), ``misleads``, ``parameters`` (list of name, default,
        type, meaning), ``facts``, ``verdict``, ``licence``, ``version``, ``citation``, ``example``.
    """
    note = usage_note(plural, record.name)
    target, unavailable = _target(plural, record)
    definition, meanings = _documentation(target) if target is not None else ("", {})
    facts = {name: value for name, value in asdict(record).items() if name not in _APART and _said(value)}
    return {
        "name": record.name,
        "summary": record.summary,
        "definition": definition or unavailable,
        "formula": note.formula,
        "misleads": note.misleads,
        "parameters": _parameters(record, target, meanings) if plural == "methods" else [],
        "facts": facts | _more_facts(plural, record),
        "verdict": _verdict(record.name) if plural == "metrics" else "",
        "licence": record.licence,
        "version": record.version,
        "citation": record.citation,
        "example": _example(plural, record),
    }


def _target(plural: str, record: Record) -> tuple[Any, str]:
    """Object whose documentation defines the record, or why there is none."""
    if plural == "fills":
        return None, ""
    try:
        target = record.load()
    except (ImportError, InputError) as error:
        return None, f"not described, {record.target} cannot be imported: {error}"
    if isinstance(target, partial):  # one function for many: its module tells them apart
        return sys.modules[_module(record)], ""
    return target, ""


def _module(record: Record) -> str:
    """Absolute name of the module that holds a record's target."""
    module = record.target.partition(":")[0]
    return f"serxai{module}" if module.startswith(".") else module


def _documentation(target: Any) -> tuple[str, dict[str, str]]:
    """Text of a docstring before its sections, and the meaning of each parameter; a bare summary gets its module's."""
    parts = _SECTION.split("\n" + (inspect.getdoc(target) or ""))
    text = parts[0].strip()
    module = sys.modules.get(getattr(target, "__module__", ""))
    if "\n\n" not in text and module is not None and module.__doc__:
        text = f"{text}\n\n{inspect.cleandoc(module.__doc__)}".strip()
    meanings: dict[str, str] = {}
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        if title == "Parameters":
            for names, told in re.findall(r"^(\S[^\n]*)\n((?:[ \t]+[^\n]*\n?|\n)*)", body + "\n", re.MULTILINE):
                for name in names.partition(":")[0].split(","):
                    meanings[name.strip()] = " ".join(told.split())
    return text, meanings


def _parameters(record: Record, target: Any, meanings: dict[str, str]) -> list[dict[str, Any]]:
    """Parameters of a method with their defaults."""
    if target is None:
        return []
    inherited: dict[str, str] = {}
    for parent in reversed(getattr(target, "__mro__", ())):
        told = _documentation(parent)[1] if parent is not object else {}
        inherited |= {name: meaning for name, meaning in told.items() if meaning}
    found = []
    for name, parameter in inspect.signature(target).parameters.items():
        if record.argument and name == "base":
            continue
        default = None if parameter.default is parameter.empty else parameter.default
        found.append({"name": name, "default": default, "meaning": meanings.get(name) or inherited.get(name, "")})
    return found


def _more_facts(plural: str, record: Record) -> dict[str, Any]:
    """Facts that are not fields of the record."""
    if plural != "models":
        return {}
    from ...models.bundled import bundled_summaries

    shipped = [
        f"{one['corpus']}: UAR {one['uar']:.3f} on speakers held out, {', '.join(one['classes'])}"
        for one in bundled_summaries(record.name)
    ]
    return {"shipped": "; ".join(shipped)} if shipped else {}


def _verdict(name: str) -> str:
    from ...metrics.verdict import board_grade, mark_meaning

    meaning = mark_meaning(name).removesuffix(".")
    return "; ".join(filter(None, (f"qualified: {board_grade(name)}", meaning)))


def _example(plural: str, record: Record) -> list[str]:
    """Commands to start from."""
    name = f"{record.name}{'NAME' if record.name.endswith(':') else ''}"
    examples: dict[str, Callable[[], list[str]]] = {
        "methods": lambda: [
            f"serxai explain FILE.wav --method {name}",
            f"serxai run --method {name} --method random --method energy --metric abpc --limit 16",
        ],
        "metrics": lambda: [
            f"serxai run --metric {name} --limit 16{_conditions(record)}",
            f"serxai qualify --metric {name} --limit 16",
        ],
        "models": lambda: [
            f"serxai explain FILE.wav --model {name}",
            f"serxai train {name} --corpus emodb --data-root DIR --out models/{record.name.rstrip(':')}",
        ][: 2 if getattr(record, "kind", "") != "foreign" else 1],
        "corpora": lambda: [f"serxai run --corpus {name} --limit 40", f"serxai corpus verify {name}"],
        "conditions": lambda: [f"serxai run --condition clean --condition {name} --limit 16"],
        "fills": lambda: [f"serxai run --metric deletion --fill {name} --limit 16"],
        "cues": lambda: ["serxai explain FILE.wav --method beyond-saliency"],
    }
    return examples[plural]()


def _conditions(record: Record) -> str:
    return f" --condition clean --condition {_SHIFT}" if getattr(record, "conditions", "") == "shifted" else ""


def _said(value: Any) -> bool:
    """Whether a field says something; one that is not a number, empty or unknown does not."""
    return not (value is None or value != value or value in ("", (), [], {}))


def _print(kind: str, page: dict[str, Any]) -> None:
    from rich.padding import Padding

    from .console import Console, styled

    console = Console()

    def section(title: str, lines: list[str]) -> None:
        if lines:
            console.print(styled("bold", title))
            for line in lines:
                console.print(Padding(line, (0, 0, 0, 2)), highlight=False)

    console.print(styled("bold", page["name"], f" ({kind}): {page['summary']}"))
    section("definition", _paragraphs(page["definition"]))
    section("formula (LaTeX)", [page["formula"]] if page["formula"] else [])
    section("when it misleads", [page["misleads"]] if page["misleads"] else [])
    parameters = [
        f"{one['name']} = {one['default']!r}" + (f": {one['meaning']}" if one["meaning"] else "")
        for one in page["parameters"]
    ]
    section("parameters (--param METHOD.NAME=VALUE)", parameters)
    section("facts", [f"{name.replace('_', ' ')}: {_text(value)}" for name, value in page["facts"].items()])
    section("verdict", [page["verdict"]] if page["verdict"] else [])
    section("citation", [page["citation"]])
    section("version, licence", [f"{page['version']}, {page['licence']}"])
    section("example", page["example"])


def _paragraphs(text: str) -> list[str]:
    """Paragraphs of a docstring, each on one line; a title's underline is left out."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in paragraph.splitlines() if line.strip(" -")]
        if len(lines) > 1 and re.search(r"\n-{3,}(\n|$)", paragraph):
            lines[0] += ":"
        parts.append(" ".join(lines))
    return [part for part in parts if part]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
