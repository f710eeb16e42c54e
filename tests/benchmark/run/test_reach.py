"""Reach of fills: what it is, which fills follow from it, and that nothing is measured twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from serxai.audio import Plane, fill_spectrum
from serxai.benchmark.cli.main import main
from serxai.benchmark.run import reach as reach_module
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.forecast import forecast
from serxai.benchmark.run.plan import make_plan
from serxai.benchmark.run.reach import Reach, _chosen
from serxai.benchmark.run.runner import run
from serxai.benchmark.storage.store import Store
from serxai.datasets.corpora import load_corpus
from serxai.keys import rng
from serxai.methods.occlusion import Occlusion
from serxai.models.obtain import load_model


def config(**changes: Any) -> Any:
    settings = {
        "models": ["planted-rule"], "methods": ["energy", "integrated-gradients"], "metrics": ["abpc", "gini"],
        "conditions": ["clean"], "target": "true", "emotions": ["anger", "happiness"], "limit": 2,
    }  # fmt: skip
    return load_config(**settings | changes)


def measured(fill: str, mean: float | None, low: float | None = None) -> Reach:
    return Reach("planted", "cnn", "planted", fill, mean, low, None if low is None else mean, 16, 8, 0, {})


FILLS = ["attenuate", "spectral-mean", "noise"]


@pytest.mark.parametrize(
    "bounds, n_fills, expected",
    [
        ([1.2, None, None], 1, ("attenuate",)),
        ([0.9, 1.0, 3.0], 1, ("spectral-mean",)),
        ([0.9, 1.0, 3.0], 3, ("spectral-mean", "noise")),
    ],
)
def test_the_first_fills_with_reach_are_taken(bounds: list, n_fills: int, expected: tuple):
    found = [measured(f, 4.0, low) for f, low in zip(FILLS, bounds, strict=True) if low is not None]
    assert _chosen(config(n_fills=n_fills), FILLS, found) == (expected, "")


def test_no_fill_is_barred_where_it_was_named_or_speakers_are_few():
    without = [measured(fill, 0.3, 0.1) for fill in FILLS]
    names, barred = _chosen(config(), FILLS, without)
    assert names == ("attenuate",) and "no reach" in barred and "--fill" in barred and "0.30 [0.10, 0.30]" in barred
    assert _chosen(config(fills=["noise"]), ["noise"], without[2:]) == (("noise",), "")
    few = [measured("attenuate", 0.2), measured("spectral-mean", 0.9), measured("noise", None)]
    assert _chosen(config(), FILLS, few) == (("spectral-mean",), "")
    short = [replace(measured(fill, 1.5, -2.0), clips=6) for fill in FILLS]
    assert _chosen(config(), FILLS, short) == (("attenuate",), "")


def test_reach_is_the_fall_with_everything_replaced_and_is_not_measured_twice(tmp_path: Path):
    """Against the definition written out; explanation and score use different draws of the noise."""
    wanted = config(fills=["noise"])
    plan = make_plan(wanted)
    total = forecast(plan).total
    store = run(wanted, tmp_path / "run")
    assert total == store.info["model_calls"] == store.info["computed"]["model_calls"]
    (found,) = store.info["reach"]
    corpus, recogniser, falls = load_corpus("planted"), load_model("planted-rule"), []
    for clip in (corpus.clip(name) for name in corpus.select(["anger", "happiness"])[:2]):
        plane = Plane(clip.samples)
        filled = plane.istft(fill_spectrum("noise", plane, rng(0, "planted", clip.id, "clean", "fill", "noise")))
        y = recogniser.log_odds(torch.stack([plane.samples, filled]))[:, recogniser.class_index(clip.emotion)]
        falls.append(y[0] - y[1])
    assert found["mean"] == pytest.approx(np.mean(falls), abs=1e-5)
    assert found["used"] and found["low"] is None and found["clips"] == found["speakers"] == 2
    assert store.info["fills"] == {"planted": {"planted-rule": ["noise"]}}
    again = run(wanted, store.path).info
    assert again["computed"]["model_calls"] == 0 and again["reach"] == store.info["reach"]
    # another clip: only that one is measured
    more = make_plan(config(fills=["noise"], limit=3), measured=again["reach"])
    assert more.reach_calls == found["model_calls"] / 2


def test_rows_say_what_explanations_are_relative_to(tmp_path: Path):
    """Each fill has its own explanations; metrics without a fill read those against the first."""
    wanted = config(
        methods=["integrated-gradients", "deeplift", "rule-truth", "oracle", "energy", "input-x-gradient"],
        fills=["spectral-mean", "attenuate"], parameters={"deeplift": {"baseline": "silence"}}, limit=1,
    )  # fmt: skip
    store = run(wanted, tmp_path / "run")
    told = store.scores().groupby(["method", "fill"])["explained_against"].agg(lambda v: ",".join(sorted(set(v))))
    for method in ("integrated-gradients", "rule-truth"):
        assert dict(told[method]) == {"": "spectral-mean", "attenuate": "attenuate", "spectral-mean": "spectral-mean"}
    fixed = {"deeplift": "silence", "oracle": "twin", "energy": "none", "input-x-gradient": "own"}
    for method, against in fixed.items():
        assert set(told[method]) == {against}
    maps = {e.against: e.first for e in store.explanations(method="integrated-gradients")}
    assert maps == {"spectral-mean": True, "attenuate": False}
    assert len(list(store.explanations(method="energy"))) == 1


def test_a_fill_without_reach_bars_its_scores_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reach_module, "_chosen", lambda *arguments: (("attenuate",), "no reach: told"))
    store = run(config(limit=1), tmp_path / "run")
    rows = store.scores().set_index("metric")
    assert set(rows.loc["abpc", "reason"]) == {"no reach: told"} and set(rows.loc["gini", "status"]) == {"ok"}
    assert not store.info["reach"][0]["used"]
    monkeypatch.undo()
    named = run(config(limit=1, fills=["attenuate"]), tmp_path / "run").scores()
    assert set(named["status"]) == {"ok"}  # a skip for want of reach is not taken over


def test_the_explanations_draw_is_not_the_scorers():
    """Same clip, same fill: the generator of the explanation is seeded apart from that of the score."""
    corpus = load_corpus("planted")
    clip = corpus.clip(corpus.select(["anger"])[0])
    explained = rng("explain", 0, "planted", clip.id, Occlusion.name, "clean", 0, "fill", "noise").random(4)
    scored = rng(0, "planted", clip.id, "clean", "fill", "noise").random(4)
    assert not np.isclose(explained, scored).any()


def test_a_fill_named_on_resuming_is_added_to_those_that_were_chosen(tmp_path: Path):
    run(config(limit=1, methods=["energy"]), tmp_path / "run")
    flags = ["run", "--resume", "--fill", "noise", "--out", str(tmp_path / "run"), "--workers", "1"]
    assert main(flags) == 0
    store = Store(tmp_path / "run")
    assert store.info["config"]["fills"] == ["attenuate", "noise"]
    assert store.scores().query("metric == 'abpc'")["fill"].tolist() == ["attenuate", "noise"]
