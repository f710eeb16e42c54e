"""Cue values of regions against plain loops, missing values with their reason, clip-level cues."""

import math

import numpy as np
import pytest

from serxai.audio import SAMPLE_RATE
from serxai.cues.records import CUES, FINE_RECORDS, REGION_CUES, REGION_RECORDS, CueRecord
from serxai.cues.regions import clip_cues, cue_values, frame_sums, region_cues, window_mask
from serxai.cues.tracks import cue_tracks
from serxai.errors import InputError


def voice(seed, duration=2.0):
    """Harmonics with wandering pitch and level, gaps of silence and some noise."""
    draw = np.random.default_rng(seed)
    n = int(duration * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    f0 = 140 * 2 ** (
        0.3 * np.sin(2 * np.pi * 1.3 * t + draw.uniform(0, 6)) + 0.005 * np.cumsum(draw.normal(size=n)) / 9
    )
    phase = 2 * np.pi * np.cumsum(np.clip(f0, 90, 350)) / SAMPLE_RATE
    x = sum(np.cos(h * phase) / h for h in range(1, 20))
    gate = np.clip(5 * np.sin(2 * np.pi * 1.1 * t + draw.uniform(0, 6)) + 3, 0, 1)
    return (0.1 * x * gate * (1 + 0.3 * np.sin(7 * t)) + 0.001 * draw.normal(size=n)).astype(np.float32)


def slow_cues(tracks, mask):
    """Each cue by its definition, frame by frame."""
    inside = [i for i in range(len(tracks.times_s)) if mask[i]]
    st = [12 * math.log2(tracks.f0_hz[i] / tracks.reference_hz) for i in inside if tracks.f0_hz[i] > 0]
    db = [tracks.intensity_db[i] for i in inside if not math.isnan(tracks.intensity_db[i])]
    loudest = max(v for v in tracks.intensity_db if not math.isnan(v))
    sounding = [v for v in db if v >= loudest - 25]
    alpha = [tracks.alpha_ratio_db[i] for i in inside if tracks.f0_hz[i] > 0]
    hnr = [tracks.hnr_db[i] for i in inside if not math.isnan(tracks.hnr_db[i])]

    def events(kind):
        nearest = [int(np.argmin(np.abs(tracks.times_s - t))) for t in kind.times_s]
        return [v for i, v in zip(nearest, kind.values, strict=True) if mask[i]]

    def mean(values):
        return sum(values) / len(values) if values else math.nan

    def deviation(values):
        return math.sqrt(sum((v - mean(values)) ** 2 for v in values) / (len(values) - 1))

    periods, changes = events(tracks.periods_s), events(tracks.period_changes_s)
    amplitudes, steps = events(tracks.amplitudes), events(tracks.amplitude_changes)
    return {
        "f0_level": mean(st) if len(st) >= 5 else math.nan,
        "f0_variability": deviation(st) if len(st) >= 10 else math.nan,
        "loudness": 10 * math.log10(mean([10 ** (v / 10) for v in db])) if len(db) >= 5 else math.nan,
        "loudness_variability": deviation(sounding) if len(sounding) >= 10 else math.nan,
        "high_frequency_energy": mean(alpha) if len(alpha) >= 5 else math.nan,
        "jitter": 100 * mean(changes) / mean(periods) if len(changes) >= 5 else math.nan,
        "shimmer": 100 * mean(steps) / mean(amplitudes) if len(steps) >= 5 else math.nan,
        "hnr": mean(hnr) if len(hnr) >= 5 else math.nan,
    }


@pytest.mark.parametrize("seed", range(3))
def test_regions_equal_plain_loops(seed):
    tracks = cue_tracks(voice(seed))
    draw = np.random.default_rng(seed)
    missing = 0
    for share in (0.02, 0.1, 0.3, 0.7, 1.0) * 3:
        mask = draw.random(len(tracks.times_s)) < share
        fast, slow = region_cues(tracks, mask), slow_cues(tracks, mask)
        assert tuple(fast) == REGION_CUES
        for name, cue in fast.items():
            assert cue.value == pytest.approx(slow[name], rel=1e-9, abs=1e-9, nan_ok=True), name
            assert bool(cue.reason) == math.isnan(cue.value)
            missing += math.isnan(cue.value)
    assert missing > 0


def test_many_regions_at_once_equal_one_by_one():
    tracks = cue_tracks(voice(5))
    masks = np.random.default_rng(0).random((40, len(tracks.times_s))) < 0.2
    values, counts = cue_values(masks @ frame_sums(tracks))
    for row, count, mask in zip(values, counts, masks, strict=True):
        single = region_cues(tracks, mask)
        np.testing.assert_allclose(row, [cue.value for cue in single.values()], rtol=1e-9)
        assert count.tolist() == [cue.n_frames for cue in single.values()]


def test_a_constant_tone_has_no_variability():
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tracks = cue_tracks(sum(0.05 * np.cos(2 * np.pi * 160 * h * t) for h in range(1, 20)))
    cues = region_cues(tracks, (tracks.times_s > 0.2) & (tracks.times_s < 0.8))
    assert cues["f0_level"].value == pytest.approx(12 * np.log2(1.6), abs=0.01)  # re 100 Hz
    for name in ("f0_variability", "loudness_variability", "jitter", "shimmer"):
        assert cues[name].value == pytest.approx(0, abs=0.1), name
    assert cues["hnr"].value > 30


def test_noise_has_level_but_no_voice():
    tracks = cue_tracks(0.05 * np.random.default_rng(0).standard_normal(SAMPLE_RATE))
    cues = region_cues(tracks, tracks.times_s < 0.5)
    assert cues["loudness"].value == pytest.approx(20 * np.log10(0.05 / 2e-5), abs=0.5)
    assert math.isnan(cues["f0_variability"].value)
    assert cues["f0_variability"].reason == f"{cues['f0_variability'].n_frames} voiced frames, at least 10 needed"
    assert "pairs of glottal periods" in cues["jitter"].reason


def test_window_mask_and_wrong_shape():
    tracks = cue_tracks(voice(1, 1.0))
    mask = window_mask(tracks, [[0.15, 0.30], [0.6, 0.75]])
    expected = [0.15 <= t < 0.30 or 0.6 <= t < 0.75 for t in tracks.times_s]
    assert mask.tolist() == expected and 28 <= mask.sum() <= 32
    with pytest.raises(InputError, match="mask must have the tracks' shape"):
        region_cues(tracks, mask[:-1])


def test_clip_cues_count_syllables_and_pauses():
    t = np.arange(int(0.3 * SAMPLE_RATE)) / SAMPLE_RATE
    syllable = sum(0.05 * np.cos(2 * np.pi * 150 * h * t) for h in range(1, 20))
    x = np.concatenate([np.zeros(3200), *[np.concatenate([syllable, np.zeros(4800)])] * 4])
    cues = clip_cues(cue_tracks(x))
    assert cues["speech_rate"].value == pytest.approx(4 / (len(x) / SAMPLE_RATE))
    # 3 pauses of 0.3 s in 2.1 s, each shortened by the intensity window at both ends
    assert 0.20 < cues["pauses"].value / 100 < 0.9 / 2.1
    continuous = clip_cues(cue_tracks(np.concatenate([syllable] * 4)))
    assert continuous["pauses"].value == 0.0
    silent = clip_cues(cue_tracks(np.zeros(SAMPLE_RATE)))
    assert math.isnan(silent["pauses"].value) and "sounding frames" in silent["pauses"].reason
    assert math.isnan(silent["speech_rate"].value)


def test_every_cue_has_a_record_with_unit():
    assert CUES.names() == [*REGION_CUES, *(record.name for record in FINE_RECORDS), "speech_rate", "pauses"]
    assert all(record.unit and record.higher and record.lower and record.minimum > 0 for record in CUES)
    assert [record.load().__name__ for record in (REGION_RECORDS[0], CUES.get("pauses"))] == [
        "region_cues",
        "clip_cues",
    ]
    with pytest.raises(InputError, match="'word' is not allowed"):
        CueRecord(**{**vars(REGION_RECORDS[0]), "level": "word"})
