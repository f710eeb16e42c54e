"""Download of corpora that audEERING publishes through audb (extra ``audb``).

The public databases are listed at https://audeering.github.io/datasets. Versions are pinned, because later ones differ
(EMODB 2.0.0 adds 281 clips that listeners did not recognise, and laryngograms).
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
class FetchResult:
    """Result of a download.

    Attributes
    ----------
    corpus : str
    database, version : str
        At audb.
    folder : Path
        Folder of the corpus.
    clips, expected : int
        Clips downloaded, and in the complete corpus.
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
) -> FetchResult:
    """Download a corpus from audb into its folder below the data root, with the publisher's file names.

    An interrupted download is kept in ``.NAME.fetching`` beside the folder and resumed by the next call; the corpus'
    folder is created when the download is complete.

    Parameters
    ----------
    name : str
        Corpus, of `PUBLIC`.
    data_root : path, optional
        Default: `data_root_or_default`.
    repository : audb.Repository, optional
        Source; default: audb's configuration (the public repository, or ``~/.config/audb.yaml``).
    verbose : bool
        Whether audb shows a progress bar.

    Returns
    -------
    FetchResult

    Raises
    ------
    UnknownNameError
        For an unknown corpus.
    InputError
        If the corpus is not public at audb, the extra is not installed, the folder is not empty, the download fails, or
        the downloaded files do not load.
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
    download = work / "corpus"
    where = "audb's repositories" if repository is None else f"{repository.host} ({repository.name})"
    try:
        download.mkdir(parents=True, exist_ok=True)
        with _repositories(repository):
            # a separate cache: the user's may have another repository's files under this name and version
            audb.load_to(str(download), database, version=version, cache_root=str(work / "cache"), verbose=verbose)
    except Exception as error:  # audb's backends raise errors of many types: network, missing version, broken archive
        kept = any(path.is_file() for path in download.rglob("*"))
        if not kept:
            shutil.rmtree(work, ignore_errors=True)
        raise InputError(
            f"fetching {record.name!r} ({database} {version}) from {where} failed: {str(error).strip()} Is there a "
            f"network? {'What arrived is kept; try' if kept else 'Try'} again, or get the corpus from {record.url} "
            f"and unpack it into {folder}."
        ) from error
    if folder.is_dir():
        folder.rmdir()
    download.replace(folder)
    shutil.rmtree(work)
    corpus = load_corpus(record.name, data_root)
    return FetchResult(
        record.name, database, version, folder, len(corpus.table), record.clips, record.licence, record.citation
    )


@contextmanager
def _repositories(repository: audb.Repository | None) -> Iterator[None]:
    """Set audb's repository within the context; audb reads it from its configuration only."""
    import audb

    before = audb.config.REPOSITORIES
    if repository is not None:
        audb.config.REPOSITORIES = [repository]
    try:
        yield
    finally:
        audb.config.REPOSITORIES = before
