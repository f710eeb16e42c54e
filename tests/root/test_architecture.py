"""The layers of the package: imports go down only, and never in a circle, imports inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import serxai

ROOT = Path(serxai.__file__).parent
# from the top; a folder imports only folders below it
FLOORS = ["benchmark", "metrics", "methods", "models", "datasets", "cues", "audio"]
BENCHMARK = ["cli", "results", "qualification", "api", "report", "analysis", "validation", "run", "stats", "storage"]


def modules() -> dict[str, Path]:
    """Dotted name without ``serxai.`` -> file, of every module in the rooms."""
    names = {}
    for floor in FLOORS:
        for path in sorted((ROOT / floor).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()


def imports(name: str, path: Path) -> Iterator[str]:
    """Modules of the package that a module imports anywhere in its file, those for type checkers included."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        module = (node.module or "").split(".") if node.module else []
        if node.level:
            base = package[: len(package) - node.level + 1] + module
        elif module[:1] == ["serxai"]:
            base = module[1:]
        else:
            continue
        for alias in node.names:
            full = ".".join([*base, alias.name])
            yield full if full in MODULES else ".".join(base)


GRAPH = {name: sorted({i for i in imports(name, path) if i in MODULES and i != name}) for name, path in MODULES.items()}


def floor(name: str) -> tuple[int, int]:
    """Height of a module: its top folder, and within ``benchmark`` its room."""
    top, *rest = name.split(".")
    room = BENCHMARK.index(rest[0]) if top == "benchmark" and rest else 0
    return -FLOORS.index(top), -room


def test_every_room_of_benchmark_has_a_floor() -> None:
    rooms = {name.split(".")[1] for name in MODULES if name.startswith("benchmark.")}
    assert rooms == set(BENCHMARK)


@pytest.mark.parametrize("name", sorted(GRAPH))
def test_imports_go_down(name: str) -> None:
    upward = [other for other in GRAPH[name] if floor(other) > floor(name)]
    assert not upward, f"{name} imports {', '.join(upward)}, which stand above it"


def test_no_circle() -> None:
    circle: list[str] = []
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert not circle, f"import circle: {' -> '.join(circle)}"


def test_a_circle_and_an_upward_import_would_be_seen() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": ["b"], "b": ["a"]}).prepare()
    assert floor("metrics.case") > floor("models.cnn") and floor("benchmark.cli.run") > floor("benchmark.run.plan")
