"""The conformance kit: all of ours keep to it, and what does not is found out."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from serxai.audio import scoring_grid
from serxai.benchmark.cli.extension_parsers import KINDS
from serxai.benchmark.cli.main import main
from serxai.corpora import CORPORA
from serxai.errors import ClipError
from serxai.methods import METHODS, Attribution, Explainer, Request
from serxai.metrics import METRICS, Metric, Outcome
from serxai.models import Recogniser
from serxai.registry import Record
from serxai.testing import (
    ConformanceError,
    check_corpus,
    check_explainer,
    check_metric,
    check_recogniser,
    probe_clip,
    probe_recogniser,
)

QUICK = ("random", "energy", "saliency", "occlusion", "oracle")
SMALLER: dict[str, dict[str, Any]] = {
    "emolime-paper": {"masks": 4}, "emolime-paper-unshrunk": {"masks": 4}, "occlusion-paper": {"stride": 12},
}  # fmt: skip
OURS = [record.name for record in METHODS if not record.name.endswith(":")]
QUICK_METRICS = ("gini", "abpc", "truth-auc", "consistency")


def some(names: list[str], quick: tuple[str, ...]) -> list[Any]:
    return [name if name in quick else pytest.param(name, marks=pytest.mark.long) for name in names]


@pytest.mark.parametrize("name", some(OURS, QUICK))
def test_our_methods_conform(name: str):
    checks = check_explainer(name, **SMALLER.get(name, {}))
    if METHODS.get(name).needs in ("black box", "none", "gradient"):
        assert sum(check.result == "pass" for check in checks) >= 7, checks


@pytest.mark.parametrize("name", some([r.name for r in METRICS if not r.name.endswith(":")], QUICK_METRICS))
def test_our_metrics_conform(name: str):
    check_metric(name)


@pytest.mark.long
@pytest.mark.parametrize("name", ["cnn", "planted-rule"])
def test_our_recognisers_conform(name: str):
    check_recogniser(name, "planted")


def test_the_probe_recogniser_conforms():
    assert all(check.result == "pass" for check in check_recogniser(probe_recogniser()))


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["emodb", pytest.param("tess", marks=pytest.mark.long)])
def test_our_corpora_conform(name: str, data_root: Path):
    assert name in CORPORA
    check_corpus(name, data_root)


# -- what does not conform ---------------------------------------------------------------------------------------------


class Good(Explainer):
    name = "broken"

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def values(self, request: Request, shape: tuple[int, int]) -> np.ndarray:
        clip = request.clip.samples
        odds = float(request.response(request.recogniser.log_odds(clip[None]))[0])
        return self.scale * odds * np.linspace(-1, 1, shape[0] * shape[1]).reshape(shape)

    def attribute(self, request: Request) -> Attribution:
        grid = scoring_grid(request.clip.duration_s)
        return Attribution(self.values(request, grid.shape), grid, request.label, self.name)

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        return 1


class ByName(Good):
    def values(self, request, shape):
        return super().values(request, shape) + len(request.clip.speaker)


class GlobalNoise(Good):
    def values(self, request, shape):
        return super().values(request, shape) + np.random.standard_normal(shape)  # noqa: NPY002


class Silent(Good):
    """Says that it is not stochastic."""

    def values(self, request, shape):
        return super().values(request, shape) + request.generator().standard_normal(shape)


class Trains(Good):
    def values(self, request, shape):
        with torch.no_grad():
            next(request.recogniser.network.parameters()).add_(1e-3)
        return super().values(request, shape)


class Deaf(Good):
    def values(self, request, shape):
        request.recogniser.log_odds(request.clip.samples[None])
        return np.linspace(-1, 1, shape[0] * shape[1]).reshape(shape)


class Raises(Good):
    def values(self, request, shape):
        if not request.clip.samples.any():
            raise ZeroDivisionError("silence")
        return super().values(request, shape)


class Costly(Good):
    def calls(self, n_samples, recogniser):
        return 7


class Misnamed(Good):
    name = "another"


class Edits(Good):
    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale + 1


class OfBatch(Good):
    def values(self, request, shape):
        return super().values(request, shape) * request.recogniser.batch


BROKEN = [
    (ByName, "clip's name"), (GlobalNoise, "side effects"), (GlobalNoise, "seeds"), (Silent, "seeds"),
    (Trains, "side effects"), (Deaf, "other weights"), (Raises, "edge cases"), (Costly, "map"), (Misnamed, "map"),
    (Misnamed, "record and parameters"), (Edits, "record and parameters"), (OfBatch, "batch size"),
]  # fmt: skip


def register(monkeypatch: pytest.MonkeyPatch, registry: Any, record: Record, made: Any) -> None:
    monkeypatch.setitem(registry._records, record.name, record)
    load = Record.load
    monkeypatch.setattr(Record, "load", lambda self: made if self.name == record.name else load(self))


def method_record(**changes: Any) -> Any:
    facts = {"name": "broken", "target": "x:y", "reference": "none", "signed": True, "needs": "black box"}
    return replace(METHODS.get("occlusion"), **facts | changes)


def test_a_method_that_conforms(monkeypatch: pytest.MonkeyPatch):
    register(monkeypatch, METHODS, method_record(), Good)
    assert {check.result for check in check_explainer("broken")} == {"pass"}


@pytest.mark.parametrize(("kind", "check"), BROKEN)
def test_a_method_that_does_not(kind: Any, check: str, monkeypatch: pytest.MonkeyPatch):
    register(monkeypatch, METHODS, method_record(), kind)
    found = {one.name: one.result for one in check_explainer("broken", raises=False)}
    assert found[check] == "fail"
    with pytest.raises(ConformanceError, match=check):
        check_explainer("broken")


@pytest.mark.parametrize("changes", [{"signed": False}, {"reference": "fill"}, {"reference": "base"}])
def test_a_record_that_says_what_is_not_so(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    register(monkeypatch, METHODS, method_record(**changes), Good)
    with pytest.raises(ConformanceError, match=r"unsigned|reference"):
        check_explainer("broken")


class Mean(Metric):
    def score(self, case, explained):
        return Outcome(float(case.map(explained.attribution).mean()))


class Nan(Metric):
    def score(self, case, explained):
        values = case.map(explained.attribution)
        return Outcome(float(values.max() / values.sum()) if values.any() else float("nan"))


class Drifts(Metric):
    count = 0

    def score(self, case, explained):
        type(self).count += 1
        return Outcome(float(self.count))


@pytest.mark.parametrize(
    ("kind", "facts", "check"),
    [
        (Mean, {"low": 10.0, "high": 20.0}, "bounds"), (Mean, {"invariant": True}, "order of cells"),
        (Nan, {}, "edge cases"), (Drifts, {}, "determinism"),
    ],
)  # fmt: skip
def test_a_metric_that_does_not(kind: Any, facts: dict[str, Any], check: str, monkeypatch: pytest.MonkeyPatch):
    record = replace(METRICS.get("gini"), name="broken", low=None, high=None, perfect=None, random=None)
    object.__setattr__(record, "invariant", False)
    for name, value in facts.items():
        object.__setattr__(record, name, value)
    register(monkeypatch, METRICS, record, kind)
    found = {one.name: one.result for one in check_metric("broken", raises=False)}
    assert found[check] == "fail"


class Random(Recogniser):
    name, classes, fingerprint = "random", ("a", "b"), "f"

    def _raw_log_odds(self, waveforms):
        return torch.randn(len(waveforms), 2)


def test_a_recogniser_that_does_not():
    found = {one.name: one.result for one in check_recogniser(Random(), raises=False)}
    assert found["determinism and batches"] == "fail" and found["log-odds"] == "fail"


# -- the commands ------------------------------------------------------------------------------------------------------


def test_check_prints_and_has_a_status(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "method", "energy"]) == 0
    assert "none failed" in capsys.readouterr().out
    register(monkeypatch, METHODS, method_record(), Silent)
    assert main(["check", "method", "broken", "--json"]) == 1
    assert '"conforms": false' in capsys.readouterr().out
    assert main(["check", "method", "no-such"]) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_is_written(kind: str, tmp_path: Path):
    assert main(["new", kind, "my-own", "--out", str(tmp_path)]) == 0
    for path in (tmp_path / "my-own").rglob("*.py"):
        compile(path.read_text(), str(path), "exec")
        assert "$" not in path.read_text()
    assert "://" not in (tmp_path / "my-own" / "README.md").read_text()  # no page that may not exist
    assert main(["new", kind, "my-own", "--out", str(tmp_path)]) == 2
    assert main(["new", kind, "My Own", "--out", str(tmp_path)]) == 2
    for name in ("../my-own", "my/own", "/my-own", "none", "a" * 41, "my-own\n", ""):
        assert main(["new", kind, name, "--out", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other").exists()


def test_a_written_method_tells_of_bad_clips_as_ours_do(tmp_path: Path):
    """A clip that is empty or not finite makes a failed row; another exception would end the run."""
    assert main(["new", "method", "my-own", "--out", str(tmp_path)]) == 0
    (source,) = (path for path in (tmp_path / "my-own").rglob("*.py") if "class MyOwn(" in path.read_text())
    names: dict[str, Any] = {}
    exec(compile(source.read_text(), str(source), "exec"), names)
    recogniser, clip = probe_recogniser(), probe_clip()
    for samples in (np.zeros(0, np.float32), np.full(4000, np.nan, np.float32)):
        for method in (names["MyOwn"](), METHODS.get("occlusion").load()()):
            with pytest.raises(ClipError):
                method.attribute(Request(recogniser, replace(clip, samples=samples), recogniser.classes[0], ("a",)))
    told = names["MyOwn"]().attribute(Request(recogniser, clip, recogniser.classes[0], ("a",)))
    assert told.values.shape == (8, 1) and told.values.any()


# a run with what was written; a recogniser is trained first, a corpus is the folder "corpora"
RUNS = {
    "method": "--method my-own --method random --metric abpc --limit 4",
    "metric": "--method random --method energy --metric my-own --limit 4",
    "corpus": "--corpus my-own --data-root corpora --emotion anger --emotion sadness --method random --method energy "
    "--metric abpc --trained-on emodb",
    "recogniser": "--model my-own --checkpoint trained --method random --method energy --metric abpc --limit 4",
}


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_goes_all_the_way_to_a_board(kind: str, tmp_path: Path):
    """Written, installed without a network into a folder beside the environment, tested, checked, run."""
    assert main(["new", kind, "my-own", "--out", str(tmp_path)]) == 0
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}

    def started(*line: str, cwd: Path = tmp_path) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *line], cwd=cwd, env=environment, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    started("pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "-q", "--target", "site", "./my-own")
    flags = ("-q", "--import-mode=importlib", "-p", "no:cacheprovider", "tests")
    assert "1 passed" in started("pytest", *flags, cwd=tmp_path / "my-own")
    serxai = ("serxai.benchmark.cli",)
    data: tuple[str, ...] = ()
    if kind == "corpus":
        folder = tmp_path / "corpora" / "my-own"
        folder.mkdir(parents=True)
        for number, name in enumerate(f"{who}_{label}_01" for who in ("F1", "M1") for label in ("ang", "sad")):
            sound = 0.1 * np.random.default_rng(number).standard_normal(16_000)
            soundfile.write(folder / f"{name}.wav", sound, 16_000)
        data = ("--data-root", "corpora")
    if kind == "recogniser":
        started(*serxai, "train", "my-own", "--corpus", "planted", "--out", "trained", "--workers", "1")
        data = ("--trained-on", "planted")  # what the check loads is in the cache, or trained
    assert "none failed" in started(*serxai, "check", kind, "my-own", *data)
    told = started(*serxai, "run", *RUNS[kind].split(), "--workers", "1", "--condition", "clean", "--out", "run")
    assert " 0 failed" in told and (tmp_path / "run" / "report" / "index.html").is_file()
    assert ("my-own" in told) or kind == "corpus"


def test_the_probe_clip_is_told_apart():
    assert probe_clip(seed=0).sha256 != probe_clip(seed=1).sha256
    assert probe_clip(planted=True).plant is not None
