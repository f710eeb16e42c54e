"""Signal edits by which cues are planted, shared by synthetic and recorded speech, and the cues measured afterwards.

An edit is made for a whole signal and crossfaded into the planted words. Pitch and jitter are edited by PSOLA (Praat);
the *sham* of an edit is the same resynthesis at the pitch it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...audio import SAMPLE_RATE, Plane
from ...cues.regions import region_cues, window_mask
from ...cues.tracks import cue_tracks
from ..clip import Word
from .truth import CROSSFADE_S
from .voices import Recipe

PITCH_RANGE_HZ = {"male": (60.0, 350.0), "female": (90.0, 500.0)}

# change of each cue by the sham resynthesis: 95th percentile of |twin - base| over the 512 clips, in the cue's unit
SHAM_CHANGE = {
    "f0_level": 0.084,
    "f0_variability": 0.08,
    "loudness": 0.075,
    "loudness_variability": 0.231,
    "high_frequency_energy": 0.374,
    "jitter": 0.831,
    "shimmer": 2.177,
    "hnr": 2.37,
}


def crossfade_weight(n: int, words: tuple[Word, ...]) -> np.ndarray:
    """Crossfade weight, shape (n,): 1 in the words, 10 ms raised-cosine ramps to 0 outside; adjacent words merge."""
    times = np.arange(n) / SAMPLE_RATE
    away = np.min([np.maximum(w.start_s - times, times - w.end_s) for w in words], axis=0)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(away / CROSSFADE_S, 0, 1))


def resynthesise(
    samples: np.ndarray,
    low_high: tuple[float, float],
    weight: np.ndarray,
    shift_st: float = 0.0,
    factor: float = 1.0,
    jitter: float = 0.0,
    generator: np.random.Generator | None = None,
) -> np.ndarray:
    """PSOLA resynthesis with a new pitch for each glottal pulse; by default a sham at the original pitch."""
    import parselmouth
    from parselmouth.praat import call, run

    sound = parselmouth.Sound(samples, SAMPLE_RATE)
    manipulation = call(sound, "To Manipulation", 0.01, *low_high)
    tier = call(manipulation, "Extract pitch tier")
    points = _points(tier)
    if points.size == 0:
        return samples
    times = _points(call(call(manipulation, "Extract pulses"), "Up to IntensityTier", 70.0))[:, 0]
    contour = 12 * np.log2(np.interp(times, points[:, 0], points[:, 1]))
    inside = np.interp(times, np.arange(weight.size) / SAMPLE_RATE, weight) > 0.5
    centre = contour[inside].mean() if inside.any() else contour.mean()
    contour = centre + (contour - centre) * factor + shift_st
    if generator is not None:
        contour = contour + 12 * np.log2(1 + jitter * np.clip(generator.standard_normal(times.size), -2.5, 2.5))
    lines = [f"Add point: {t:.9f}, {hz:.9f}" for t, hz in zip(times, 2 ** (contour / 12), strict=True)]
    run(tier, "\n".join([f"Remove points between: 0, {sound.duration}", *lines]))
    call([manipulation, tier], "Replace pitch tier")
    return call(manipulation, "Get resynthesis (overlap-add)").values[0][: samples.size]


def _points(tier: Any) -> np.ndarray:
    """Times and values of a Praat tier, shape (n, 2)."""
    from parselmouth.praat import call

    if call(tier, "Get number of points") == 0:
        return np.zeros((0, 2))
    return call(
        call(tier, "Down to TableOfReal", *(["Hertz"] if tier.class_name == "PitchTier" else [])), "To Matrix"
    ).values


def apply_recipe(
    base: np.ndarray,
    sham: np.ndarray,
    weight: np.ndarray,
    low_high: tuple[float, float],
    recipe: Recipe,
    generator: np.random.Generator,
) -> np.ndarray:
    """Apply an emotion's cues to the whole sentence (only the planted words are used), shape (n_samples,)."""
    size = generator.uniform(0.85, 1.15, size=5)  # independent variation of the cues' sizes by 15 %
    sound = resynthesise(
        base,
        low_high,
        weight,
        shift_st=recipe.pitch_st * size[0],
        factor=recipe.pitch_range ** size[1],
        jitter=recipe.jitter * size[2],
        generator=generator,
    )
    if np.isfinite(recipe.breath_db):
        sound = sound + 10 ** (recipe.breath_db / 20) * Plane(sound.astype(np.float32)).shaped_noise(generator)
    sound = filtered(sound, recipe.shelf_db * size[3] * shelf(frequencies(sound.size)))
    level = np.sqrt(np.sum((weight * sham) ** 2) / np.sum((weight * sound) ** 2))
    return sound * level * 10 ** (recipe.level_db * size[4] / 20)


def frequencies(n: int) -> np.ndarray:
    """Frequencies in Hz of the bins of a real FFT of `n` samples."""
    return np.fft.rfftfreq(n, 1 / SAMPLE_RATE)


def shelf(freqs_hz: np.ndarray) -> np.ndarray:
    """Sigmoid shelf over log frequency from -0.5 to 0.5, centred at 1.2 kHz, most of the step within two octaves."""
    return 0.5 * np.tanh(1.2 * np.log2(np.maximum(freqs_hz, 1.0) / 1200.0))


def filtered(samples: np.ndarray, gain_db: np.ndarray) -> np.ndarray:
    """Apply gains in dB, one per bin of the real FFT, as a zero-phase filter (keeps the alignment of signals)."""
    return np.fft.irfft(np.fft.rfft(samples) * 10 ** (gain_db / 20), samples.size)


def quantised(samples: np.ndarray, name: str) -> np.ndarray:
    """Samples as int16; RuntimeError if they exceed full scale."""
    peak = np.abs(samples).max()
    if peak >= 1:
        raise RuntimeError(f"planted clip {name} would clip: peak {peak:.2f}; lower BASE_PEAK.")
    return np.round(samples * 32767).astype(np.int16)


def planted_changes(
    twin: np.ndarray, samples: np.ndarray, planted: tuple[Word, ...], sham: Mapping[str, float] = SHAM_CHANGE
) -> dict[str, float]:
    """Change of each cue in the planted words from twin to clip, where it exceeds twice that of a sham."""
    if not planted:
        return {}
    before, after = measure_words(twin, planted), measure_words(samples, planted)
    changes = {cue: after[cue] - before[cue] for cue in after}
    return {cue: round(change, 6) for cue, change in changes.items() if abs(change) > 2 * sham[cue]}


def measure_words(samples: np.ndarray, words: tuple[Word, ...]) -> dict[str, float]:
    """Cues of a clip within the words, pitch in semitones re 100 Hz; NaN where missing.

    Parameters
    ----------
    samples : array of int16, shape (n_samples,)
    words : tuple of Word
    """
    tracks = cue_tracks(samples.astype(np.float32) / 32768, reference_hz=100.0)
    values = region_cues(tracks, window_mask(tracks, np.array([(w.start_s, w.end_s) for w in words])))
    return {name: value.value for name, value in values.items()}
