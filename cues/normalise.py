"""Cue values in units of a voice: how far from what this speaker does when neutral.

"High" means nothing without a reference. The reference of a cue is the mean and standard deviation over the speaker's
neutral clips; where there are too few, over all of the speaker's clips; where these are too few, over the corpus. Which
one it was is a column. Means are of whole clips, so a short region strays further than its z says.
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
MIN_CLIPS = 3  # with fewer, a standard deviation says nothing


@dataclass(frozen=True)
class Norm:
    """What a cue's values are compared with.

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
        """The value in standard deviations from the mean."""
        return (value - self.mean) / self.sd


def whole_clip_cues(tracks: CueTracks, full: bool = True) -> dict[str, CueValue]:
    """All cues of a whole clip: of the region that is all of it, and those that only clips have.

    Parameters
    ----------
    tracks : CueTracks
    full : bool
        Also those that only describe (`FINE_CUES`), which take twice the time.
    """
    everything = np.ones(tracks.times_s.shape, dtype=bool)
    return (all_cues if full else region_cues)(tracks, everything) | clip_cues(tracks)


def norms(table: pd.DataFrame, speaker: str) -> dict[str, Norm]:
    """Reference of every cue for one speaker.

    Parameters
    ----------
    table : DataFrame
        One row a clip: ``speaker``, ``emotion`` and a column for each cue, NaN where missing.
    speaker : str
        May be one that the table does not know.

    Returns
    -------
    dict of str to Norm
        Without the cues for which even the corpus has fewer than 3 values, or no spread.
    """
    own = (table["speaker"] == speaker).to_numpy()
    groups = (own & (table["emotion"] == NEUTRAL).to_numpy(), own, np.ones(len(table), dtype=bool))
    found = {}
    for cue in [name for name in CUES.names() if name in table]:
        values = table[cue].to_numpy(dtype=np.float64)
        for reference, group in zip(REFERENCES, groups, strict=True):
            held = values[group & np.isfinite(values)]
            if held.size >= MIN_CLIPS and held.std() > 1e-9 * max(1.0, abs(held.mean())):
                found[cue] = Norm(float(held.mean()), float(held.std(ddof=1)), held.size, reference)
                break
    return found


def z_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Every clip's cues against the clip's own speaker.

    Parameters
    ----------
    table : DataFrame
        As for `norms`; its index names the clips.

    Returns
    -------
    DataFrame
        One row a clip and cue: ``clip``, ``speaker``, ``emotion``, ``cue``, ``value``, ``z`` and ``reference``; z is
        NaN and the reference empty where there is none, or the value is missing.
    """
    import pandas as pd

    references = {speaker: norms(table, speaker) for speaker in table["speaker"].unique()}
    rows = []
    for clip, facts in table.iterrows():
        for cue in [name for name in CUES.names() if name in table]:
            norm, value = references[facts["speaker"]].get(cue), float(facts[cue])
            known = norm is not None and np.isfinite(value)
            z, reference = (norm.z(value), norm.reference) if known and norm else (np.nan, "")
            rows.append((clip, facts["speaker"], facts["emotion"], cue, value, z, reference))
    return pd.DataFrame(rows, columns=["clip", "speaker", "emotion", "cue", "value", "z", "reference"])
