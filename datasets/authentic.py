"""Authenticity of clips: whether their files are the publisher's, or derived from the publisher's, by checksum."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .corpora import CORPORA
from .corpus import Corpus, CorpusRecord, file_digest
from .manifest import publisher_checksums, read_manifest


def authentic_clips(corpus: Corpus, clips: Iterable[str]) -> set[str]:
    """Clips whose content is known to be what their corpus declares.

    A file is authentic if it has the SHA-256 that the publisher's checksum list gives for its name, or the one that the
    folder's ``manifest.csv`` gives for a copy made from that file (another sampling rate, another container). Clips of
    the planted corpora are synthesised here, so they always are; those rendered from recordings are as authentic as the
    recordings. No clip of a corpus without published checksums is.

    Parameters
    ----------
    corpus : Corpus
    clips : iterable of str
        Ids.

    Raises
    ------
    InputError
        If the folder's manifest cannot be read.
    """
    clips = list(clips)
    if corpus.record.rendered_from:
        from .planted.from_emodb import RecordedPlants  # imports torch, as rendering needs it

        assert isinstance(corpus, RecordedPlants)
        recordings = {clip: corpus.recordings(clip) for clip in clips}
        genuine = authentic_clips(corpus.source, sorted(set().union(*recordings.values())))
        return {clip for clip, used in recordings.items() if used <= genuine}
    if corpus.record.twinned:
        return set(clips)
    official = {_name(file): sha256 for file, sha256 in publisher_checksums(corpus.record).items()}
    if not official:
        return set()
    manifest = read_manifest(corpus.root)
    authentic = set()
    for clip in clips:
        file = str(corpus.table.at[clip, "file"])
        original, listed = official.get(_name(file)), manifest.get(file)
        if original is None:
            continue
        sha256 = file_digest(corpus.root / file)
        derived = listed is not None and sha256 == listed.sha256 and listed.source_sha256 in ("", original)
        if sha256 == original or derived:
            authentic.add(clip)
    return authentic


def publisher_of(path: Path) -> CorpusRecord | None:
    """Corpus that one of its publisher's checksums names as a file's origin; None for any other file."""
    sha256 = file_digest(path)
    records = (record for record in CORPORA if sha256 in publisher_checksums(record).values())
    return next(records, None)


def _name(file: str) -> str:
    """File name without regard to folder and case, by which a publisher's file is known."""
    return file.rpartition("/")[2].casefold()
