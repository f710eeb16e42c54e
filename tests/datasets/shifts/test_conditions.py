"""Conditions: what all of them keep, whatever they shift; draws belong to the clip; who talks in the babble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serxai.datasets.clip import Clip, Word
from serxai.datasets.corpora import CORPORA
from serxai.datasets.corpus import Corpus
from serxai.datasets.shifts import conditions
from serxai.datasets.shifts.conditions import (
    CONDITIONS,
    CURVES,
    ConditionRecord,
    Shifted,
    Talkers,
    apply_condition,
)
from serxai.errors import ClipError, InputError, UnknownNameError
from serxai.registry import Registry

from .strengths import each

SHIFTS = [name for name in CONDITIONS.names() if name != "clean"]
DRAWN = [name for name in SHIFTS if CONDITIONS.get(name).kind in ("additive noise", "reverberation")]
OTHERS = [np.random.default_rng(s).standard_normal(5000 + s).astype(np.float32) for s in range(3)]
# how far the measured level may lie from the one asked for: T60 of one place in a room, the headers of a coded file
TOLERANCE = {"dB SNR": 0.01, "s T60": 0.1, "Hz band": 10.0, "kbit/s": 9.0, "dB": 1e-4, "st": 0.3, "times": 1e-3}


@pytest.mark.parametrize("name", each(SHIFTS))
def test_the_level_is_measured_and_near_the_one_asked_for(name: str, speak: Callable[..., Clip]) -> None:
    record = CONDITIONS.get(name)
    for seed in range(2):
        strength = apply_condition(name, speak(seed), others=OTHERS).strength
        assert strength == pytest.approx(record.strength, abs=TOLERANCE[record.unit])
    assert np.isnan(speak().strength)


@pytest.mark.parametrize("name", each(SHIFTS))
def test_the_clip_keeps_all_it_is(name: str, speak: Callable[..., Clip]) -> None:
    clip = speak(planted=True)
    before = clip.samples.copy()
    shifted = apply_condition(name, clip, others=OTHERS)
    for field in ("id", "emotion", "speaker", "sex", "sentence", "corpus"):
        assert getattr(shifted, field) == getattr(clip, field)
    assert shifted.plant is not None and clip.plant is not None and shifted.plant.cues == clip.plant.cues
    assert shifted.samples.dtype == np.float32 and np.all(np.isfinite(shifted.samples))
    assert shifted.plant.twin.shape == shifted.samples.shape
    assert np.array_equal(clip.samples, before) and shifted.sha256 != clip.sha256
    if not CONDITIONS.get(name).moves_time:
        assert shifted.samples.shape == clip.samples.shape
        assert (shifted.time_map, shifted.words, shifted.plant.words) == ((), clip.words, clip.plant.words)


@pytest.mark.parametrize("name", each(SHIFTS))
def test_a_twin_changes_nothing_in_its_clip(name: str, speak: Callable[..., Clip]) -> None:
    clip = speak(planted=True)
    shifted = apply_condition(name, clip, seed=3, others=OTHERS)
    alone = apply_condition(name, replace(clip, plant=None), seed=3, others=OTHERS)
    assert np.array_equal(alone.samples, shifted.samples) and alone.strength == shifted.strength


@pytest.mark.parametrize("name", each(SHIFTS))
def test_shifts_repeat_themselves_in_any_order(name: str, speak: Callable[..., Clip]) -> None:
    clip, other = speak(0), speak(1)
    first = apply_condition(name, clip, others=OTHERS).samples
    apply_condition(name, other, others=OTHERS)  # what else is drawn meanwhile does not matter
    assert np.array_equal(apply_condition(name, clip, others=OTHERS).samples, first)
    if name in DRAWN:
        for changed in (
            apply_condition(name, clip, seed=1, others=OTHERS),
            apply_condition(name, replace(clip, id="two"), others=OTHERS),
        ):
            assert not np.allclose(changed.samples, first, atol=1e-3)


@pytest.mark.parametrize("name", each(SHIFTS))
def test_silence_and_single_samples_cannot_be_shifted(name: str) -> None:
    with pytest.raises(ClipError, match="silent"):
        apply_condition(name, Clip("silent", np.zeros(8000, dtype=np.float32)), others=OTHERS)
    for samples in (np.ones(1, dtype=np.float32), np.zeros(0, dtype=np.float32)):
        with pytest.raises(ClipError, match="less than two samples"):
            apply_condition(name, Clip("short", samples), others=OTHERS)


@pytest.mark.parametrize("name", each(SHIFTS))
@pytest.mark.parametrize("length", [2, 7, 100, 1500])
def test_short_clips_are_shifted_or_refused(name: str, length: int) -> None:
    clip = Clip("short", np.random.default_rng(length).standard_normal(length).astype(np.float32))
    try:
        shifted = apply_condition(name, clip, others=OTHERS)
    except ClipError as error:
        assert "clip" in str(error)
        return
    assert np.all(np.isfinite(shifted.samples)) and shifted.samples.size > 0 and np.isfinite(shifted.strength)


@pytest.mark.parametrize("planted", [False, True])
def test_clean_changes_nothing(planted: bool, speak: Callable[..., Clip]) -> None:
    clip = speak(planted=planted)
    same = apply_condition("clean", clip, seed=5)
    assert np.array_equal(same.samples, clip.samples) and same.samples.dtype == np.float32
    assert same.sha256 == clip.sha256 and np.isnan(same.strength)
    assert (same.plant is None) == (clip.plant is None)
    silent = Clip("silent", np.zeros(1000, dtype=np.float32))
    assert not apply_condition("clean", silent).samples.any()


def test_unknown_conditions_are_refused_with_near_misses(speak: Callable[..., Clip]) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'noise-20db'"):
        apply_condition("noise-20", speak())


def test_the_registry_names_kind_strength_and_unit() -> None:
    found = {record.name: (record.kind, record.strength, record.unit) for record in CONDITIONS}
    assert found["noise-20db"] == ("additive noise", 20.0, "dB SNR")
    assert found["noise-10db"] == ("additive noise", 10.0, "dB SNR")
    assert found["tempo-80"] == ("tempo", 0.8, "times")
    assert np.isnan(found["clean"][1])
    kinds = {kind for kind, *_ in found.values()}
    assert kinds == {"none", "additive noise", "reverberation", "channel", "codec", "gain", "pitch", "tempo"}


@pytest.mark.parametrize("curve", CURVES)
def test_five_strengths_of_a_shift_get_stronger(curve: str) -> None:
    records = [CONDITIONS.get(name) for name in CURVES[curve]]
    assert len(records) == 5 and len({(r.kind, r.target, r.unit) for r in records}) == 1
    neutral = {"dB SNR": np.inf, "kbit/s": np.inf, "times": 1.0}.get(records[0].unit, 0.0)
    far = [abs(r.strength - neutral) if np.isfinite(neutral) else -r.strength for r in records]
    assert np.all(np.diff(far) > 0)


def test_every_shift_but_the_telephone_has_a_curve() -> None:
    of_curves = [name for names in CURVES.values() for name in names]
    assert len(set(of_curves)) == len(of_curves)
    assert set(CONDITIONS.names()) - set(of_curves) == {"clean", "telephone"}


def late(signals: np.ndarray, strength: float, generator: np.random.Generator) -> Shifted:
    """A shift whose time map has three knots: the first half at half speed, the second as it was."""
    n = signals.shape[1] // 2
    knots = ((0.0, 0.0), (n / 16_000, n / 8_000), (2 * n / 16_000, 3 * n / 16_000))
    return Shifted(np.repeat(signals, 2, axis=1)[:, : 3 * n], 1.9, knots)


def test_a_shift_of_another_kind_slots_in(monkeypatch: pytest.MonkeyPatch, speak: Callable[..., Clip]) -> None:
    record = ConditionRecord(
        name="late",
        target="x:late",
        summary="s",
        version="1",
        licence="MIT",
        citation="c",
        kind="tempo",
        strength=2.0,
        unit="times",
    )
    monkeypatch.setattr(ConditionRecord, "load", lambda self: late)
    monkeypatch.setattr(conditions, "CONDITIONS", Registry("condition", ConditionRecord, [record]))
    clip = replace(speak(seconds=2.0, planted=True), words=(Word("a", 0.0, 0.5), Word("b", 0.5, 1.5)))
    slow = apply_condition("late", clip)
    assert slow.plant is not None and clip.plant is not None
    assert slow.strength == 1.9 and slow.duration_s == 3.0 and slow.recorded_s == 2.0
    assert [(w.label, w.start_s, w.end_s) for w in slow.words] == [("a", 0, 1), ("b", 1, 2.5)]
    assert [(w.start_s, w.end_s) for w in slow.plant.words] == [(0.2, 1.9)]
    # and back again, beyond the ends at the rates of the first and the last piece
    np.testing.assert_allclose(slow.to_recorded_time([-1, 0, 1, 2, 2.5, 3, 4]), [-0.5, 0, 0.5, 1, 1.5, 2, 3])
    with pytest.raises(InputError, match="shifted in time already"):
        apply_condition("late", slow)


knots = st.lists(st.tuples(st.floats(0.01, 2), st.floats(0.01, 2)), min_size=1, max_size=6).map(
    lambda steps: tuple(map(tuple, np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)]).tolist()))
)


@given(knots, st.lists(st.floats(-1, 12), min_size=2, max_size=20, unique=True))
def test_maps_of_times_can_be_gone_back(time_map: tuple, times: list[float]) -> None:
    clip = Clip("a", np.zeros(1000, dtype=np.float32), time_map=time_map)
    recorded, here = np.array(time_map).T
    np.testing.assert_allclose(clip.to_recorded_time(here), recorded, atol=1e-12)
    ordered = np.array(sorted(times))[np.diff(sorted(times), prepend=-9) > 1e-6]
    assert np.all(np.diff(clip.to_recorded_time(ordered)) > 0)
    inside = ordered[(ordered > 0) & (ordered < here[-1])]
    np.testing.assert_allclose(np.interp(clip.to_recorded_time(inside), recorded, here), inside, atol=1e-9)


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


# -- babble ------------------------------------------------------------------------------------------------------------


def corpus_of(clips: list[tuple[str, str]]) -> Corpus:
    rows = {clip: {"file": "x", "emotion": "anger", "speaker": s, "sex": "", "sentence": ""} for clip, s in clips}
    return Corpus(CORPORA.get("emodb"), pd.DataFrame.from_dict(rows, orient="index"), Path())


def ring_by_definition(clips: list[tuple[str, str]], clip: str, seed: int) -> list[str]:
    """Slow twin: the ring turned until it begins at the clip's place, then round by round one clip of each speaker."""
    from serxai.keys import digest

    start, own = digest("babble", seed, clip), dict(clips)[clip]
    ring = sorted(clips, key=lambda entry: (digest("ring", entry[0]) <= start, digest("ring", entry[0])))
    speakers = list(dict.fromkeys(speaker for _, speaker in ring if speaker != own))
    theirs = {speaker: [other for other, whose in ring if whose == speaker] for speaker in speakers}
    found = [theirs[s][turn] for turn in range(len(clips)) for s in speakers if turn < len(theirs[s])]
    return found[:6]


@settings(max_examples=25)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 3), st.randoms())
def test_babble_is_of_other_speakers_whatever_the_order(speakers: int, each: int, seed: int, shuffle) -> None:
    clips = [(f"{s}-{i}", f"s{s}") for s in range(speakers) for i in range(each)]
    whose = dict(clips)
    talkers = Talkers(corpus_of(clips), seed)
    chosen = {clip: talkers.of(clip, "babble-10db") for clip, _ in clips}
    for clip, others in chosen.items():
        assert others == ring_by_definition(clips, clip, seed)
        voices = [whose[other] for other in others]
        assert whose[clip] not in voices and len(set(others)) == len(others) == min(6, (speakers - 1) * each)
        assert len(set(voices)) == min(6, speakers - 1)
    shuffle.shuffle(clips)
    again = Talkers(corpus_of(clips), seed)
    assert {clip: again.of(clip, "babble-20db") for clip, _ in clips} == chosen
    assert again.of("0-0", "noise-10db") == []


def test_another_file_changes_few_clips() -> None:
    clips = [(f"{s}-{i}", f"s{s}") for s in range(10) for i in range(20)]
    before, after = (Talkers(corpus_of(c)) for c in (clips, [*clips, ("new", "s3")]))
    changed = [clip for clip, _ in clips if before.of(clip, "babble-0db") != after.of(clip, "babble-0db")]
    assert all("new" in after.of(clip, "babble-0db") for clip in changed)
    assert len(changed) < len(clips) / 5
    other = Talkers(corpus_of(clips), seed=1)
    assert sum(other.of(c, "babble-0db") != before.of(c, "babble-0db") for c, _ in clips) > 180


def test_no_other_speaker_no_babble(speak: Callable[..., Clip]) -> None:
    with pytest.raises(ClipError, match="there are none"):
        apply_condition("babble-10db", speak(), others=[])
