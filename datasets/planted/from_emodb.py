"""Corpora rendered from the user's copy of EMODB: ``planted-emodb`` and ``spliced``.

Each speaker's neutral clips are drawn in turn, `DRAWS` times, and each draw is rendered in every emotion, so speakers
and emotions are balanced and no sentence tells an emotion. Clip ids are ``RECORDING-TURN-EMOTION``, such as
``03a01Nc-0-anger``.

The clips are stored in the cache, in a folder of their own for each content of the recordings and their annotations,
and are never part of serxai's files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ...errors import InputError
from ...keys import digest
from ..clip import Clip, Word
from ..corpus import Corpus, CorpusRecord, cache_root, file_digest
from ..publishers import emodb
from .corpus import Progress, RenderedCorpus
from .record import EMOTIONS, FROM_EMODB, SPLICED
from .recorded import render_recorded, scaled
from .spliced import render_spliced
from .voices import RECIPES

if TYPE_CHECKING:
    import numpy as np

    from .render import Rendering

DRAWS = 16  # of each speaker's neutral clips
NEUTRAL = "neutral"
KEPT = 64  # recordings that a renderer keeps in memory: more than a speaker has, about 200 kB each


def load_recordings(record: CorpusRecord, data_root: str | Path | None = None) -> Corpus:
    """EMODB at a data root.

    Raises
    ------
    InputError
        If it is not there, or has no neutral clips.
    """
    try:
        source: Corpus = emodb.load(emodb.RECORD, data_root)
    except InputError as error:
        raise InputError(f"corpus {record.name!r} is rendered from your copy of emodb: {error}") from None
    if NEUTRAL not in set(source.table["emotion"]):
        raise InputError(
            f"corpus {record.name!r} is rendered from emodb's neutral clips, but {source.root} has none; add them "
            "(files like 03a01Nc.wav)."
        )
    return source


def donors(table: pd.DataFrame, speaker: str) -> dict[str, list[str]]:
    """Ids of a speaker's recordings by emotion."""
    own = table[table["speaker"] == speaker]
    return {emotion: sorted(own.index[own["emotion"] == emotion]) for emotion in EMOTIONS}


def plan(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Table of the clips to render from a table of recordings.

    Parameters
    ----------
    name : {'planted-emodb', 'spliced'}
    table : DataFrame
        Of the recordings. ``spliced`` needs a second neutral recording of the speaker and one of the emotion; clips for
        which there is none are left out.

    Returns
    -------
    DataFrame
        Columns ``file``, ``emotion``, ``speaker``, ``sex``, ``sentence``, ``recording``; indexed by clip id.

    Raises
    ------
    InputError
        If nothing can be rendered.
    """
    rows = {}
    for speaker in sorted(set(table["speaker"])):
        own = donors(table, speaker)
        bases = sorted(own[NEUTRAL], key=lambda base: digest("recordings", base))
        if not bases or (name == SPLICED.name and len(bases) < 2):
            continue
        emotions = [emotion for emotion in EMOTIONS if name != SPLICED.name or own[emotion]]
        for draw in range(DRAWS):
            base, turn = bases[draw % len(bases)], draw // len(bases)
            sex, sentence = table.at[base, "sex"], table.at[base, "sentence"]
            for emotion in emotions:
                clip_id = f"{base}-{turn}-{emotion}"
                rows[clip_id] = (f"clips/{clip_id}.wav", emotion, speaker, sex, sentence, base)
    if not rows:
        raise InputError(
            f"corpus {name!r}: needs a speaker with 2 neutral recordings in emodb, found none; get more of the corpus."
        )
    columns = ["file", "emotion", "speaker", "sex", "sentence", "recording"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


class RecordedPlants(RenderedCorpus):
    """Corpus rendered from neutral recordings.

    Parameters
    ----------
    record : CorpusRecord
    source : Corpus
        The recordings.
    root : path, optional
        Default: a folder in serxai's cache, named by the content of the recordings and annotations.
    progress, workers
        See `RenderedCorpus`.
    """

    def __init__(
        self,
        record: CorpusRecord,
        source: Corpus,
        root: str | Path | None = None,
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> None:
        table = plan(record.name, source.table)
        self.source = source
        self.content = _content(source, _used(record.name, source.table, table))
        folder = cache_root() / f"{record.name}-{record.version}-{self.content[:8]}" if root is None else root
        super().__init__(record, table, folder, progress, workers, str(source.root.parent))
        if record.name == FROM_EMODB.name:
            self.recipes = RECIPES

    @cached_property
    def digest(self) -> str:
        """Digest of name, version, ids and of the recordings' content, which determine the samples."""
        return digest("corpus", self.name, self.record.version, list(self.table.index), self.content)

    def stretches(self, clip_id: str) -> dict[str, tuple[Word, ...]]:
        """Processed stretches of a clip by kind (``target``, ``distractor``, ``sham``), each labelled by its edit.

        In ``spliced`` the label is the id of the recording that the stretch is from.
        """
        return {kind: tuple(Word(*row) for row in rows) for kind, rows in self._truth(clip_id)["stretches"].items()}

    def segmentation(self, clip_id: str) -> str:
        """Where the syllables of a clip come from; see `datasets.planted.stretches`."""
        return str(self._truth(clip_id)["segmentation"])

    def recording(self, clip_id: str) -> np.ndarray:
        """Recording that a clip was rendered from, at the clip's scale, float32, shape (n_samples,)."""
        samples = scaled(self.source.clip(str(self.table.at[clip_id, "recording"])).samples)
        rounded: np.ndarray = ((samples * 32767).round() / 32768).astype("float32")
        return rounded

    def recordings(self, clip_id: str) -> set[str]:
        """Ids of the recordings that a clip may be rendered from."""
        row = self.table.loc[clip_id]
        if self.name != SPLICED.name:
            return {str(row["recording"])}
        own = donors(self.source.table, str(row["speaker"]))
        return {*own[NEUTRAL], *own[str(row["emotion"])]}


class RecordingRenderer:
    """Renderer of the clips of one corpus by id, for `datasets.planted.worker`.

    Parameters
    ----------
    corpus : {'planted-emodb', 'spliced'}
    data_root : path
        Holds EMODB.
    """

    def __init__(self, corpus: str, data_root: str | Path) -> None:
        self.corpus = corpus
        self.source = load_recordings(RECORDS[corpus], data_root)
        self._kept: dict[str, Clip] = {}

    def recording(self, clip_id: str) -> Clip:
        """Recording by its id, kept in memory for the next clips."""
        if clip_id not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[clip_id] = self.source.clip(clip_id)
        return self._kept[clip_id]

    def __call__(self, clip_id: str) -> Rendering:
        """Render one clip."""
        base, _, emotion = clip_id.split("-")
        clip: Clip = self.recording(base)
        if self.corpus == FROM_EMODB.name:
            return render_recorded(clip_id, emotion, clip)
        return render_spliced(clip_id, emotion, clip, donors(self.source.table, clip.speaker), self.recording)


RECORDS: Mapping[str, CorpusRecord] = {record.name: record for record in (FROM_EMODB, SPLICED)}


def _used(name: str, recordings: pd.DataFrame, planned: pd.DataFrame) -> list[str]:
    """Ids of all recordings that determine the clips."""
    if name == FROM_EMODB.name:
        return sorted(set(planned["recording"]))
    own = recordings["speaker"].isin(set(planned["speaker"])) & recordings["emotion"].isin(EMOTIONS)
    return sorted(recordings.index[own])


def _content(source: Corpus, clips: Collection[str]) -> str:
    """Digest of recordings and of their annotated syllables."""
    rows = []
    for clip_id in clips:
        marks = [read(source.root, clip_id) for read in (emodb.syllables, emodb.stress)]
        labels = [[(word.label, word.start_s, word.end_s) for word in words] for words in marks]
        rows.append([clip_id, file_digest(source.root / str(source.table.at[clip_id, "file"])), labels])
    return digest("recordings", rows)


def load(record: CorpusRecord, data_root: str | Path | None = None, progress: Progress | None = None) -> RecordedPlants:
    """Load a corpus rendered from EMODB; the target of its record.

    Parameters
    ----------
    record : CorpusRecord
    data_root : path, optional
        Holds EMODB; default: `data_root_or_default`.
    progress : callable, optional
        Called with (done, total) clips while clips are rendered.

    Raises
    ------
    InputError
        If EMODB is not there.
    """
    return RecordedPlants(record, load_recordings(record, data_root), progress=progress)
