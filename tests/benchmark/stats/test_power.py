"""Power and variance components: against simulation and balanced analysis of variance."""

from __future__ import annotations

import numpy as np
import pytest

from serxai.benchmark.stats.cluster_variance import cluster_fit
from serxai.benchmark.stats.power import (
    VarianceComponents,
    clips_needed,
    detectable_difference,
    speakers_needed,
    variance_components,
)
from serxai.benchmark.stats.simulation import LAYOUTS, Effects, simulate
from serxai.errors import InputError


def test_balanced_components_equal_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((9, 1)) + rng.standard_normal((1, 12)) + rng.standard_normal((9, 12))
    speakers, sentences = np.divmod(np.arange(108), 12)
    grand, rows, columns = table.mean(), table.mean(1), table.mean(0)
    residual = table - rows[:, None] - columns + grand
    clip = (residual**2).sum() / (8 * 11)
    speaker = (12 * ((rows - grand) ** 2).sum() / 8 - clip) / 12
    sentence = (9 * ((columns - grand) ** 2).sum() / 11 - clip) / 9
    found = variance_components(table.ravel(), speakers, sentences)
    assert (found.speaker, found.sentence, found.clip) == pytest.approx((speaker, sentence, clip))
    assert sum(found.shares) == pytest.approx(1)


@pytest.mark.parametrize("name", ["emodb", "emodb, 80 clips", "unbalanced"])
def test_components_are_unbiased_on_unbalanced_layouts(name: str) -> None:
    x = simulate(LAYOUTS[name], Effects(speaker=0.4, sentence=0.3), 400, np.random.default_rng(1))
    found = [variance_components(column, *LAYOUTS[name].codes) for column in x.T]
    means = np.mean([(c.speaker, c.sentence, c.clip) for c in found], axis=0)
    np.testing.assert_allclose(means, (0.4, 0.3, 0.3), atol=0.06)


def test_components_of_speakers_alone_missing_clips_and_too_few() -> None:
    rng = np.random.default_rng(2)
    codes = np.arange(8).repeat(5)
    x = rng.standard_normal(8)[codes] + rng.standard_normal(40)
    one = variance_components(x, codes)
    between, within = 5 * x.reshape(8, 5).mean(1).var(ddof=1), x.reshape(8, 5).var(axis=1, ddof=1).mean()
    assert (one.speaker, one.sentence, one.clip) == pytest.approx(((between - within) / 5, 0, within))
    assert variance_components([*x, np.nan], [*codes, 99]) == one
    for few in (
        variance_components([1.0, 2.0], list("ab")),
        variance_components([np.nan], list("a")),
        variance_components([], []),
    ):
        assert np.isnan([few.speaker, few.clip]).all()
    with pytest.raises(InputError, match="one label each"):
        variance_components([1.0, 2.0], list("a"))


def test_the_detectable_difference_is_detected_in_80_percent() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((10, 20_000))
    difference = detectable_difference(np.sqrt(0.1), 9)
    assert (cluster_fit(x + difference, np.arange(10)).p < 0.05).mean() == pytest.approx(0.8, abs=0.01)
    assert np.isnan(detectable_difference(np.nan, 9)) and np.isnan(detectable_difference(1.0, np.nan))
    assert detectable_difference(0.0, 9) == 0
    with pytest.raises(InputError, match="power must lie above alpha"):
        detectable_difference(1.0, 9, power=0.01)


def test_needed_clips_and_speakers_have_the_power_they_are_planned_for() -> None:
    components = VarianceComponents(0.1, 0.1, 2.0)
    n = clips_needed(0.8, components, speakers=10, sentences=10)
    assert 10 < n < 200
    rng, m = np.random.default_rng(4), int(round(n / 100) or 1)
    speakers, sentences = np.divmod(np.arange(100 * m) % 100, 10)
    # the planned clips are not a multiple of the pairs: the noise is scaled to theirs
    noise = np.sqrt(2.0 * 100 * m / n) * rng.standard_normal((100 * m, 3000))
    x = (
        0.8
        + noise
        + np.sqrt(0.1) * (rng.standard_normal((10, 3000))[speakers] + rng.standard_normal((10, 3000))[sentences])
    )
    power = (cluster_fit(x, speakers, sentences).p < 0.05).mean()
    assert 0.7 < power < 0.9  # the largest of three variances is above the expected one
    alone = VarianceComponents(0.5, 3.0, 1.0)  # sentences fixed: theirs does not count
    speakers_alone = int(speakers_needed(0.8, alone, clips_per_speaker=4, sentences=2))
    se = np.sqrt((0.5 + 1 / 4) / speakers_alone)
    assert detectable_difference(se, speakers_alone - 1) <= 0.8
    assert detectable_difference(np.sqrt(0.75 / (speakers_alone - 1)), speakers_alone - 2) > 0.8


def test_what_no_number_reaches() -> None:
    components = VarianceComponents(1.0, 1.0, 1.0)
    assert clips_needed(0.3, components, 10, 10) == np.inf and clips_needed(9.0, components, 5, 10) == np.inf
    assert speakers_needed(0.3, components, 4, sentences=8) == np.inf
    assert speakers_needed(100.0, components, 4, sentences=8) == 6 and clips_needed(100.0, components, 8, 8) == 8
    with pytest.raises(InputError, match="other than 0"):
        clips_needed(0.0, components, 10)
