"""Planting of cues on stretches of a neutral recording (corpus ``planted-emodb``).

An emotion is its recipe of cues (`voices.RECIPES`) on one to three *stressed* stretches, the targets. Each clip also
has *distractors* (one cue of another size, up or down, on unstressed stretches) and *shams* (a resynthesis without
change); kind, place and size of these depend on the clip's id only. Each stretch is cut out with some context, edited
alone, and crossfaded back. In the neutral twin the targets are shams too; distractors and shams are the same. So clip
and twin are identical outside the targets and their crossfades, and a neutral clip is its own twin.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from ...audio import SAMPLE_RATE
from ...errors import InputError
from ...keys import rng
from ..clip import Clip, Word
from .edits import PITCH_RANGE_HZ, apply_recipe, crossfade_weight, planted_changes, quantised, resynthesise
from .render import Rendering
from .stretches import Stretch, Syllables, stretches, syllables
from .voices import RECIPES, Recipe

PEAK = 0.17  # of the recording before edits, the same for all emotions; headroom for anger on the loudest stretch
CONTEXT_S = 0.10  # cut out on either side of a stretch, for the pitch tracker
MOST_TARGETS, MOST_DISTRACTORS = 3, 2

# change of each cue by the sham: 95th percentile of |twin - recording| in the targets of 60 neutral clips, in its unit
SHAM_CHANGE = MappingProxyType(
    {
        "f0_level": 0.644,
        "f0_variability": 1.762,
        "loudness": 0.274,
        "loudness_variability": 0.35,
        "high_frequency_energy": 1.642,
        "jitter": 1.82,
        "shimmer": 3.606,
        "hnr": 1.616,
    }
)


def distractor(generator: np.random.Generator) -> tuple[str, Recipe]:
    """Draw one cue edit that means nothing: its name and recipe."""
    sign = 1.0 if generator.random() < 0.5 else -1.0
    size = generator.uniform()
    edits = (
        ("pitch level", Recipe(0.0, 0.0, sign * (1.0 + 2.0 * size), 1.0)),
        ("pitch range", Recipe(0.0, 0.0, 0.0, 2.0 ** (sign * (0.5 + 0.5 * size)))),
        ("gain", Recipe(sign * (2.0 + 2.0 * size), 0.0, 0.0, 1.0)),
        ("tilt", Recipe(0.0, sign * (3.0 + 3.0 * size), 0.0, 1.0)),
        ("jitter", Recipe(0.0, 0.0, 0.0, 1.0, jitter=0.02 + 0.02 * size)),
        ("breath", Recipe(0.0, 0.0, 0.0, 1.0, breath_db=-12.0 + 6.0 * size)),
    )
    return edits[int(generator.integers(len(edits)))]


def choose(found: Syllables, generator: np.random.Generator) -> dict[str, list[Stretch]]:
    """Draw the stretches of a clip to edit, by kind.

    One stressed stretch is left for a sham where there are at least two.

    Raises
    ------
    InputError
        If no stretch can be edited.
    """
    made = stretches(found)
    stressed = [stretch for stretch in made if stretch.stressed] or made
    others = [stretch for stretch in made if stretch not in stressed]
    if not made:
        raise InputError("no syllable of at least 0.1 s; take a recording of speech.")
    generator.shuffle(stressed)  # type: ignore[arg-type]
    generator.shuffle(others)  # type: ignore[arg-type]
    n = min(int(generator.integers(1, MOST_TARGETS + 1)), max(1, len(stressed) - 1))
    m = min(int(generator.integers(1, MOST_DISTRACTORS + 1)), max(0, len(others) - 1))
    chosen = {"target": stressed[:n], "distractor": others[:m], "sham": [*stressed[n : n + 1], *others[m : m + 1]]}
    return {kind: sorted(part, key=lambda stretch: stretch.start_s) for kind, part in chosen.items()}


def scaled(samples: np.ndarray) -> np.ndarray:
    """Recording at the peak that all clips have before edits, float64."""
    return samples.astype(np.float64) * (PEAK / max(float(np.abs(samples).max()), 1e-9))


class Blend:
    """A recording into which edited stretches are crossfaded one after the other.

    Parameters
    ----------
    base : array, float64, shape (n_samples,)

    Attributes
    ----------
    samples : array, float64, shape (n_samples,)
        The recording with the stretches so far.
    """

    def __init__(self, base: np.ndarray) -> None:
        self.base, self.samples = base, base.copy()

    def cut(self, stretch: Stretch) -> tuple[slice, np.ndarray, np.ndarray]:
        """Place of a stretch with its context, the recording there, and the crossfade weight there."""
        start = max(0, round((stretch.start_s - CONTEXT_S) * SAMPLE_RATE))
        place = slice(start, min(self.base.size, round((stretch.end_s + CONTEXT_S) * SAMPLE_RATE)))
        weight = crossfade_weight(self.base.size, (stretch.labelled(""),))[place]
        return place, self.base[place], weight

    def put(self, place: slice, weight: np.ndarray, edited: np.ndarray) -> None:
        """Crossfade an edited stretch into the samples."""
        here = self.samples[place]
        here[: edited.size] += weight[: edited.size] * (edited - here[: edited.size])


def render_recorded(name: str, emotion: str, clip: Clip) -> Rendering:
    """Plant an emotion on a neutral recording.

    Parameters
    ----------
    name : str
        Id of the planted clip, which seeds all draws.
    emotion : str
        ``neutral`` or one of `voices.RECIPES`.
    clip : Clip
        The recording.

    Returns
    -------
    Rendering
    """
    found = syllables(clip)
    draw = rng("planted-emodb stretches", name)
    chosen = choose(found, draw)
    low_high = PITCH_RANGE_HZ[clip.sex]
    base = scaled(clip.samples)
    recipe = RECIPES.get(emotion)
    planted, neutral = Blend(base), Blend(base)
    edits: dict[str, list[Word]] = {kind: [] for kind in chosen}
    for kind in ("target", "distractor", "sham"):  # where they touch, the distractor or sham goes on top in both
        for number, stretch in enumerate(chosen[kind]):
            place, cut, weight = planted.cut(stretch)
            sham = resynthesise(cut, low_high, weight)
            edited, label = sham, "sham"
            if kind == "target" and recipe is not None:
                edited = apply_recipe(cut, sham, weight, low_high, recipe, rng("planted-emodb cues", name, number))
                label = emotion
            elif kind == "distractor":
                label, change = distractor(draw)
                edited = apply_recipe(cut, sham, weight, low_high, change, draw)
            planted.put(place, weight, edited)
            neutral.put(place, weight, edited if kind == "distractor" else sham)
            edits[kind].append(stretch.labelled(label))
    return finished(name, emotion, planted, neutral, found, chosen, edits, SHAM_CHANGE)


def finished(
    name: str,
    emotion: str,
    planted: Blend,
    neutral: Blend,
    found: Syllables,
    chosen: dict[str, list[Stretch]],
    edits: dict[str, list[Word]],
    sham: MappingProxyType[str, float],
) -> Rendering:
    """Quantise clip and twin, and measure the cues of the targets."""
    twin, samples = (quantised(blend.samples, name) for blend in (neutral, planted))
    targets = chosen["target"] if emotion != "neutral" else []
    words = tuple(word for stretch in targets for word in found.words[stretch.first : stretch.last + 1])
    return Rendering(
        samples,
        twin,
        found.words,
        words,
        planted_changes(twin, samples, words, sham),
        {kind: tuple(parts) for kind, parts in edits.items()},
        found.origin,
    )
