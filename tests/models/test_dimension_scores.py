"""Concordance correlation coefficient: audmetric's value, and intervals that cover what they should."""

from __future__ import annotations

import numpy as np
import pytest

from serxai.models.dimension_scores import MIN_SPEAKERS, ccc_interval, ccc_of, dimension_scores

audmetric = pytest.importorskip("audmetric")


def drawn(generator: np.random.Generator, speakers: int, clips: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and predictions whose slope and offset are the speaker's."""
    whose = np.repeat(np.arange(speakers), clips)
    true = 0.3 * generator.standard_normal(speakers)[whose] + generator.standard_normal(len(whose))
    slope = (0.7 + 0.25 * generator.standard_normal(speakers))[whose]
    offset = 0.4 * generator.standard_normal(speakers)[whose]
    return true, slope * true + offset + 0.6 * generator.standard_normal(len(whose)), whose.astype(str)


def test_the_coefficient_is_audmetrics() -> None:
    x, y, speakers = drawn(np.random.default_rng(0), 7)
    one = np.ones_like(x)
    moments = np.stack([one, x, y, x * x, y * y, x * y]).sum(axis=1)
    assert ccc_of(moments) == pytest.approx(audmetric.concordance_cc(x, y), abs=1e-12)
    scores = dimension_scores(np.stack([x, y], 1), np.stack([y, y], 1), speakers, ["arousal", "valence"])
    assert scores["ccc"]["arousal"] == pytest.approx(audmetric.concordance_cc(x, y))
    assert scores["ccc"]["valence"] == pytest.approx(1) and scores["n"] == 140 and scores["speakers"] == 7
    low, high = scores["ccc_interval"]["arousal"]
    assert -1 < low < scores["ccc"]["arousal"] < high < 1


@pytest.mark.parametrize("speakers", [6, 10])
def test_intervals_cover_the_coefficient_of_the_population(speakers: int) -> None:
    """Nominal 95 %; 150 trials are below 89 % with probability .002 where it is reached."""
    truth = audmetric.concordance_cc(*drawn(np.random.default_rng(1), 100_000)[:2])
    generator = np.random.default_rng(2)
    hits = 0
    for _ in range(150):
        low, high = ccc_interval(*drawn(generator, speakers))
        hits += low <= truth <= high
    assert 0.89 <= hits / 150 <= 1


def test_units_do_not_matter_and_few_speakers_have_no_interval() -> None:
    x, y, speakers = drawn(np.random.default_rng(3), 8)
    np.testing.assert_allclose(
        ccc_interval(x, y, speakers), ccc_interval(1e4 + 7 * x, 1e4 + 7 * y, speakers), rtol=1e-6
    )
    few = speakers < str(MIN_SPEAKERS - 1)
    assert len(set(speakers[few])) == MIN_SPEAKERS - 1 and ccc_interval(x[few], y[few], speakers[few]) is None
    assert ccc_interval(x, np.zeros_like(x), speakers) is None or ccc_interval(x, np.zeros_like(x), speakers)[0] <= 0
