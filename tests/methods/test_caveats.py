"""When an explanation must not be read, and what is said instead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from serxai.audio import Grid, band_edges_hz
from serxai.methods.attribution import Attribution
from serxai.methods.caveats import (
    LEAST_R2,
    LEAST_RESPONSE,
    caveats,
    ignores_recogniser,
    is_unsigned,
    largest_response,
)
from serxai.methods.cue_sentence import sentence
from serxai.methods.masks import FillEffect, all_masks, fill_effects
from serxai.methods.reading import reading
from serxai.methods.records import METHODS, make_method
from serxai.models.cnn import ResidualCNN
from serxai.models.front_end import LogMel
from serxai.models.recogniser import TorchRecogniser

BANDS = Grid(band_edges_hz(8), [0.0, 0.8])
CLASSES = ("anger", "happiness", "neutral", "sadness")


def bands(method: str = "emolime", table: np.ndarray | None = None, **details: float) -> Attribution:
    values = np.linspace(-0.4, 0.3, 8)[:, None]
    return Attribution(values, BANDS, "anger", method, details, table=table)


def kinds(attribution: Attribution, response: float | None = None) -> list[str]:
    return [caveat.kind for caveat in caveats(attribution, response)]


LIVELY = 2.0 * all_masks(8)[:, 1]  # one band decides


@pytest.fixture(scope="module")
def untrained() -> TorchRecogniser:
    torch.manual_seed(0)
    return TorchRecogniser("cnn", CLASSES, LogMel(), ResidualCNN(4, width=4).eval(), fingerprint="untrained")


def test_an_untrained_network_has_nothing_to_explain(untrained, voice, ask):
    """Whatever the method: with a table of its own, with a gradient, and with cues."""
    request = ask(untrained, voice(duration_s=1.0))
    made = {name: make_method(name).attribute(request) for name in ("emolime", "band-shapley", "saliency")}
    response = largest_response(fill_effects(request), [a.table for a in made.values()])
    assert response is not None and 0 < response < 0.2
    for attribution in made.values():
        found = caveats(attribution, response)
        assert found[0].kind == "no response" and found[0].unreadable
        said = reading(attribution, found)
        assert said.startswith("There is nothing to explain: replacing ") and "less than 1." in said
        assert "speaks" not in said and "matters most" not in said
    cues = replace(made["saliency"], method="beyond-saliency:saliency", base=made["saliency"])
    assert kinds(cues, response)[0] == "no response"


def test_a_constant_recogniser_has_nothing_to_explain(white_box, voice, ask):
    request = ask(white_box(lambda waveform: 3.0), voice())
    found = make_method("emolime").attribute(request)
    assert found.details["r2"] == 1.0  # a constant is fitted without error
    assert reading(found, caveats(found)) == (
        "There is nothing to explain: replacing any set of its parts moves the log-odds of yes by 0.00 at most, less "
        "than 1."
    )
    assert largest_response(fill_effects(request)) == 0.0
    assert kinds(make_method("occlusion").attribute(request), 0.0) == ["no response"]


def test_a_recogniser_that_reacts_is_read_as_before(white_box, voice, ask):
    clip = voice()
    weights = torch.as_tensor(clip.samples).double()

    def loudness(waveform: torch.Tensor) -> float:
        return float(20 * (waveform.double() @ weights) / (weights @ weights))

    request = ask(white_box(loudness), clip)
    for name in ("emolime", "band-shapley", "occlusion", "band-interactions"):
        found = make_method(name, **({"response": "log-odds"} if name == "emolime" else {})).attribute(request)
        assert caveats(found, largest_response(fill_effects(request))) == ()
        assert reading(found).startswith("What speaks most for yes lies at ")


def test_the_table_of_a_method_is_judged_before_what_others_removed():
    assert kinds(bands(table=0.3 * LIVELY, r2=0.9), response=7.0) == ["no response"]
    assert kinds(bands(table=LIVELY, r2=0.9), response=0.1) == []
    assert kinds(bands("input-x-gradient"), response=0.1) == ["no response"]
    assert kinds(bands("input-x-gradient"), response=LEAST_RESPONSE) == []
    assert kinds(bands("input-x-gradient")) == []  # nothing was removed: nothing is said


def test_parts_that_cancel_are_a_response():
    """The whole clip is as likely as its fill, but one half of the bands speaks for, the other against."""
    table = all_masks(8) @ np.array([3.0, -3.0] * 4)
    fills = [FillEffect("none", False, 0.2, 0.55, 0.0), FillEffect("attenuate", False, 0.1, 0.52, 0.1)]
    assert table[0] == table[-1] == 0 and largest_response(fills) == pytest.approx(0.1)
    assert largest_response(fills, [None, table]) == pytest.approx(24.0)
    assert largest_response([FillEffect("attenuate", False, 3.0, 0.9, -2.5)]) == 2.5  # up is a response too
    assert largest_response([FillEffect("resynthesis", False, 9.0, 1.0, 9.0)]) is None
    assert largest_response([]) is None


def test_a_surrogate_that_does_not_fit_is_not_read():
    found = bands(table=LIVELY, r2=0.096)
    (caveat,) = caveats(found)
    assert caveat.kind == "poor fit" and caveat.unreadable
    said = reading(found)
    assert said.startswith(
        "The map is not to be read: its surrogate explains 10% of what the masked copies do (R² 0.096)"
    )
    assert "weights of the log-odds would explain 100% (response = log-odds)" in said and "speaks" not in said
    assert kinds(bands(r2=LEAST_R2)) == [] and kinds(bands(r2=LEAST_R2 - 1e-6)) == ["poor fit"]
    assert reading(bands(r2=LEAST_R2)).startswith("What speaks most for anger lies at 5374-8000 Hz.")
    words = replace(bands(r2=0.2), method="beyond-saliency:emolime", base=bands(r2=0.2))
    assert kinds(words) == ["poor fit"]


def test_bands_that_act_together_are_told():
    signs = 2.0 * all_masks(8) - 1
    found = bands("band-shapley", table=signs[:, 0] * signs[:, 1] + 0.5 * signs[:, 2])
    (caveat,) = caveats(found)
    assert caveat.kind == "interactions" and not caveat.unreadable
    assert reading(found).startswith("What speaks most for anger lies at ")
    assert "But single parts explain 20% of what removal does" in reading(found)
    assert "band-interactions shows it" in reading(found)
    own = replace(found, method="band-interactions", interactions=np.diag(np.arange(8.0)))
    assert "band-interactions shows it" not in reading(own)


def test_the_strongest_pair_is_told():
    matrix = np.diag(np.arange(8.0))
    matrix[1, 6] = matrix[6, 1] = -2.5
    found = replace(bands("band-interactions", table=LIVELY), interactions=matrix)
    assert reading(found).endswith(
        " Strongest pair: 386-760 Hz and 3654-5374 Hz together do -2.50 beyond what each does."
    )


def test_a_map_without_sign_is_not_evidence_for():
    found = Attribution(np.array([[0.1, 0.5], [0.0, 0.2]]), Grid([0, 500, 8000], [0, 0.4, 0.8]), "anger", "saliency")
    (caveat,) = caveats(found)
    assert (caveat.kind, caveat.unreadable, is_unsigned(found)) == ("unsigned", False, True)
    assert reading(found) == (
        "What matters most to anger lies at 0-500 Hz, 0.40-0.80 s; whether for or against it, this map does not say."
    )
    signed = replace(found, values=-found.values)  # by a parameter of the method, say
    nothing = "Nothing in the clip speaks for anger"
    against = f"{nothing}; what speaks most against it lies at 0-500 Hz, 0.40-0.80 s."
    assert not is_unsigned(signed) and reading(signed) == against
    assert "raises anger; what lowers it most lies at" in reading(signed, number=True)
    assert reading(replace(signed, values=0 * signed.values, method="occlusion")) == f"{nothing}."
    assert not is_unsigned(replace(found, method="of somebody else"))
    # windows chosen by a signed map are evidence for; by a magnitude they are not
    occlusion = replace(found, method="occlusion")
    assert not is_unsigned(replace(found, method="beyond-saliency", base=occlusion))
    assert is_unsigned(replace(found, method="beyond-saliency:saliency", base=found))
    assert all(is_unsigned(replace(found, method=r.name)) != r.signed for r in METHODS if r.name[-1] != ":")


def test_baselines_say_nothing_of_the_recogniser():
    for name in ("random", "energy"):
        found = bands(name)
        assert ignores_recogniser(found) and "does not ask the recogniser" in reading(found)
        assert ignores_recogniser(replace(found, method=f"beyond-saliency:{name}", base=found))
    assert not ignores_recogniser(bands("emolime")) and not ignores_recogniser(bands("somebody's"))


def row(agree: list[bool], contrast_z: float = 3.0) -> dict:
    sources = [{"source": f"S{i}", "direction": 1 if yes else -1, "agree": yes} for i, yes in enumerate(agree)]
    return {
        "cue": "loudness", "unit": "dB", "salient": 70.0, "rest": 60.0, "contrast": 10.0, "contrast_z": contrast_z,
        "z": None, "z_rest": None, "reference": "", "reason": "", "measured_by": "praat",
        "windows_s": [[0.1, 0.25]], "sources": sources,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("agree", "said"),
    [
        ([True], "as the only source on it expects of anger"),
        ([False], "against what the only source on it expects of anger"),
        ([True, True], "as most sources expect of anger"),
        ([False, False, True], "against what most sources expect of anger"),
        ([True, False], "on which the sources disagree"),
    ],
)
def test_most_sources_are_at_least_two(agree: list[bool], said: str):
    rows = (row(agree),)
    found = Attribution(np.ones((1, 1)), Grid([0, 8000], [0.1, 0.25]), "anger", "beyond-saliency", cues=rows)
    text = sentence(found)
    assert said in text and ("most sources" in text) == ("most sources" in said)
