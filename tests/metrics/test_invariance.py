"""Which metrics read the order of the cells alone: every record against transforms of the map (definition 19)."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from serxai.audio import Grid, scoring_grid
from serxai.cues.neutral import NeutralReference
from serxai.cues.windows import WindowCues, window_edges
from serxai.datasets.clip import Clip
from serxai.errors import InputError, NotApplicable
from serxai.keys import digest, rng
from serxai.methods.attribution import Attribution
from serxai.metrics.case import Case, Explained
from serxai.metrics.record import DESCRIBED_FAMILIES, FAMILIES, INVARIANT_FAMILIES
from serxai.metrics.records import METRICS, MetricRecord, make_metric
from serxai.models.recogniser import TorchRecogniser

CHOICES = {"direction-agreement:": "JL", "causal-cue-fidelity:": "f0_level", "quantus:": "RelevanceMassAccuracy"}
EVERY = [METRICS.get(name + CHOICES.get(name, "")) for name in METRICS.names()]
TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "square root": lambda x: np.sign(x) * np.abs(x) ** 0.5,
    "square": lambda x: np.sign(x) * np.abs(x) ** 2,
    "tanh": lambda x: np.tanh(3 * x),
    "cubic": lambda x: x + 5 * x**3,
}
# 0 or 1 for each clip, 0 where nothing is gained, or windows of the most relevant time: a few maps need not tell
COARSE = {
    "average-increase",
    "average-gain",
    "input-fidelity",
    "salience-contrast",
    "cue-profile",
    "neutral-agreement",
    "neutral-agreement-trained",
    "direction-agreement",
}


def distinct_levels(shape: tuple[int, int], *seed: object) -> np.ndarray:
    """A map of distinct values, -1 .. -.1 and .1 .. 1: no transform above merges two of them in float32."""
    n = int(np.prod(shape))
    level = np.linspace(-1, 1, n + n % 2)[:n]  # an even number of steps: none is 0
    level = np.sign(level) * (0.1 + 0.9 * np.abs(level))
    return rng("levels", *seed).permutation(level).reshape(shape)


class OddMethod:
    """Draws a map from what it explains, on the grid that metrics score on, and transforms it."""

    def __init__(self, case: Case, transform: Callable[[np.ndarray], np.ndarray], features: bool) -> None:
        self.case, self.transform, self.features = case, transform, features

    def grid(self, clip: Clip) -> Grid:
        if self.features and isinstance(self.case.recogniser, TorchRecogniser):
            return self.case.recogniser.feature_grid(clip.samples.size)
        return scoring_grid(clip.duration_s)

    def explain(self, clip, *seed, recogniser=None, target=None) -> Attribution:
        used, grid = recogniser or self.case.recogniser, self.grid(clip)
        values = distinct_levels(grid.shape, digest(clip.samples), used.fingerprint, target or "", *seed)
        return Attribution(self.transform(values), grid, target or self.case.target, "odd")

    def explained(self) -> Explained:
        clip = self.case.clip
        clean, other = (self.explain(clip, name) for name in ("clean", "other"))
        return Explained(self.explain(clip), clean, clean, other, clip.duration_s, self.explain)


@pytest.fixture(scope="module")
def case(cnn, speech_like) -> Case:
    """As the fixture of `test_every_metric`, but shared: nothing depends on the order of metrics."""
    from serxai.datasets.clip import Plant, Word

    clip = speech_like()
    quiet = (clip.samples * np.where(np.arange(clip.samples.size) % 15360 < 5120, 1, 0.5)).astype(np.float32)
    third = clip.duration_s / 3
    stretches = (Word("2.0", 0.1, third), Word("0.4", third, 2 * third), Word("1.0", 2 * third, 0.9))
    clip = replace(clip, plant=Plant(quiet, (Word("a", third, 2 * third),)), marks={"stress": stretches,
                   "voicing": stretches})  # fmt: skip
    voices = {name: WindowCues(speech_like(i).cue_tracks, window_edges(0.96)) for i, name in enumerate("abc")}
    copy = deepcopy(cnn)
    return Case(cnn, clip, "anger", "twin", seed=(0, "planted", clip.id, "clean"),
                neutral=lambda: NeutralReference(voices), fine_tuned=lambda fill: copy)  # fmt: skip


def score(case: Case, record: MetricRecord, transform: Callable[[np.ndarray], np.ndarray]) -> float | None:
    method = OddMethod(case, transform, record.space == "features")
    try:
        return make_metric(record.name).score(case, method.explained()).value
    except NotApplicable:
        return None


@pytest.mark.parametrize("record", EVERY, ids=lambda r: r.name)
def test_the_record_says_whether_only_the_order_counts(case, record: MetricRecord):
    if record.space == "features" and not record.invariant:
        pytest.skip("quantus: metrics are cross-checks; none claims to read the order alone")
    if record.family == "recogniser":
        pytest.skip("reads no map, but the table that it was made from")
    changes = []
    for sign in (1, -1):  # infidelity gives all maps that point the wrong way the same score
        plain = score(case, record, lambda x, sign=sign: sign * x)
        assert plain is not None
        for transform in TRANSFORMS.values():
            value = score(case, record, lambda x, sign=sign, transform=transform: transform(sign * x))
            changes.append(np.inf if value is None else abs(value - plain))
    if record.invariant:
        assert max(changes) <= 1e-12
    elif record.name.partition(":")[0] not in COARSE:
        assert max(changes) > 1e-9


def test_core_metrics_read_the_order_alone_or_say_why_not():
    for record in METRICS:
        if record.core and record.family in INVARIANT_FAMILIES:
            assert record.invariant, record.name
    assert not [record.name for record in METRICS if record.exempt_reason]
    for family in FAMILIES:
        assert any(record.core for record in METRICS if record.family == family), family
    for name in ("mass-accuracy", "faithfulness-correlation", "faithfulness-estimate", "infidelity", "sensitivity-n"):
        assert not METRICS.get(name).core and not METRICS.get(name).invariant


def test_a_core_metric_of_values_is_refused():
    with pytest.raises(InputError, match=r"mass-accuracy.*'core'.*order of the cells alone.*exempt_reason"):
        replace(METRICS.get("mass-accuracy"), core=True)
    assert replace(METRICS.get("mass-accuracy"), core=True, exempt_reason="it claims shares").core
    assert replace(METRICS.get("max-sensitivity"), core=True).core  # robustness asks for no such thing


def test_complexity_cost_and_what_rules_can_win_are_described_not_ranked():
    not_ranked = {record.family for record in METRICS if not (record.ranked or record.described)}
    assert not_ranked == set(DESCRIBED_FAMILIES)
    assert {record.family for record in METRICS if record.ranked} == set(FAMILIES) - set(DESCRIBED_FAMILIES)
    described = {record.name for record in METRICS if record.described}
    windows_alone = {"neutral-agreement", "direction-agreement", "salience-contrast", "cue-profile"}
    loud_speech = {"causal-cue-fidelity", "causal-cue-fidelity:"}
    stable_alone = {"consistency"}  # no explanation is as stable as one that never asks the recogniser
    assert described == {*windows_alone, "direction-agreement:", *loud_speech, *stable_alone}
    with pytest.raises(InputError, match=r"'core'.*only described"):
        replace(METRICS.get("cue-profile"), core=True)
    assert not METRICS.get("quantus:Sparseness").ranked and METRICS.get("quantus:ROAD").ranked
    with pytest.raises(TypeError):
        MetricRecord(ranked=True)  # type: ignore[call-arg]
