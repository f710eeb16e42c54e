"""Verification of a corpus' folder: names, counts, checksums and audio of every file.

Files are compared with the folder's ``manifest.csv`` where it lists them, else with the publisher's SHA-256. A *fault*
contradicts either, or makes a clip unusable; a *note* is information (a stereo file, zero padding, duplicates in the
published corpus). A copy without some of the publisher's files is partial, not faulty; a file that a manifest lists
must exist. Clips that ``serxai run`` will refuse are marked, the publisher's own among them.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..audio.quality import Remark
from ..errors import InputError
from .corpora import layout_of, load_corpus
from .corpus import CorpusRecord, FileNameParser, Layout, MissingLabelsError, files_below, not_found
from .examine import SUFFIXES, FileExamination, examine, same_sound
from .manifest import ManifestEntry, publisher_checksums, read_manifest

BATCH = 16  # files per task of the thread pool: scheduling one file costs as much as examining it
PADDED_S = 0.01  # shorter runs of zeros occur in quiet recordings without padding
DURATION_TOLERANCE_S = 1e-3  # rounding in manifests
CONTRADICTIONS = ("changed", "missing", "renamed", "duplicate", "unlisted", "rate", "duration", "manifest")
ORIGINAL, DERIVED, LISTED = "original", "derived", "listed"


@dataclass(frozen=True)
class Finding:
    """Fault or note on one file.

    Attributes
    ----------
    kind : str
        Contradictions (`CONTRADICTIONS`): ``changed``, ``missing``, ``renamed``, ``duplicate``, ``unlisted``, ``rate``,
        ``duration``, ``manifest``. Other faults: ``misnamed``, ``undecodable``, and the unusable kinds of
        `audio.quality.Remark` on files without a matching checksum. Notes: ``rate``, ``stereo``, ``container``,
        ``padded``, ``same sound``, ``absent``, ``stray``, ``table``, the other kinds of `Remark`.
    file : str
        Relative to the corpus' folder; empty for the table of the corpus.
    detail : str
    fault : bool
        Whether it contradicts the manifest or the publisher's checksums, or the file is unusable.
    refused : bool
        Whether ``serxai run`` refuses the clip.
    """

    kind: str
    file: str
    detail: str
    fault: bool = True
    refused: bool = False


@dataclass(frozen=True)
class Verification:
    """Result of verifying a corpus' folder.

    Attributes
    ----------
    corpus, version, folder : str
    origin : str
        ``original`` (the publisher's bytes), ``derived`` (as the manifest lists it, derived from the publisher's
        files), ``mixed``, ``altered`` (neither), or ``unknown`` (no checksums to compare with).
    clips, speakers : tuple of int
        In the folder, and in the complete corpus.
    labels : dict of str to tuple of int
        Clips of each emotion in the folder, and in the complete corpus.
    hours : float
        Duration of the clips in the folder.
    rates : dict of int to int
        Number of files by sampling rate in Hz.
    padding_s : dict of str to float
        Mean seconds of exact zeros at a clip's ends, by emotion.
    confirmed : int
        Number of files with a matching checksum.
    findings : tuple of Finding
        Faults first.
    """

    corpus: str
    version: str
    folder: str
    origin: str
    clips: tuple[int, int]
    speakers: tuple[int, int]
    labels: Mapping[str, tuple[int, int]]
    hours: float
    rates: Mapping[int, int]
    padding_s: Mapping[str, float]
    confirmed: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there are no faults."""
        return not any(finding.fault for finding in self.findings)

    @property
    def refused(self) -> tuple[str, ...]:
        """Files of the clips that ``serxai run`` refuses."""
        return tuple(dict.fromkeys(finding.file for finding in self.findings if finding.refused))

    @property
    def complete(self) -> bool:
        """Whether all clips of the complete corpus are in the folder."""
        return self.clips[0] >= self.clips[1]

    def as_json(self) -> dict[str, Any]:
        """All fields as JSON-serialisable objects."""
        return asdict(self) | {"ok": self.ok, "complete": self.complete, "refused": self.refused}


def verify_corpus(
    record: CorpusRecord,
    data_root: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Verify every file of a corpus.

    Parameters
    ----------
    record : CorpusRecord
    data_root : path, optional
        Default: `data_root_or_default`.
    progress : callable, optional
        Called with (done, total) files.

    Returns
    -------
    Verification

    Raises
    ------
    InputError
        If the folder is missing, has none of the corpus' files, or its manifest cannot be read.
    """
    layout = layout_of(record)
    if layout is None:
        corpus = load_corpus(record.name, data_root, progress)
        corpus.prepare(corpus.table.index)
        record, root = corpus.record, corpus.root
        strays: list[str] = []
        findings = [Finding("table", "", remark, fault=False) for remark in corpus.remarks]
        clips = {str(row["file"]): {"id": str(i)} | row for i, row in corpus.table.to_dict("index").items()}
        manifest: dict[str, ManifestEntry] = {}
    else:
        root = record.root(data_root)
        if not root.is_dir():
            raise not_found(record, layout, root)
        clips, strays, findings = _scan(record, layout, root)
        if not clips:
            raise not_found(record, layout, root)
        manifest = read_manifest(root)
    official = publisher_checksums(record)
    files = [*clips, *strays] if manifest or official else list(clips)
    examined: dict[str, FileExamination] = {}
    batches = [files[i : i + BATCH] for i in range(0, len(files), BATCH)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing and decoding release the GIL
        for results in pool.map(lambda batch: {file: examine(root / file) for file in batch}, batches):
            examined |= results
            if progress is not None:
                progress(len(examined), len(files))

    compared = _ChecksumComparison(examined, set(clips), manifest, official)
    findings += compared.findings
    known = {finding.file for finding in findings if finding.kind == "duplicate"}
    findings += _same_clips(
        {f: row["id"] for f, row in clips.items() if f not in known}, examined, {*manifest, *official}
    )
    decoded = {file: examined[file] for file in clips if not examined[file].fault}
    for file in clips:
        findings += _audio_findings(file, examined[file], record, manifest.get(file), file in compared.confirmed)
    emotions = {file: str(clips[file]["emotion"]) for file in clips}
    twins = _same_sounds(root, decoded, {f.file for f in findings if f.kind == "duplicate"}, emotions)
    findings += twins
    findings += _published_twins(compared.confirmed, examined, official, {finding.file for finding in twins})
    return _summary(record, root, clips, decoded, compared, findings)


def _summary(
    record: CorpusRecord,
    root: Path,
    clips: Mapping[str, Mapping[str, Any]],
    decoded: Mapping[str, FileExamination],
    compared: _ChecksumComparison,
    findings: list[Finding],
) -> Verification:
    extra = {finding.file for finding in findings if finding.kind in ("duplicate", "unlisted")}
    rows = {file: row for file, row in clips.items() if file not in extra}
    label_counts = Counter(row["emotion"] for row in rows.values())
    padding: dict[str, list[float]] = defaultdict(list)
    for file, result in decoded.items():
        padding[clips[file]["emotion"]].append(sum(result.padding_s))
    emotions = [*record.emotions, *sorted(set(label_counts) - set(record.emotions))]
    return Verification(
        corpus=record.name,
        version=record.version,
        folder=str(root),
        origin=compared.origin,
        clips=(len(rows), record.clips),
        speakers=(len({row["speaker"] for row in rows.values()}), record.speakers),
        labels={emotion: (label_counts[emotion], record.label_counts.get(emotion, 0)) for emotion in emotions},
        hours=sum(result.duration_s for result in decoded.values()) / 3600,
        rates=dict(sorted(Counter(result.sample_rate for result in decoded.values()).items())),
        padding_s={emotion: sum(padding[emotion]) / len(padding[emotion]) for emotion in emotions if padding[emotion]},
        confirmed=len(compared.confirmed),
        findings=tuple(sorted(findings, key=lambda finding: (not finding.fault, finding.kind, finding.file))),
    )


def _scan(
    record: CorpusRecord, layout: Layout, root: Path
) -> tuple[dict[str, Mapping[str, Any]], list[str], list[Finding]]:
    """Metadata of clips by file, other audio files, and findings on files with an unknown label or speaker."""
    names = FileNameParser(record, layout, root)
    clips: dict[str, Mapping[str, Any]] = {}
    strays, findings = [], []
    for path in files_below(root):
        file = path.relative_to(root).as_posix()
        if path.suffix.casefold() not in SUFFIXES:
            continue
        try:
            metadata = names.parse(file)
        except MissingLabelsError:
            raise
        except InputError as error:
            metadata = None
            findings.append(Finding("misnamed", file, str(error).partition(f"{file}: ")[2]))
        if metadata is None:
            strays.append(file)
        else:
            clips[file] = metadata
    return clips, strays, findings


class _ChecksumComparison:
    """Comparison of files with the manifest and the publisher's checksums.

    Attributes
    ----------
    confirmed : dict of str to str
        Files with a matching checksum: ``original``, ``derived``, or ``listed`` (in a manifest, publisher unknown).
    findings : list of Finding
    """

    def __init__(
        self,
        files: Mapping[str, FileExamination],
        clips: set[str],
        manifest: Mapping[str, ManifestEntry],
        official: Mapping[str, str],
    ) -> None:
        self.confirmed: dict[str, str] = {}
        self.findings: list[Finding] = []
        self._official = {_name(file): sha256 for file, sha256 in official.items()}
        self._has_reference = bool(manifest or official)
        for file, result in files.items():
            self._confirm(file, result, manifest.get(file))
        if self._has_reference:
            moved = self._classify_unconfirmed(files, clips, manifest, official)
            self._report_absent(files, manifest, official, moved)

    def _classify_unconfirmed(
        self,
        files: Mapping[str, FileExamination],
        clips: set[str],
        manifest: Mapping[str, ManifestEntry],
        official: Mapping[str, str],
    ) -> set[str]:
        """Report files without a matching checksum; returns the expected names of renamed files."""
        expected: dict[str, list[str]] = defaultdict(list)
        for file, sha256 in ((f, entry.sha256) for f, entry in manifest.items()) if manifest else official.items():
            expected[sha256].append(file)
        present = set(self.confirmed) if manifest else {_name(file) for file in self.confirmed}
        moved: set[str] = set()
        for file, result in files.items():
            if file in self.confirmed:
                continue
            same_bytes = expected[result.sha256]
            copies = [name for name in same_bytes if (name if manifest else _name(name)) in present]
            if copies:
                self._fault("duplicate", file, f"has the bytes of {copies[0]}")
            elif same_bytes:
                self._fault("renamed", file, f"has the bytes of {same_bytes[0]}")
                moved.update(same_bytes)
            elif file in manifest:
                self._fault("changed", file, "its SHA-256 is not the manifest's")
            elif _name(file) in self._official:
                self._fault("changed", file, "its SHA-256 is not the publisher's")
            elif file in clips:
                self._fault(
                    "unlisted", file, f"neither {'the manifest nor ' if manifest else ''}the publisher lists it"
                )
            else:
                self.findings.append(Finding("stray", file, "not one of the corpus' files; left alone", fault=False))
        return moved

    def _report_absent(
        self,
        files: Mapping[str, FileExamination],
        manifest: Mapping[str, ManifestEntry],
        official: Mapping[str, str],
        moved: set[str],
    ) -> None:
        """Report files that the manifest lists, or else that the publisher has, and the folder has not."""
        for file in sorted(set(manifest) - set(files) - moved):
            self._fault("missing", file, "the manifest lists it")
        if not manifest:
            names = {_name(file) for file in files}
            for file in sorted(path for path in official if _name(path) not in names and path not in moved):
                self.findings.append(Finding("absent", file, "the publisher has it", fault=False))

    def _confirm(self, file: str, result: FileExamination, listed: ManifestEntry | None) -> None:
        original = self._official.get(_name(file))
        if original is not None and result.sha256 == original:
            self.confirmed[file] = ORIGINAL
        elif listed is not None and result.sha256 == listed.sha256:
            self.confirmed[file] = LISTED if original is None else DERIVED
            if original is not None and listed.source_sha256 not in ("", original):
                self._fault("manifest", file, "the manifest says it was made from a file that is not the publisher's")

    def _fault(self, kind: str, file: str, detail: str) -> None:
        self.findings.append(Finding(kind, file, detail))

    @property
    def origin(self) -> str:
        """Value of `Verification.origin`."""
        kinds = set(self.confirmed.values())
        if not kinds:
            return "altered" if self._has_reference else "unknown"
        if len(kinds) > 1:
            return "mixed"
        (kind,) = kinds
        return "unknown" if kind == LISTED else kind


def _name(file: str) -> str:
    """File name without folders and case, by which the publisher's files are identified at any depth."""
    return file.rpartition("/")[2].casefold()


def _audio_findings(
    file: str, result: FileExamination, record: CorpusRecord, listed: ManifestEntry | None, confirmed: bool
) -> list[Finding]:
    """Findings on a file's header and samples; an unusable file is no fault if its checksum is `confirmed`."""
    if result.fault:
        return [Finding("undecodable", file, result.fault, refused=True)]
    findings = [
        Finding(remark.kind, file, remark.detail, _is_fault(remark, confirmed), remark.unusable)
        for remark in result.remarks
    ]
    if listed is not None and listed.sample_rate not in (0, result.sample_rate):
        findings.append(Finding("rate", file, f"{result.sample_rate} Hz; the manifest says {listed.sample_rate} Hz"))
    elif listed is None and record.sample_rate not in (0, result.sample_rate):
        findings.append(
            Finding("rate", file, f"{result.sample_rate} Hz; most have {record.sample_rate} Hz", fault=False)
        )
    if listed is not None and listed.duration_s and abs(result.duration_s - listed.duration_s) > DURATION_TOLERANCE_S:
        findings.append(
            Finding("duration", file, f"{result.duration_s:.3f} s; the manifest says {listed.duration_s} s")
        )
    expected = SUFFIXES[PurePosixPath(file).suffix.casefold()]
    notes = {
        "container": not result.container.startswith(expected) and f"is {result.container}, read as such",
        "stereo": result.channels > 1 and f"{result.channels} channels, mixed to one when read",
        "clipped": result.clipped and f"{result.clipped} samples in runs at full scale",
        "padded": max(result.padding_s) >= PADDED_S
        and f"exact zeros: {result.padding_s[0]:.2f} s at the start, {result.padding_s[1]:.2f} s at the end",
    }
    return findings + [Finding(kind, file, str(detail), fault=False) for kind, detail in notes.items() if detail]


def _is_fault(remark: Remark, confirmed: bool) -> bool:
    """Whether a remark is a fault: the publisher's own clips may be unusable, but not cut short."""
    return remark.unusable and (remark.kind == "truncated" or not confirmed)


def _same_clips(ids: Mapping[str, str], examined: Mapping[str, FileExamination], homes: set[str]) -> list[Finding]:
    """Duplicate files of one clip; the file at the path in the manifest or checksums counts as the original."""
    files_of: dict[str, list[str]] = defaultdict(list)
    for file in sorted(ids, key=lambda file: (file not in homes, file)):
        files_of[ids[file].casefold()].append(file)
    return [
        Finding(
            "duplicate",
            other,
            f"has the bytes of {own}"
            if examined[own].sha256 == examined[other].sha256
            else f"{own} is the same clip with other bytes",
        )
        for own, *others in files_of.values()
        for other in others
    ]


def _same_sounds(
    root: Path, decoded: Mapping[str, FileExamination], known: set[str], emotions: Mapping[str, str]
) -> list[Finding]:
    """Clips that decode to the same samples, other than duplicates already reported (`known`)."""
    alike: dict[int, list[str]] = defaultdict(list)
    for file, result in decoded.items():
        if file not in known:
            alike[result.content_hash].append(file)
    return [
        Finding(
            "same sound",
            other,
            f"decodes to the samples of {first}"
            + (f", labelled {emotions[other]} here and {emotions[first]} there" * (emotions[other] != emotions[first])),
            fault=False,
        )
        for first, *others in alike.values()
        for other in others
        if same_sound(root / first, root / other)
    ]


def _published_twins(
    confirmed: Mapping[str, str], examined: Mapping[str, FileExamination], official: Mapping[str, str], known: set[str]
) -> list[Finding]:
    """Files whose bytes the publisher gives under a second name that is not in the folder."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, sha256 in official.items():
        names[sha256].append(name)
    here = {_name(file) for file in examined}
    return [
        Finding("same sound", file, f"the publisher has the same bytes as {twin}", fault=False)
        for file in confirmed
        if file not in known
        for twin in names.get(examined[file].sha256, ())
        if _name(twin) != _name(file) and _name(twin) not in here
    ]
