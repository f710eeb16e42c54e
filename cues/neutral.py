"""Cues of windows in a speaker's neutral clips: what windows of an emotional clip are high or low against.

Sources state directions relative to the same speaker's neutral voice. A region of k windows is therefore compared with
regions of k windows of that speaker's neutral clips: a short region varies more than a whole clip, so that both must
hold equal amounts of speech. Every neutral clip contributes equally many random sets of k of its windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..errors import NotApplicable
from ..keys import rng
from .records import REGION_CUES
from .windows import WindowCues

MIN_CLIPS = 3  # neutral clips; fewer give no usable standard deviation
SETS = 40  # random sets of windows in each neutral clip
MIN_VALUES = 20  # sets in which a cue must have a value


class NeutralValues(NamedTuple):
    """Mean and standard deviation of each cue over random windows of neutral clips, each of shape (n_cues,).

    NaN for cues that are not compared: too few values, no variance, or left out.
    """

    mean: np.ndarray
    sd: np.ndarray

    def z(self, values: np.ndarray) -> np.ndarray:
        """Distance of cue values from the mean in standard deviations, same shape; NaN where either is missing."""
        scores: np.ndarray = (np.asarray(values, dtype=np.float64) - self.mean) / self.sd
        return scores


class NeutralReference:
    """Reference of one speaker.

    Parameters
    ----------
    clips : mapping of str to WindowCues
        Neutral clips of the speaker by id, without the clip that is compared.
    speaker : str
    left_out : sequence of str
        Cues that are not compared, such as levels of a corpus whose levels are not comparable.
    """

    def __init__(self, clips: Mapping[str, WindowCues], speaker: str = "", left_out: tuple[str, ...] = ()) -> None:
        self.clips = dict(clips)
        self.speaker = speaker
        self.left_out = left_out
        self._values: dict[int, NeutralValues] = {}

    def values(self, size: int) -> NeutralValues:
        """Mean and standard deviation over random sets of `size` windows.

        Parameters
        ----------
        size : int
            Number of windows.

        Raises
        ------
        NotApplicable
            If fewer than 3 neutral clips are long enough.
        """
        if size not in self._values:
            self._values[size] = self._measured(size)
        return self._values[size]

    def _measured(self, size: int) -> NeutralValues:
        rows = []
        for name, cues in sorted(self.clips.items()):
            if cues.n_windows >= size:
                ranks = rng("neutral windows", self.speaker, name, size).random((SETS, cues.n_windows))
                rows.append(cues.values(ranks.argsort(axis=1).argsort(axis=1) < size)[0])
        if len(rows) < MIN_CLIPS:
            raise NotApplicable(
                f"{len(rows)} other neutral clips of the speaker, at least {MIN_CLIPS} of {size} windows or more needed"
            )
        table = np.concatenate(rows)
        known = np.isfinite(table)
        n = known.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(known, table, 0.0).sum(axis=0) / n
            sd = np.sqrt((np.where(known, table - mean, 0.0) ** 2).sum(axis=0) / (n - 1))
        used = (n >= MIN_VALUES) & (sd > 1e-9 * np.maximum(1.0, np.abs(mean)))
        used &= [cue not in self.left_out for cue in REGION_CUES]
        return NeutralValues(np.where(used, mean, np.nan), np.where(used, sd, np.nan))


def mean_of_known(z: np.ndarray) -> np.ndarray:
    """Mean over sets of windows that have the cue, shape (n_sets, n_cues) -> (n_cues,); NaN where none has it."""
    known = np.isfinite(z)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(known, z, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean
