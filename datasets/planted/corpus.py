"""Corpora that are rendered on demand, with known location and acoustic cues of each emotion; the synthetic ones.

Clips are rendered on first use into the user's cache folder (environment variable `SERXAI_CACHE`), never below a data
root. Those made from recordings are in `datasets.planted.from_emodb`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from ...errors import SerxaiError
from ...keys import digest
from ..clip import Clip, Plant, Word
from ..corpus import Corpus, CorpusRecord, cache_root
from .files import damaged, read_truth, render_into, wav_path
from .record import RECORD
from .voices import EMOTIONS, VARIANTS, VOICES, BandRecipe, Recipe

Progress = Callable[[int, int], None]


class RenderedCorpus(Corpus):
    """Corpus whose clips and neutral twins are rendered on demand.

    Parameters
    ----------
    record : CorpusRecord
    table : DataFrame
        See `Corpus`.
    root : path
        Folder that the clips are rendered into.
    progress : callable, optional
        Called with (done, total) clips while clips are rendered.
    workers : int, optional
        Rendering processes; default: the number of CPUs, at most 4. The samples do not depend on it.
    source : str, optional
        Data root of the recordings that the clips are made from.
    """

    recipes: Mapping[str, Recipe | BandRecipe] = MappingProxyType({})  # cues by emotion, where they are planted by one

    def __init__(
        self,
        record: CorpusRecord,
        table: pd.DataFrame,
        root: str | Path,
        progress: Progress | None = None,
        workers: int | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(record, table, root)
        self._progress = progress
        self._workers = workers or min(os.cpu_count() or 1, 4)
        self._source = () if source is None else (source,)

    def prepare(self, clip_ids: Iterable[str]) -> None:
        """Render those of the clips that are missing or damaged, in one batch.

        Raises
        ------
        InputError
            If the corpus has no clip of one of the ids.
        SerxaiError
            If rendering fails.
        """
        names = list(clip_ids)
        for name in names:
            self._metadata(name)
        todo = damaged(self.root, names)
        if todo:
            render_into(self.name, self.root, todo, self._workers, self._progress, *self._source)

    def clip(self, clip_id: str) -> Clip:
        """Load one clip with its words and plant; if not prepared, all clips of its voice are rendered first.

        Raises
        ------
        InputError
            If the corpus has no clip of this id.
        SerxaiError
            If rendering fails.
        """
        from ...audio import load_audio

        metadata = self._metadata(clip_id)
        truth = self._truth(clip_id)
        words = tuple(Word(*word) for word in truth["words"])
        samples, twin = (load_audio(wav_path(self.root, kind, clip_id)) for kind in ("clips", "twins"))
        plant = Plant(twin=twin, words=tuple(words[i] for i in truth["planted"]), cues=truth["cues"])
        return replace(Clip(samples=samples, **metadata), words=words, plant=plant)

    def _truth(self, clip_id: str) -> dict[str, Any]:
        """Stored ground truth of a clip, rendered first if need be."""
        metadata = self._metadata(clip_id)
        truth = read_truth(self.root, clip_id)
        if truth is None:
            # starting the renderer takes longer than rendering a voice, and further clips are likely to follow
            self.prepare(self.table.index[self.table["speaker"] == metadata["speaker"]])
            truth = read_truth(self.root, clip_id)
        if truth is None:
            raise SerxaiError(
                f"corpus {self.name!r}: clip {clip_id!r} was rendered into {self.root} and cannot be read there; check "
                "the disk, or set SERXAI_CACHE to another folder."
            )
        return truth


class PlantedCorpus(RenderedCorpus):
    """Synthetic planted corpus.

    Parameters
    ----------
    record : CorpusRecord
    root : path, optional
        Default: `planted_folder`.
    progress, workers
        See `RenderedCorpus`.
    """

    def __init__(
        self,
        record: CorpusRecord = RECORD,
        root: str | Path | None = None,
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> None:
        folder = planted_folder(record) if root is None else root
        super().__init__(record, _table(record.name), folder, progress, workers)
        self.recipes = VARIANTS[record.name].recipes

    @cached_property
    def digest(self) -> str:
        """Digest of name, version and ids, which determine the samples."""
        return digest("corpus", self.name, self.record.version, list(self.table.index))


def _table(name: str) -> pd.DataFrame:
    """Clip table of a planted corpus, which does not depend on rendering."""
    sentences = [sentence.capitalize() + "." for sentence in VARIANTS[name].sentences]
    rows = {
        f"{voice}-s{number}-{emotion}": (f"clips/{voice}-s{number}-{emotion}.wav", emotion, voice, sex, sentence)
        for voice, sex in ((voice, settings.sex) for voice, settings in VOICES.items())
        for number, sentence in enumerate(sentences)
        for emotion in EMOTIONS
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["file", "emotion", "speaker", "sex", "sentence"])


def planted_folder(record: CorpusRecord = RECORD) -> Path:
    """Folder of a planted corpus: ``<name>-<version>`` in serxai's cache."""
    return cache_root() / f"{record.name}-{record.version}"


def load(record: CorpusRecord, data_root: str | Path | None = None, progress: Progress | None = None) -> PlantedCorpus:
    """Load a planted corpus; the target of its record.

    Parameters
    ----------
    record : CorpusRecord
    data_root : path, optional
        Unused; part of the signature of every corpus loader.
    progress : callable, optional
        Called with (done, total) clips while clips are rendered.
    """
    return PlantedCorpus(record, progress=progress)
