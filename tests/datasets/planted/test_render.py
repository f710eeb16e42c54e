"""The building blocks of planted clips, measured on a synthetic voice."""

from __future__ import annotations

import numpy as np
import pytest

from serxai.audio import SAMPLE_RATE, Plane
from serxai.cues.regions import region_cues
from serxai.cues.tracks import cue_tracks
from serxai.datasets.clip import Word
from serxai.datasets.planted import edits, render
from serxai.datasets.planted.truth import CROSSFADE_S
from serxai.datasets.planted.voices import CLIP_IDS, RECIPES, SENTENCES, VOICES
from serxai.errors import InputError
from serxai.keys import rng

RANGE_HZ = (60.0, 350.0)


@pytest.fixture(scope="module")
def voice():
    """1.2 s of a pulse train that glides from 110 to 140 Hz, through one formant at 700 Hz."""
    times = np.arange(int(1.2 * SAMPLE_RATE)) / SAMPLE_RATE
    phase = np.cumsum(np.linspace(110, 140, times.size)) / SAMPLE_RATE
    pulses = np.diff(np.floor(phase), prepend=0.0)
    ring = np.exp(-times[:800] * 300) * np.sin(2 * np.pi * 700 * times[:800])
    return 0.1 * np.convolve(pulses, ring)[: times.size] + 1e-4 * rng("voice").standard_normal(times.size)


def _cues(samples: np.ndarray) -> dict[str, float]:
    tracks = cue_tracks(samples.astype(np.float32), reference_hz=100.0)
    return {k: v.value for k, v in region_cues(tracks, np.ones(tracks.times_s.shape, bool)).items()}


def _everywhere(samples: np.ndarray) -> np.ndarray:
    return np.ones(samples.size)


def test_sham_resynthesis_keeps_the_cues(voice):
    before, after = _cues(voice), _cues(edits.resynthesise(voice, RANGE_HZ, _everywhere(voice)))
    for cue in ("f0_level", "f0_variability", "loudness"):
        assert after[cue] == pytest.approx(before[cue], abs=0.15)


@pytest.mark.parametrize("shift", [-3.0, 2.0, 6.0])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_pitch_is_shifted_and_spread_by_what_was_asked(voice, shift, factor):
    before = _cues(voice)
    after = _cues(edits.resynthesise(voice, RANGE_HZ, _everywhere(voice), shift, factor))
    assert after["f0_level"] - before["f0_level"] == pytest.approx(shift, abs=0.25)
    assert after["f0_variability"] / before["f0_variability"] == pytest.approx(factor, rel=0.15)


def test_jitter_grows_with_what_was_asked(voice):
    jitters = [
        _cues(edits.resynthesise(voice, RANGE_HZ, _everywhere(voice), 0.0, 1.0, size, rng("jitter")))["jitter"]
        for size in (0.0, 0.02, 0.05)
    ]
    assert jitters[1] > jitters[0] + 0.5 and jitters[2] > jitters[1] + 0.5


def test_a_voiceless_sound_is_left_as_it_is():
    noise = 0.01 * rng("voiceless").standard_normal(8000)
    np.testing.assert_array_equal(edits.resynthesise(np.zeros(8000), RANGE_HZ, np.ones(8000)), np.zeros(8000))
    assert edits.resynthesise(noise, RANGE_HZ, np.ones(8000)).shape == noise.shape


def test_breath_has_the_level_and_spectrum_of_the_voice_but_no_harmonics(voice):
    breath = Plane(voice.astype(np.float32)).shaped_noise(rng("breath"))
    assert 10 * np.log10(np.mean(breath**2) / np.mean(voice**2)) == pytest.approx(0, abs=3)
    before, after = _cues(voice), _cues(voice + 0.5 * breath)
    assert after["hnr"] < before["hnr"] - 3
    assert after["high_frequency_energy"] == pytest.approx(before["high_frequency_energy"], abs=2)


def test_shelf_is_half_up_half_down_around_its_middle(voice):
    gains = edits.shelf(np.array([0.0, 300.0, 1200.0, 4800.0, 8000.0]))
    np.testing.assert_allclose(gains, [-0.5, -0.5, 0.0, 0.5, 0.5], atol=0.01)
    filtered = edits.filtered(voice, 10 * edits.shelf(edits.frequencies(voice.size)))
    assert _cues(filtered)["high_frequency_energy"] > _cues(voice)["high_frequency_energy"] + 3


def test_weight_is_one_in_words_and_zero_beyond_the_crossfade():
    words = (Word("a", 0.1, 0.2), Word("b", 0.205, 0.3))
    weight = edits.crossfade_weight(8000, words)
    times = np.arange(8000) / SAMPLE_RATE
    inside = ((times >= 0.1) & (times <= 0.2)) | ((times >= 0.205) & (times <= 0.3))
    outside = (times < 0.1 - CROSSFADE_S) | (times > 0.3 + CROSSFADE_S)
    assert (weight[inside] == 1).all() and (weight[outside] == 0).all()
    assert 0 < np.median(weight[~inside & ~outside]) < 1 and np.abs(np.diff(weight)).max() < 0.02


def test_planting_reaches_the_level_that_was_asked(voice):
    for emotion, recipe in RECIPES.items():
        weight = edits.crossfade_weight(voice.size, (Word("a", 0.3, 0.8),))
        planted = edits.apply_recipe(voice, voice, weight, RANGE_HZ, recipe, rng("plant", emotion))
        change = 10 * np.log10(np.sum((weight * planted) ** 2) / np.sum((weight * voice) ** 2))
        assert 0.84 < change / recipe.level_db < 1.16


def test_clipping_is_refused():
    with pytest.raises(RuntimeError, match="BASE_PEAK"):
        edits.quantised(np.array([0.0, 1.01]), "x")


def test_voices_sentences_and_ids_are_as_declared():
    assert len(VOICES) == 16 and sum(v.sex == "female" for v in VOICES.values()) == 8
    assert len(SENTENCES) == 8 and len(set(CLIP_IDS)) == 512
    for sentence in SENTENCES:
        content = [w for w in sentence.split() if w.isupper() and len(w) > 1]
        assert len(content) >= 3 and len(set(sentence.lower().split()) & {w.lower() for w in content}) == len(content)
    with pytest.raises(InputError, match="Andy-s0-anger"):
        render.parse_id("Andy-s9-anger")
