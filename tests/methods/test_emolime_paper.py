"""The authors' recipe: masks, inversion and surrogate as read from their code, but repeatable."""

from __future__ import annotations

from dataclasses import replace

import librosa
import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics.pairwise import cosine_distances

from serxai.benchmark.analysis.authors import digitised_weights, emolime_numbers
from serxai.benchmark.analysis.reproduce_emolime import (
    LINEAR,
    BandBlackBox,
    band_energies,
    compare_emolime,
    summarise_emolime,
)
from serxai.datasets.clip import Clip
from serxai.datasets.corpora import load_corpus
from serxai.errors import ClipError, InputError
from serxai.methods import emolime_paper
from serxai.methods.emolime_paper import (
    EmoLimePaper,
    EmoLimePaperUnshrunk,
    masked_magnitude,
    mel_spectrogram,
    paper_masks,
    waveform_of,
)
from serxai.methods.explainer import SharedWork
from serxai.methods.surrogates import lime_weights


def masked_waveform(mel: np.ndarray, mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One masked mel spectrogram inverted by itself: librosa's ``mel_to_audio``, seeded."""
    return waveform_of(masked_magnitude(mel, mask), generator)


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


@pytest.mark.long
def test_repeats_share_what_no_seed_moves(tiny_cnn, voice, ask, monkeypatch):
    """One inversion for each of the distinct masks, whatever the seed and target, and the same bytes as alone."""
    recogniser, clip, shared, inverted = tiny_cnn(), voice(0, 0.2), SharedWork(), []
    mine = emolime_paper.masked_magnitude
    monkeypatch.setattr(emolime_paper, "masked_magnitude", lambda mel, mask: inverted.append(mask) or mine(mel, mask))
    method = EmoLimePaper(masks=8)
    for seed, target in ((0, "anger"), (1, "anger"), (2, "sadness")):
        asked = ask(recogniser, clip, seed, target)
        found = method.attribute(replace(asked, shared=shared))
        assert len(inverted) == len(np.unique(paper_masks(8), axis=0))
        alone = np.stack(
            [
                masked_waveform(mel_spectrogram(clip.samples), m, asked.generator("phase", i))
                for i, m in enumerate(paper_masks(8))
            ]
        )
        del inverted[len(np.unique(paper_masks(8), axis=0)) :]
        fit = Ridge(1.0).fit(
            paper_masks(8),
            expit(recogniser.log_odds(alone)[:, recogniser.class_index(target)]),
            sample_weight=lime_weights(paper_masks(8)),
        )
        np.testing.assert_allclose(found.values[:, 0], fit.coef_, atol=1e-6)
        assert found.values.tobytes() == method.attribute(asked).values.tobytes()
        del inverted[len(np.unique(paper_masks(8), axis=0)) :]
    assert shared.spared == 0


def test_recognisers_share_the_inverted_waveforms(tiny_cnn, voice, ask, monkeypatch):
    """Kept by clip and seed: another recogniser inverts nothing and gets the same bytes as alone."""
    kept, inverted = {}, []
    mine = emolime_paper.waveform_of

    def keep(key, make):
        kept[key] = kept[key] if key in kept else make()
        return kept[key]

    monkeypatch.setattr(emolime_paper, "waveform_of", lambda *given: inverted.append(0) or mine(*given))
    clip, method = voice(0, 0.2), EmoLimePaper(masks=3)
    for seed, n in ((0, 3), (1, 6)):
        for recogniser in (tiny_cnn(), tiny_cnn(seed=5)):
            asked = replace(ask(recogniser, clip, seed), shared=SharedWork(keep))
            found = method.attribute(asked)
            assert len(inverted) == n and len(kept) == seed + 1
            alone = len(inverted)
            assert found.values.tobytes() == method.attribute(ask(recogniser, clip, seed)).values.tobytes()
            del inverted[alone:]


def test_unshrunk_is_least_squares_on_the_same_responses(tiny_cnn, voice, ask):
    """From the base's weights alone; without a base it makes the base itself."""
    asked = ask(tiny_cnn(), voice(0, 0.2))
    base = EmoLimePaper(masks=12).attribute(asked)
    before = asked.recogniser.calls
    found = EmoLimePaperUnshrunk(masks=12).attribute(replace(asked, base=base))
    assert asked.recogniser.calls == before
    mel, masks = mel_spectrogram(asked.clip.samples), paper_masks(12)
    copies = np.stack([masked_waveform(mel, m, asked.generator("phase", i)) for i, m in enumerate(masks)])
    probability = expit(asked.recogniser.log_odds(copies)[:, 0])
    fit = LinearRegression().fit(masks, probability, sample_weight=lime_weights(masks))
    np.testing.assert_allclose(found.values[:, 0], fit.coef_, atol=1e-5)
    assert np.abs(found.values - base.values).max() > 1e-3
    assert (found.method, found.base, found.details["shrinkage"]) == ("emolime-paper-unshrunk", base, 1.0)
    assert 0 < base.details["shrinkage"] < 0.9
    alone = EmoLimePaperUnshrunk(masks=12).attribute(asked)
    assert alone.values.tobytes() == found.values.tobytes()


def test_odd_clips(tiny_cnn, voice, ask):
    recogniser = tiny_cnn()
    silent = EmoLimePaper(masks=2).attribute(ask(recogniser, Clip("silence", np.zeros(2000, dtype=np.float32))))
    assert np.abs(silent.values).max() < 1e-6
    asked = ask(recogniser, Clip("silence", np.zeros(2000, dtype=np.float32)))
    assert np.abs(EmoLimePaperUnshrunk(masks=2).attribute(replace(asked, base=silent)).values).max() < 1e-6
    assert EmoLimePaper(masks=2).attribute(ask(recogniser, Clip("window", voice().samples[:512]))).values.size == 8
    with pytest.raises(ClipError, match="shorter than the 32 ms window"):
        EmoLimePaper().attribute(ask(recogniser, Clip("short", voice().samples[:511])))
    recogniser.min_samples = 1
    with pytest.raises(ClipError, match="too short to be inverted"):
        EmoLimePaper().attribute(ask(recogniser, Clip("short", voice().samples[:511])))
    with pytest.raises(InputError, match="masks must be at least 2"):
        EmoLimePaper(masks=1).attribute(ask(recogniser, voice()))


# ---------------------------------------------------------------- beside the authors' own program


def test_black_boxes_are_the_stated_functions(voice):
    """By a loop over the FFT's bins."""
    samples = voice(0, 0.2).samples.astype(np.float64)
    edges = np.array([0, 386, 760, 1148, 1689, 2484, 3654, 5374, 8000.0])
    bins = np.abs(np.fft.rfft(samples)) ** 2 / samples.size
    expected = np.zeros(8)
    for k, value in enumerate(bins[:-1]):  # the last lies on the upper edge
        expected[np.searchsorted(edges, k * 16_000 / samples.size + 1e-9) - 1] += value
    found = band_energies(samples[None])[0]
    np.testing.assert_allclose(found, expected, rtol=0.05)  # the edges are rounded here
    linear, logband = BandBlackBox("linear", samples), BandBlackBox("logband", samples)
    assert expit(linear.log_odds(samples[None])[0, 0]) == pytest.approx(0.3 + LINEAR.sum(), abs=1e-6)
    assert expit(logband.log_odds(samples[None])[0, 0]) == pytest.approx(expit(0.4), abs=1e-6)
    assert linear.probability(found[None] / 2)[0] == pytest.approx(0.3 + LINEAR.sum() / 2)


def test_authors_numbers_are_complete():
    assert (
        sum(f"authors_{kind}_{n}" in e for e in emolime_numbers() for kind in ("linear", "logband") for n in (0, 1))
        == 18
    )
    table = digitised_weights()
    assert len(table) == 192 and table.groupby(["model", "emotion", "corpus"]).size().eq(8).all()


@pytest.mark.real_data
@pytest.mark.long
def test_weights_are_the_authors(data_root):
    """Within the noise of Griffin-Lim's phases, .004 for the logarithmic box between two repeats of theirs; 20 s."""
    corpus = load_corpus("emodb", data_root)
    told = summarise_emolime(compare_emolime(corpus.clip, emolime_numbers()[1:2])).set_index("black_box")
    assert told["r"].min() > 0.999 and np.abs(told["slope"] - 1).max() < 0.03
    assert told.loc["linear", "largest_difference"] < 0.003 and told.loc["logband", "largest_difference"] < 0.02
    assert told["r2_difference"].max() < 0.02 and told["intercept_difference"].max() < 0.02
