"""Clip: one utterance with its samples, metadata, alignment and, on planted corpora, its ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..audio import SAMPLE_RATE
from ..cues.tracks import CueTracks, cue_tracks
from ..keys import digest


@dataclass(frozen=True)
class Word:
    """Labelled interval of a clip (a word, syllable, phone or mark), times in seconds."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class Plant:
    """Ground truth of a planted clip.

    Attributes
    ----------
    twin : array, float32, shape (n_samples,)
        The same utterance without the emotion's cues, aligned sample by sample.
    words : tuple of Word
        Words that carry the planted cues; empty for a neutral clip.
    cues : dict of str to float
        Planted change of each cue, in the cue's unit.
    """

    twin: np.ndarray
    words: tuple[Word, ...]
    cues: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Clip:
    """One utterance: float32 mono 16 kHz samples and their metadata.

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
        Manual annotation of intervals by kind, each labelled by a number: EMODB's ``stress`` (0 to 3) and ``voicing``
        (0 or 1). Empty where the corpus has none.
    plant : Plant, optional
        Only on planted corpora.
    time_map : tuple of (float, float)
        Time warping by the condition: knots (time in the recording, time in `samples`), in seconds, of a piecewise
        linear, increasing map. Empty without warping. Times in `words`, `phones`, `marks` and `plant` are times in
        `samples`.
    strength : float
        Measured level of the clip's condition, in the unit of the condition's record; NaN for the clip as recorded.
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
    # what follows from the samples alone; shared with copies that hold the same ones
    _measured: dict[str, CueTracks] = field(default_factory=dict, init=False, repr=False)

    def __repr__(self) -> str:
        known = [f"{name}={value!r}" for name in ("emotion", "speaker", "corpus") if (value := getattr(self, name))]
        return f"Clip({', '.join([repr(self.id), f'{self.duration_s:.2f} s', *known])})"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.size / SAMPLE_RATE

    @cached_property
    def sha256(self) -> str:
        """Digest of the samples and of the planted ground truth, from which seeds are derived."""
        if self.plant is None:
            return digest(self.samples)
        return digest(self.samples, self.plant.twin, _as_tuples(self.plant.words))

    @cached_property
    def identity(self) -> str:
        """Digest of everything an explanation can depend on, including the alignment; identifies the clip in keys."""
        if not (self.words or self.phones or any(self.marks.values())):
            return self.sha256
        marks = [(kind, _as_tuples(intervals)) for kind, intervals in sorted(self.marks.items())]
        return digest(self.sha256, _as_tuples(self.words), _as_tuples(self.phones), marks)

    @property
    def recorded_s(self) -> float:
        """Length of the clip as recorded, in seconds."""
        return self.time_map[-1][0] if self.time_map else self.duration_s

    def to_recorded_time(self, times_s: np.ndarray) -> np.ndarray:
        """Map times in `samples` to times in the recording, by the inverse of `time_map`.

        Beyond the knots the map continues with its first and last slope, so increasing times stay increasing.

        Parameters
        ----------
        times_s : array
            In seconds.

        Returns
        -------
        array, float64, same shape
        """
        return recorded_times(times_s, self.time_map)

    @property
    def cue_tracks(self) -> CueTracks:
        """Cue tracks of the samples (`cues.tracks`), computed once for all methods and metrics."""
        if "cue tracks" not in self._measured:
            self._measured["cue tracks"] = cue_tracks(self.samples)
        return self._measured["cue tracks"]

    @cached_property
    def unnamed(self) -> Clip:
        """Copy with samples and alignment alone: no id, label, speaker, corpus, condition, marks or truth."""
        bare = Clip("", self.samples, words=self.words, phones=self.phones)
        object.__setattr__(bare, "_measured", self._measured)
        return bare

    @cached_property
    def unnamed_with_twin(self) -> Clip:
        """As `unnamed`, with what was planted: for explanations against the neutral twin."""
        bare = replace(self.unnamed, plant=self.plant)
        object.__setattr__(bare, "_measured", self._measured)
        return bare

    def with_samples(self, samples: np.ndarray, twin: np.ndarray | None = None) -> Clip:
        """Copy of the clip with other samples; a planted clip keeps its plant only if its twin is given too.

        Parameters
        ----------
        samples : array, float32, shape (n_samples,)
        twin : array, float32, shape (n_samples,), optional
            The neutral twin, transformed in the same way.
        """
        plant = replace(self.plant, twin=twin) if self.plant is not None and twin is not None else None
        return replace(self, samples=samples, plant=plant)

    def shifted(
        self,
        samples: np.ndarray,
        twin: np.ndarray | None = None,
        time_map: tuple[tuple[float, float], ...] = (),
        strength: float = math.nan,
    ) -> Clip:
        """Copy of the clip under a condition, its alignment warped by the time map.

        Parameters
        ----------
        samples : array, float32, shape (n_samples,)
        twin : array, float32, shape (n_samples,), optional
            The neutral twin under the same condition.
        time_map, strength
            As the attributes.
        """
        clip = replace(self.with_samples(samples, twin), time_map=time_map, strength=strength)
        if not time_map:
            return clip
        recorded, here = np.array(time_map).T

        def warped(words: tuple[Word, ...]) -> tuple[Word, ...]:
            return tuple(Word(w.label, *np.interp([w.start_s, w.end_s], recorded, here).tolist()) for w in words)

        plant = replace(clip.plant, words=warped(clip.plant.words)) if clip.plant is not None else None
        marks = {kind: warped(intervals) for kind, intervals in clip.marks.items()}
        return replace(clip, words=warped(clip.words), phones=warped(clip.phones), marks=marks, plant=plant)


def recorded_times(times_s: np.ndarray, time_map: Sequence[tuple[float, float]]) -> np.ndarray:
    """Invert a time map; see `Clip.to_recorded_time`.

    Parameters
    ----------
    times_s : array
        In seconds.
    time_map : sequence of (float, float)
        As `Clip.time_map`.

    Returns
    -------
    array, float64, same shape
    """
    times_s = np.asarray(times_s, dtype=np.float64)
    if not time_map:
        return times_s
    recorded, here = np.array(time_map).T
    rates = np.diff(recorded) / np.diff(here)
    before, after = np.minimum(times_s - here[0], 0), np.maximum(times_s - here[-1], 0)
    times: np.ndarray = np.interp(times_s, here, recorded) + before * rates[0] + after * rates[-1]
    return times


def _as_tuples(words: tuple[Word, ...]) -> list[tuple[str, float, float]]:
    return [(word.label, word.start_s, word.end_s) for word in words]
