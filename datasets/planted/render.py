"""Synthesis of a planted clip and its neutral twin.

Both are resynthesised from one neutral sentence. In `samples` the planted words carry the emotion's cues; in `twin` the
same words are resynthesised without changes (a sham). Outside the words and their 10 ms crossfades the two are
identical, and a neutral clip is its own twin, so that emotions differ by the planted cues only. Distractors (level,
pitch, rate, spectral tilt, pauses at the ends, background noise, choice of words) depend on the clip's id only.

Praat's synthesiser keeps state between calls: render each clip in a new process, as `datasets.planted.worker` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...audio import SAMPLE_RATE
from ...errors import InputError
from ...keys import rng
from ..clip import Word
from .edits import (
    PITCH_RANGE_HZ,
    apply_recipe,
    crossfade_weight,
    filtered,
    frequencies,
    planted_changes,
    quantised,
    resynthesise,
    shelf,
)
from .voices import CLIP_IDS, VARIANTS, VOICES, BandRecipe, Variant

SYNTHESIS_RATE = 44_100
BASE_PEAK = 0.19  # peak of the neutral sentence, the same for all emotions; headroom for anger on the loudest word


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
        Change from twin to clip in the planted words, for cues that change more than twice as much as in a sham.
    stretches : dict of str to tuple of Word
        On corpora from recordings, by kind (``target``, ``distractor``, ``sham``): what was processed, each labelled by
        its edit.
    segmentation : str
        On corpora from recordings, where the words come from; see `datasets.planted.stretches`.
    """

    samples: np.ndarray
    twin: np.ndarray
    words: tuple[Word, ...]
    planted: tuple[Word, ...]
    cues: dict[str, float]
    stretches: Mapping[str, tuple[Word, ...]] = field(default_factory=dict)
    segmentation: str = ""


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

    weight = crossfade_weight(base.size, targets)
    low_high = PITCH_RANGE_HZ[VOICES[voice].sex]
    sham = resynthesise(base, low_high, weight)
    twin = base + weight * (sham - base)
    samples = twin
    recipe = variant.recipes.get(emotion)
    if recipe is not None:
        generator = rng("planted cues", variant.seed + name)
        if isinstance(recipe, BandRecipe):
            emotional = _plant_band(sham, recipe, generator)
        else:
            emotional = apply_recipe(base, sham, weight, low_high, recipe, generator)
        samples = base + weight * (emotional - base)
    twin, samples = (quantised(x + noise, name) for x in (twin, samples))
    planted = () if recipe is None else targets
    return Rendering(samples, twin, words, planted, planted_changes(twin, samples, planted))


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
    samples = filtered(samples, draw.uniform(-3 * spread, 3 * spread) * shelf(frequencies(samples.size)))
    samples = samples - samples.mean()
    samples *= BASE_PEAK * 10 ** (draw.uniform(-3 * spread, 3 * spread) / 20) / np.abs(samples).max()
    return samples, tuple(Word(label, s - start, e - start) for label, s, e in spoken)


def _background(n: int, spread: float, draw: np.random.Generator) -> np.ndarray:
    """Pink noise at -62 dBFS +- 4 dB times the spread, shape (n,), so that no part of the clip is digital silence."""
    noise = filtered(draw.standard_normal(n), -3.0 * np.log2(np.maximum(frequencies(n), 50.0) / 1000.0))
    return noise * 10 ** (draw.uniform(-62 - 4 * spread, -62 + 4 * spread) / 20) / np.sqrt(np.mean(noise**2))


def _plant_band(sham: np.ndarray, recipe: BandRecipe, generator: np.random.Generator) -> np.ndarray:
    """Apply a gain in one frequency band, with raised-cosine edges of 60 Hz inside it, shape (n_samples,)."""
    freqs = frequencies(sham.size)
    depth = np.minimum(freqs - recipe.low_hz, recipe.high_hz - freqs) / 60.0
    shape = 0.5 - 0.5 * np.cos(np.pi * np.clip(depth, 0, 1))
    return filtered(sham, recipe.gain_db * generator.uniform(0.85, 1.15) * shape)


def ground_truth(rendering: Rendering) -> dict[str, Any]:
    """JSON-serialisable ground truth of a rendering: words, indices of the planted ones, cues, processed stretches."""
    truth: dict[str, Any] = {
        "words": _rows(rendering.words),
        "planted": [rendering.words.index(w) for w in rendering.planted],
        "cues": rendering.cues,
    }
    if rendering.stretches:
        truth["stretches"] = {kind: _rows(words) for kind, words in rendering.stretches.items()}
        truth["segmentation"] = rendering.segmentation
    return truth


def _rows(words: tuple[Word, ...]) -> list[tuple[str, float, float]]:
    return [(w.label, round(w.start_s, 6), round(w.end_s, 6)) for w in words]
