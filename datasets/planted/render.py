"""Rendering one clip of a planted corpus: a neutral sentence, and the same sentence with an emotion's cues planted.

Both renderings come from one sound. The planted words of `samples` carry the cues, those of `twin` a sham: the same
resynthesis with nothing changed. Outside the words and 10 ms crossfades the two are the same samples, and a neutral
clip is its own twin, so that nothing but the cues tells emotions apart. What varies besides (level, pitch, rate, tilt,
pauses at the ends, background noise, which words) is drawn by the clip's id alone.

Praat's synthesiser keeps state between calls: render each clip in a fresh process (`planted_worker` does).
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
BASE_PEAK = 0.19  # leaves room for anger on the loudest word; a fixed rule, blind to the emotion
PITCH_RANGE_HZ = {"male": (60.0, 350.0), "female": (90.0, 500.0)}

# what the sham alone changes in the words: 95th percentile of |twin - base| over the 512 clips, in each cue's unit
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
    """One clip as rendered.

    Attributes
    ----------
    samples, twin : array, int16, shape (n_samples,)
        At 16 kHz.
    words, planted : tuple of Word
        All words, and those that carry the cues (none in a neutral clip).
    cues : dict of str to float
        Change from twin to clip within the planted words, of the cues that changed beyond what a sham does.
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
        raise InputError(f"corpus 'planted' has no clip {name!r}; ids look like {CLIP_IDS[0]!r}.")
    voice, sentence, emotion = name.split("-")
    return voice, int(sentence[1:]), emotion


def render_clip(name: str, variant: Variant = VARIANTS["planted"]) -> Rendering:
    """Synthesise one clip and its twin. Call once a process.

    Parameters
    ----------
    name : str
        One of `CLIP_IDS`.
    variant : Variant
        Which corpus.

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
    """The neutral sentence at 16 kHz with its distractors, and its words."""
    from parselmouth.praat import call

    settings, spread = VOICES[voice], variant.spread
    pitch = settings.pitch * 2 ** (draw.uniform(-spread, spread) / 12)
    words_per_minute = int(draw.integers(round(223 - 23 * spread), round(223 + 23 * spread)))
    synthesiser = call("Create SpeechSynthesizer", variant.language, settings.variant)
    call(
        synthesiser,
        "Speech output settings...",
        SYNTHESIS_RATE, 0.01, pitch, settings.range, words_per_minute, "IPA",
    )  # fmt: skip
    text = variant.sentences[sentence].lower()
    grid, sound = call(synthesiser, "To Sound", text, True)
    intervals = [
        tuple(call(grid, f"Get {what} of interval", 3, i + 1) for what in ("label", "start time", "end time"))
        for i in range(call(grid, "Get number of intervals", 3))
    ]
    spoken = [(str(label), start, end) for label, start, end in intervals if label.strip()]
    if " ".join(label for label, _, _ in spoken) != text:  # it may join function words ("on the") into one
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
    """Pink-tinted noise at -62 +- 4 dBFS times the spread, so that no stretch is digitally silent."""
    noise = _filtered(draw.standard_normal(n), -3.0 * np.log2(np.maximum(_frequencies(n), 50.0) / 1000.0))
    return noise * 10 ** (draw.uniform(-62 - 4 * spread, -62 + 4 * spread) / 20) / np.sqrt(np.mean(noise**2))


def _weight(n: int, words: tuple[Word, ...]) -> np.ndarray:
    """1 within the words, raised-cosine ramps of 10 ms to 0 outside; neighbouring words run into each other."""
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
    """PSOLA with the pitch of each glottal pulse set anew; without arguments a sham, at the pitch it had."""
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
    """The whole sentence with an emotion's cues, of which only the words will be used."""
    size = generator.uniform(0.85, 1.15, size=5)  # the sizes of the cues vary by 15 % independently
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
        sound = sound + 10 ** (recipe.breath_db / 20) * Plane(sound.astype(np.float32)).breath(generator)
    sound = _filtered(sound, recipe.shelf_db * size[3] * _shelf(_frequencies(sound.size)))
    level = np.sqrt(np.sum((weight * sham) ** 2) / np.sum((weight * sound) ** 2))
    return sound * level * 10 ** (recipe.level_db * size[4] / 20)


def _plant_band(sham: np.ndarray, recipe: BandRecipe, generator: np.random.Generator) -> np.ndarray:
    """The sentence with a gain in one band, with raised-cosine edges of 60 Hz within it."""
    freqs = _frequencies(sham.size)
    depth = np.minimum(freqs - recipe.low_hz, recipe.high_hz - freqs) / 60.0
    shape = 0.5 - 0.5 * np.cos(np.pi * np.clip(depth, 0, 1))
    return _filtered(sham, recipe.gain_db * generator.uniform(0.85, 1.15) * shape)


def _frequencies(n: int) -> np.ndarray:
    return np.fft.rfftfreq(n, 1 / SAMPLE_RATE)


def _shelf(freqs_hz: np.ndarray) -> np.ndarray:
    """Smooth step from -0.5 (low) to 0.5 (high), halfway at 1.2 kHz, most of it within two octaves."""
    return 0.5 * np.tanh(1.2 * np.log2(np.maximum(freqs_hz, 1.0) / 1200.0))


def _filtered(samples: np.ndarray, gain_db: np.ndarray) -> np.ndarray:
    """Zero-phase filter, so that what is aligned stays aligned."""
    return np.fft.irfft(np.fft.rfft(samples) * 10 ** (gain_db / 20), samples.size)


def _quantised(samples: np.ndarray, name: str) -> np.ndarray:
    peak = np.abs(samples).max()
    if peak >= 1:
        raise RuntimeError(f"planted clip {name} would clip: peak {peak:.2f}; lower BASE_PEAK.")
    return np.round(samples * 32767).astype(np.int16)


def _planted_changes(twin: np.ndarray, samples: np.ndarray, planted: tuple[Word, ...]) -> dict[str, float]:
    """Measured change of each cue in the planted words, where it exceeds twice what a sham resynthesis changes."""
    if not planted:
        return {}
    before, after = measure_words(twin, planted), measure_words(samples, planted)
    changes = {cue: after[cue] - before[cue] for cue in after}
    return {cue: round(change, 6) for cue, change in changes.items() if abs(change) > 2 * SHAM_CHANGE[cue]}


def measure_words(samples: np.ndarray, words: tuple[Word, ...]) -> dict[str, float]:
    """Cues of the part of a clip that the words take up, pitch in semitones re 100 Hz; NaN where missing.

    Parameters
    ----------
    samples : array of int16, shape (n_samples,)
    words : tuple of Word
    """
    tracks = cue_tracks(samples.astype(np.float32) / 32768, reference_hz=100.0)
    values = region_cues(tracks, window_mask(tracks, np.array([(w.start_s, w.end_s) for w in words])))
    return {name: value.value for name, value in values.items()}


def described(rendering: Rendering) -> dict[str, Any]:
    """What is known of a rendering besides its samples, as JSON holds it: words, numbers of the planted ones, cues."""
    return {
        "words": [(w.label, round(w.start_s, 6), round(w.end_s, 6)) for w in rendering.words],
        "planted": [rendering.words.index(w) for w in rendering.planted],
        "cues": rendering.cues,
    }
