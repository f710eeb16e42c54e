"""Registry of corpora. Importing this module imports records only, neither torch nor pandas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..registry import Registry
from .corpus import Corpus, CorpusRecord, Layout
from .folder_record import RECORD as FOLDER
from .planted.record import FROM_EMODB, SPLICED
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
    [*PLANTED, FROM_EMODB, SPLICED, EMODB, RAVDESS, TESS, CREMA_D, SAVEE, IEMOCAP, IEMOCAP_EXCITED, NEMO, FOLDER],
    plural="corpora",
    paths=dict.fromkeys(("", ".csv", ".tsv"), "folder:{path}"),
)


def load_corpus(
    name: str, data_root: str | Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Corpus:
    """Load a corpus by its registered name.

    Parameters
    ----------
    name : str
        Such as ``planted``, ``emodb`` or ``folder:my/data.csv``.
    data_root : path, optional
        Folder of the corpora; default ``$SERXAI_DATA``, else the user cache folder.
    progress : callable, optional
        Called with (done, total) while a planted corpus is rendered.

    Returns
    -------
    Corpus

    Raises
    ------
    UnknownNameError
        For an unknown name; the message lists the closest ones.
    InputError
        If the corpus' files are not found.
    """
    record = CORPORA.get(name)
    corpus: Corpus = record.load()(record, data_root, progress)
    return corpus


def layout_of(record: CorpusRecord) -> Layout | None:
    """File layout of a published corpus; None for corpora that are not found by file names (planted, ``folder:``)."""
    return getattr(record.load(), "keywords", {}).get("layout")


def corpus_forbidding_derivatives(path: str | Path, data_root: str | Path | None = None) -> CorpusRecord | None:
    """Record of the corpus a sound file belongs to, if its licence forbids derived audio; else None.

    A file belongs to a corpus if it has the bytes of one of the publisher's files or lies in the corpus' folder; below
    a ``corpus.toml`` it belongs to the corpus described there. Any other file is the user's own.

    Parameters
    ----------
    path : path
        Of the sound file.
    data_root : path, optional
        Default: `data_root_or_default`.

    Returns
    -------
    CorpusRecord or None
    """
    from .corpus import file_digest
    from .folder_description import record_of_enclosing_folder
    from .manifest import publisher_checksums

    place, content = Path(path).resolve(), file_digest(Path(path))
    for record in CORPORA:
        if record.derivatives_allowed or record.name.endswith(":"):
            continue
        if place.is_relative_to(record.root(data_root).resolve()) or content in publisher_checksums(record).values():
            return record
    described = record_of_enclosing_folder(place)
    return described if described is not None and not described.derivatives_allowed else None
