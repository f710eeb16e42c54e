"""Synthesis of a planted clip and its neutral twin.

Both are resynthesised from one neutral sentence. In `samples` the planted words carry the emotion's cues; in `twin` the
same words are resynthesised without changes (a sham). Outside the words and their 10 ms crossfades the two are
identical, and a neutral clip is its own twin, so that emotions differ by the planted cues only. Distractors (level,
pitch, rate, spectral tilt, pauses at the ends, background noise, choice of words) depend on the clip's id only.

Praat's synthesiser keeps state between calls: render each clip in a new process, as `datasets.planted.worker` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...audio import SAMPLE_RATE, Plane
from ...cues.regions import region_cues, window_mask
from ...cues.tracks import cue_tracks
from ...errors import InputError
from ...keys import rng
from ..clip import Word
from .truth import CROSSFADE_S
from .voices import CLIP_IDS, VARIANTS, VOICES, BandRecipe, Recipe, Variant

SYNTHESIS_RATE = 44_100
BASE_PEAK = 0.19  # peak of the neutral sentence, the same for all emotions; headroom for anger on the loudest word
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


@dataclass(frozen=True, eq=False)
class Rendering:
    """Samples and ground truth of one rendered clip.

    Attributes
    ----------
    samples, twin : array, int16, shape (n_samples,)
        At 16 kHz.
    words, planted : tuple of Word
        All words, and those that carry the cues (none in a neutral clip).
    cues : dict of str to float
        Change from twin to clip in the planted words, for cues that change more than twice `SHAM_CHANGE`.
    """

    samples: np.ndarray
    twin: np.ndarray
    words: tuple[Word, ...]
    planted: tuple[Word, ...]
    cues: dict[str, float]


def parse_id(name: str) -> tuple[str, int, str]:
    """Voice, sentence number and emotion of a clip.

    Raises
    ------
    InputError
        If the corpus has no such clip.
    """
    if name not in CLIP_IDS:
        raise InputError(f"corpus 'planted' has no clip {name!r}; ids look like {CLIP_IDS[0]!r}, take one of CLIP_IDS.")
    voice, sentence, emotion = name.split("-")
    return voice, int(sentence[1:]), emotion


def render_clip(name: str, variant: Variant = VARIANTS["planted"]) -> Rendering:
    """Synthesise one clip and its twin; call once per process.

    Parameters
    ----------
    name : str
        One of `CLIP_IDS`.
    variant : Variant
        Settings of the corpus.

    Returns
    -------
    Rendering

    Raises
    ------
    InputError
        If the corpus has no such clip.
    """
    voice, sentence, emotion = parse_id(name)
    draw = rng("planted distractors", variant.seed + name)
    base, words = _speak(voice, sentence, variant, draw)
    content = [i for i, word in enumerate(words) if word.label.upper() in variant.sentences[sentence].split()]
    chosen = sorted(draw.choice(content, size=draw.choice([1, 2, 3], p=variant.words), replace=False))
    targets = tuple(words[i] for i in chosen)
    noise = _background(base.size, variant.spread, draw)

    weight = _weight(base.size, targets)
    low_high = PITCH_RANGE_HZ[VOICES[voice].sex]
    sham = _resynthesise(base, low_high, weight)
    twin = base + weight * (sham - base)
    samples = twin
    recipe = variant.recipes.get(emotion)
    if recipe is not None:
        generator = rng("planted cues", variant.seed + name)
        if isinstance(recipe, BandRecipe):
            emotional = _plant_band(sham, recipe, generator)
        else:
            emotional = _plant(base, sham, weight, low_high, recipe, generator)
        samples = base + weight * (emotional - base)
    twin, samples = (_quantised(x + noise, name) for x in (twin, samples))
    planted = () if recipe is None else targets
    return Rendering(samples, twin, words, planted, _planted_changes(twin, samples, planted))


def _speak(
    voice: str, sentence: int, variant: Variant, draw: np.random.Generator
) -> tuple[np.ndarray, tuple[Word, ...]]:
    """Synthesise the neutral sentence with its distractors: samples at 16 kHz, and its words."""
    from parselmouth.praat import call

    settings, spread = VOICES[voice], variant.spread
    pitch = settings.pitch * 2 ** (draw.uniform(-spread, spread) / 12)
    words_per_minute = int(draw.integers(round(223 - 23 * spread), round(223 + 23 * spread)))
    synthesiser = call("Create SpeechSynthesizer", variant.language, settings.variant)
    output = (SYNTHESIS_RATE, 0.01, pitch, settings.range, words_per_minute, "IPA")
    call(synthesiser, "Speech output settings...", *output)
    text = variant.sentences[sentence].lower()
    grid, sound = call(synthesiser, "To Sound", text, True)
    intervals = [
        tuple(call(grid, f"Get {what} of interval", 3, i + 1) for what in ("label", "start time", "end time"))
        for i in range(call(grid, "Get number of intervals", 3))
    ]
    spoken = [(str(label), start, end) for label, start, end in intervals if label.strip()]
    if " ".join(label for label, _, _ in spoken) != text:  # the aligner may join function words ("on the") into one
        raise RuntimeError(f"Praat's synthesiser aligned {[s[0] for s in spoken]} for the sentence {text!r}.")
    before, after = draw.uniform(0.04, 0.1, size=2)
    start, end = spoken[0][1] - before, spoken[-1][2] + after
    padded = call(sound, "Extract part", start, end, "rectangular", 1.0, "no")
    samples = call(padded, "Resample", SAMPLE_RATE, 50).values[0]
    samples = _filtered(samples, draw.uniform(-3 * spread, 3 * spread) * _shelf(_frequencies(samples.size)))
    samples = samples - samples.mean()
    samples *= BASE_PEAK * 10 ** (draw.uniform(-3 * spread, 3 * spread) / 20) / np.abs(samples).max()
    return samples, tuple(Word(label, s - start, e - start) for label, s, e in spoken)


def _background(n: int, spread: float, draw: np.random.Generator) -> np.ndarray:
    """Pink noise at -62 dBFS +- 4 dB times the spread, shape (n,), so that no part of the clip is digital silence."""
    noise = _filtered(draw.standard_normal(n), -3.0 * np.log2(np.maximum(_frequencies(n), 50.0) / 1000.0))
    return noise * 10 ** (draw.uniform(-62 - 4 * spread, -62 + 4 * spread) / 20) / np.sqrt(np.mean(noise**2))


def _weight(n: int, words: tuple[Word, ...]) -> np.ndarray:
    """Crossfade weight, shape (n,): 1 in the words, 10 ms raised-cosine ramps to 0 outside; adjacent words merge."""
    times = np.arange(n) / SAMPLE_RATE
    away = np.min([np.maximum(w.start_s - times, times - w.end_s) for w in words], axis=0)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(away / CROSSFADE_S, 0, 1))


def _resynthesise(
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


def _plant(
    base: np.ndarray,
    sham: np.ndarray,
    weight: np.ndarray,
    low_high: tuple[float, float],
    recipe: Recipe,
    generator: np.random.Generator,
) -> np.ndarray:
    """Apply an emotion's cues to the whole sentence (only the planted words are used), shape (n_samples,)."""
    size = generator.uniform(0.85, 1.15, size=5)  # independent variation of the cues' sizes by 15 %
    sound = _resynthesise(
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
    sound = _filtered(sound, recipe.shelf_db * size[3] * _shelf(_frequencies(sound.size)))
    level = np.sqrt(np.sum((weight * sham) ** 2) / np.sum((weight * sound) ** 2))
    return sound * level * 10 ** (recipe.level_db * size[4] / 20)


def _plant_band(sham: np.ndarray, recipe: BandRecipe, generator: np.random.Generator) -> np.ndarray:
    """Apply a gain in one frequency band, with raised-cosine edges of 60 Hz inside it, shape (n_samples,)."""
    freqs = _frequencies(sham.size)
    depth = np.minimum(freqs - recipe.low_hz, recipe.high_hz - freqs) / 60.0
    shape = 0.5 - 0.5 * np.cos(np.pi * np.clip(depth, 0, 1))
    return _filtered(sham, recipe.gain_db * generator.uniform(0.85, 1.15) * shape)


def _frequencies(n: int) -> np.ndarray:
    return np.fft.rfftfreq(n, 1 / SAMPLE_RATE)


def _shelf(freqs_hz: np.ndarray) -> np.ndarray:
    """Sigmoid shelf over log frequency from -0.5 to 0.5, centred at 1.2 kHz, most of the step within two octaves."""
    return 0.5 * np.tanh(1.2 * np.log2(np.maximum(freqs_hz, 1.0) / 1200.0))


def _filtered(samples: np.ndarray, gain_db: np.ndarray) -> np.ndarray:
    """Apply gains in dB, one per bin of the real FFT, as a zero-phase filter (keeps the alignment of signals)."""
    return np.fft.irfft(np.fft.rfft(samples) * 10 ** (gain_db / 20), samples.size)


def _quantised(samples: np.ndarray, name: str) -> np.ndarray:
    """Samples as int16."""
    peak = np.abs(samples).max()
    if peak >= 1:
        raise RuntimeError(f"planted clip {name} would clip: peak {peak:.2f}; lower BASE_PEAK.")
    return np.round(samples * 32767).astype(np.int16)


def _planted_changes(twin: np.ndarray, samples: np.ndarray, planted: tuple[Word, ...]) -> dict[str, float]:
    """Change of each cue in the planted words from twin to clip, where it exceeds twice `SHAM_CHANGE`."""
    if not planted:
        return {}
    before, after = measure_words(twin, planted), measure_words(samples, planted)
    changes = {cue: after[cue] - before[cue] for cue in after}
    return {cue: round(change, 6) for cue, change in changes.items() if abs(change) > 2 * SHAM_CHANGE[cue]}


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


def ground_truth(rendering: Rendering) -> dict[str, Any]:
    """JSON-serialisable ground truth of a rendering: words, indices of the planted ones, changes of cues."""
    return {
        "words": [(w.label, round(w.start_s, 6), round(w.end_s, 6)) for w in rendering.words],
        "planted": [rendering.words.index(w) for w in rendering.planted],
        "cues": rendering.cues,
    }
