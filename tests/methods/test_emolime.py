"""EmoLIME over all 256 masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from serxai.audio import Grid, Plane, band_edges_hz, fill_spectrum
from serxai.errors import NotApplicable, UnknownNameError
from serxai.methods.emolime import EmoLime
from serxai.methods.masks import all_masks
from serxai.models.recogniser import one_vs_rest


def test_grid_is_that_of_the_papers_bands(tiny_cnn, voice, ask):
    attribution = EmoLime().attribute(ask(tiny_cnn(), voice(duration_s=0.9)))
    np.testing.assert_allclose(
        attribution.grid.freq_edges_hz, [0, 386, 760, 1148, 1689, 2484, 3654, 5374, 8000], atol=0.6
    )
    assert attribution.grid.time_edges_s.tolist() == [0, 0.9]


@pytest.mark.parametrize("fill", ["attenuate", "noise", "spectral-mean", "twin"])
@pytest.mark.parametrize("seed", range(2))
def test_equals_the_recipe_written_out(tiny_cnn, voice, ask, fill, seed):
    """Render each mask alone, score it alone, fit with scikit-learn."""
    clip = voice(seed, 0.2, planted=True)
    asked = ask(tiny_cnn(seed), clip, target="happiness")
    attribution = EmoLime(fill, alpha=1.0).attribute(asked)
    plane, masks = Plane(clip.samples), all_masks(8)
    spectrum = fill_spectrum(fill, plane, asked.generator("fill", fill), clip.plant.twin)
    grid = Grid(band_edges_hz(8), [0, clip.duration_s])
    probability = []
    for mask in masks:
        waveform = plane.render(mask.reshape(1, 8, 1), grid, spectrum)
        logits = asked.recogniser.network(asked.recogniser.front_end(waveform))
        probability.append(float(torch.softmax(logits, dim=1)[0, 1]))
        assert float(torch.sigmoid(one_vs_rest(logits))[0, 1]) == pytest.approx(probability[-1], abs=1e-5)
    distance = 1 - masks.sum(axis=1) / np.sqrt(np.maximum(masks.sum(axis=1), 1) * 8)
    fit = Ridge(1.0).fit(masks.astype(float), probability, sample_weight=np.exp(-(distance**2) / 0.25**2) ** 0.5)
    assert np.ptp(probability) > 1e-3
    np.testing.assert_allclose(attribution.values.ravel(), fit.coef_, atol=5e-6)
    assert attribution.details["intercept"] == pytest.approx(fit.intercept_, abs=5e-6)
    assert attribution.details["full"] == pytest.approx(probability[-1], abs=5e-6)
    assert attribution.details["none"] == pytest.approx(probability[0], abs=5e-6)
    assert 0 <= attribution.details["r2"] <= 1


@pytest.mark.parametrize("batch, calls", [(8, 256), (16, 256), (7, 259)])
def test_256_calls_a_batch_at_a_time(white_box, voice, ask, batch, calls):
    recogniser = white_box(lambda waveform: float(waveform.square().sum()))
    recogniser.batch = batch
    EmoLime().attribute(ask(recogniser, voice()))
    assert recogniser.calls == calls
    assert {len(copies) for copies in recogniser.seen} == {batch}


def test_all_kept_is_the_clip_itself(white_box, voice, ask):
    recogniser, clip = white_box(lambda waveform: 0.0), voice()
    EmoLime("noise").table(ask(recogniser, clip))
    assert torch.equal(recogniser.seen[-1][-1], torch.as_tensor(clip.samples))


def test_one_table_explains_every_class(tiny_cnn, voice, ask):
    recogniser, clip, method = tiny_cnn(), voice(duration_s=0.3), EmoLime()
    table = method.table(ask(recogniser, clip))
    before = recogniser.calls
    maps = {}
    for target in recogniser.classes:
        attribution = method.read(table, ask(recogniser, clip, target=target))
        maps[target] = attribution.values.tobytes()
        assert attribution.target == target
    assert recogniser.calls == before and len(set(maps.values())) == 4
    for target in recogniser.classes:
        assert method.attribute(ask(recogniser, clip, target=target)).values.tobytes() == maps[target]


@pytest.mark.parametrize("seed", range(4))
def test_additive_recogniser_gets_its_own_weights_back(white_box, voice, ask, seed):
    """Log-odds linear in the samples: a band weighs what its difference signal takes away."""
    clip = voice(seed)
    weights = np.random.default_rng(seed).standard_normal(clip.samples.size) / 10
    recogniser = white_box(lambda waveform: float(waveform.double().numpy() @ weights))
    attribution = EmoLime(response="log-odds").attribute(ask(recogniser, clip))
    plane = Plane(clip.samples)
    parts = plane.differences(attribution.grid, fill_spectrum("attenuate", plane, np.random.default_rng(0)))
    np.testing.assert_allclose(attribution.values.ravel(), -parts.double().numpy() @ weights, atol=1e-5)
    assert attribution.details["r2"] == pytest.approx(1, abs=1e-6)


def test_bad_parameters_are_refused(tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(), voice())
    with pytest.raises(UnknownNameError, match="unknown response 'logit'"):
        EmoLime(response="logit").attribute(asked)
    with pytest.raises(UnknownNameError, match="unknown fill 'zeros'"):
        EmoLime(fill="zeros").attribute(asked)
    with pytest.raises(NotApplicable, match="fill 'twin'"):
        EmoLime(fill="twin").attribute(asked)
