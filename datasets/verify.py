"""Is a corpus' folder what it should be? Names, counts, checksums and sound of every file.

Files are held against the folder's ``manifest.csv`` where it lists them, else against the publisher's SHA-256. What
contradicts either is a *fault*; what is only worth knowing (a stereo file, zero padding, the publisher's own
duplicates) is a *note*. A copy without some of the publisher's files is partial, not faulty; a file that a manifest
lists must exist.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError
from .corpora import layout_of, load_corpus
from .corpus import CorpusRecord, FileNames, Layout, files_below, not_found
from .examine import SUFFIXES, Examined, examine, same_sound
from .sums import Listed, official_sums, read_manifest

BATCH = 16  # files a thread takes at once: handing over each by itself costs as much as examining it
PADDED_S = 0.01  # shorter runs of zeros occur in any quiet recording
DURATION_TOLERANCE_S = 1e-3  # manifests round
ORIGINAL, DERIVED, LISTED = "original", "derived", "listed"


@dataclass(frozen=True)
class Finding:
    """One thing found about one file.

    Attributes
    ----------
    kind : str
        Faults: ``changed``, ``missing``, ``renamed``, ``duplicate``, ``unlisted``, ``misnamed``, ``undecodable``,
        ``truncated``, ``rate``, ``duration``, ``manifest``. Notes: ``rate``, ``stereo``, ``container``, ``silent``,
        ``clipped``, ``padded``, ``same sound``, ``absent``, ``stray``.
    file : str
        Relative to the corpus' folder.
    detail : str
    fault : bool
        Whether it contradicts the manifest or the publisher.
    """

    kind: str
    file: str
    detail: str
    fault: bool = True


@dataclass(frozen=True)
class Verification:
    """What was found in a corpus' folder.

    Attributes
    ----------
    corpus, version, folder : str
    origin : str
        ``original`` (the publisher's bytes), ``derived`` (as the manifest lists it, made from the publisher's files),
        ``mixed``, ``altered`` (neither), or ``unknown`` (no checksums to hold it against).
    clips, speakers : tuple of int
        Found and in the complete corpus.
    labels : dict of str to tuple of int
        Clips of each emotion, found and in the complete corpus.
    hours : float
        Found.
    rates : dict of int to int
        Sampling rate in Hz to files.
    padding_s : dict of str to float
        Mean seconds of exact zeros at a clip's ends, by emotion.
    confirmed : int
        Files whose checksum is right.
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
        """Whether nothing contradicts the manifest or the publisher."""
        return not any(finding.fault for finding in self.findings)

    @property
    def complete(self) -> bool:
        """Whether each clip of the publisher's is there."""
        return self.clips[0] >= self.clips[1]

    def as_json(self) -> dict[str, Any]:
        """Everything in JSON's types."""
        return asdict(self) | {"ok": self.ok, "complete": self.complete}


def verify_corpus(
    record: CorpusRecord,
    data_root: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Examine every file of a corpus.

    Parameters
    ----------
    record : CorpusRecord
    data_root : path, optional
        Default: `data_root_or_default`.
    progress : callable, optional
        Called with (done, total).

    Raises
    ------
    InputError
        If the folder is missing, holds none of the corpus' files, or its manifest cannot be read.
    """
    layout = layout_of(record)
    if layout is None:
        corpus = load_corpus(record.name, data_root, progress)
        corpus.prepare(corpus.table.index)
        record, root = corpus.record, corpus.root
        strays: list[str] = []
        findings: list[Finding] = []
        clips = {str(row["file"]): {"id": str(i)} | row for i, row in corpus.table.to_dict("index").items()}
        manifest: dict[str, Listed] = {}
    else:
        root = record.root(data_root)
        if not root.is_dir():
            raise not_found(record, layout, root)
        clips, strays, findings = _find(record, layout, root)
        if not clips:
            raise not_found(record, layout, root)
        manifest = read_manifest(root)
    official = official_sums(record)
    files = [*clips, *strays] if manifest or official else list(clips)
    examined: dict[str, Examined] = {}
    batches = [files[i : i + BATCH] for i in range(0, len(files), BATCH)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing and decoding release the interpreter's lock
        for results in pool.map(lambda batch: {file: examine(root / file) for file in batch}, batches):
            examined |= results
            if progress is not None:
                progress(len(examined), len(files))

    compared = _Comparison(examined, set(clips), manifest, official)
    findings += compared.findings
    known = {finding.file for finding in findings if finding.kind == "duplicate"}
    findings += _same_clips(
        {f: row["id"] for f, row in clips.items() if f not in known}, examined, {*manifest, *official}
    )
    sounding = {file: examined[file] for file in clips if not examined[file].fault}
    for file in clips:
        findings += _sound(file, examined[file], record, manifest.get(file))
    findings += _same_sounds(root, sounding, {finding.file for finding in findings if finding.kind == "duplicate"})
    return _summary(record, root, clips, sounding, compared, findings)


def _summary(
    record: CorpusRecord, root: Path, clips: Mapping[str, Mapping[str, Any]], sounding: Mapping[str, Examined],
    compared: _Comparison, findings: list[Finding],
) -> Verification:  # fmt: skip
    extra = {finding.file for finding in findings if finding.kind in ("duplicate", "unlisted")}
    facts = {file: row for file, row in clips.items() if file not in extra}
    found = Counter(row["emotion"] for row in facts.values())
    padding: dict[str, list[float]] = defaultdict(list)
    for file, result in sounding.items():
        padding[clips[file]["emotion"]].append(sum(result.padding_s))
    emotions = [*record.emotions, *sorted(set(found) - set(record.emotions))]
    return Verification(
        corpus=record.name,
        version=record.version,
        folder=str(root),
        origin=compared.origin,
        clips=(len(facts), record.clips),
        speakers=(len({row["speaker"] for row in facts.values()}), record.speakers),
        labels={emotion: (found[emotion], record.label_counts.get(emotion, 0)) for emotion in emotions},
        hours=sum(result.duration_s for result in sounding.values()) / 3600,
        rates=dict(sorted(Counter(result.sample_rate for result in sounding.values()).items())),
        padding_s={emotion: sum(padding[emotion]) / len(padding[emotion]) for emotion in emotions if padding[emotion]},
        confirmed=len(compared.confirmed),
        findings=tuple(sorted(findings, key=lambda finding: (not finding.fault, finding.kind, finding.file))),
    )


def _find(
    record: CorpusRecord, layout: Layout, root: Path
) -> tuple[dict[str, Mapping[str, Any]], list[str], list[Finding]]:
    """Clips by file, other sound files, and files whose names are nearly the publisher's."""
    names = FileNames(record, layout, root)
    clips: dict[str, Mapping[str, Any]] = {}
    strays, findings = [], []
    for path in files_below(root):
        file = path.relative_to(root).as_posix()
        if path.suffix.casefold() not in SUFFIXES or path.name.startswith("._"):  # what macOS leaves behind
            continue
        try:
            facts = names.facts(file)
        except InputError as error:
            facts = None
            findings.append(Finding("misnamed", file, str(error).partition(f"{file}: ")[2]))
        if facts is None:
            strays.append(file)
        else:
            clips[file] = facts
    return clips, strays, findings


class _Comparison:
    """Files held against the manifest and the publisher's checksums.

    Attributes
    ----------
    confirmed : dict of str to str
        Files whose checksum is right: ``original``, ``derived``, or ``listed`` (in a manifest, publisher unknown).
    findings : list of Finding
    """

    def __init__(
        self,
        files: Mapping[str, Examined],
        clips: set[str],
        manifest: Mapping[str, Listed],
        official: Mapping[str, str],
    ) -> None:
        self.confirmed: dict[str, str] = {}
        self.findings: list[Finding] = []
        self._official = {_name(file): sha256 for file, sha256 in official.items()}
        self._has_reference = bool(manifest or official)
        for file, result in files.items():
            self._confirm(file, result, manifest.get(file))
        if not self._has_reference:
            return
        homes: dict[str, list[str]] = defaultdict(list)
        for file, sha256 in ((f, listed.sha256) for f, listed in manifest.items()) if manifest else official.items():
            homes[sha256].append(file)
        present = set(self.confirmed) if manifest else {_name(file) for file in self.confirmed}
        moved: set[str] = set()
        for file, result in files.items():
            if file in self.confirmed:
                continue
            right_names = homes[result.sha256]
            there = [home for home in right_names if (home if manifest else _name(home)) in present]
            if there:
                self._fault("duplicate", file, f"has the bytes of {there[0]}")
            elif right_names:
                self._fault("renamed", file, f"has the bytes of {right_names[0]}")
                moved.update(right_names)
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
        for file in sorted(set(manifest) - set(files) - moved):
            self._fault("missing", file, "the manifest lists it")
        if not manifest:
            names = {_name(file) for file in files}
            for file in sorted(home for home in official if _name(home) not in names and home not in moved):
                self.findings.append(Finding("absent", file, "the publisher has it", fault=False))

    def _confirm(self, file: str, result: Examined, listed: Listed | None) -> None:
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
        """Whose bytes these are, as a word."""
        kinds = set(self.confirmed.values())
        if not kinds:
            return "altered" if self._has_reference else "unknown"
        if len(kinds) > 1:
            return "mixed"
        (kind,) = kinds
        return "unknown" if kind == LISTED else kind


def _name(file: str) -> str:
    """A publisher's file is known by its name, wherever it lies."""
    return file.rpartition("/")[2].casefold()


def _sound(file: str, result: Examined, record: CorpusRecord, listed: Listed | None) -> list[Finding]:
    """What a file's own samples and header say."""
    if result.fault:
        return [Finding("undecodable", file, result.fault)]
    found = []
    if result.missing_bytes:
        found.append(Finding("truncated", file, f"{result.missing_bytes} bytes shorter than its header says"))
    if listed is not None and listed.sample_rate not in (0, result.sample_rate):
        found.append(Finding("rate", file, f"{result.sample_rate} Hz; the manifest says {listed.sample_rate} Hz"))
    elif listed is None and record.sample_rate not in (0, result.sample_rate):
        found.append(Finding("rate", file, f"{result.sample_rate} Hz; most have {record.sample_rate} Hz", fault=False))
    if listed is not None and listed.duration_s and abs(result.duration_s - listed.duration_s) > DURATION_TOLERANCE_S:
        found.append(Finding("duration", file, f"{result.duration_s:.3f} s; the manifest says {listed.duration_s} s"))
    expected = SUFFIXES[PurePosixPath(file).suffix.casefold()]
    notes = {
        "container": not result.container.startswith(expected) and f"is {result.container}, read as such",
        "stereo": result.channels > 1 and f"{result.channels} channels, mixed to one when read",
        "silent": result.silent and "no sample reaches -60 dB",
        "clipped": result.clipped and f"{result.clipped} samples in runs at full scale",
        "padded": max(result.padding_s) >= PADDED_S
        and f"exact zeros: {result.padding_s[0]:.2f} s at the start, {result.padding_s[1]:.2f} s at the end",
    }
    return found + [Finding(kind, file, str(detail), fault=False) for kind, detail in notes.items() if detail]


def _same_clips(ids: Mapping[str, str], examined: Mapping[str, Examined], homes: set[str]) -> list[Finding]:
    """Further files of one clip; the one that lies where the manifest or the publisher has it is the clip's own."""
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


def _same_sounds(root: Path, sounding: Mapping[str, Examined], known: set[str]) -> list[Finding]:
    """Clips that decode to the same samples, beyond copies already reported."""
    alike: dict[int, list[str]] = defaultdict(list)
    for file, result in sounding.items():
        if file not in known:
            alike[result.imprint].append(file)
    return [
        Finding("same sound", other, f"decodes to the samples of {first}", fault=False)
        for first, *others in alike.values()
        for other in others
        if same_sound(root / first, root / other)
    ]
