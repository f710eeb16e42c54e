"""Fetch a corpus that audEERING publishes through audb (extra ``audb``).

What is public there was looked up in audEERING's list of datasets (https://audeering.github.io/datasets); versions are
pinned, because later ones differ (EMODB 2.0.0 adds 281 clips that listeners did not recognise, and laryngograms).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .corpora import CORPORA, load_corpus

if TYPE_CHECKING:
    import audb

# corpus -> database and version at audb
PUBLIC = {
    "emodb": ("emodb", "1.4.1"),
    "ravdess": ("ravdess", "1.1.3"),
    "crema-d": ("crema-d", "1.3.0"),
    "nemo": ("nemo", "1.0.1"),
}


@dataclass(frozen=True)
class Fetched:
    """What was fetched.

    Attributes
    ----------
    corpus : str
    database, version : str
        At audb.
    folder : Path
        The corpus' folder.
    clips, expected : int
        Clips found there, and in the complete corpus.
    licence, citation : str
    """

    corpus: str
    database: str
    version: str
    folder: Path
    clips: int
    expected: int
    licence: str
    citation: str


def fetch_corpus(
    name: str,
    data_root: str | Path | None = None,
    *,
    repository: audb.Repository | None = None,
    verbose: bool = False,
) -> Fetched:
    """Download a corpus into its folder below the data root, as audb holds it: the publisher's file names.

    A broken download is kept beside it (``.NAME.fetching``) and continued by the next call; the corpus' folder appears
    when it is whole.

    Parameters
    ----------
    name : str
        Corpus, of `PUBLIC`.
    data_root : path, optional
        Default: `data_root_or_default`.
    repository : audb.Repository, optional
        Where to fetch from; default: audb's configuration (the public repository, or ``~/.config/audb.yaml``).
    verbose : bool
        Whether audb shows its progress.

    Raises
    ------
    UnknownNameError
        For an unknown corpus.
    InputError
        If the corpus is not public at audb, the extra is missing, the folder is not empty, nothing can be reached, or
        what was fetched does not load.
    """
    record = CORPORA.get(name)
    if record.name not in PUBLIC:
        raise InputError(
            f"corpus {record.name!r} is not public at audb; what can be fetched: {', '.join(PUBLIC)}. Where it comes "
            f"from: {record.url}; it belongs into {record.root(data_root)}."
        )
    database, version = PUBLIC[record.name]
    try:
        import audb
    except ImportError:
        raise InputError(
            f"fetching {record.name!r} needs the extra: pip install 'serxai[audb]'. Or get it from {record.url}."
        ) from None
    folder = record.root(data_root)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} is there already and is not overwritten; check it with `serxai corpus verify {record.name}`, or "
            "take it away to fetch it again."
        )
    work = folder.with_name(f".{folder.name}.fetching")
    arriving = work / "corpus"
    where = "audb's repositories" if repository is None else f"{repository.host} ({repository.name})"
    try:
        arriving.mkdir(parents=True, exist_ok=True)
        with _repositories(repository):
            # a cache of its own: the user's may know another repository under this name and version
            audb.load_to(str(arriving), database, version=version, cache_root=str(work / "cache"), verbose=verbose)
    except Exception as error:  # of any of audb's back ends: no network, no such version, a broken archive
        kept = any(path.is_file() for path in arriving.rglob("*"))
        if not kept:
            shutil.rmtree(work, ignore_errors=True)
        raise InputError(
            f"fetching {record.name!r} ({database} {version}) from {where} failed: {str(error).strip()} Is there a "
            f"network? {'What arrived is kept; try' if kept else 'Try'} again, or get the corpus from {record.url} "
            f"and unpack it into {folder}."
        ) from error
    if folder.is_dir():
        folder.rmdir()
    arriving.replace(folder)
    shutil.rmtree(work)
    corpus = load_corpus(record.name, data_root)
    return Fetched(
        record.name, database, version, folder, len(corpus.table), record.clips, record.licence, record.citation
    )


@contextmanager
def _repositories(repository: audb.Repository | None) -> Iterator[None]:
    """Audb takes repositories from its configuration only: name one for as long as it is needed."""
    import audb

    before = audb.config.REPOSITORIES
    if repository is not None:
        audb.config.REPOSITORIES = [repository]
    try:
        yield
    finally:
        audb.config.REPOSITORIES = before
