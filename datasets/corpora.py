"""All corpora by name. Importing this module loads records only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..registry import Registry
from .corpus import Corpus, CorpusRecord, Layout
from .folder_record import RECORD as FOLDER
from .planted.record import RECORDS as PLANTED
from .publishers.crema_d import RECORD as CREMA_D
from .publishers.emodb import RECORD as EMODB
from .publishers.iemocap import EXCITED as IEMOCAP_EXCITED
from .publishers.iemocap import RECORD as IEMOCAP
from .publishers.nemo import RECORD as NEMO
from .publishers.ravdess import RECORD as RAVDESS
from .publishers.savee import RECORD as SAVEE
from .publishers.tess import RECORD as TESS

CORPORA: Registry[CorpusRecord] = Registry(
    "corpus",
    CorpusRecord,
    [*PLANTED, EMODB, RAVDESS, TESS, CREMA_D, SAVEE, IEMOCAP, IEMOCAP_EXCITED, NEMO, FOLDER],
    plural="corpora",
)


def load_corpus(
    name: str, data_root: str | Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Corpus:
    """Corpus of this name.

    Parameters
    ----------
    name : str
    data_root : path, optional
        Folder that holds the corpora; default ``$SERXAI_DATA``, else the user cache folder.
    progress : callable, optional
        Called with (done, total) where a corpus must be rendered first.

    Raises
    ------
    UnknownNameError
        With the near misses.
    InputError
        If the corpus' files are not there.
    """
    record = CORPORA.get(name)
    return record.load()(record, data_root, progress)


def layout_of(record: CorpusRecord) -> Layout | None:
    """How the publisher names the corpus' files; None for a corpus that is not found by file names."""
    return getattr(record.load(), "keywords", {}).get("layout")


def forbids_derivatives(path: str | Path, data_root: str | Path | None = None) -> CorpusRecord | None:
    """The corpus that a sound file belongs to, if no audio made from it may be passed on; else None.

    A file belongs to a corpus if it has the bytes of one of the publisher's files or lies in the corpus' folder; below
    a ``corpus.toml`` it belongs to what that describes. Any other file is the user's own.

    Parameters
    ----------
    path : path
    data_root : path, optional
        Default: `data_root_or_default`.
    """
    from .corpus import file_digest
    from .folder import described_by
    from .sums import official_sums

    place, content = Path(path).resolve(), file_digest(Path(path))
    for record in CORPORA:
        if record.derivatives_allowed or record.name.endswith(":"):
            continue
        if place.is_relative_to(record.root(data_root).resolve()) or content in official_sums(record).values():
            return record
    described = described_by(place)
    return described if described is not None and not described.derivatives_allowed else None
