"""The authors' recipe: masks, inversion and surrogate as read from their code, but repeatable."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_distances

from serxai.datasets.clip import Clip
from serxai.errors import ClipError, InputError
from serxai.methods.emolime_paper import EmoLimePaper, masked_waveform, mel_spectrogram, paper_masks
from serxai.methods.surrogates import lime_weights


def test_masks_are_the_published_ones():
    """As counted on the authors' draw: 56 of 64 are distinct, bands are kept .45 to .58 of the time."""
    masks = paper_masks()
    assert masks.shape == (64, 8) and masks[0].all()
    assert len(np.unique(masks, axis=0)) == 56
    drawn = np.random.RandomState(42).randint(0, 2, 64 * 8).reshape(64, 8)
    assert np.array_equal(masks[1:], drawn[1:])
    assert masks.mean(axis=0).min() == pytest.approx(0.45, abs=0.01)
    assert masks.mean(axis=0).max() == pytest.approx(0.58, abs=0.01)
    weights = lime_weights(masks)
    assert weights.sum() ** 2 / np.square(weights).sum() == pytest.approx(51.3, abs=0.1)


def test_inversion_is_librosas(voice, monkeypatch):
    """With the same first phase, `librosa.feature.inverse.mel_to_audio` of the masked rows gives the same samples."""
    mel = mel_spectrogram(voice(0, 0.3).samples)
    np.testing.assert_array_equal(mel, librosa.feature.melspectrogram(y=voice(0, 0.3).samples, sr=16_000))
    mask = np.array([1, 1, 0, 1, 0, 1, 1, 0])
    ours = masked_waveform(mel, mask, np.random.default_rng(3))
    seed = int(np.random.default_rng(3).integers(2**31))
    kept = mel.copy()
    for band in np.flatnonzero(mask == 0):
        kept[16 * band : 16 * band + 16] = 0
    monkeypatch.setattr(np.random, "default_rng", lambda: np.random.RandomState(seed))
    np.testing.assert_array_equal(ours, librosa.feature.inverse.mel_to_audio(kept, sr=16_000))
    assert ours.shape == (512 * (mel.shape[1] - 1),) and ours.dtype == np.float32


def test_equals_the_recipe_written_out(tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(), voice(0, 0.2), target="happiness")
    found = EmoLimePaper(masks=6).attribute(asked)
    mel, masks = mel_spectrogram(asked.clip.samples), paper_masks(6)
    copies = np.stack([masked_waveform(mel, m, asked.generator("phase", i)) for i, m in enumerate(masks)])
    probability = expit(asked.recogniser.log_odds(copies)[:, 1])
    distance = cosine_distances(masks, np.ones((1, 8))).ravel()
    fit = Ridge(1.0).fit(masks, probability, sample_weight=np.sqrt(np.exp(-(distance**2) / 0.25**2)))
    np.testing.assert_allclose(found.values[:, 0], fit.coef_, atol=1e-6)
    clip = expit(asked.recogniser.log_odds(asked.clip.samples[None])[0, 1])
    assert found.details["clip"] == pytest.approx(clip, abs=1e-6)
    assert found.details["full"] == pytest.approx(probability[0], abs=1e-6)
    assert 0 <= found.details["none"] <= 1 and found.details["noise"] > 0
    assert found.errors.shape == (8, 1)


def test_repeats_with_its_seed_alone(tiny_cnn, voice, ask):
    recogniser, clip, method = tiny_cnn(), voice(0, 0.2), EmoLimePaper(masks=3)
    first, again, other = (method.attribute(ask(recogniser, clip, seed)).values.tobytes() for seed in (0, 0, 1))
    assert first == again != other
    before = recogniser.calls
    method.attribute(ask(recogniser, clip))
    assert recogniser.calls - before == method.calls(clip.samples.size, recogniser) == 10


def test_odd_clips(tiny_cnn, voice, ask):
    recogniser = tiny_cnn()
    silent = EmoLimePaper(masks=2).attribute(ask(recogniser, Clip("silence", np.zeros(2000, dtype=np.float32))))
    assert np.abs(silent.values).max() < 1e-6
    assert EmoLimePaper(masks=2).attribute(ask(recogniser, Clip("window", voice().samples[:512]))).values.size == 8
    with pytest.raises(ClipError, match="shorter than the 32 ms window"):
        EmoLimePaper().attribute(ask(recogniser, Clip("short", voice().samples[:511])))
    recogniser.min_samples = 1
    with pytest.raises(ClipError, match="too short to be inverted"):
        EmoLimePaper().attribute(ask(recogniser, Clip("short", voice().samples[:511])))
    with pytest.raises(InputError, match="masks must be at least 2"):
        EmoLimePaper(masks=1).attribute(ask(recogniser, voice()))
