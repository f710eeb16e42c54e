"""Conditions: the strength that is named is the strength that is measured, and draws belong to the clip."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from serxai.datasets import conditions
from serxai.datasets.clip import Clip, Plant, Word
from serxai.datasets.conditions import CONDITIONS, ConditionRecord, apply_condition
from serxai.errors import ClipError, InputError, UnknownNameError
from serxai.registry import Registry


def clip_of(length: int = 16_000, scale: float = 0.1, clip_id: str = "one", planted: bool = False) -> Clip:
    generator = np.random.default_rng(length)
    samples = (scale * generator.standard_normal(length)).astype(np.float32)
    plant = None
    if planted:  # the twin is much softer, so noise by its own level would be another noise
        plant = Plant(twin=samples * np.float32(0.1), words=(Word("so", 0.1, 0.3),), cues={"intensity": 20.0})
    return Clip(clip_id, samples, "anger", "s1", "female", "a", "planted", plant=plant)


def snr_db(clean: np.ndarray, shifted: np.ndarray) -> float:
    noise = shifted.astype(np.float64) - clean
    return 10 * np.log10(np.mean(np.square(clean, dtype=np.float64)) / np.mean(noise**2))


@settings(deadline=None)
@given(st.sampled_from(["noise-20db", "noise-10db"]), st.integers(2, 50_000), st.floats(1e-3, 1), st.integers(0, 99))
def test_the_measured_ratio_is_the_one_in_the_name(name: str, length: int, scale: float, seed: int) -> None:
    clip = clip_of(length, scale)
    shifted = apply_condition(name, clip, seed).samples
    assert shifted.dtype == np.float32 and shifted.shape == clip.samples.shape
    assert snr_db(clip.samples, shifted) == pytest.approx(CONDITIONS.get(name).strength, abs=0.01)


def test_the_noise_is_white_and_gaussian() -> None:
    clip = clip_of(64_000)
    noise = (apply_condition("noise-10db", clip).samples - clip.samples).astype(np.float64)
    assert scipy.stats.kstest(noise / noise.std(), "norm").pvalue > 0.01
    power = np.square(np.abs(np.fft.rfft(noise)))[1:].reshape(32, -1).mean(axis=1)  # 1000 bins a band
    assert power.max() / power.min() < 1.35
    assert abs(np.corrcoef(noise, clip.samples)[0, 1]) < 0.02


def test_the_clip_keeps_all_it_is() -> None:
    clip = clip_of(planted=True)
    before = clip.samples.copy()
    shifted = apply_condition("noise-20db", clip)
    for name in ("id", "emotion", "speaker", "sex", "sentence", "corpus", "words"):
        assert getattr(shifted, name) == getattr(clip, name)
    assert shifted.plant is not None and clip.plant is not None
    assert (shifted.plant.words, shifted.plant.cues) == (clip.plant.words, clip.plant.cues)
    assert np.array_equal(clip.samples, before) and shifted.sha256 != clip.sha256


@pytest.mark.parametrize("planted", [False, True])
def test_clean_changes_nothing(planted: bool) -> None:
    clip = clip_of(planted=planted)
    same = apply_condition("clean", clip, seed=5)
    assert np.array_equal(same.samples, clip.samples) and same.samples.dtype == np.float32
    assert same.sha256 == clip.sha256
    assert (same.plant is None) == (clip.plant is None)


@pytest.mark.parametrize("name", ["noise-20db", "noise-10db"])
def test_the_twin_gets_the_very_noise_of_the_clip(name: str) -> None:
    clip = clip_of(planted=True)
    shifted = apply_condition(name, clip, seed=3)
    assert shifted.plant is not None and clip.plant is not None
    noise = shifted.samples.astype(np.float64) - clip.samples
    twin_noise = shifted.plant.twin.astype(np.float64) - clip.plant.twin
    assert np.max(np.abs(noise - twin_noise)) < 1e-7  # float32 rounding of the two sums
    alone = Clip(clip.id, clip.samples, corpus=clip.corpus)
    assert np.array_equal(apply_condition(name, alone, seed=3).samples, shifted.samples)  # a twin changes no draw


def test_draws_belong_to_name_seed_and_clip() -> None:
    clip, other = clip_of(), clip_of(clip_id="two")
    first = apply_condition("noise-20db", clip).samples
    apply_condition("noise-20db", other)  # what else is drawn meanwhile does not matter
    assert np.array_equal(apply_condition("noise-20db", clip).samples, first)

    def noise(name: str, of: Clip, seed: int) -> np.ndarray:
        drawn = apply_condition(name, of, seed).samples - of.samples
        return drawn / np.linalg.norm(drawn)

    reference = noise("noise-20db", clip, 0)
    for changed in (noise("noise-20db", clip, 1), noise("noise-20db", other, 0), noise("noise-10db", clip, 0)):
        assert abs(reference @ changed) < 0.05


def test_the_shift_is_not_clipped_to_full_scale() -> None:
    loud = clip_of(scale=1.0)
    assert np.max(np.abs(apply_condition("noise-10db", loud).samples)) > 1.5


@pytest.mark.parametrize("name", ["noise-20db", "noise-10db"])
def test_silence_has_no_signal_to_noise_ratio(name: str) -> None:
    silent = Clip("silent", np.zeros(1000, dtype=np.float32))
    with pytest.raises(ClipError, match="silent"):
        apply_condition(name, silent)
    assert not apply_condition("clean", silent).samples.any()


def test_unknown_conditions_are_refused_with_near_misses() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'noise-20db'"):
        apply_condition("noise-20", clip_of())


def test_the_registry_names_kind_strength_and_unit() -> None:
    found = {record.name: (record.kind, record.strength, record.unit) for record in CONDITIONS}
    assert found["noise-20db"] == ("additive noise", 20.0, "dB SNR")
    assert found["noise-10db"] == ("additive noise", 10.0, "dB SNR")
    assert np.isnan(found["clean"][1])


def half_speed(signals: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """A shift that changes the length, as tempo will."""
    return np.repeat(signals, int(strength), axis=1)


def test_a_shift_of_another_kind_slots_in(monkeypatch: pytest.MonkeyPatch) -> None:
    record = ConditionRecord(
        name="slow", target=f"{__name__}:half_speed", summary="s", version="1", licence="MIT", citation="c",
        kind="tempo", strength=2.0, unit="times",
    )  # fmt: skip
    monkeypatch.setattr(ConditionRecord, "load", lambda self: half_speed)
    monkeypatch.setattr(conditions, "CONDITIONS", Registry("condition", ConditionRecord, [record]))
    clip = clip_of(planted=True)
    slow = apply_condition("slow", clip)
    assert slow.plant is not None and clip.plant is not None
    assert slow.duration_s == 2 * clip.duration_s
    assert np.array_equal(slow.plant.twin, np.repeat(clip.plant.twin, 2))


def test_a_record_must_be_complete() -> None:
    with pytest.raises(InputError, match="'citation' is empty"):
        ConditionRecord(
            name="x",
            target="a:b",
            summary="s",
            version="1",
            licence="MIT",
            citation="",
            kind="k",
            strength=1.0,
            unit="u",
        )
