"""``run --target A-B``: a whole run that explains, and scores, why one class rather than another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serxai.audio import fill_spectrum
from serxai.benchmark.cli.main import main
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.forecast import forecast
from serxai.benchmark.run.plan import make_plan
from serxai.benchmark.run.runner import run
from serxai.benchmark.storage.store import Store
from serxai.datasets.corpora import load_corpus
from serxai.errors import InputError
from serxai.keys import rng
from serxai.metrics.case import Case
from serxai.metrics.faithfulness import auc
from serxai.metrics.records import METRICS
from serxai.metrics.trajectory import ranking, step_of
from serxai.models.planted_rule import PlantedRule

OF_ONE_CLASS = {
    "a probability": ["irof", "average-increase", "average-drop", "average-gain", "input-fidelity"],
    "the planted truth": [record.name for record in METRICS if record.target.startswith(".metrics.localisation")],
    "what a source expects": ["direction-agreement"],
    "a source's cue profile": ["cue-profile"],
    "the next likely class": ["random-logit"],
}


@pytest.fixture(scope="module")
def contrast(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Every metric but the adapters, on four clips of the white box."""
    everything = [name for name in METRICS.names() if not name.endswith(":") and name != "causal-cue-fidelity"]
    config = load_config(
        models=["planted-rule"], methods=["rule-truth", "input-x-gradient", "oracle", "emolime", "random"],
        metrics=[*everything, "causal-cue-fidelity:intensity"], conditions=["clean"], fills=["attenuate"], limit=4,
        target="anger-sadness", parameters={"rule-truth": {"fill": "twin"}},
    )  # fmt: skip
    return run(config, tmp_path_factory.mktemp("contrast") / "run")


@pytest.mark.long
def test_rows_name_the_contrast(contrast: Store):
    scores = contrast.scores()
    assert set(scores["target"]) == {"anger-sadness"} and set(scores["target_rule"]) == {"anger-sadness"}
    assert contrast.info["rows"]["failed"] == 0
    reasons = scores.groupby(["method", "metric"])["reason"].agg(set)
    for what, metrics in OF_ONE_CLASS.items():
        for metric in metrics:
            assert reasons["random", metric] == {f"{what} is of one class, not of the contrast 'anger-sadness'"}, metric
    assert all("is not the planted emotion" in reason or reason == "no planted cue"
               for reason in set.union(*reasons["oracle"]))  # fmt: skip
    scored = scores[(scores["method"] == "random") & (scores["status"] == "ok")]
    refused = {metric for metrics in OF_ONE_CLASS.values() for metric in metrics}
    assert set(scored["metric"]) & refused == set()
    assert {"deletion", "insertion", "faithfulness-correlation", "road", "gini", "input-independence",
            "causal-cue-fidelity:intensity"} <= set(scored["metric"])  # fmt: skip


@pytest.mark.long
def test_the_white_boxs_contrast_is_the_difference_of_its_two_rules(contrast: Store):
    """The map adds up to what the clip adds to the difference of log-odds over its twin's."""
    corpus, recogniser = load_corpus("planted"), PlantedRule()
    checked = 0
    for found in contrast.explanations(method="rule-truth"):
        clip = corpus.clip(found.clip)
        y = recogniser.log_odds(np.stack([clip.samples, clip.plant.twin]))
        anger, sadness = (recogniser.classes.index(name) for name in ("anger", "sadness"))
        expected = (y[0, anger] - y[0, sadness]) - (y[1, anger] - y[1, sadness])
        assert found.attribution.values.sum(dtype=float) == pytest.approx(expected, rel=1e-4, abs=1e-4)
        checked += 1
    assert checked == 3  # neutral has no plant


@pytest.mark.long
def test_deletion_of_a_contrast_by_hand(contrast: Store):
    """Each step rendered by itself, and read as the difference of the two classes' log-odds."""
    scores = contrast.scores().set_index(["clip", "method", "metric"])["value"]
    corpus, recogniser = load_corpus("planted"), PlantedRule()
    for found in contrast.explanations(method="input-x-gradient"):
        clip = corpus.clip(found.clip)
        seed = (0, "planted", found.clip, "clean")
        case = Case(recogniser, clip, "anger-sadness", seed=seed)
        plane, grid = case.plane, case.grid
        fill = fill_spectrum("attenuate", plane, rng(*seed, "fill", "attenuate"))
        step = step_of(ranking(case.map(found.attribution), rng(*seed, "ties", "input-x-gradient"))).reshape(grid.shape)
        curve = []
        for done in range(17):
            y = dict(zip(recogniser.classes, recogniser.log_odds(plane.render((step >= done)[None], grid, fill))[0],
                         strict=True))  # fmt: skip
            curve.append(y["anger"] - y["sadness"])
        area = np.arange(17) / 16
        expected = auc(area, np.array(curve))
        assert scores[found.clip, "input-x-gradient", "deletion"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.long
def test_gradients_of_a_contrast_are_better_than_chance(contrast: Store):
    scores = contrast.scores()
    of = scores[scores["metric"] == "faithfulness-correlation"].groupby("method")["value"].mean()
    assert of["input-x-gradient"] > 0.5 > of["random"]


def test_the_runner_up_is_the_likeliest_other_class(tmp_path: Path):
    config = load_config(
        models=["planted-rule"], methods=["random", "input-x-gradient"], metrics=["deletion", "mass-accuracy"],
        conditions=["clean", "noise-10db"], limit=4, target="predicted-runner-up",
    )  # fmt: skip
    counted = forecast(make_plan(config)).total
    store = run(config, tmp_path / "run")
    assert store.info["model_calls"] == counted > 0
    corpus, recogniser = load_corpus("planted"), PlantedRule()
    targets = store.scores().groupby("clip")["target"].agg(set)
    assert len(targets) == 4
    for clip, found in targets.items():
        first, second = np.argsort(-recogniser.log_odds(corpus.clip(clip).samples[None])[0])[:2]
        assert found == {f"{recogniser.classes[first]}-{recogniser.classes[second]}"}


def test_one_class_against_itself_is_skipped(tmp_path: Path):
    config = load_config(methods=["random"], metrics=["gini"], conditions=["clean"], limit=4, target="true-neutral")
    scores = run(config, tmp_path / "run").scores().set_index("emotion")
    assert scores.loc["neutral", "reason"] == "a contrast needs two classes: this clip's are both 'neutral'"
    others = scores.drop(index="neutral")
    assert set(others["status"]) == {"ok"} and list(others["target"]) == [f"{name}-neutral" for name in others.index]


@pytest.mark.long
def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "run"
    arguments = [
        "run", "--method", "input-x-gradient", "--method", "random", "--metric", "abpc", "--metric", "cue-profile",
        "--condition", "clean", "--limit", "4", "--target", "anger-neutral", "--out", str(out),
    ]  # fmt: skip
    assert main(arguments) == 0
    assert "anger-neutral" in capsys.readouterr().out
    assert "target: anger-neutral" in (out / "report" / "leaderboard.md").read_text()
    scores = Store(out).scores()
    assert set(scores["target"]) == {"anger-neutral"}
    assert set(scores["target_rule"]) == {"anger-neutral"}
    assert main(["validate", str(out), "--sample", "0"]) == 0
    assert main([*arguments[:-3], "anger-runner", "--out", str(tmp_path / "other")]) == 2
    assert "why A rather than B" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["anger-anger", "anger-", "-anger", "anger-joy", "neutral-predicted", "a-b-c"])
def test_wrong_contrasts_are_refused(wrong: str):
    told = r"why A rather than B\. A is a class|unknown target 'joy'.*Known: A-B|can only be the first of a contrast"
    with pytest.raises(InputError, match=told):
        load_config(target=wrong)
