"""Clips set apart for tuning: methods with hyper-parameters must not choose them on the clips that they are scored on.

Where a corpus has speakers enough, a fifth of them is set apart whole, drawn by the run's seed: what suits a voice is
then not learnt from it. Where fewer than six speakers would be left, clips are set apart instead, and run.json says so.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ...datasets.corpus import Corpus
from ...errors import InputError
from ...keys import digest
from ..stats.clustered import MIN_SPEAKERS

SHARE = 0.2  # of the speakers


class Split(NamedTuple):
    """The two parts of a corpus, in its canonical order; they share no clip.

    Attributes
    ----------
    tuning, scored : list of str
        Clip ids. Clips of speakers set apart that are not needed for tuning are in neither.
    by_speaker : bool
        Whether the parts share no speaker either.
    """

    tuning: list[str]
    scored: list[str]
    by_speaker: bool


def split(corpus: Corpus, emotions: Collection[str], clips: int, seed: int) -> Split:
    """Set clips apart for tuning.

    Parameters
    ----------
    corpus : Corpus
    emotions : collection of str
    clips : int
        At most so many for tuning, balanced over speakers and emotions.
    seed : int

    Raises
    ------
    InputError
        If no clip would be left to score.
    """
    order = corpus.select(emotions)
    speaker_of = corpus.table["speaker"]
    speakers = sorted(set(speaker_of[order]), key=lambda name: digest("tuning speakers", corpus.name, name, seed))
    n = max(1, round(SHARE * len(speakers)))
    by_speaker = len(speakers) - n >= MIN_SPEAKERS
    if by_speaker:
        apart = set(speakers[:n])
        tuning = [clip for clip in order if speaker_of[clip] in apart][:clips]
        scored = [clip for clip in order if speaker_of[clip] not in apart]
    else:
        drawn = set(sorted(order, key=lambda clip: digest("tuning clips", corpus.name, clip, seed))[:clips])
        tuning = [clip for clip in order if clip in drawn]
        scored = [clip for clip in order if clip not in drawn]
    if not scored:
        raise InputError(f"tuning: clips = {clips} takes all {len(order)} clips of corpus {corpus.name!r}; take fewer.")
    return Split(tuning, scored, by_speaker)
