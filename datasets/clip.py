"""What one utterance is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..audio import SAMPLE_RATE
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
    words : tuple of Word
        Alignment, where the corpus has one.
    plant : Plant, optional
        Only on the planted corpus.
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

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.size / SAMPLE_RATE

    @cached_property
    def sha256(self) -> str:
        """Digest of the samples and of the planted truth: the clip's identity in every key."""
        if self.plant is None:
            return digest(self.samples)
        return digest(self.samples, self.plant.twin, [(w.label, w.start_s, w.end_s) for w in self.plant.words])

    def with_samples(self, samples: np.ndarray, twin: np.ndarray | None = None) -> Clip:
        """The same clip with other samples (a shifted copy); a plant needs its twin shifted alike."""
        plant = replace(self.plant, twin=twin) if self.plant is not None and twin is not None else None
        return replace(self, samples=samples, plant=plant)
