"""Statements: true of a clip whose cues are known, used by a recogniser whose rule is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import percentileofscore

from serxai.audio import SAMPLE_RATE
from serxai.cues.neutral import NeutralReference
from serxai.cues.windows import WindowCues, window_edges
from serxai.datasets.clip import Clip
from serxai.errors import NotApplicable
from serxai.metrics.case import Case
from serxai.metrics.cue_edits import EDITS, stretch_weights
from serxai.metrics.statements import (
    EDIT_OF,
    LESS,
    MORE,
    distance_from_neutral,
    moves,
    planted_families,
    rank_among,
    span_effects,
    span_weights,
)
from serxai.models.recogniser import Recogniser


def voice(f0: float, gain: float = 1.0, seconds: float = 1.2, seed: int = 0) -> Clip:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    generator = np.random.default_rng(seed)
    wobble = 1 + 0.06 * np.sin(2 * np.pi * 3 * t + seed) + 0.02 * np.sin(2 * np.pi * 7 * t)
    phase = 2 * np.pi * np.cumsum(f0 * wobble) / SAMPLE_RATE
    level = 1.2 + np.sin(2 * np.pi * 2.3 * t + seed)
    x = sum((np.sin(h * phase) / h for h in range(1, 20)), np.zeros(t.size)) * level
    return Clip(f"{f0}", (gain * (0.05 * x + 1e-3 * generator.standard_normal(t.size))).astype(np.float32))


class Level(Recogniser):
    """Loud in the first half speaks for ``anger``, nothing else does."""

    name, classes, fingerprint = "level", ("anger", "calm"), "level"

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        self.calls += len(waveforms)
        half = waveforms[:, : waveforms.shape[1] // 2].double()
        y = 10 * torch.log10(half.square().mean(dim=1) + 1e-9)
        return torch.stack([y, -y], dim=1)


@pytest.fixture(scope="module")
def case() -> Case:
    windows = {}
    for seed in range(4):
        clip = voice(110 + 4 * seed, seed=seed)
        windows[str(seed)] = WindowCues(clip.cue_tracks, window_edges(clip.duration_s))
    return Case(Level(), voice(220, 3.0), "anger", seed=("t",), neutral=lambda: NeutralReference(windows, "s"))


def test_what_is_true(case: Case):
    assert distance_from_neutral(case, "f0_level") > 3 and distance_from_neutral(case, "loudness") > 1
    assert distance_from_neutral(case, "f0_level", (0.2, 0.5)) > 3
    same = replace(case, clip=voice(114, seed=9), _memo={})
    assert abs(distance_from_neutral(same, "f0_level")) < 2
    with pytest.raises(NotApplicable, match="span"):
        distance_from_neutral(case, "f0_level", (1.19, 3.0))
    with pytest.raises(NotApplicable, match="neutral"):
        distance_from_neutral(replace(case, neutral=None), "f0_level")


def test_a_clip_longer_than_the_neutral_ones_is_compared_with_what_they_have(case: Case):
    longer = replace(case, clip=voice(220, seconds=3.0), _memo={})
    assert distance_from_neutral(longer, "f0_level") > 3


def test_levels_that_cannot_be_compared_are_not(case: Case):
    assert case.neutral is not None
    kept = NeutralReference(case.neutral().clips, "s", ("loudness",))
    with pytest.raises(NotApplicable, match="cannot be compared"):
        distance_from_neutral(replace(case, neutral=lambda: kept), "loudness")


def test_what_is_used(case: Case):
    """Turning the first half down by 6 and 12 dB costs this recogniser 9 on average, in the second half nothing."""
    first, second = (0.0, 0.6), (0.6, 1.2)
    effects = span_effects(case, first)
    assert effects["loudness", MORE] == pytest.approx(9, abs=0.2)
    assert effects["loudness", LESS] == pytest.approx(-9, abs=0.2)
    assert rank_among(effects, "loudness", MORE) == 1.0 and rank_among(effects, "loudness", LESS) == 0.0
    assert max(abs(effect) for (cue, _), effect in effects.items() if cue != "loudness") < 2
    assert max(abs(effect) for effect in span_effects(case, second).values()) < 0.2
    assert set(effects) == {(cue, direction) for cue in EDIT_OF for direction in (MORE, LESS)}


def test_nothing_voiced_has_no_pitch_to_edit(case: Case):
    noise = Clip("n", (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32))
    effects = span_effects(replace(case, clip=noise, _memo={}))
    assert {cue for cue, _ in effects} <= {"loudness", "high_frequency_energy", "hnr"} | {
        cue for cue in EDIT_OF if EDITS[EDIT_OF[cue]].psola
    }
    with pytest.raises(NotApplicable, match="cannot be edited"):
        rank_among(effects, "shimmer", MORE)


@pytest.mark.parametrize("span", [(0.0, 0.25), (0.25, 0.75), (0.5, 1.0), (0.0, 1.0)])
def test_weights_of_a_span_are_those_of_its_stretches(span: tuple[float, float]):
    stretches = stretch_weights(16000, 4)
    inside = stretches[int(4 * span[0]) : int(4 * span[1])].sum(axis=0)
    np.testing.assert_allclose(span_weights(16000, *span)[0], inside, atol=1e-12)


def test_direction_of_every_amount():
    assert moves("f0_level").tolist() == [-1, -1, 1, 1] and moves("f0_variability").tolist() == [-1, -1, 1, 1]
    assert moves("loudness").tolist() == moves("high_frequency_energy").tolist() == [-1, -1, 1, 1]
    assert moves("jitter").tolist() == [1, 1] and moves("hnr").tolist() == [-1, -1]


def test_rank_against_scipy():
    drawn = np.random.default_rng(0)
    for _ in range(20):
        effects = {(cue, sign): float(drawn.integers(0, 4)) for cue in EDIT_OF for sign in (1, -1)}
        for key, own in effects.items():
            others = [value for other, value in effects.items() if other != key]
            assert rank_among(effects, *key) == pytest.approx(percentileofscore(others, own, "mean") / 100)


def test_families_by_hand():
    planted = {"f0_level": 3.0, "loudness": 6.0, "hnr": -2.0}
    assert planted_families({"f0_level": 1, "f0_variability": -1, "shimmer": 1}, planted) == (1, 3, 2)
    assert planted_families({"f0_level": -1}, planted) == (0, 3, 1)
    assert planted_families({}, planted) == (0, 3, 0)
    assert planted_families({"f0_level": 0.0, "hnr": -5}, planted) == (1, 3, 1)
