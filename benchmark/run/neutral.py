"""Neutral clips of a clip's speaker, against which metrics of plausibility hold its cues."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...cues.expert import NEUTRAL
from ...cues.neutral import NeutralReference
from ...cues.records import LEVEL_CUES
from ...cues.windows import WindowCues, window_edges
from ...datasets.clip import Clip
from ...datasets.corpus import Corpus
from ...errors import ClipError, NotApplicable
from ...keys import rng
from ...metrics.records import METRICS

MAX_CLIPS = 20  # about two seconds of Praat a speaker


def reads_neutral(metrics: Iterable[str]) -> bool:
    """Whether any of the metrics reads neutral clips of the speaker."""
    return any(METRICS.get(name).neutral for name in metrics)


def neutral_clips(corpus: Corpus, clip_id: str) -> list[str]:
    """Ids of at most 20 neutral clips of a clip's speaker, without the clip itself, in canonical order.

    Which ones depends on the speaker alone (apart from the clip itself), so that clips of one speaker share the work.
    """
    table = corpus.table
    of_speaker = table[(table["speaker"] == table.loc[clip_id, "speaker"]) & (table["emotion"] == NEUTRAL)]
    names = sorted(of_speaker.index)
    order = rng("neutral clips", corpus.name, str(table.loc[clip_id, "speaker"])).permutation(len(names))
    chosen = [names[i] for i in order if names[i] != clip_id][:MAX_CLIPS]
    return sorted(chosen)


def window_cues(clip: Clip) -> WindowCues | None:
    """Cues of a clip's windows; None where it is too short, or Praat refuses it."""
    try:
        return WindowCues(clip.cue_tracks, window_edges(clip.duration_s))
    except (ClipError, NotApplicable):
        return None


def neutral_reference(
    corpus: Corpus, clip_id: str, cues_of: Callable[[str], WindowCues | None] | None = None
) -> NeutralReference:
    """Reference of a clip's speaker.

    Parameters
    ----------
    corpus : Corpus
    clip_id : str
    cues_of : callable, optional
        Cues of the windows of a clip by its id, for callers that keep them; None for clips that have none. Default:
        load the clip and measure them.
    """
    measured = cues_of or (lambda name: window_cues(corpus.clip(name)))
    found = {name: measured(name) for name in neutral_clips(corpus, clip_id)}
    left_out = () if corpus.record.level_comparable else LEVEL_CUES
    return NeutralReference(
        {name: cues for name, cues in found.items() if cues is not None},
        str(corpus.table.loc[clip_id, "speaker"]),
        left_out,
    )
