"""Expected files of a corpus: the publisher's SHA-256 checksums, and ``manifest.csv`` of a derived or partial copy.

``checksums/NAME.sha256.gz`` is in the format of `sha256sum`: ``zcat emodb.sha256.gz | sha256sum -c`` works in a folder
with the publisher's layout.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from ..errors import InputError
from .corpus import CorpusRecord
from .table import read_table

MANIFEST = "manifest.csv"


def publisher_checksums(record: CorpusRecord) -> Mapping[str, str]:
    """SHA-256 of the publisher's files by path in the publisher's layout; empty where no checksums are bundled."""
    return _read_sums(record.folder or record.name)


@lru_cache
def _read_sums(name: str) -> Mapping[str, str]:
    path = Path(__file__).parent / "checksums" / f"{name}.sha256.gz"
    if not path.is_file():
        return {}
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return {file: sha256 for sha256, file in (line.split("  ", 1) for line in lines)}


@dataclass(frozen=True)
class ManifestEntry:
    """Entry of one file in a manifest.

    Attributes
    ----------
    sha256 : str
    source_sha256 : str
        Of the publisher's file it was derived from; empty where not given.
    sample_rate : int
        In Hz; 0 where not given.
    duration_s : float
        0 where not given.
    """

    sha256: str
    source_sha256: str = ""
    sample_rate: int = 0
    duration_s: float = 0.0


def read_manifest(root: Path) -> dict[str, ManifestEntry]:
    """Read a folder's ``manifest.csv``: entries by path in the folder; empty where there is no manifest.

    Columns ``file`` and ``sha256`` are required; ``source_sha256``, ``sample_rate`` and ``duration_s`` are used.

    Raises
    ------
    InputError
        If a required column is missing or a value cannot be read.
    """
    path = root / MANIFEST
    if not path.is_file():
        return {}
    table = read_table(path, str(path))
    lacking = {"file", "sha256"} - set(table.header)
    if lacking:
        raise InputError(
            f"{path}: lacks column {', '.join(sorted(lacking))}; it has {', '.join(table.header)}. "
            "Add it, or move the file away to verify against the publisher's checksums alone."
        )
    entries = {}
    for line, cells in zip(table.lines, table.rows, strict=True):
        row = dict(zip(table.header, cells, strict=True))
        try:
            entries[PurePosixPath(row["file"]).as_posix()] = ManifestEntry(
                row["sha256"].lower(),
                row.get("source_sha256", "").lower(),
                int(row.get("sample_rate") or 0),
                float(row.get("duration_s") or 0),
            )
        except ValueError as error:
            raise InputError(f"{path}: line {line}: {error}. Mend the line.") from None
    return entries
