"""Distance of a sound to a training corpus: quantities with a known value, limits that hold on held-out speakers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from serxai.datasets.corpora import load_corpus
from serxai.errors import InputError
from serxai.models.bundled import BUNDLED
from serxai.models.training_distance import (
    BANDS,
    QUANTITIES,
    STATISTICS,
    load_statistics,
    measure,
    save_statistics,
    training_statistics,
)

RATE = 16_000
EMODB = BUNDLED / "cnn-emodb"


def noise(seed: int, seconds: float, level: float = 0.1, highest: float = 8000.0) -> np.ndarray:
    """White noise up to a frequency."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(round(RATE * seconds)))
    spectrum[np.fft.rfftfreq(round(RATE * seconds), 1 / RATE) > highest] = 0
    x = np.fft.irfft(spectrum, round(RATE * seconds))
    return (level * x / np.sqrt(np.mean(x**2))).astype(np.float32)


def test_quantities_of_noise_are_what_it_was_made_with() -> None:
    plain, spectrum = measure(noise(0, 2.0, level=0.1, highest=4000))
    assert plain["level"] == pytest.approx(-20, abs=0.01)
    assert plain["length"] == 2.0
    assert plain["bandwidth"] == pytest.approx(0.99 * 4000, rel=0.01)
    assert spectrum.shape == (2 * BANDS,)
    softer = measure(noise(0, 2.0, level=0.05))[1]
    np.testing.assert_allclose(softer, measure(noise(0, 2.0, level=0.1))[1], atol=0.01)  # the level is taken out


def test_silence_has_finite_quantities() -> None:
    plain, spectrum = measure(np.zeros(RATE, dtype=np.float32))
    assert np.isfinite([*plain.values(), *spectrum]).all() and plain["level"] == -120


@pytest.fixture(scope="module")
def statistics():
    rng = np.random.default_rng(1)
    speakers = [f"s{i % 6}" for i in range(120)]
    sounds = [noise(i, rng.uniform(1, 3), 10 ** rng.uniform(-1.2, -0.8), rng.uniform(5000, 7500)) for i in range(120)]
    folds = {str(k): [f"s{2 * k}", f"s{2 * k + 1}"] for k in range(3)}
    return training_statistics("noise", sounds, speakers, folds)


def test_few_held_out_clips_are_outside(statistics) -> None:
    assert 0 < statistics.flagged <= len(QUANTITIES) * 1.01 / 120  # one clip a quantity at most
    assert (statistics.clips, statistics.speakers) == (120, 6)


def test_each_quantity_is_flagged_by_what_moves_it(statistics) -> None:
    def flagged(x: np.ndarray) -> set[str]:
        return {deviation.quantity for deviation in statistics.deviations(x)}

    assert flagged(noise(900, 2.0, 0.1, 6000)) == set()
    assert "level" in flagged(noise(900, 2.0, 0.001, 6000))
    assert flagged(noise(900, 20.0, 0.1, 6000)) == {"length"}
    assert {"bandwidth", "spectrum"} <= flagged(noise(900, 2.0, 0.1, 1500))
    pulsed = noise(900, 2.0, 0.1, 6000) * (np.arange(2 * RATE) // 1600 % 2)
    assert "spectrum" in flagged(pulsed.astype(np.float32))


def test_a_deviation_names_value_and_limits(statistics) -> None:
    (found,) = (d for d in statistics.deviations(noise(900, 20.0, 0.1, 6000)) if d.quantity == "length")
    assert found.text.startswith("length 20.0 s (training: ") and found.low < found.median < found.high < 20


def test_the_file_is_data(statistics, tmp_path: Path) -> None:
    assert load_statistics(tmp_path) is None
    save_statistics(statistics, tmp_path)
    assert load_statistics(tmp_path) == statistics
    content = json.loads((tmp_path / STATISTICS).read_text())
    content["mean"][0] = "1; import os"
    (tmp_path / STATISTICS).write_text(json.dumps(content))
    with pytest.raises(InputError, match="damaged"):
        load_statistics(tmp_path)


@pytest.mark.real_data
@pytest.mark.long
def test_shipped_statistics_are_those_of_the_corpus() -> None:
    corpus, stored = load_corpus("emodb"), load_statistics(EMODB)
    folds = json.loads((EMODB / "model.json").read_text())["folds"]
    table = corpus.table[corpus.table["emotion"].isin(["anger", "happiness", "neutral", "sadness"])].sort_index()
    made = training_statistics(
        "emodb", (corpus.clip(clip).samples for clip in table.index), table["speaker"].astype(str).tolist(), folds
    )
    assert stored is not None and made.flagged == stored.flagged <= 0.0125
    for quantity in QUANTITIES:
        np.testing.assert_allclose(
            made.quantities[quantity].quantiles, stored.quantities[quantity].quantiles, rtol=1e-3
        )
        assert made.quantities[quantity].limit == pytest.approx(stored.quantities[quantity].limit, rel=1e-2)
