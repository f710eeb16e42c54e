"""``--target A-B``: why one class rather than another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from serxai.audio import SAMPLE_RATE
from serxai.benchmark.api.explain import explain
from serxai.errors import InputError
from serxai.keys import rng
from serxai.models.recogniser import Recogniser


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "noise.wav"
    soundfile.write(path, 0.1 * rng("contrast").standard_normal(12_000), SAMPLE_RATE)
    return path


def test_a_contrast_is_the_difference_of_two_explanations(audio):
    maps = {}
    for target in ("anger", "neutral", "anger-neutral"):
        found = explain(audio, ["input-x-gradient", "emolime"], target=target)
        maps[target] = found.attributions["input-x-gradient"].values
        assert (found.target, found.contrast) == (target.split("-")[0], "neutral" if "-" in target else None)
    expected = maps["anger"] - maps["neutral"]
    np.testing.assert_allclose(maps["anger-neutral"], expected, atol=1e-5 * np.abs(expected).max())
    assert "not the contrast 'anger-neutral'" in found.failures["emolime"]


def test_names_are_told_apart_from_contrasts():
    class Named(Recogniser):
        name, classes = "named", ("anger", "cold-anger", "neutral")

        def _raw_log_odds(self, waveforms):
            pytest.fail("naming a class asks the recogniser nothing")

    recogniser = Named()
    assert recogniser.target_named("cold-anger") == ("cold-anger", None)
    assert recogniser.target_named("cold-anger-neutral") == ("cold-anger", "neutral")
    assert recogniser.target_named("neutral-cold-anger") == ("neutral", "cold-anger")
    for wrong in ("anger-anger", "anger-joy", "joy", "-anger"):
        with pytest.raises(InputError, match="recogniser 'named' knows anger, cold-anger, neutral"):
            recogniser.target_named(wrong)
