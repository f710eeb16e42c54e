"""What one utterance is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..audio import SAMPLE_RATE
from ..cues.tracks import CueTracks, cue_tracks
from ..keys import digest


@dataclass(frozen=True)
class Word:
    """A stretch of the clip with a label, times in seconds."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class Plant:
    """The known truth of a planted clip.

    Attributes
    ----------
    twin : array, float32, shape (n_samples,)
        The same utterance without the emotion's cues, sample by sample aligned.
    words : tuple of Word
        Where the cues were planted; empty for a neutral clip.
    cues : dict of str to float
        Planted change of each cue, in the cue's own unit.
    """

    twin: np.ndarray
    words: tuple[Word, ...]
    cues: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Clip:
    """One utterance: float32 mono 16 kHz samples and what is known about it.

    Attributes
    ----------
    id : str
        Unique within its corpus and independent of folder order.
    samples : array, float32, shape (n_samples,)
    emotion : str
        In the common taxonomy; empty where unknown.
    speaker, sex, sentence, corpus : str
    words, phones : tuple of Word
        Alignment, where the corpus has one; EMODB's `words` are syllables.
    marks : mapping of str to tuple of Word
        What labellers say of stretches of the clip, by kind, each labelled by a number: EMODB's ``stress`` (0 to 3) and
        ``voicing`` (0 or 1). Empty where the corpus has none.
    plant : Plant, optional
        Only on the planted corpus.
    time_map : tuple of (float, float)
        Where moments of the clip as recorded lie in these samples: knots (recorded s, here s) of a piecewise linear,
        increasing map. Empty where nothing was moved. Times in `words`, `phones`, `marks` and `plant` are times in
        these samples.
    strength : float
        Measured level of the condition the clip is under, in the unit of its record; NaN as recorded.
    """

    id: str
    samples: np.ndarray
    emotion: str = ""
    speaker: str = ""
    sex: str = ""
    sentence: str = ""
    corpus: str = ""
    words: tuple[Word, ...] = ()
    plant: Plant | None = None
    time_map: tuple[tuple[float, float], ...] = ()
    strength: float = math.nan
    phones: tuple[Word, ...] = ()
    marks: Mapping[str, tuple[Word, ...]] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.size / SAMPLE_RATE

    @cached_property
    def sha256(self) -> str:
        """Digest of the samples and of the planted truth; seeds are made from it."""
        if self.plant is None:
            return digest(self.samples)
        return digest(self.samples, self.plant.twin, _facts(self.plant.words))

    @cached_property
    def identity(self) -> str:
        """Digest of all that an explanation can depend on, the alignment too: the clip in every key."""
        if not (self.words or self.phones or any(self.marks.values())):
            return self.sha256
        marks = [(kind, _facts(stretches)) for kind, stretches in sorted(self.marks.items())]
        return digest(self.sha256, _facts(self.words), _facts(self.phones), marks)

    @property
    def recorded_s(self) -> float:
        """Length of the clip as recorded, in seconds."""
        return self.time_map[-1][0] if self.time_map else self.duration_s

    def as_recorded(self, times_s: np.ndarray) -> np.ndarray:
        """When moments of these samples were recorded; before and after the map's knots at its first and last rate.

        Parameters
        ----------
        times_s : array
            Seconds in these samples; increasing times stay increasing.
        """
        times_s = np.asarray(times_s, dtype=np.float64)
        if not self.time_map:
            return times_s
        recorded, here = np.array(self.time_map).T
        rates = np.diff(recorded) / np.diff(here)
        before, after = np.minimum(times_s - here[0], 0), np.maximum(times_s - here[-1], 0)
        return np.interp(times_s, here, recorded) + before * rates[0] + after * rates[-1]

    @cached_property
    def cue_tracks(self) -> CueTracks:
        """What Praat says about the samples, measured once for all methods and metrics; see `cues.tracks`."""
        return cue_tracks(self.samples)

    def with_samples(self, samples: np.ndarray, twin: np.ndarray | None = None) -> Clip:
        """The same clip with other samples; a plant needs its twin changed alike."""
        plant = replace(self.plant, twin=twin) if self.plant is not None and twin is not None else None
        return replace(self, samples=samples, plant=plant)

    def shifted(
        self,
        samples: np.ndarray,
        twin: np.ndarray | None = None,
        time_map: tuple[tuple[float, float], ...] = (),
        strength: float = math.nan,
    ) -> Clip:
        """The same clip under a condition, its words moved along the time map."""
        clip = replace(self.with_samples(samples, twin), time_map=time_map, strength=strength)
        if not time_map:
            return clip
        recorded, here = np.array(time_map).T

        def moved(words: tuple[Word, ...]) -> tuple[Word, ...]:
            return tuple(Word(w.label, *np.interp([w.start_s, w.end_s], recorded, here).tolist()) for w in words)

        plant = replace(clip.plant, words=moved(clip.plant.words)) if clip.plant is not None else None
        marks = {kind: moved(stretches) for kind, stretches in clip.marks.items()}
        return replace(clip, words=moved(clip.words), phones=moved(clip.phones), marks=marks, plant=plant)


def _facts(words: tuple[Word, ...]) -> list[tuple[str, float, float]]:
    return [(word.label, word.start_s, word.end_s) for word in words]
