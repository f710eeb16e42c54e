"""Joint probability of requirements: simple cases, and how often it qualifies what fails by a hair (simulated)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from serxai.benchmark.qualification.joint import QUALIFIED, Requirement, joint_probability
from serxai.keys import rng

Draw = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
VOICES, CLIPS, SENTENCES = 16, 3, 8


def normal(voice: float, sentence: float, clip: float, mean: float = 0.9, skewed: bool = False) -> Draw:
    """Values with effects of voice, sentence and clip, by their standard deviations; skewed: exponential, below."""

    def draw(generator: np.random.Generator, voices: np.ndarray, sentences: np.ndarray) -> np.ndarray:
        def noise(size: int) -> np.ndarray:
            return 1 - generator.exponential(size=size) if skewed else generator.standard_normal(size)

        effects = voice * noise(voices.max() + 1)[voices] + sentence * noise(SENTENCES)[sentences]
        return mean + effects + clip * noise(voices.size)

    return draw


def rare(share: float, value: float, of_voices: bool = False) -> Draw:
    """1, but for a share of the clips, or of the voices with all their clips."""

    def draw(generator: np.random.Generator, voices: np.ndarray, sentences: np.ndarray) -> np.ndarray:
        failing = generator.random(voices.max() + 1 if of_voices else voices.size) < share
        return np.where(failing[voices] if of_voices else failing, value, 1.0)

    return draw


def qualified(draw: Draw, experiments: int, requirements: int = 1, voices: int = VOICES, draws: int = 400) -> float:
    """Share of simulated experiments in which the probability reaches .95; thresholds are .9."""
    hits = 0
    for i in range(experiments):
        generator = rng("joint", i, requirements, voices)
        of_voice = np.repeat(np.arange(voices), CLIPS)
        sentence = generator.integers(SENTENCES, size=of_voice.size)
        asked = [Requirement(str(k), draw(generator, of_voice, sentence), 0.9, 0.0) for k in range(requirements)]
        names = [[str(n) for n in labels] for labels in (of_voice, sentence)]
        hits += joint_probability(asked, *names, draws=draws).joint >= QUALIFIED
    return hits / experiments


FAILING = {
    "independent clips": normal(0, 0, 0.1),
    "voices": normal(0.1, 0, 0.05),
    "sentences": normal(0, 0.07, 0.05),
    "voices and sentences": normal(0.07, 0.07, 0.05),
    "voices, skewed": normal(0.1, 0, 0.05, skewed=True),
    "a tenth of the clips at chance": rare(0.1, 0.0),
    "a fifth of the clips halfway": rare(0.2, 0.5),
    "a fifth of the voices halfway": rare(0.2, 0.5, of_voices=True),
}


@pytest.mark.parametrize("case", ["voices and sentences", "a tenth of the clips at chance"])
def test_what_fails_by_a_hair_is_seldom_qualified(case: str):
    assert qualified(FAILING[case], 100) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 100)


@pytest.mark.long
@pytest.mark.parametrize("case", sorted(FAILING))
def test_false_qualifications_are_at_most_one_in_twenty(case: str):
    """Beyond binomial error of 1000 experiments; docs/qualification.md has the rates."""
    assert qualified(FAILING[case], 1000, draws=1000) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 1000)


def test_what_holds_by_far_is_qualified():
    assert qualified(rare(0.0, 0.0), 3, requirements=12) == 1
    assert qualified(rare(0.0, 0.0), 3, requirements=12, voices=8) == 1
    assert qualified(normal(0.02, 0.02, 0.02, mean=0.97), 20) > 0.9


def test_one_that_fails_spoils_all():
    names = [f"v{i // 3}" for i in range(48)], [f"s{i % 8}" for i in range(48)]
    good, bad = (Requirement("r", np.full(48, value), 0.9, 0.0) for value in (1.0, 0.6))
    found = joint_probability([good, bad], *names)
    assert found.each[0] > 0.99 and found.each[1] == found.joint == 0
    assert joint_probability([good] * 5, *names).joint == found.each[0]  # the same clips: no product of chances


def test_requirements_of_other_clips_and_too_few_voices():
    names = [f"v{i // 3}" for i in range(48)], [f"s{i % 8}" for i in range(48)]
    part = np.where(np.arange(48) < 24, 1.0, np.nan)
    some = joint_probability([Requirement("r", part, 0.9, 0.0)], *names).joint
    whole = joint_probability([Requirement("r", np.ones(48), 0.9, 0.0)], *names).joint
    assert 0.9 < some < whole
    assert np.isnan(joint_probability([Requirement("r", np.ones(6), 0.9, 0.0)], list("aabbcc"), list("xyxyxy")).joint)
    assert np.isnan(joint_probability([], *names).joint)


def test_a_strict_threshold_is_exceeded():
    names = [f"v{i // 3}" for i in range(24)], [f"s{i % 8}" for i in range(24)]
    at = np.full(24, 2 / 3)  # where the unseen clip is as well
    assert joint_probability([Requirement("r", at, 2 / 3, 0.0, strict=True)], *names).joint < 0.9
    assert joint_probability([Requirement("r", at, 2 / 3 - 1e-9, 0.0)], *names).joint == 1
