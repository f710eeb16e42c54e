"""Effect sizes of emotions on acoustic cues, against the same speaker's neutral clips.

``serxai corpus cues CORPUS [--data-root DIR] [--cue NAME]...`` prints them as Markdown. An
effect is Cohen's d: the emotion's mean minus the neutral mean of the same speaker, over the two groups' pooled standard
deviation, each clip counting once.

Where reference effects of a corpus exist (TESS: openSMILE's eGeMAPSv02 functionals, about 60 clips a cell), those of a
size above 0.8 whose sign differs here are listed below the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...cues.expert import NEUTRAL
from ...cues.normalise import whole_clip_cues

if TYPE_CHECKING:
    from ...datasets.corpus import Corpus

DEFAULT_CUES = ("f0_level", "f0_variability", "loudness", "high_frequency_energy", "jitter", "shimmer", "hnr")
MIN_CLIPS = 3  # of each group
REFERENCE_EFFECTS = {"tess": "tess_cue_effects.csv"}  # by corpus, in the folder reference/
CLEAR = 0.8  # |d| above which the sign of a reference effect should be reproduced


def clip_table(
    corpus: Corpus, clip_ids: Sequence[str], full: bool = False, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Cues of whole clips, indexed by clip: ``speaker``, ``emotion`` and a column per cue, NaN where undefined.

    Parameters
    ----------
    corpus : Corpus
    clip_ids : sequence of str
    full : bool
        Whether to include the descriptive cues, which have no sourced direction.
    progress : callable, optional
        Called with clips done and clips to do.
    """
    import pandas as pd

    rows = []
    for done, name in enumerate(clip_ids, 1):
        clip = corpus.clip(name)
        cues = {cue: measurement.value for cue, measurement in whole_clip_cues(clip.cue_tracks, full).items()}
        rows.append({"speaker": clip.speaker, "emotion": clip.emotion, **cues})
        if progress is not None:
            progress(done, len(clip_ids))
    return pd.DataFrame(rows, index=pd.Index(clip_ids, name="clip"))


def cohens_d(group: np.ndarray, neutral: np.ndarray) -> float:
    """Cohen's d with the pooled standard deviation; NaN with fewer than 3 values in a group.

    Examples
    --------
    >>> cohens_d(np.array([3.0, 4, 5]), np.array([1.0, 2, 3]))
    2.0
    """
    group, neutral = group[np.isfinite(group)], neutral[np.isfinite(neutral)]
    if min(group.size, neutral.size) < MIN_CLIPS:
        return float("nan")
    freedom = group.size + neutral.size - 2
    pooled = np.sqrt(((group.size - 1) * group.var(ddof=1) + (neutral.size - 1) * neutral.var(ddof=1)) / freedom)
    return float((group.mean() - neutral.mean()) / pooled) if pooled > 0 else float("nan")


def effects(table: pd.DataFrame, cues: Sequence[str]) -> pd.DataFrame:
    """Cohen's d of each emotion against neutral, by cue and speaker.

    Parameters
    ----------
    table : DataFrame
        Of `clip_table`.
    cues : sequence of str

    Returns
    -------
    DataFrame
        Columns ``cue``, ``emotion``, ``speaker``, ``d``, ``n`` (clips of the emotion in which the cue has a value).
    """
    import pandas as pd

    rows = []
    for cue in cues:
        for (speaker, emotion), part in table.groupby(["speaker", "emotion"], sort=True):
            if emotion != NEUTRAL:
                neutral = table[(table["speaker"] == speaker) & (table["emotion"] == NEUTRAL)]
                d = cohens_d(part[cue].to_numpy(float), neutral[cue].to_numpy(float))
                rows.append((cue, emotion, speaker, d, int(part[cue].notna().sum())))
    return pd.DataFrame(rows, columns=["cue", "emotion", "speaker", "d", "n"])


def reference_effects(corpus: str) -> pd.DataFrame | None:
    """Reference effects of a corpus, columns ``cue``, ``emotion``, ``speaker``, ``d``; None where there are none."""
    import pandas as pd

    if corpus not in REFERENCE_EFFECTS:
        return None
    with resources.files(__package__).joinpath("reference", REFERENCE_EFFECTS[corpus]).open(encoding="utf-8") as file:
        return pd.read_csv(file)


def compare_signs(measured: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Signs of measured effects beside those of the clear reference effects.

    Parameters
    ----------
    measured : DataFrame
        Of `effects`.
    reference : DataFrame
        Of `reference_effects`; those with a size of 0.8 or less are left out.

    Returns
    -------
    DataFrame
        Columns ``cue``, ``emotion``, ``speaker``, ``d``, ``d_reference`` and ``same`` (whether the signs agree).
    """
    clear = reference[reference["d"].abs() > CLEAR].rename(columns={"d": "d_reference"})
    both = clear.merge(measured, on=["cue", "emotion", "speaker"]).dropna(subset="d")
    both["same"] = np.sign(both["d"]) == np.sign(both["d_reference"])
    return both[["cue", "emotion", "speaker", "d", "d_reference", "same"]]
