"""Stretches of a recorded clip that are edited: stressed syllables and runs of unstressed ones.

Conventions
-----------
Syllables and their stress come from the corpus' annotation (``annotated``). Where it has syllables without ratings,
stress is measured (``annotated syllables``); where it has none, syllables are segmented at the minima of the intensity
contour between its voiced peaks (``nuclei``, after de Jong & Wempe 2009, Behavior Research Methods 41, 385-390). The
measured prominence of a syllable is its peak level in dB plus 6 dB for each doubling of its duration.

A *stretch* is a stressed syllable, or a run of unstressed ones, lengthened by following unstressed syllables up to
`STRETCH_S`; stretches do not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...audio import SAMPLE_RATE
from ..clip import Clip, Word
from .edits import PITCH_RANGE_HZ

STRETCH_S = 0.18
SHORTEST_S = 0.10  # shorter remains of a run are not edited
STRESSED = 1.0  # rating (0 to 3) from which a syllable counts as stressed
FEWEST_STRESSED = 2  # the best rated ones, if too few reach the threshold
PROMINENT_SHARE = 0.4  # of the syllables, where prominence is measured
GAP_S = 0.02  # a longer one ends a stretch
STEP_S = 0.01
DIP_DB, RANGE_DB = 2.0, 25.0  # of a peak over its neighbouring minima; of a syllable below the loudest peak


@dataclass(frozen=True)
class Syllables:
    """Syllables of a clip.

    Attributes
    ----------
    words : tuple of Word
    stressed : tuple of bool
        Of each syllable.
    origin : str
        ``annotated``, ``annotated syllables`` or ``nuclei``; see the module.
    """

    words: tuple[Word, ...]
    stressed: tuple[bool, ...]
    origin: str


@dataclass(frozen=True)
class Stretch:
    """Successive syllables ``first`` to ``last`` (inclusive) that are edited together, as one interval of time."""

    first: int
    last: int
    start_s: float
    end_s: float
    stressed: bool

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    def labelled(self, label: str) -> Word:
        """Interval of the stretch under a label."""
        return Word(label, self.start_s, self.end_s)


def syllables(clip: Clip) -> Syllables:
    """Syllables of a clip with their stress, from its annotation as far as it has one.

    Parameters
    ----------
    clip : Clip
        Its `words` are syllables, and its marks may hold ``stress``.
    """
    words, origin = clip.words, "annotated"
    if not words:
        words, origin = nuclei(clip.samples, clip.sex), "nuclei"
    rated = {round(mark.start_s, 3): float(mark.label) for mark in clip.marks.get("stress", ())}
    ratings = np.array([rated.get(round(word.start_s, 3), 0.0) for word in words])
    if origin == "annotated" and rated:
        threshold = min(STRESSED, np.sort(ratings)[-FEWEST_STRESSED:][0])
        return Syllables(words, tuple((ratings >= threshold).tolist()), origin)
    prominence = _prominence(clip.samples, words, clip.sex)
    n = max(FEWEST_STRESSED, round(PROMINENT_SHARE * len(words)))
    stressed = np.zeros(len(words), dtype=bool)
    stressed[np.argsort(-prominence, kind="stable")[:n]] = True
    return Syllables(words, tuple(stressed.tolist()), "annotated syllables" if clip.words else origin)


def stretches(found: Syllables) -> list[Stretch]:
    """Non-overlapping stretches of a clip in temporal order; see the module."""
    made, first, words = [], 0, found.words
    while first < len(words):
        last = first
        while (
            words[last].end_s - words[first].start_s < STRETCH_S
            and last + 1 < len(words)
            and not found.stressed[last + 1]
            and words[last + 1].start_s - words[last].end_s < GAP_S
        ):
            last += 1
        stretch = Stretch(first, last, words[first].start_s, words[last].end_s, found.stressed[first])
        if stretch.duration_s >= SHORTEST_S:
            made.append(stretch)
        first = last + 1
    return made


def joined(found: Syllables, first: int, seconds: float) -> Stretch:
    """Stretch of any syllables from `first` on, at least `seconds` long unless a pause or the end comes before."""
    words, last = found.words, first
    while (
        words[last].end_s - words[first].start_s < seconds
        and last + 1 < len(words)
        and words[last + 1].start_s - words[last].end_s < GAP_S
    ):
        last += 1
    return Stretch(first, last, words[first].start_s, words[last].end_s, found.stressed[first])


def nuclei(samples: np.ndarray, sex: str) -> tuple[Word, ...]:
    """Segment a recording into syllables, each around a voiced peak of intensity; labelled by number.

    Parameters
    ----------
    samples : array, shape (n_samples,)
    sex : {'female', 'male'}
        Selects the search range of the pitch tracker.
    """
    from scipy.signal import find_peaks

    times, level, voiced = _contours(samples, sex)
    if not times.size:
        return ()
    peaks, _ = find_peaks(level, prominence=DIP_DB, height=level.max() - RANGE_DB)
    peaks = [peak for peak in peaks if voiced[max(0, peak - 2) : peak + 3].any()]
    words = []
    for i, peak in enumerate(peaks):
        before, after = (peaks[i - 1] if i else 0), (peaks[i + 1] if i + 1 < len(peaks) else times.size - 1)
        low = level[peak] - RANGE_DB
        start = before + int(np.argmin(level[before : peak + 1]))
        stop = peak + int(np.argmin(level[peak : after + 1]))
        sounding = np.flatnonzero(level[start : stop + 1] > low) + start
        words.append(Word(str(i + 1), float(times[sounding[0]]), float(times[sounding[-1]])))
    return tuple(word for word in words if word.end_s > word.start_s)


def _contours(samples: np.ndarray, sex: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, level in dB and voicing of a recording at every 10 ms; empty for one that is too short."""
    import parselmouth

    low, high = PITCH_RANGE_HZ[sex]
    if samples.size < SAMPLE_RATE * 8 / low or not samples.any():
        return (np.zeros(0),) * 3
    sound = parselmouth.Sound(samples.astype(np.float64), SAMPLE_RATE)
    intensity = sound.to_intensity(minimum_pitch=low, time_step=STEP_S)
    pitch = sound.to_pitch_ac(time_step=STEP_S, pitch_floor=low, pitch_ceiling=high)
    times = intensity.xs()
    hertz = np.interp(times, pitch.xs(), pitch.selected_array["frequency"])
    return times, intensity.values[0], hertz > 0


def _prominence(samples: np.ndarray, words: Sequence[Word], sex: str) -> np.ndarray:
    """Prominence of each syllable in dB; see the module."""
    times, level, _ = _contours(samples, sex)
    found = []
    for word in words:
        inside = (times >= word.start_s) & (times < word.end_s)
        loudest = level[inside].max() if inside.any() else -np.inf
        found.append(loudest + 6 * np.log2(max(word.end_s - word.start_s, STEP_S)))
    return np.array(found)
