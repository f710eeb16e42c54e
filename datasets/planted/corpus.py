"""The planted corpora: synthetic speech in which it is known where, and by which cues, the emotion is expressed.

Each clip is rendered when it is first asked for into the user's cache (`SERXAI_CACHE` moves it), never under a data
root.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from ...keys import digest
from ..clip import Clip, Plant, Word
from ..corpus import Corpus, CorpusRecord, cache_root
from .files import damaged, read_truth, render_into, wav_path
from .record import RECORD
from .voices import EMOTIONS, VARIANTS, VOICES

Progress = Callable[[int, int], None]


class PlantedCorpus(Corpus):
    """Clips with their neutral twins; their audio is made when it is asked for.

    Parameters
    ----------
    record : CorpusRecord
    root : path, optional
        Default: `planted_folder`.
    progress : callable, optional
        Called with clips done and clips to do whenever clips are rendered.
    workers : int, optional
        Processes that render; default: as many as there are processors, at most 4. The samples do not depend on it.
    """

    def __init__(
        self,
        record: CorpusRecord = RECORD,
        root: str | Path | None = None,
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> None:
        super().__init__(record, _table(record.name), planted_folder(record) if root is None else root)
        self._progress = progress
        self._workers = workers or min(os.cpu_count() or 1, 4)

    def prepare(self, clip_ids: Iterable[str]) -> None:
        """Render what is missing or damaged of these clips, all at once.

        Raises
        ------
        InputError
            If the corpus has no clip of an id.
        SerxaiError
            If rendering fails.
        """
        names = list(clip_ids)
        for name in names:
            self._facts(name)
        todo = damaged(self.root, names)
        if todo:
            render_into(self.name, self.root, todo, self._workers, self._progress)

    def clip(self, clip_id: str) -> Clip:
        """One clip with its words and its plant; rendered now, with the rest of its voice, where it was not prepared.

        Raises
        ------
        InputError
            If the corpus has no clip of this id.
        SerxaiError
            If rendering fails.
        """
        from ...audio import load_audio

        facts = self._facts(clip_id)
        truth = read_truth(self.root, clip_id)
        if truth is None:
            # starting the renderer takes longer than rendering a voice, and who asks for one clip asks for more
            self.prepare(self.table.index[self.table["speaker"] == facts["speaker"]])
            truth = read_truth(self.root, clip_id)
            assert truth is not None  # rendering raises where it fails
        words = tuple(Word(*word) for word in truth["words"])
        samples, twin = (load_audio(wav_path(self.root, kind, clip_id)) for kind in ("clips", "twins"))
        plant = Plant(twin=twin, words=tuple(words[i] for i in truth["planted"]), cues=truth["cues"])
        return replace(Clip(samples=samples, **facts), words=words, plant=plant)

    @cached_property
    def digest(self) -> str:
        """Digest of name, version and ids: the version stands for the samples, which are made from nothing else."""
        return digest("corpus", self.name, self.record.version, list(self.table.index))


def _table(name: str) -> pd.DataFrame:
    """What is known of all clips before any is rendered."""
    sentences = [sentence.capitalize() + "." for sentence in VARIANTS[name].sentences]
    rows = {
        f"{voice}-s{number}-{emotion}": (f"clips/{voice}-s{number}-{emotion}.wav", emotion, voice, sex, sentence)
        for voice, sex in ((voice, settings.sex) for voice, settings in VOICES.items())
        for number, sentence in enumerate(sentences)
        for emotion in EMOTIONS
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["file", "emotion", "speaker", "sex", "sentence"])


def planted_folder(record: CorpusRecord = RECORD) -> Path:
    """Where a planted corpus is kept: ``<name>-<version>`` in serxai's cache."""
    return cache_root() / f"{record.name}-{record.version}"


def load(record: CorpusRecord, data_root: str | Path | None = None, progress: Progress | None = None) -> PlantedCorpus:
    """The planted corpus of a record.

    Parameters
    ----------
    record : CorpusRecord
    data_root : path, optional
        Not used: this corpus is made, not found.
    progress : callable, optional
        Called with clips done and clips to do whenever clips are rendered.
    """
    return PlantedCorpus(record, progress=progress)
