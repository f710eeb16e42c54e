"""Speaker-normalised cue values: z-scores relative to the speaker's neutral speech.

The reference of a cue is the mean and standard deviation over the speaker's neutral clips; with too few of them, over
all of the speaker's clips; with too few of these, over the corpus. `CueReference.reference` says which. The statistics
are of whole clips, so values of short regions vary more than their z-score suggests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .expert import NEUTRAL
from .fine import all_cues
from .records import CUES
from .regions import CueValue, clip_cues, region_cues
from .tracks import CueTracks

if TYPE_CHECKING:
    import pandas as pd

REFERENCES = ("speaker neutral", "speaker", "corpus")  # in order of preference
MIN_CLIPS = 3  # fewer give no usable standard deviation


@dataclass(frozen=True)
class CueReference:
    """Reference distribution of a cue, for z-scores.

    Attributes
    ----------
    mean, sd : float
        Over clips, in the cue's unit.
    clips : int
    reference : str
        One of `REFERENCES`.
    """

    mean: float
    sd: float
    clips: int
    reference: str

    def z(self, value: float) -> float:
        """Z-score of a value: its distance from the mean in standard deviations."""
        return (value - self.mean) / self.sd


def whole_clip_cues(tracks: CueTracks, full: bool = True) -> dict[str, CueValue]:
    """Cues of a whole clip: the region cues over all frames, and the clip-level cues (speech rate, pauses).

    Parameters
    ----------
    tracks : CueTracks
    full : bool
        Also the descriptive cues (`FINE_RECORDS`), which double the time.

    Returns
    -------
    dict of str to CueValue
    """
    every_frame = np.ones(tracks.times_s.shape, dtype=bool)
    return (all_cues if full else region_cues)(tracks, every_frame) | clip_cues(tracks)


def cue_references(table: pd.DataFrame, speaker: str) -> dict[str, CueReference]:
    """Reference distribution of every cue for one speaker.

    Parameters
    ----------
    table : DataFrame
        One row per clip: ``speaker``, ``emotion`` and a column for each cue, NaN where missing.
    speaker : str
        A speaker without rows gets the corpus as reference.

    Returns
    -------
    dict of str to CueReference
        Without the cues for which even the corpus has fewer than `MIN_CLIPS` values or zero variance.
    """
    own = (table["speaker"] == speaker).to_numpy()
    groups = (own & (table["emotion"] == NEUTRAL).to_numpy(), own, np.ones(len(table), dtype=bool))
    references = {}
    for cue in [name for name in CUES.names() if name in table]:
        values = table[cue].to_numpy(dtype=np.float64)
        for reference, group in zip(REFERENCES, groups, strict=True):
            known = values[group & np.isfinite(values)]
            if known.size >= MIN_CLIPS and known.std() > 1e-9 * max(1.0, abs(known.mean())):
                references[cue] = CueReference(float(known.mean()), float(known.std(ddof=1)), known.size, reference)
                break
    return references
