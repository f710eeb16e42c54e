"""The additions worked through in CONTRIBUTING.md: their code works, in as many files as the page promises."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

import serxai
from serxai.audio import SAMPLE_RATE
from serxai.corpora import CORPORA, Clip
from serxai.keys import rng
from serxai.methods import METHODS, Attribution, Request, make_method
from serxai.metrics import METRICS, Case, Explained, make_metric
from serxai.models import MODELS, Recogniser, make_extractor
from serxai.registry import Record

ROOT = Path(serxai.__file__).parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
NUMBERS = {"two": 2, "three": 3}


def section(title: str) -> tuple[int, list[tuple[str, str]]]:
    """Number of files in a section's heading, and the file and text of each block of Python code in it."""
    found = re.search(rf"## {title}: (\w+) files\n(.*?)\n## ", PAGE, re.DOTALL)
    assert found, title
    blocks, end = [], 0
    for block in re.finditer(r"```python\n(.*?)```", found[2], re.DOTALL):
        named = re.findall(r"`((?:\w+/)+\w+\.py)`", found[2][end : block.start()])
        blocks.append((named[0], block[1]))
        end = block.end()
    return NUMBERS[found[1]], blocks


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], ModuleType]:
    """Make a module of the package from its text, as if its file were there; gone after the test."""

    def make(file: str, text: str) -> ModuleType:
        name = "serxai." + file.removesuffix(".py").replace("/", ".")
        assert not (ROOT / file).exists()
        made = ModuleType(name)
        made.__package__ = name.rpartition(".")[0]
        import_module(made.__package__)
        monkeypatch.setitem(sys.modules, name, made)
        exec(compile(text, file, "exec"), made.__dict__)
        return made

    return make


@pytest.fixture
def clip() -> Clip:
    return Clip("c", (0.05 * rng("contributing").standard_normal(SAMPLE_RATE)).astype(np.float32))


class Loudness(Recogniser):
    """A quiet clip is sad."""

    name, classes, fingerprint = "loudness", ("anger", "sadness"), "0"

    def _raw_log_odds(self, waveforms: Any) -> Any:
        import torch

        self.calls += len(waveforms)
        level = waveforms.square().mean(dim=1).log()
        return torch.stack([level, -level], dim=1)


def register(monkeypatch: pytest.MonkeyPatch, registry: Any, records_file: str, text: str) -> Any:
    """Evaluate a record where the page puts it, and add it to its registry for the time of the test."""
    namespace = vars(import_module("serxai." + records_file.removesuffix(".py").replace("/", ".")))
    record = eval(text, dict(namespace))
    registry.names()
    monkeypatch.setattr(registry, "_records", dict(registry._records))
    registry.add(record)
    return record


def test_method(module, monkeypatch: pytest.MonkeyPatch, clip: Clip) -> None:
    files, ((file, text), (records, record)) = section("A method")
    assert files == len({file, records})
    module(file, text)
    name = register(monkeypatch, METHODS, records, record).name
    recogniser = Loudness()
    method = make_method(name, bands=4)
    found = method.attribute(Request(recogniser, clip, "anger", ("seed",)))
    assert found.values.shape == (4, 1) and (found.values > 0).all()  # each band makes the clip louder
    assert recogniser.calls == method.calls(clip.samples.size, recogniser)


def test_metric(module, monkeypatch: pytest.MonkeyPatch, clip: Clip) -> None:
    files, ((file, text), (records, record), (oracles, oracle)) = section("A metric")
    assert files == len({file, records, oracles})
    module(file, text)
    name = register(monkeypatch, METRICS, records, record).name
    case = Case(Loudness(), clip, "anger")
    values = rng("map").standard_normal(case.grid.shape)
    explained = Explained(Attribution(values, case.grid, "anger", "drawn"))
    place = import_module("serxai." + oracles.removesuffix(".py").replace("/", "."))
    compared: list[Callable] = []
    exec(oracle, vars(place) | {"oracle": lambda *about: compared.append})

    class Scored(SimpleNamespace):
        def __call__(self, metric: str) -> float:
            assert metric == name
            return make_metric(name).score(case, explained).value

    ((ours, expected),) = compared[0](Scored(map=case.map(explained.attribution)))
    assert ours == pytest.approx(expected, abs=1e-9) and 0 < ours < 1


def test_corpus(module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files, ((file, text), (records, line)) = section("A corpus")
    assert files == len({file, records})
    made = module(file, text)
    namespace = {"__package__": "serxai.datasets"}
    exec(line, namespace)
    assert namespace["EXAMPLE"] is made.RECORD
    CORPORA.names()
    monkeypatch.setattr(CORPORA, "_records", dict(CORPORA._records))
    CORPORA.add(made.RECORD)
    for i, name in enumerate(("F1_ang_03", "F1_sad_03", "M1_ang_03", "M1_sad_03")):
        path = tmp_path / "example" / "deep" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng(i).standard_normal(SAMPLE_RATE // 2), SAMPLE_RATE)
    corpus = serxai.load_corpus("example", tmp_path)
    assert sorted(corpus.table["emotion"]) == ["anger", "anger", "sadness", "sadness"]
    assert len(corpus.folds(2).speakers) == 2 and corpus.clip("F1_ang_03").speaker == "F1"


def test_recogniser(module, monkeypatch: pytest.MonkeyPatch) -> None:
    files, ((file, text), (records, record)) = section("A recogniser")
    assert files == len({file, records})
    module(file, text)
    name = register(monkeypatch, MODELS, records, record).name
    extractor = make_extractor(name)
    noise = (0.05 * rng("levels").standard_normal((3, SAMPLE_RATE))).astype(np.float32)
    levels = extractor.features(noise)
    assert levels.shape == (3, 16) and np.isfinite(levels).all()
    np.testing.assert_allclose(extractor.features(10 * noise), levels + 20, atol=1e-3)
    assert np.array_equal(extractor.features(noise[1:2])[0], levels[1])
    assert extractor.fingerprint != make_extractor(name, bands=8).fingerprint


@cache
def texts_of(folder: str) -> dict[str, str]:
    """Content of each Python file below a folder of the repository, by its path."""
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in (ROOT / folder).rglob("*.py")}


def files_of(record: Record) -> set[str]:
    """The module behind a record, and all files of code and tests that name the record in quotes or import the module.

    Presets are left out: they choose, or say "all". Of corpora the tests are left out too: each has one of its own file
    names.
    """
    folders = ["audio", "cues", "datasets", "models", "methods", "metrics", "benchmark"]
    folders += [] if record.name in CORPORA else ["tests"]
    *_, module = record.target.partition(":")[0].split(".")
    quoted, imported = f'"{record.name}"', f"\nfrom .publishers.{module} import"
    texts = {path: text for folder in folders for path, text in texts_of(folder).items()}
    named = {path for path, text in texts.items() if quoted in text or imported in text}
    return named | {record.target.partition(":")[0].strip(".").replace(".", "/") + ".py"}


@pytest.mark.parametrize(
    ("registry", "files"),
    [(CORPORA, 2), (MODELS, 2), (METHODS, 2), (METRICS, 3)],
    ids=["corpus", "model", "method", "metric"],
)
def test_a_new_record_need_not_be_named_elsewhere(registry: Any, files: int) -> None:
    """With the suite green, a record that stands in so few files shows that no other file must name a new one."""
    least = min((files_of(record) for record in registry if not record.name.endswith(":")), key=len)
    assert len(least) == files, least


def with_record(before: str, text: str) -> str:
    """The module of a registry with one more record, behind the last one of its family or, of models, of its kind."""
    family = re.search(r'^    (?:family|kind)="([\w-]+)",$', text, re.MULTILINE)
    assert family
    (records,) = (
        node.value.args[2]
        for node in ast.parse(before).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call) and len(node.value.args) > 2
    )
    assert isinstance(records, ast.List)
    named = [
        record.end_lineno or 0
        for record in records.elts
        if any(isinstance(part, ast.Constant) and part.value == family[1] for part in ast.walk(record))
    ]
    lines = before.splitlines(keepends=True)
    lines.insert(max(named), f"{text.strip()},\n")
    return "".join(lines)


@pytest.mark.long
def test_the_additions_pass_the_suites_own_tests(tmp_path: Path) -> None:
    """In a copy of the repository with the four additions, nothing else named anywhere, the tests over records pass."""
    copy = tmp_path / "serxai"
    skipped = shutil.ignore_patterns(".*", "runs", "out", "build", "*.egg-info", "__pycache__")

    def ignored(folder: str, names: list[str]) -> set[str]:
        stored = {"results"} if Path(folder) == ROOT else set()  # not benchmark/results, which is code
        return skipped(folder, names) | stored

    shutil.copytree(ROOT, copy, ignore=ignored)
    for title in ("A method", "A metric", "A corpus", "A recogniser"):
        _, blocks = section(title)
        for file, text in blocks:
            path = copy / file
            if not path.exists():
                path.write_text(text, "utf-8")
                continue
            before = path.read_text("utf-8")
            if file.endswith("/records.py"):
                after = with_record(before, text)
            elif file == "datasets/corpora.py":
                line = text.partition("  #")[0]
                after = before.replace("\nCORPORA:", f"\n{line}\n\nCORPORA:").replace(
                    "NEMO, FOLDER]", "NEMO, EXAMPLE, FOLDER]"
                )
            else:
                after = f"{before}\n\n{text}"
            assert after != before
            path.write_text(after, "utf-8")
    tests = [
        "tests/root/test_architecture.py",
        "tests/root/test_public_interface.py",
        "tests/methods/test_method_records.py",
        "tests/methods/test_method_properties.py",
        "tests/metrics/test_metric_records.py",
        "tests/metrics/test_oracles.py",
        "tests/metrics/test_every_metric.py",
        "tests/datasets/test_corpus.py",
        "tests/datasets/test_verify.py",
        "tests/benchmark/cli/test_corpus.py",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
