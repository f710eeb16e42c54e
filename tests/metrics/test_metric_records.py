"""The metric registry: complete records, refusal of wrong ones, nothing heavy imported."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from serxai.errors import InputError, NotApplicable, UnknownNameError
from serxai.keys import rng
from serxai.metrics.case import Case, Explained
from serxai.metrics.records import (
    DIRECTIONS,
    FAMILIES,
    METRICS,
    MODEL_CALLS,
    SPACES,
    MetricRecord,
    make_metric,
)


def test_listing_imports_nothing_heavy():
    code = (
        "import sys; from serxai.metrics.records import METRICS; METRICS.names();"
        "print([m for m in ('torch', 'pandas', 'librosa', 'scipy', 'numpy') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("record", list(METRICS), ids=lambda r: r.name)
def test_every_record_makes_a_metric(record: MetricRecord):
    assert callable(make_metric(record.name).score)


@pytest.mark.parametrize("record", list(METRICS), ids=lambda r: r.name)
def test_every_record_is_complete(record: MetricRecord):
    """What the record claims is what the class can do: companions, model calls, conditions, bounds."""
    metric = make_metric(record.name)
    assert not record.summary.endswith(".") and "\n" not in record.summary
    assert record.family in FAMILIES and record.direction in DIRECTIONS and record.space in SPACES
    if record.perfect is not None and record.random is not None:
        assert (record.perfect > record.random) == (record.direction == "higher")
    if record.explains:
        assert record.conditions == "clean" and not record.uses_fill
    if record.name.endswith(":"):
        return
    calls_recogniser = hasattr(metric, "work")
    if calls_recogniser:
        assert record.cost != "0"
        assert not record.companions  # those are explanations of the run, not work of the metric
    if record.uses_fill or record.explains:
        assert calls_recogniser


def test_what_boards_single_out_is_in_the_records():
    """The terminal's short table and the column of model calls are found without naming a metric."""
    headline = [record for record in METRICS if record.headline]
    assert len({record.family for record in headline}) == len(headline) >= 5
    (calls,) = (record.name for record in METRICS if record.unit == MODEL_CALLS)
    assert calls == "explanation-calls"
    assert [record.name for record in METRICS if record.scale] == ["consistency", "additivity"]
    assert {record.family for record in METRICS if record.core} == set(FAMILIES)


def test_a_score_in_log_odds_has_no_bounds():
    unbounded = [record for record in METRICS if record.unit == "log-odds"]
    assert len(unbounded) == 9 and all(record.low is None and record.high is None for record in unbounded)


def test_families_come_in_order_of_display():
    families = [record.family for record in METRICS]
    assert families == sorted(families, key=families.index)
    assert families[0] == "faithfulness" and families[-1] == "recogniser"


def test_near_misses_are_named():
    with pytest.raises(UnknownNameError, match="deletion"):
        make_metric("deletoin")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"family": "beauty"}, "faithfulness"),
        ({"direction": "up"}, "higher, lower"),
        ({"conditions": "noisy"}, "any, shifted, clean"),
        ({"companions": ("twin",)}, "clean, repeat, other"),
        ({"cost": " "}, "model calls"),
        ({"low": 1.0, "high": 1.0}, "below high"),
        ({"perfect": 2.0, "high": 1.0}, "perfect"),
        ({"random": -1.0}, "random"),
        ({"citation": ""}, "citation"),
        ({"target": "metrics.case"}, "module:attribute"),
    ],
)
def test_wrong_fields_are_refused(change, told):
    with pytest.raises(InputError, match=told):
        replace(METRICS.get("gini"), **change)


def test_explanation_calls(cnn, speech_like, explain):
    case = Case(cnn, speech_like(), "anger")
    explained = Explained(explain(np.ones(case.grid.shape), case.grid, model_calls=256))
    outcome = make_metric("explanation-calls").score(case, explained)
    assert (outcome.value, outcome.model_calls) == (256, 0)


def test_energy_removed_tells_loud_cells_from_quiet_ones(cnn, speech_like, explain):
    case = Case(cnn, speech_like(), "anger", seed=("energy",))
    score = make_metric("energy-removed").score
    energy = case.plane.energy(case.grid)
    drawn = [rng("drawn", i).standard_normal(case.grid.shape) for i in range(6)]
    forth, back = (np.array([score(case, Explained(explain(s * m, case.grid))).value for m in drawn]) for s in (1, -1))
    np.testing.assert_allclose(forth + back, 1, atol=1e-9)  # what one order removes last, the other removes first
    loud, quiet = (score(case, Explained(explain(s * energy, case.grid))).value for s in (1, -1))
    assert quiet < forth.min() < 0.5 + np.ptp(forth) and forth.max() < loud <= 1
    assert score(case, Explained(explain(energy, case.grid))).model_calls == 0
    silent = Case(cnn, case.clip.with_samples(np.zeros(16000, np.float32), None), "anger")
    with pytest.raises(NotApplicable, match="silent"):
        score(silent, Explained(explain(np.ones(silent.grid.shape), silent.grid)))


def test_random_rankings_score_what_the_record_says(cnn, speech_like, explain):
    case = Case(cnn, speech_like(), "anger", seed=("r",))
    record = METRICS.get("abpc")
    maps = [np.random.default_rng(i).standard_normal(case.grid.shape) for i in range(12)]
    both = [explain(sign * values, case.grid) for values in maps for sign in (1, -1)]
    scores = [make_metric("abpc").score(case, Explained(attribution)).value for attribution in both]
    # a ranking and its reverse swap the two curves: their scores are opposite, so the mean is 0 to rounding
    assert np.mean(scores) == pytest.approx(record.random, abs=1e-6)
    assert np.std(scores) > 1e-4


def test_worst_margin_and_bar_of_records():
    """What boards ask of a record: the worst score, the margin of equivalence, the bar of sanity."""
    assert (METRICS.get("rank-accuracy").worst, METRICS.get("average-drop").worst) == (0.0, 1.0)
    assert METRICS.get("random-logit").worst == 1.0 and METRICS.get("abpc").worst is None
    assert METRICS.get("abpc").equivalence_margin == pytest.approx(np.log(1.25))
    assert METRICS.get("rank-accuracy").equivalence_margin == 0.05
    assert METRICS.get("random-logit").equivalence_margin == 0.1
    assert METRICS.get("max-sensitivity").equivalence_margin is None
    assert replace(METRICS.get("abpc"), margin=0.5).equivalence_margin == 0.5
    assert {r.name for r in METRICS if r.bar is not None} == {r.name for r in METRICS if r.family == "sanity"}
    for record in METRICS:
        bad = record.worst if record.worst is not None else record.random
        if record.bar is not None and bad is not None:  # the bar is not on the wrong side of the worst score
            assert record.bar >= bad if record.direction == "higher" else record.bar <= bad
    with pytest.raises(InputError, match="margin"):
        replace(METRICS.get("abpc"), margin=0.0)
