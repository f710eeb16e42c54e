"""All corpora by name. Importing this module loads records only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..registry import Registry
from .corpus import Corpus, CorpusRecord
from .emodb import RECORD as EMODB
from .planted_record import RECORD as PLANTED

CORPORA: Registry[CorpusRecord] = Registry("corpus", CorpusRecord, [PLANTED, EMODB], plural="corpora")


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
