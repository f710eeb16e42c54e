"""Splicing of another emotion's speech into a neutral recording (corpus ``spliced``).

The targets of a clip are stretches of about half a second that begin with a stressed syllable. In the clip they are
replaced by as long a stretch of the same speaker's recording of the emotion, from the same syllable of the same
sentence where there is one, else from a stressed syllable; in the neutral twin by one of another neutral recording of
the speaker, as are one or two *sham* stretches of both. So every clip has splices, and clip and twin are identical
outside the targets. Inserted speech has the level of what it replaces and is crossfaded. Place and number of the
splices depend on the clip's id only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from ...audio import SAMPLE_RATE
from ...errors import InputError
from ...keys import rng
from ..clip import Clip, Word
from .recorded import Blend, finished, scaled
from .render import Rendering
from .stretches import Stretch, Syllables, joined, syllables
from .truth import CROSSFADE_S

SPLICE_S = 0.45
MOST_TARGETS = 2

# change of each cue by a splice of neutral speech: 95th percentile of |twin - recording| in 60 neutral clips' targets
SHAM_CHANGE = MappingProxyType(
    {
        "f0_level": 5.865,
        "f0_variability": 4.88,
        "loudness": 0.234,
        "loudness_variability": 4.092,
        "high_frequency_energy": 10.419,
        "jitter": 2.367,
        "shimmer": 7.688,
        "hnr": 7.998,
    }
)


def choose(found: Syllables, generator: np.random.Generator) -> dict[str, list[Stretch]]:
    """Draw the stretches to splice: targets, and one or two shams, which do not touch them.

    Raises
    ------
    InputError
        If the recording has no syllables.
    """
    starts = [i for i, stressed in enumerate(found.stressed) if stressed] or list(range(len(found.words)))
    candidates = [joined(found, first, SPLICE_S) for first in starts]
    candidates = [stretch for stretch in candidates if stretch.duration_s >= SPLICE_S / 2] or candidates
    if not candidates:
        raise InputError("no syllables; take a recording of speech.")
    wanted = int(generator.integers(1, MOST_TARGETS + 1))
    generator.shuffle(candidates)  # type: ignore[arg-type]
    targets: list[Stretch] = []
    # two splices at most half of the speech, so that the rest stays the neutral recording's
    budget = max(0.5 * (found.words[-1].end_s - found.words[0].start_s), candidates[0].duration_s)
    for stretch in candidates:
        seconds = sum(target.duration_s for target in [*targets, stretch])
        if len(targets) < wanted and seconds <= budget and _apart(stretch, targets):
            targets.append(stretch)
    shams: list[Stretch] = []
    others = [joined(found, first, SPLICE_S) for first in generator.permutation(len(found.words)).tolist()]
    for stretch in others:
        if len(shams) < MOST_TARGETS and stretch.duration_s >= SPLICE_S / 2 and _apart(stretch, [*targets, *shams]):
            shams.append(stretch)
    return {"target": sorted(targets, key=lambda s: s.start_s), "sham": sorted(shams, key=lambda s: s.start_s)}


def _apart(stretch: Stretch, others: Sequence[Stretch]) -> bool:
    margin = 2 * CROSSFADE_S
    return all(stretch.start_s >= o.end_s + margin or stretch.end_s <= o.start_s - margin for o in others)


def insert(stretch: Stretch, found: Syllables, clip: Clip, donor: Clip, generator: np.random.Generator) -> np.ndarray:
    """Cut a stretch for a splice out of a donor, with the crossfades on either side.

    Parameters
    ----------
    stretch : Stretch
        To be replaced.
    found : Syllables
        Of the recording with the stretch.
    clip, donor : Clip
        The recording, and another one.
    generator : numpy Generator

    Returns
    -------
    array, float64
        As long as the stretch and two crossfades.
    """
    spoken = syllables(donor)
    n = round((stretch.end_s - stretch.start_s + 2 * CROSSFADE_S) * SAMPLE_RATE)
    if donor.sentence == clip.sentence and len(spoken.words) == len(found.words):
        starts = [stretch.first]
    else:
        starts = [i for i, stressed in enumerate(spoken.stressed) if stressed] or list(range(len(spoken.words)))
    end_s = spoken.words[-1].end_s if spoken.words else donor.duration_s
    first_s = spoken.words[int(generator.choice(starts))].start_s if starts else 0.0
    start_s = max(0.0, min(first_s, end_s - stretch.duration_s))
    begin = max(0, round((start_s - CROSSFADE_S) * SAMPLE_RATE))
    piece = donor.samples[begin : begin + n].astype(np.float64)
    return np.append(piece, np.zeros(n - piece.size))


def splice(blend: Blend, stretch: Stretch, piece: np.ndarray) -> None:
    """Replace a stretch by a piece at the level of what it replaces."""
    place, cut, weight = blend.cut(stretch)
    begin = max(0, round((stretch.start_s - CROSSFADE_S) * SAMPLE_RATE)) - place.start
    edited = cut.copy()
    length = min(piece.size, cut.size - begin)
    edited[begin : begin + length] = piece[:length]
    power = np.sum((weight * edited) ** 2)
    level = np.sqrt(np.sum((weight * cut) ** 2) / power) if power > 0 else 1.0
    blend.put(place, weight, level * edited)


def render_spliced(
    name: str, emotion: str, clip: Clip, donors: Mapping[str, Sequence[str]], load: Callable[[str], Clip]
) -> Rendering:
    """Splice an emotion into a neutral recording.

    Parameters
    ----------
    name : str
        Id of the spliced clip, which seeds all draws.
    emotion : str
        ``neutral`` or another one of `donors`.
    clip : Clip
        The recording.
    donors : dict of str to sequence of str
        Ids of the speaker's recordings by emotion.
    load : callable
        Loads a recording by its id.

    Returns
    -------
    Rendering
    """
    found = syllables(clip)
    draw = rng("spliced stretches", name)
    chosen = choose(found, draw)
    base = scaled(clip.samples)
    planted, neutral = Blend(base), Blend(base)
    edits: dict[str, list[Word]] = {kind: [] for kind in chosen}

    def donor(wanted: str, generator: np.random.Generator) -> Clip:
        others = [donor for donor in donors[wanted] if donor != clip.id]
        return load(str(generator.choice(others)))

    for kind in ("target", "sham"):
        for number, stretch in enumerate(chosen[kind]):
            generator = rng("spliced neutral", name, kind, number)
            source = donor("neutral", generator)
            plain = insert(stretch, found, clip, source, generator)
            piece = plain
            if kind == "target" and emotion != "neutral":
                generator = rng("spliced emotion", name, number)
                source = donor(emotion, generator)
                piece = insert(stretch, found, clip, source, generator)
            splice(planted, stretch, piece)
            splice(neutral, stretch, plain)
            edits[kind].append(stretch.labelled(source.id))
    return finished(name, emotion, planted, neutral, found, chosen, edits, SHAM_CHANGE)
