"""Reference distributions of a speaker's acoustic cues, from other clips of the same corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...cues.expert import NEUTRAL
from ...cues.normalise import MIN_CLIPS, CueReference, cue_references, whole_clip_cues
from ...cues.records import LEVEL_CUES
from ...datasets.corpora import load_corpus
from ...errors import ClipError, InputError
from ...keys import rng

if TYPE_CHECKING:
    from ...datasets.clip import Clip
    from ..run.runner import Progress

MAX_CLIPS = 20  # about a second of Praat


def speaker_norms(
    clip: Clip, data_root: str | Path | None = None, progress: Progress | None = None
) -> dict[str, CueReference]:
    """Reference distribution of each cue for a clip's speaker, the clip itself left out.

    Computed from the speaker's neutral clips, else other clips of the speaker, else any clips of the corpus: at most
    20, drawn with a seed of the clip.

    Parameters
    ----------
    clip : Clip
    data_root : path, optional
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    dict of str to CueReference
        Empty where the clip's corpus is unknown or not on disk; without level cues where the corpus' levels are not
        comparable.
    """
    import pandas as pd

    if not clip.corpus:
        return {}
    try:
        corpus = load_corpus(clip.corpus, data_root)
    except InputError:
        return {}
    table = corpus.table.drop(index=clip.id, errors="ignore")
    of_speaker = table[table["speaker"] == clip.speaker]
    for candidates in (of_speaker[of_speaker["emotion"] == NEUTRAL], of_speaker, table):
        if len(candidates) >= MIN_CLIPS:
            break
    names = sorted(candidates.index)
    chosen = rng("norms", clip.corpus, clip.speaker, clip.id).permutation(len(names))[:MAX_CLIPS]
    comparable = corpus.record.level_comparable
    rows = []
    for done, name in enumerate(names[i] for i in sorted(chosen)):
        if progress is not None:
            progress(f"measuring cues of {clip.speaker or clip.corpus}", done, len(chosen))
        other = corpus.clip(name)
        try:
            cues = whole_clip_cues(other.cue_tracks, full=False)
        except ClipError:  # a clip that Praat refuses is left out
            continue
        values = {cue: measured.value for cue, measured in cues.items() if comparable or cue not in LEVEL_CUES}
        rows.append({"speaker": other.speaker, "emotion": other.emotion, **values})
    return cue_references(pd.DataFrame(rows), clip.speaker) if rows else {}
