"""The describing cues on sounds that are known, and against Praat's own numbers."""

import warnings

import numpy as np
import pytest

from serxai.audio import SAMPLE_RATE, load_audio
from serxai.cues.fine import all_cues, fine_cues
from serxai.cues.records import CUES, FINE_RECORDS, REGION_CUES
from serxai.cues.regions import window_mask
from serxai.cues.tracks import cue_tracks
from serxai.errors import InputError


def seconds(duration):
    return np.arange(round(duration * SAMPLE_RATE)) / SAMPLE_RATE


def harmonics(f0_hz, duration=1.0, gain=lambda hz: 1.0):
    """A voice with a level of our choosing at each harmonic."""
    t = seconds(duration)
    tones = (gain(f0_hz * h) * np.cos(2 * np.pi * f0_hz * h * t) for h in range(1, int(7800 / f0_hz)))
    return 0.01 * sum(tones)


def resonant(f0_hz, formants_hz, duration=1.0, bandwidth_hz=80.0):
    """Pulses that fall by 6 dB an octave, as voices do, through resonances in a row."""
    from scipy.signal import lfilter

    x = np.zeros(round(duration * SAMPLE_RATE))
    x[:: round(SAMPLE_RATE / f0_hz)] = 1.0
    x = lfilter([1.0], [1, -0.98], x)
    for hz in formants_hz:
        radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE)
        x = lfilter([1.0], [1, -2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE), radius**2], x)
    return 0.3 * x / np.abs(x).max()


VOWEL_A, VOWEL_I = (700, 1220, 2600, 3500, 4500), (300, 2300, 3000, 3600, 4500)  # five below 5.5 kHz, as Burg seeks


def middle(samples, start=0.2, end=0.8):
    tracks = cue_tracks(samples)
    return {name: cue.value for name, cue in fine_cues(tracks, window_mask(tracks, [[start, end]])).items()}


@pytest.mark.parametrize(("f0_hz", "formants_hz"), [(110, VOWEL_A), (100, VOWEL_I)])
def test_formants_of_known_resonances(f0_hz, formants_hz):
    # Burg leans towards the nearest harmonic
    cues = middle(resonant(f0_hz, formants_hz))
    for k, hz in enumerate(formants_hz[:3], 1):
        assert cues[f"f{k}"] == pytest.approx(hz, abs=0.4 * f0_hz)


@pytest.mark.parametrize("db_per_khz", [0.0, -6.0, -20.0])
def test_slopes_of_a_known_tilt(db_per_khz):
    noise = np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE)
    hz = np.fft.rfftfreq(noise.size, 1 / SAMPLE_RATE)
    x = np.fft.irfft(np.fft.rfft(noise) * 10 ** (db_per_khz * np.minimum(hz, 4000) / 20000))
    fine = cue_tracks(0.1 * x / np.abs(x).max()).fine
    assert np.mean(fine.slope_500_1500) == pytest.approx(db_per_khz, abs=1.0)
    # 16 lines of one noise frame scatter by 5 dB each: a slope's standard error over 400 frames is about 0.8
    assert np.mean(fine.slope_0_500) == pytest.approx(db_per_khz, abs=4.0)


@pytest.mark.parametrize("step_db", [0.0, -12.0, -30.0])
def test_hammarberg_and_hf500_of_known_levels(step_db):
    t = seconds(1.0)
    low, high = 0.1 * np.cos(2 * np.pi * 250 * t), 0.1 * 10 ** (step_db / 20) * np.cos(2 * np.pi * 3000 * t)
    fine = cue_tracks(low + high).fine
    inner = slice(20, 80)
    np.testing.assert_allclose(fine.hammarberg_db[inner], -step_db, atol=0.2)
    share = 100 * 10 ** (step_db / 10) / (1 + 10 ** (step_db / 10))
    np.testing.assert_allclose(fine.hf500[inner], share, atol=0.5 + 0.02 * share)


@pytest.mark.parametrize(("hz", "weight_db"), [(1000, 0.0), (125, -16.1), (250, -8.6), (4000, 1.0)])
def test_weighted_level_of_tones(hz, weight_db):
    """IEC 61672-1's table, at frequencies that lie on the analysis' lines or near them."""
    x = 0.1 * np.sin(2 * np.pi * hz * seconds(1.0))
    unweighted = 20 * np.log10(0.1 / np.sqrt(2) / 2e-5)
    # below 250 Hz the 20 ms window's main lobe reaches lines that weigh more
    tolerance = 0.2 if hz >= 1000 else 1.5
    assert middle(x)["weighted_level"] == pytest.approx(unweighted + weight_db, abs=tolerance)


def test_weighted_level_is_a_level():
    louder, softer = (middle(a * harmonics(150.0))["weighted_level"] for a in (1.0, 0.1))
    assert louder - softer == pytest.approx(20.0, abs=1e-6)


@pytest.mark.parametrize("rate", [-9.0, 0.0, 6.0])
def test_slope_and_range_of_a_glide(rate):
    t = seconds(1.5)
    phase = 2 * np.pi * np.cumsum(180 * 2 ** (rate * (t - 0.75) / 12)) / SAMPLE_RATE
    tracks = cue_tracks(0.03 * sum(np.cos(h * phase) for h in range(1, 20)))
    cues = fine_cues(tracks, window_mask(tracks, [[0.25, 1.25]]))
    assert cues["f0_slope"].value == pytest.approx(rate, abs=0.1)
    assert cues["f0_range"].value == pytest.approx(abs(rate) * 0.9, abs=0.15)


def test_slope_pools_stretches_instead_of_joining_them():
    """Two falling stretches, the second higher: each falls, though a line through both rises."""
    t = seconds(0.5)

    def falling(start_hz):
        phase = 2 * np.pi * np.cumsum(start_hz * 2 ** (-6 * t / 12)) / SAMPLE_RATE
        return 0.03 * sum(np.cos(h * phase) for h in range(1, 20))

    x = np.concatenate([falling(130), np.zeros(4800), falling(200)])
    tracks = cue_tracks(x)
    cues = fine_cues(tracks, window_mask(tracks, [[0.05, 0.45], [0.85, 1.25]]))
    assert cues["f0_slope"].value == pytest.approx(-6.0, abs=0.3)
    voiced = np.flatnonzero(tracks.voiced)
    assert np.polyfit(tracks.times_s[voiced], tracks.semitones[voiced], 1)[0] > 2


def test_cepstral_peak_grows_with_regularity():
    tone, noise = harmonics(140.0), np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    noise *= np.sqrt(np.mean(tone**2) / np.mean(noise**2))
    levels = [np.nanmean(cue_tracks(tone + 10 ** (-snr / 20) * noise).fine.cpp_db) for snr in (-5, 5, 15, 30)]
    assert (np.diff(levels) > 2).all()


@pytest.mark.parametrize("seed", range(3))
def test_cepstral_peak_is_praats_own(seed):
    import parselmouth
    from parselmouth.praat import call

    draw = np.random.default_rng(seed)
    x = harmonics(draw.uniform(90, 320), 0.7) + draw.uniform(0, 0.05) * draw.standard_normal(11200)
    tracks = cue_tracks(x)
    cepstra = call(parselmouth.Sound(x, SAMPLE_RATE), "To PowerCepstrogram", 60, 0.01, 5000, 50)
    got = tracks.fine.cpp_db[np.isfinite(tracks.fine.cpp_db)]
    first = call(cepstra, "Get time from frame number", 1)
    assert got.size > 50
    for frame in range(0, got.size, 5):
        one = call(cepstra, "To PowerCepstrum (slice)", first + frame * 0.01)
        told = call(one, "Get peak prominence", 60, 600, "Parabolic", 0.001, 0.05, "Straight", "Least squares")
        assert got[frame] == pytest.approx(told, abs=1e-6)


@pytest.mark.real_data
def test_formants_are_praats_own(data_root):
    import parselmouth

    file = sorted((data_root / "emodb").rglob("*.wav"))[100]
    x = load_audio(file).astype(np.float64)
    tracks = cue_tracks(x)
    formants = parselmouth.Sound(x, SAMPLE_RATE).to_formant_burg(time_step=0.01, maximum_formant=5500)
    for k in (1, 2, 3):
        told = np.array([formants.get_value_at_time(k, t) for t in formants.xs()])
        got = tracks.fine.formants_hz[k - 1]
        assert np.nansum(got) == pytest.approx(np.nansum(told))
        assert np.isfinite(got).sum() == np.isfinite(told).sum()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cues = all_cues(tracks, np.ones(tracks.times_s.shape, bool))
    assert all(np.isfinite(cue.value) for cue in cues.values())


def test_too_little_is_missing_with_its_reason():
    tracks = cue_tracks(np.zeros(SAMPLE_RATE))
    cues = all_cues(tracks, np.ones(tracks.times_s.shape, bool))
    assert tuple(cues) == (*REGION_CUES, *(record.name for record in FINE_RECORDS))
    for record in FINE_RECORDS:
        cue = cues[record.name]
        assert cue.unit == record.unit
        if record.basis == "voiced frames":
            assert np.isnan(cue.value) and cue.reason == f"0 voiced frames, at least {record.minimum} needed"
    assert cues["weighted_level"].value == 0.0
    short = cue_tracks(harmonics(150.0, 0.11))
    assert np.isfinite(short.f0_hz).any() or np.isnan(short.fine.cpp_db).all()
    with pytest.raises(InputError, match="mask must have the tracks' shape"):
        fine_cues(tracks, np.ones(3, bool))


def test_every_cue_has_a_label_and_its_words():
    assert CUES.get("f0_level").label == "pitch level" and CUES.get("slope_0_500").label == "spectral slope 0-500 Hz"
    for record in CUES:
        assert record.label and record.higher != record.lower
