"""The planted corpus: synthetic speech in which it is known where, and by which cues, the emotion is expressed.

Rendered on first use into the user's cache (`SERXAI_CACHE` moves it), never under a data root.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from ..errors import InputError
from ..keys import digest
from .clip import Clip, Plant, Word
from .corpus import Corpus, CorpusRecord, cache_root
from .planted_files import damaged, read_manifest, render_into
from .planted_record import RECORD
from .planted_voices import CLIP_IDS


class PlantedCorpus(Corpus):
    """Clips with their neutral twins.

    Parameters
    ----------
    record : CorpusRecord
    table : DataFrame
        The manifest: besides a corpus' usual columns ``twin``, ``file_sha256``, ``twin_sha256`` and, as JSON, ``words``
        (label, start, end), ``planted`` (numbers of words) and ``cues``.
    root : Path
    """

    def clip(self, clip_id: str) -> Clip:
        """Load one clip with its words and its plant.

        Raises
        ------
        InputError
            If the corpus has no clip of this id.
        ClipError
            If a file cannot be read.
        """
        from ..audio import load_audio

        clip = super().clip(clip_id)
        row = self.table.loc[clip_id]
        words = tuple(Word(label, start, end) for label, start, end in json.loads(row["words"]))
        plant = Plant(
            twin=load_audio(self.root / row["twin"]),
            words=tuple(words[i] for i in json.loads(row["planted"])),
            cues=json.loads(row["cues"]),
        )
        return replace(clip, words=words, plant=plant)

    @cached_property
    def digest(self) -> str:
        """Digest of the whole manifest, with the checksums of clips and twins."""
        return digest("corpus", self.name, self.record.version, self.table.reset_index().to_dict("records"))


def planted_folder(version: str = RECORD.version) -> Path:
    """Where the corpus of this version is kept: ``planted-<version>`` in serxai's cache."""
    return cache_root() / f"planted-{version}"


def render(
    folder: Path | None = None,
    *,
    clips: Sequence[str] | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Render what is missing or damaged.

    Parameters
    ----------
    folder : Path, optional
        Default: `planted_folder()`.
    clips : sequence of str, optional
        Ids; default: all.
    workers : int, optional
        Processes at once; default: as many as there are processors, at most 4. The samples do not depend on it.
    progress : callable, optional
        Called with clips done and clips to do; not called where nothing is to do.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        For an id that is none of the corpus'.
    SerxaiError
        If rendering fails.
    """
    strange = sorted(set(clips or ()) - set(CLIP_IDS))
    if strange:
        raise InputError(f"corpus 'planted' has no clip {strange[0]!r}; ids look like {CLIP_IDS[0]!r}.")
    folder = planted_folder() if folder is None else Path(folder)
    todo = damaged(folder, CLIP_IDS if clips is None else clips)
    if todo:
        render_into(folder, todo, workers or min(os.cpu_count() or 1, 4), progress)
    return folder


def load(
    record: CorpusRecord,
    data_root: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PlantedCorpus:
    """The planted corpus, rendered first where the cache does not hold it.

    Parameters
    ----------
    record : CorpusRecord
    data_root : path, optional
        Not used: this corpus is made, not found.
    progress : callable, optional
        See `render`.
    """
    folder = render(planted_folder(record.version), progress=progress)
    manifest = read_manifest(folder)
    assert manifest is not None  # render leaves one
    return PlantedCorpus(record, manifest.loc[sorted(CLIP_IDS)], folder)
