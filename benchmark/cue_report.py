"""What emotions do to the voices of a corpus, measured: effect sizes beside each speaker's own neutral clips.

``python -m serxai.benchmark.cue_report CORPUS [--data-root DIR] [--cue NAME]...`` prints them as Markdown. An effect is
Cohen's d: the emotion's mean minus the neutral mean of the same speaker, over the two groups' pooled standard
deviation, each clip counting once.

Where effects of a corpus have been measured before (TESS: with openSMILE's eGeMAPSv02 functionals, about 60 clips a
cell), those of a size above 0.8 that have another sign here are listed below the tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from ..cues.expert import NEUTRAL
from ..cues.normalise import whole_clip_cues
from ..cues.records import CUES, LEVEL_CUES
from ..datasets.corpora import load_corpus
from .console import Bars

if TYPE_CHECKING:
    import pandas as pd

    from ..datasets.corpus import Corpus

DEFAULT_CUES = ("f0_level", "f0_variability", "loudness", "high_frequency_energy", "jitter", "shimmer", "hnr")
MIN_CLIPS = 3  # of each group
MEASURED_BEFORE = {"tess": "tess_cue_effects.csv"}  # by corpus, in the folder reference/
CLEAR = 0.8  # the size of an effect whose sign should come out again


def clip_table(
    corpus: Corpus, clip_ids: Sequence[str], full: bool = False, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Cues of whole clips: ``speaker``, ``emotion`` and a column for each cue, NaN where missing; index: the clips.

    Parameters
    ----------
    corpus : Corpus
    clip_ids : sequence of str
    full : bool
        Also the cues that only describe.
    progress : callable, optional
        Called with clips done and clips to do.
    """
    import pandas as pd

    rows = []
    for done, name in enumerate(clip_ids, 1):
        clip = corpus.clip(name)
        cues = {cue: found.value for cue, found in whole_clip_cues(clip.cue_tracks, full).items()}
        rows.append({"speaker": clip.speaker, "emotion": clip.emotion, **cues})
        if progress is not None:
            progress(done, len(clip_ids))
    return pd.DataFrame(rows, index=pd.Index(clip_ids, name="clip"))


def cohens_d(group: np.ndarray, neutral: np.ndarray) -> float:
    """Difference of means over the pooled standard deviation; NaN with fewer than 3 values in a group.

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
    """Effect of each emotion on each cue of each speaker.

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
                own = table[(table["speaker"] == speaker) & (table["emotion"] == NEUTRAL)]
                d = cohens_d(part[cue].to_numpy(float), own[cue].to_numpy(float))
                rows.append((cue, emotion, speaker, d, int(part[cue].notna().sum())))
    return pd.DataFrame(rows, columns=["cue", "emotion", "speaker", "d", "n"])


def measured_before(corpus: str) -> pd.DataFrame | None:
    """Effects measured before, columns ``cue``, ``emotion``, ``speaker``, ``d``; None for a corpus without any."""
    import pandas as pd

    if corpus not in MEASURED_BEFORE:
        return None
    with resources.files(__package__).joinpath("reference", MEASURED_BEFORE[corpus]).open(encoding="utf-8") as file:
        return pd.read_csv(file)


def compared_signs(found: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Effects that were clear before and have been measured again.

    Parameters
    ----------
    found : DataFrame
        Of `effects`.
    before : DataFrame
        Of `measured_before`; those with a size of 0.8 or less are left out.

    Returns
    -------
    DataFrame
        Columns ``cue``, ``emotion``, ``speaker``, ``d``, ``d_before`` and ``same`` (sign).
    """
    clear = before[before["d"].abs() > CLEAR].rename(columns={"d": "d_before"})
    both = clear.merge(found, on=["cue", "emotion", "speaker"]).dropna(subset="d")
    both["same"] = np.sign(both["d"]) == np.sign(both["d_before"])
    return both[["cue", "emotion", "speaker", "d", "d_before", "same"]]


def sign_lines(compared: pd.DataFrame) -> list[str]:
    """How many clear effects have the sign that they had before, and a line for each that has not."""
    lines = [f"{compared['same'].sum()} of {len(compared)} effects that were above {CLEAR} before have the same sign."]
    return lines + [
        f"- {row.cue}, {row.emotion}, {row.speaker}: {row.d:+.1f}, before {row.d_before:+.1f}"
        for row in compared[~compared["same"]].itertuples()
    ]


def markdown(found: pd.DataFrame, note: str = "") -> str:
    """One table a cue: emotions down, speakers across."""
    parts = []
    for cue, part in found.groupby("cue", sort=False):
        speakers = sorted(part["speaker"].unique())
        lines = [f"**{CUES.get(str(cue)).label}** ({cue})", "", f"| emotion | {' | '.join(speakers)} |"]
        lines.append("|---|" + "---|" * len(speakers))
        for emotion, row in part.groupby("emotion", sort=True):
            values = row.set_index("speaker")
            lines.append(
                f"| {emotion} | "
                + " | ".join(f"{values.at[s, 'd']:+.1f}" if s in values.index else "–" for s in speakers)
                + " |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, note] if note else parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report of one corpus."""
    parser = argparse.ArgumentParser(prog="python -m serxai.benchmark.cue_report", description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--data-root")
    parser.add_argument("--cue", action="append", default=[], help="name from `serxai ls cues`; default: seven of them")
    asked = parser.parse_args(arguments)
    cues = asked.cue or list(DEFAULT_CUES)
    full = any(CUES.get(cue).target.endswith("fine_cues") for cue in cues)
    corpus = load_corpus(asked.corpus, asked.data_root)
    with Bars() as bars:
        table = clip_table(corpus, list(corpus.table.index), full, lambda done, n: bars("listening", done, n))
    note = ""
    if not corpus.record.level_comparable:
        note = f"Levels of {corpus.name} are not comparable between clips: {', '.join(LEVEL_CUES)} say nothing here."
    found = effects(table, cues)
    sys.stdout.write(markdown(found, note) + "\n")
    before = measured_before(corpus.name)
    if before is not None:
        sys.stdout.write("\n" + "\n".join(sign_lines(compared_signs(found, before))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
