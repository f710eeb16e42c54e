"""Random, energy and oracle."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from serxai.audio import Plane, scoring_grid
from serxai.datasets.clip import Plant
from serxai.datasets.planted.truth import truth_map, truth_mask
from serxai.errors import NotApplicable
from serxai.methods.baselines import Energy, Oracle, Random


def test_random_is_standard_normal_and_belongs_to_its_request(tiny_cnn, voice, ask):
    clip, recogniser = voice(duration_s=3.0), tiny_cnn()
    maps = np.stack([Random().attribute(ask(recogniser, clip, seed)).values for seed in range(10)])
    assert maps.shape == (10, 16, 38)
    assert stats.kstest(maps.ravel(), "norm").pvalue > 0.01
    correlation = np.corrcoef(maps.reshape(10, -1))[np.triu_indices(10, 1)]
    assert np.abs(correlation).max() < 0.2
    assert recogniser.calls == 0


@pytest.mark.parametrize("seed", range(3))
def test_energy_is_that_of_the_stft(tiny_cnn, voice, ask, seed):
    clip = voice(seed)
    attribution = Energy().attribute(ask(tiny_cnn(), clip))
    assert attribution.grid == scoring_grid(clip.duration_s)
    plane = Plane(clip.samples)
    power = plane.spectrum.abs().square().numpy()
    for row, column in [(0, 0), (3, 4), (15, 9), (7, 2)]:
        (low, high), (start, stop) = (
            attribution.grid.freq_edges_hz[row : row + 2],
            attribution.grid.time_edges_s[column:][:2],
        )
        bins = (plane.freqs_hz >= low) & (plane.freqs_hz < high)
        frames = (plane.times_s >= start) & ((plane.times_s < stop) | (column == 9))
        expected = power[bins | ((row == 15) & (plane.freqs_hz == 8000))][:, frames].sum(dtype=float)
        assert attribution.values[row, column] == pytest.approx(expected, rel=1e-5)
    assert attribution.values.sum() == pytest.approx(power.sum(), rel=1e-5)


def test_oracle_is_the_truth_within_its_mask(tiny_cnn, voice, ask):
    clip, recogniser = voice(planted=True, duration_s=1.0), tiny_cnn()
    attribution = Oracle().attribute(ask(recogniser, clip))
    truth = truth_map(clip, Plane(clip.samples), Plane(clip.plant.twin), attribution.grid)
    np.testing.assert_allclose(attribution.values, np.where(truth_mask(truth), truth, 0), rtol=1e-6)
    rows, columns = np.nonzero(attribution.values)
    assert attribution.grid.freq_edges_hz[rows].min() < 3000 < attribution.grid.freq_edges_hz[rows + 1].max()
    assert attribution.grid.time_edges_s[columns].min() > 0.3 and attribution.grid.time_edges_s[columns + 1].max() < 0.7
    assert recogniser.calls == 0


def test_oracle_needs_a_planted_cue(tiny_cnn, voice, ask):
    plain = voice()
    neutral = voice(planted=True)
    neutral = type(neutral)("neutral", neutral.samples, "neutral", plant=Plant(neutral.plant.twin, ()))
    for clip in (plain, neutral):
        with pytest.raises(NotApplicable, match=r"^no planted cue$"):
            Oracle().attribute(ask(tiny_cnn(), clip))
