"""``serxai.run`` and ``serxai.explain`` of recognisers that are objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import serxai
from serxai.errors import InputError
from serxai.models.given import as_recogniser, content_of, identified, named_objects, refuse_unsendable


class Net(nn.Module):
    """Logits from the level in four bands of the waveform's differences."""

    classes = ("anger", "happiness", "neutral", "sadness")

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.head = nn.Linear(4, 4, bias=False)
        self.head.weight.data = torch.from_numpy(np.random.default_rng(seed).normal(size=(4, 4))).float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [x, x.diff(), x.diff().diff(), x.diff().diff().diff()]
        return self.head(torch.stack([part.pow(2).mean(1).add(1e-6).log() for part in parts], 1))


def loudness(waveforms: np.ndarray) -> np.ndarray:
    """Probabilities of two classes."""
    level = np.log10(np.square(waveforms).mean(1) + 1e-9)
    anger = 1 / (1 + np.exp(-2 * (level + 2)))
    return np.stack([anger, 1 - anger], 1)


loudness.classes = ("anger", "sadness")
ARGUMENTS = {"corpus": "planted", "method": ["saliency", "random"], "metric": "deletion", "fill": "attenuate",
             "condition": "clean", "limit": 4, "report": False}  # fmt: skip


def test_a_run_of_objects_is_resumed_by_content(tmp_path: Path) -> None:
    net = Net()
    run = serxai.run(model={"mine": net}, out=tmp_path / "run", **ARGUMENTS)
    scores = run.scores
    assert set(scores["model"]) == {"object:mine"} and set(scores["status"]) == {"ok"} and len(scores) == 8
    assert net.head.weight.requires_grad  # the user's module is not frozen
    facts = run.info["models"]["object:mine trained on unknown"]
    assert facts["object"] == "WaveformRecogniser" and run.info["execution"]["workers"] == 1
    again = serxai.run(model={"mine": Net()}, out=run.path, resume=True, report=False)
    assert again.info["computed"]["shards"] == 0  # another object with the same weights
    other = serxai.run(model={"mine": Net(1)}, out=run.path, resume=True, report=False)
    assert other.info["computed"]["shards"] == len(other.info["shards"])
    with pytest.raises(InputError, match=r"'object:mine' was given to serxai.run as an object.*give it again"):
        serxai.run(out=run.path, resume=True, report=False)


@pytest.mark.long
def test_an_object_scores_as_its_name_does(tmp_path: Path) -> None:
    given = ARGUMENTS | {"workers": 1}
    model = serxai.load_model("cnn", trained_on="planted")
    fingerprint = model.fingerprint
    one = serxai.run(model=["planted-rule", model, loudness], out=tmp_path / "one", **given).scores
    assert model.fingerprint == fingerprint
    assert set(one["model"]) == {"planted-rule", "object:cnn", "object:loudness"}
    named = serxai.run(model="planted-rule", out=tmp_path / "two", **given).scores
    same = one[one["model"] == "planted-rule"]
    assert same["value"].tolist() == named["value"].tolist() and same["key"].tolist() == named["key"].tolist()
    black = one[(one["model"] == "object:loudness") & (one["method"] == "saliency")]
    assert set(black["status"]) == {"skipped"}


@pytest.mark.long
def test_workers_get_an_object_that_can_be_sent(tmp_path: Path) -> None:
    model = serxai.load_model("cnn", trained_on="planted")
    given = ARGUMENTS | {"limit": 16}
    one = serxai.run(model=model, out=tmp_path / "one", **given).scores
    two = serxai.run(model=model, out=tmp_path / "two", workers=2, **given).scores
    assert one["value"].tolist() == two["value"].tolist()


def test_what_other_processes_cannot_get_is_refused(tmp_path: Path) -> None:
    def inner(waveforms: np.ndarray) -> np.ndarray:
        return loudness(waveforms)

    inner.classes = loudness.classes  # type: ignore[attr-defined]
    local = {"object:inner": as_recogniser(inner)}
    with pytest.raises(InputError, match=r"'object:inner' cannot be sent to other processes.*inner.*workers=1"):
        refuse_unsendable(local, "--workers 2")
    with pytest.raises(InputError, match=r"^workers 2: recogniser 'object:mine'"):
        serxai.run(model={"mine": inner}, workers=2, out=tmp_path / "run", **ARGUMENTS)
    refuse_unsendable({"object:f": as_recogniser(loudness)}, "--workers 2")


def test_identity_is_what_an_object_holds() -> None:
    assert content_of(as_recogniser(Net())) == content_of(as_recogniser(Net())) != content_of(as_recogniser(Net(1)))
    found = as_recogniser(loudness)
    calls, fingerprint = found.calls, found.fingerprint
    assert content_of(found) == content_of(as_recogniser(loudness)) != ""
    with identified({"object:f": found}):
        inside = found.fingerprint
    assert inside != fingerprint == found.fingerprint and found.calls == calls


def test_explain_takes_what_run_takes() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 8000)
    explanation = serxai.explain(noise, "saliency", Net(), rate=16_000)
    assert set(explanation.probabilities) == set(Net.classes) and explanation.attribution.values.any()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Net, "Net is a class; give an object"),
        (3, "is of type int; give a name of `serxai ls models`, a Recogniser, a torch module"),
        (lambda x: x, "does not name its classes"),
        ([Net(), Net()], "two objects are called 'object:Net'"),
    ],
)
def test_other_objects_are_refused(model: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        named_objects(model if isinstance(model, list) else [model])


def test_flags_of_named_models_are_refused_beside_objects(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^trained_on: the recogniser is given itself"):
        serxai.run(model=Net(), trained_on="emodb", out=tmp_path / "run")
    with pytest.raises(InputError, match=r"^checkpoint .*objects have their weights"):
        serxai.run(model=Net(), checkpoint=tmp_path, out=tmp_path / "run")
