"""Additivity of recognisers with a known answer, read from the tables of explanations."""

from __future__ import annotations

import numpy as np
import pytest

from serxai.audio import Grid, Plane, band_edges_hz
from serxai.errors import NotApplicable
from serxai.methods.attribution import Attribution
from serxai.methods.masks import all_masks
from serxai.metrics.additivity import Additivity
from serxai.metrics.case import Case, Explained, work_of
from serxai.metrics.records import METRICS, make_metric


def scored(case: Case, table: np.ndarray | None, grid: Grid, values: np.ndarray | None = None) -> float:
    values = np.ones(grid.shape) if values is None else values
    return Additivity().score(case, Explained(Attribution(values, grid, "anger", "test", table=table))).value


@pytest.fixture
def case(cnn, speech_like) -> Case:
    return Case(cnn, speech_like(), "anger")


@pytest.fixture
def bands() -> Grid:
    return Grid(band_edges_hz(8), [0.0, 0.96])


def test_known_tables(case, bands):
    masks = all_masks(8).astype(float)
    assert scored(case, masks @ np.arange(8.0), bands) == pytest.approx(1)
    sign = 2 * masks - 1
    assert scored(case, sign[:, 0] * sign[:, 1], bands) == pytest.approx(0, abs=1e-6)
    assert scored(case, 3 * sign[:, 4] + sign[:, 0] * sign[:, 1] * sign[:, 2], bands) == pytest.approx(0.9, abs=1e-6)


def test_sums_over_bands_are_additive_and_logarithms_of_sums_are_not(
    linear_recogniser, speech_like, bands, explained_as_in_a_run
):
    clip = speech_like()
    # linear in the samples: what masks take away adds up exactly
    weights = np.random.default_rng(0).normal(size=clip.samples.size)
    case = Case(linear_recogniser(weights), clip, "yes")
    assert make_metric("additivity").score(case, explained_as_in_a_run(case, "emolime")).value == pytest.approx(
        1, abs=1e-4
    )
    white = linear_recogniser(weights)
    energy = lambda waveform: float(np.log(Plane(waveform.numpy()).energy(bands).sum() + 1e-12))  # noqa: E731
    white.function = energy
    case = Case(white, clip, "yes")
    found = make_metric("additivity").score(case, explained_as_in_a_run(case, "band-shapley"))
    assert 0.2 < found.value < 0.99


def test_it_is_the_same_for_all_methods_of_one_table_and_makes_no_call(case, explained_as_in_a_run):
    values = set()
    for method in ("emolime", "band-shapley", "band-banzhaf", "band-forest", "band-interactions"):
        explained = explained_as_in_a_run(case, method)
        before = case.recogniser.calls
        found = make_metric("additivity").score(case, explained)
        assert (case.recogniser.calls - before, found.model_calls, work_of(Additivity(), case, explained)) == (0, 0, {})
        values.add(found.value)
    assert len(values) == 1


def test_what_has_no_table_of_bands_has_no_score(case, bands, explained_as_in_a_run):
    for method in ("saliency", "emolime-sampled", "band-kernelshap", "band-loo", "energy-lime"):
        with pytest.raises(NotApplicable, match="did not score every mask of frequency bands"):
            make_metric("additivity").score(case, explained_as_in_a_run(case, method))
    with pytest.raises(NotApplicable, match="every mask of frequency bands"):
        scored(case, None, bands)
    with pytest.raises(NotApplicable, match="does not react to any removal"):
        scored(case, np.full(256, 3.0), bands)


def test_its_record_describes_and_ranks_nothing():
    record = METRICS.get("additivity")
    assert (record.family, record.ranked, record.uses_fill, record.core) == ("recogniser", False, True, True)
