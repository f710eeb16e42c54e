"""Whether a recogniser was trained on a clip or on its speaker, decided by content.

The answer is ``yes`` where the clip's samples, or a speaker of the same corpus, were in the training data; ``no`` where
nothing is shared and both corpora are verified by checksum, or where the corpus of training itself holds the speaker
out; ``unknown`` otherwise. Names of speakers are compared within one corpus only: speaker 03 of EMODB is not speaker 03
of RAVDESS.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..datasets.authentic import authentic_clips, publisher_of
from ..datasets.corpora import CORPORA
from ..errors import ClipError
from ..keys import digest

if TYPE_CHECKING:
    from ..datasets.corpus import Corpus

YES, NO, UNKNOWN = "yes", "no", "unknown"


def samples_digest(samples: np.ndarray) -> str:
    """Identity of a clip's content: digest of its float32 samples at 16 kHz, whatever file they were read from."""
    return digest(np.asarray(samples, dtype=np.float32))


def share_speakers(one: str, other: str) -> bool:
    """Whether two corpora are one, or have the same speakers under the same names."""
    if one == other:
        return True
    voices = [CORPORA.get(name).voices for name in (one, other) if name in CORPORA]
    return len(voices) == 2 and voices[0] == voices[1] != ""


@dataclass(frozen=True)
class TrainingExposure:
    """Training data of one recogniser.

    Attributes
    ----------
    corpus : str
        Name of the corpus of training.
    speakers : collection of str
        Speakers in the training data.
    held_out : collection of str
        Speakers of the corpus that were kept out of it.
    digests : mapping of str to collection of str, optional
        `samples_digest` of the training clips by speaker; None where they were not recorded.
    verified : bool
        Whether all training clips were authentic (`datasets.authentic`).
    """

    corpus: str
    speakers: Collection[str]
    held_out: Collection[str] = ()
    digests: Mapping[str, Collection[str]] | None = None
    verified: bool = False
    _all: frozenset[str] = field(init=False, repr=False, default=frozenset())

    def __post_init__(self) -> None:
        heard = (set(values) for speaker, values in (self.digests or {}).items() if speaker not in self.held_out)
        object.__setattr__(self, "_all", frozenset().union(*heard))

    def contains(self, samples: np.ndarray) -> bool:
        """Whether a clip of these samples was a training clip; False where the clips were not recorded."""
        return bool(self._all) and samples_digest(samples) in self._all

    def seen(self, corpus: Corpus, clips: Sequence[str]) -> dict[str, str]:
        """``yes``, ``no`` or ``unknown`` of each clip of a corpus; see the module.

        Parameters
        ----------
        corpus : Corpus
        clips : sequence of str
            Ids.
        """
        same = share_speakers(self.corpus, corpus.name)
        speakers = {clip: str(corpus.table.at[clip, "speaker"]) for clip in clips}
        answers = {clip: YES for clip in clips if same and speakers[clip] in self.speakers}
        for clip in clips:
            if clip not in answers and self._is_shared(corpus, clip):
                answers[clip] = YES
        answers |= {clip: NO for clip in clips if clip not in answers and same and speakers[clip] in self.held_out}
        rest = [clip for clip in clips if clip not in answers]
        authentic = authentic_clips(corpus, rest) if rest and self.verified else set()
        return {clip: answers.get(clip, NO if clip in authentic else UNKNOWN) for clip in clips}

    def seen_file(self, path: Path | None, samples: np.ndarray) -> str:
        """``yes``, ``no`` or ``unknown`` of a single sound; `path` is None where it was read from no file.

        ``no`` where it is a file that the publisher of another corpus lists.
        """
        if self.contains(samples):
            return YES
        publisher = publisher_of(path) if self.verified and path is not None else None
        return NO if publisher is not None and not share_speakers(self.corpus, publisher.name) else UNKNOWN

    def _is_shared(self, corpus: Corpus, clip: str) -> bool:
        if not self._all:
            return False
        try:
            return self.contains(corpus.clip(clip).samples)
        except ClipError:  # no samples, so no clip that could have been trained on
            return False
