"""Properties that every registered metric has, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from serxai.audio import Grid, band_edges_hz
from serxai.errors import InputError, NotApplicable
from serxai.methods.attribution import Attribution
from serxai.metrics.case import Case, Explained, work_of
from serxai.metrics.records import METRICS, make_metric
from serxai.metrics.trajectory import RANDOM_TRAJECTORIES, STEPS

# plausibility asks for voices, tracks and cues, and what describes the recogniser for mask tables: they have tests
# of their own
ELSEWHERE = ("plausibility", "recogniser")
OWN = [record.name for record in METRICS if not record.name.endswith(":") and record.family not in ELSEWHERE]
COMPANIONS = {"consistency": 3, "input-independence": 1}
# one of each family of metrics, for what holds for all
FAMILIES = {"direction-agreement:": "JL", "causal-cue-fidelity:": "f0_level", "quantus:": "PixelFlipping"}
EVERY = [name + FAMILIES[name] if name.endswith(":") else name for name in METRICS.names()]


def outcome(name: str, case: Case, explained: Explained) -> tuple:
    """Value and calls, or the reason why there is none."""
    try:
        found = make_metric(name).score(case, explained)
    except NotApplicable as signal:
        return "not applicable", str(signal)
    return found.value, found.model_calls


@pytest.fixture
def case(cnn, planted_clip) -> Case:
    copy = deepcopy(cnn)
    seed = (0, "planted", planted_clip.id, "clean")
    return Case(cnn, planted_clip, "anger", "twin", seed=seed, fine_tuned=lambda fill: copy)


@pytest.mark.parametrize("method", ["saliency", "random"])
@pytest.mark.parametrize("name", OWN)
def test_scores_are_finite_in_range_and_say_what_they_cost(case, explained_as_in_a_run, name, method):
    explained = explained_as_in_a_run(case, method)
    metric, record = make_metric(name), METRICS.get(name)
    before = case.recogniser.calls
    try:
        work = work_of(metric, case, explained)
        found = metric.score(case, explained)
    except NotApplicable:
        assert name in ("consistency", "relative-input-stability")  # without a ceiling, or a map that never moves
        return
    asked = case.recogniser.calls - before
    companions = COMPANIONS.get(name, 0) * explained.attribution.model_calls
    assert asked == sum(work.values())  # told beforehand, alone in a fresh case
    assert found.model_calls == asked + companions
    assert np.isfinite(found.value)
    assert (-np.inf if record.low is None else record.low) <= found.value
    assert found.value <= (np.inf if record.high is None else record.high)


@pytest.mark.long  # tests/benchmark/test_every_metric_run.py asks the same of whole shards
@pytest.mark.parametrize("fill", ["twin", "noise"])
def test_scores_do_not_move_with_order_company_or_sharing(cnn, planted_clip, explained_as_in_a_run, fill):
    """Bitwise: alone in a fresh case, or after all others in any order, of two methods and two clips."""
    other = replace(planted_clip, id="b", samples=planted_clip.samples[::-1].copy())

    def fresh(clip):
        return Case(cnn, clip, "anger", fill, seed=(0, clip.id, "clean"))

    jobs = [(clip, method, name) for clip in (planted_clip, other) for method in ("saliency", "energy") for name in OWN]

    def run(order):
        cases = {clip.id: fresh(clip) for clip in (planted_clip, other)}
        explained = {}
        found = {}
        for i in order:
            clip, method, name = jobs[i]
            case = cases[clip.id]
            if (clip.id, method) not in explained:
                explained[clip.id, method] = explained_as_in_a_run(case, method)
            found[i] = outcome(name, case, explained[clip.id, method])
        return found

    everything = run(range(len(jobs)))
    assert run(np.random.default_rng(1).permutation(len(jobs))) == everything
    alone = {}
    for i in np.random.default_rng(2).permutation(len(jobs))[:12]:
        alone |= run([i])
    assert alone.items() <= everything.items()
    assert sum(value != "not applicable" for value, _ in everything.values()) > 0.8 * len(jobs)


TRAJECTORY = ["deletion", "insertion", "abpc", "comprehensiveness", "sufficiency", "delta-auc", "monotonicity"]


def calls_of(case: Case, explained: Explained, names: list[str]) -> tuple[int, int]:
    """Model calls that were made, and the sum of what the rows say."""
    before = case.recogniser.calls
    told = sum(make_metric(name).score(case, explained).model_calls for name in names)
    return case.recogniser.calls - before, told


def test_joint_cost_is_at_most_two_fifths_of_the_sum(case, explained_as_in_a_run):
    """Metrics that share, together against each by itself; what a row says is what its metric takes alone."""
    explained = explained_as_in_a_run(case, "saliency")
    alone = [calls_of(replace(case, _memo={}), explained, [name])[0] for name in TRAJECTORY]
    joint, told = calls_of(case, explained, TRAJECTORY)
    assert (joint, told) == (96, 288) and sum(alone) == told
    assert joint <= 0.4 * told

    # what is measured on a fine-tuned copy is asked of that copy alone: there is nothing to share it with
    filled = [record.name for record in map(METRICS.get, OWN) if record.uses_fill and not record.fine_tunes]
    rest = [name for name in filled if name not in TRAJECTORY]
    more, more_told = calls_of(case, explained, rest)
    assert joint + more <= 0.4 * (told + more_told)


def test_joint_cost_against_the_least_that_each_metric_could_do_with(case, explained_as_in_a_run):
    """Stricter: a metric by itself reads one curve with its ends, or four points; copies in full batches."""
    explained = explained_as_in_a_run(case, "saliency")
    calls_for, curve = case.recogniser.calls_for, STEPS + 1
    interior = STEPS - 1
    least = {
        "deletion": calls_for(curve),
        "insertion": calls_for(curve),
        "abpc": calls_for(2 * STEPS),
        "comprehensiveness": calls_for(1 + 4),
        "sufficiency": calls_for(1 + 4),
        "monotonicity": calls_for(curve),
        "delta-auc": calls_for(curve) + calls_for(2 * RANDOM_TRAJECTORIES * interior + 2),
    }
    assert list(least.values()) == [24, 24, 32, 8, 8, 24, 24 + 64] and set(least) == set(TRAJECTORY)
    total = sum(least.values())
    first = calls_of(case, explained, TRAJECTORY)[0]
    second = calls_of(case, explained_as_in_a_run(case, "energy"), TRAJECTORY)[0]
    # one method alone: the random orders of delta-auc are two thirds of what is done, and no other metric reads them
    assert 0.4 < first / total < 0.47
    # they are shared by methods, which are compared: never fewer than two
    assert (first + second) / (2 * total) <= 0.32
    assert (first + 14 * second) / (15 * total) <= 0.18


def test_a_second_method_pays_for_its_own_ranking_alone(case, explained_as_in_a_run):
    names = [name for name in OWN if METRICS.get(name).uses_fill]
    for name in names:
        outcome(name, case, explained_as_in_a_run(case, "saliency"))
    second = explained_as_in_a_run(case, "energy")
    before = case.recogniser.calls
    for name in names:
        outcome(name, case, second)
    # its trajectory, that over super-cells, the masked clip, and f-fidelity: no random orders, sets or single cells
    assert case.recogniser.calls - before == 32 + 32 + 1 + 64


MAPS = {
    "constant": lambda shape: np.ones(shape),
    "zero": lambda shape: np.zeros(shape),
    "negative": lambda shape: -1 - np.random.default_rng(0).random(shape),
    "ties": lambda shape: np.random.default_rng(0).integers(0, 3, shape).astype(float),
    "tiny": lambda shape: 1e-30 * np.random.default_rng(0).standard_normal(shape),
}


@pytest.mark.parametrize("name", [name for name in OWN if METRICS.get(name).explains])
def test_a_map_alone_cannot_be_explained_again(case, name):
    explained = Explained(Attribution(np.ones(case.grid.shape), case.grid, "anger", "test"))
    told = "needs the method to explain again, only its map is given"
    assert outcome(name, case, explained) == ("not applicable", told)


def of_odd_method(case: Case, grid: Grid, values: Callable[[tuple[int, int]], np.ndarray]) -> Explained:
    """A method that gives odd maps whatever it is asked, with all companions."""

    def explain(*args, **kwargs) -> Attribution:
        return Attribution(values(grid.shape), grid, "anger", "odd")

    made = [explain() for _ in range(4)]
    return Explained(*made, other_duration_s=case.clip.duration_s, explain=explain)


@pytest.mark.parametrize("kind", MAPS)
def test_odd_methods_have_a_score_or_a_reason(case, kind):
    """Every metric, those that explain again and plausibility included."""
    explained = of_odd_method(case, case.grid, MAPS[kind])
    found = {name: outcome(name, case, explained) for name in EVERY}
    for name, (value, told) in found.items():
        assert told if value == "not applicable" else np.isfinite(value), (name, told)
    scored = {name for name, (value, _) in found.items() if value != "not applicable"}
    if kind in ("ties", "tiny"):
        # an annotation; a map that moves; a clip unlike another
        needs_more = {name for name in EVERY if name.startswith(("weak-", "relative-", "neutral-agreement"))}
        needs_more |= {"consistency", "additivity"}  # the latter a full mask table
        assert set(EVERY) - scored <= needs_more
    assert {"deletion", "rank-accuracy", "truth-auc", "explanation-calls"} <= scored
    assert ("gini" in scored, "mass-accuracy" in scored) == (kind != "zero", kind not in ("zero", "negative"))


@pytest.mark.parametrize("shape", [(1, 1), (8, 1), (1, 9), (128, 65), (5, 7)])
def test_every_metric_moves_maps_finer_and_coarser_than_the_grid(case, shape):
    edges = np.linspace(0, 8000, 6) if shape[0] == 5 else band_edges_hz(shape[0])
    grid = Grid(edges, np.linspace(-0.01, case.clip.duration_s + 0.02, shape[1] + 1))  # with padding outside the clip
    draw = np.random.default_rng(3)
    explained = of_odd_method(case, grid, lambda size: draw.standard_normal(size) + 0.5)
    for name in EVERY:
        value, told = outcome(name, case, explained)
        assert told if value == "not applicable" else np.isfinite(value), (name, told)
        silent = shape == (1, 1) or (shape[1] == 1 and METRICS.get(name).family == "plausibility")
        # an annotation; a method that repeats itself; a full mask table
        needs_more = name.startswith(("weak-", "neutral-agreement")) or name in ("consistency", "additivity")
        assert value != "not applicable" or silent or needs_more, (name, told)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_metric_is_given_nan(case, bad):
    """A map with NaN is no explanation: it is refused where it is made, and its rows fail."""
    values = np.ones(case.grid.shape)
    values[3, 2] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        Attribution(values, case.grid, "anger", "test")


def test_what_constant_maps_score(case):
    """A constant map ranks nothing: its scores are those of a random order, or none."""

    def score(name, values):
        return outcome(name, case, Explained(Attribution(values, case.grid, "anger", "test")))[0]

    one, zero = np.ones(case.grid.shape), np.zeros(case.grid.shape)
    for name in ("deletion", "comprehensiveness", "sufficiency", "delta-auc", "irof", "abpc-native"):
        assert score(name, one) == score(name, zero) == score(name, -one), name
    for name in ("faithfulness-correlation", "sensitivity-n", "faithfulness-estimate", "monotonicity-correlation"):
        assert score(name, one) == score(name, zero) == "not applicable", name
    assert score("infidelity", zero) == 1
    assert (score("average-drop", one), score("average-increase", one), score("input-fidelity", one)) == (0, 0, 1)
    for name in ("average-drop", "average-increase", "average-gain", "input-fidelity"):
        assert score(name, zero) == score(name, -one) == "not applicable", name
    assert score("truth-auc", one) == 0.5


@pytest.mark.parametrize("shape", [(1, 1), (8, 1), (128, 65), (5, 7)])
def test_maps_finer_and_coarser_than_the_grid(case, shape):
    clip = case.clip
    edges = np.linspace(0, 8000, 6) if shape[0] == 5 else band_edges_hz(shape[0])
    grid = Grid(edges, np.linspace(-0.01, clip.duration_s + 0.02, shape[1] + 1))  # with padding outside the clip
    values = np.random.default_rng(3).standard_normal(shape) + 0.5
    explained = Explained(Attribution(values, grid, "anger", "test"))
    for name in OWN:
        if name not in COMPANIONS and not METRICS.get(name).explains:
            value, told = outcome(name, case, explained)
            assert value == "not applicable" or np.isfinite(value), (name, told)
            assert value != "not applicable" or shape == (1, 1), (name, told)


def test_a_clip_of_one_cell_in_time(cnn, speech_like):
    """As short as the recogniser takes: one column of sixteen cells, one of eight super-cells."""
    clip = speech_like(duration_s=0.05)
    case = Case(cnn, clip, "anger", "noise", seed=("short",), fine_tuned=lambda fill: cnn)
    assert case.grid.shape == (16, 1)
    explained = Explained(Attribution(np.random.default_rng(0).standard_normal((16, 1)), case.grid, "anger", "test"))
    for name in OWN:
        record = METRICS.get(name)
        if name not in COMPANIONS and not record.explains and record.family != "localisation":
            value, told = outcome(name, case, explained)
            assert value != "not applicable" and np.isfinite(value), (name, told)


def test_a_silent_clip_has_no_effects_to_predict(cnn):
    from serxai.datasets.clip import Clip

    case = Case(cnn, Clip("silence", np.zeros(8000, np.float32)), "anger", "attenuate")
    explained = Explained(Attribution(np.random.default_rng(0).random(case.grid.shape), case.grid, "anger", "test"))
    for name in ("faithfulness-correlation", "infidelity", "faithfulness-estimate"):
        assert outcome(name, case, explained) == ("not applicable", "the recogniser does not react to any removal")


@pytest.mark.parametrize("name", [name for name in OWN if METRICS.get(name).explains])
def test_costly_methods_are_not_explained_again(case, name):
    def explain(*args, **kwargs):
        raise AssertionError("explained again")

    attribution = Attribution(np.ones(case.grid.shape), case.grid, "anger", "test", model_calls=33)
    explained = Explained(attribution, explain=explain, budget=32)
    with pytest.raises(NotApplicable, match=r"at most 32 model calls; this one took 33 .raise --reexplain-calls"):
        make_metric(name).score(case, explained)
    with pytest.raises(NotApplicable, match="at most 32 model calls"):
        work_of(make_metric(name), case, explained)
    assert sum(work_of(make_metric(name), case, replace(explained, budget=33)).values()) >= 33


@pytest.mark.parametrize("name", ["road", "parameter-randomisation", "efficient-randomisation"])
def test_what_needs_a_network_says_so(linear_recogniser, speech_like, name):
    clip = speech_like()
    case = Case(linear_recogniser(np.ones(clip.samples.size)), clip, "yes")
    explained = Explained(Attribution(np.ones(case.grid.shape), case.grid, "yes", "test"), explain=lambda *a, **k: None)
    with pytest.raises(NotApplicable, match="white-box"):
        make_metric(name).score(case, explained)
