"""Corpus base classes: metadata record, table of clips, file layout, and the search for a corpus' files.

A published corpus is declared in one short file: a `CorpusRecord` and a `Layout` (the publisher's file names as a
regular expression, its codes as tables). All logic is here. Importing this module imports neither torch nor pandas.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import lcm, nan
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..keys import digest
from ..registry import Record

if TYPE_CHECKING:
    import pandas as pd

    from .clip import Clip, Word
    from .folds import Folds

    Alignment = Callable[[Path, str], tuple[Word, ...]]

APPLE_DOUBLE = "._"  # start of the names of files that macOS writes beside others on foreign disks
TAXONOMY = ("anger", "happiness", "sadness", "neutral", "fear", "disgust", "surprise", "boredom", "calm")


@dataclass(frozen=True, kw_only=True)
class CorpusRecord(Record):
    """Metadata of a corpus.

    Where the publisher has no version numbers, ``version`` is "1" for the files that the bundled checksums list.

    Attributes
    ----------
    language : str
        BCP 47 tag.
    emotions : tuple of str
        Of the common taxonomy.
    speakers, clips : int
        In the complete corpus.
    hours : float
        Duration of the complete corpus; NaN where unknown.
    label_counts : dict of str to int
        Clips of each emotion in the complete corpus; empty where unknown.
    sample_rate : int
        Of the publisher's files, in Hz; 0 where it varies.
    level_comparable : bool
        Whether levels of two clips may be compared (not where clips are peak-normalised).
    derivatives_allowed : bool
        Whether the licence allows audio derived from it in a report.
    label_map : dict of str to str
        Publisher's label to the common taxonomy.
    url : str
        Download page.
    folder : str
        Folder below the data root; default: the name.
    twinned : bool
        Whether each clip has a neutral twin, as fill ``twin`` needs.
    rendered_from : str
        Corpus whose recordings in the user's data root this one is rendered from; empty where it is not.
    voices : str
        Identifier shared by corpora with the same speakers; empty where no other corpus has these speakers.

    Raises
    ------
    InputError
        If an emotion is not in the taxonomy, or `label_counts` contradicts `emotions` or `clips`.
    """

    language: str
    emotions: tuple[str, ...]
    speakers: int
    clips: int
    level_comparable: bool
    derivatives_allowed: bool
    label_map: Mapping[str, str]
    url: str
    hours: float = nan
    label_counts: Mapping[str, int] = field(default_factory=dict)
    sample_rate: int = 0
    folder: str = ""
    twinned: bool = False
    rendered_from: str = ""
    voices: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_emotions({*self.emotions, *self.label_map.values(), *self.label_counts})
        counted = sum(self.label_counts.values())
        if self.label_counts and (counted != self.clips or set(self.label_counts) != set(self.emotions)):
            raise InputError(
                f"corpus {self.name!r}: label_counts {dict(self.label_counts)} add up to {counted}; they must name "
                f"each of {', '.join(self.emotions)} and add up to the {self.clips} clips. Correct either of them."
            )

    def unknown_emotions(self, emotions: Collection[str]) -> list[str]:
        """Labels that the corpus may not have; here, those outside the common taxonomy."""
        return sorted(set(emotions) - set(TAXONOMY))

    def check_emotions(self, emotions: Collection[str]) -> None:
        """Raise `InputError` for labels that the corpus may not have."""
        unknown = self.unknown_emotions(emotions)
        if unknown:
            raise InputError(
                f"corpus {self.name!r}: {', '.join(unknown)} not in the taxonomy {', '.join(TAXONOMY)}; map each to "
                "one of these."
            )

    def root(self, data_root: str | Path | None = None) -> Path:
        """Folder of the corpus below a data root (default: `data_root_or_default`)."""
        return data_root_or_default(data_root) / (self.folder or self.name)


@dataclass(frozen=True)
class Layout:
    """File layout of a published corpus: how names of files encode speaker, label and other metadata.

    Attributes
    ----------
    pattern : str
        Case-insensitive regular expression for the end of a file's path below the corpus' folder (``/`` between
        folders). Its named groups ``speaker`` and ``label`` (in the publisher's codes) are required, unless `speaker`
        or `labels` below replace them; each other group (``sentence``, ``intensity``, ...) becomes a column of the
        table.
    sexes : dict of str to str
        Speaker to ``female`` or ``male``.
    example : str
        Example of a file name, for messages.
    id : str
        Format string of the clip id from the groups, such as ``"{speaker}_{label}{sentence}"``, for publishers whose
        file names are not unique across folders. Default: the file's name without its extension.
    speaker : str
        Format string of the speaker from the groups, such as ``"{session}{role}"``.
    labels : callable, optional
        Reader of the publisher's label files: takes the corpus' folder, returns a dict from clip id to label.
    label_files : str
        What the label files are called, for messages.
    left_out : collection of str
        Labels whose clips are excluded from the corpus, unless the record maps them to an emotion.
    words, phones : callable, optional
        Readers of the publisher's alignment: take the corpus' folder and the clip's id, return its words (or syllables)
        and its phones, an empty tuple where there is none.
    marks : mapping of str to callable, optional
        Readers of the publisher's manual annotation of intervals, by kind, with the signature of `words`; see `Clip`.

    Raises
    ------
    InputError
        If `pattern` lacks a group that is needed.
    """

    pattern: str
    sexes: Mapping[str, str]
    example: str
    id: str = ""
    speaker: str = "{speaker}"
    labels: Callable[[Path], Mapping[str, str]] | None = None
    label_files: str = ""
    left_out: Collection[str] = ()
    words: Alignment | None = None
    phones: Alignment | None = None
    marks: Mapping[str, Alignment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        needed = set(re.findall(r"{(\w+)}", self.speaker)) | ({"label"} if self.labels is None else set())
        missing = needed - set(re.compile(self.pattern).groupindex)
        if missing:
            raise InputError(
                f"Layout: pattern {self.pattern!r} lacks the named groups {', '.join(sorted(missing))}; add "
                "(?P<NAME>...) for each, or set `speaker` or `labels`."
            )


COLUMNS = ("file", "emotion", "speaker", "sex", "sentence")


class Corpus:
    """Table of the clips of one corpus on disk, and their loader.

    Parameters
    ----------
    record : CorpusRecord
    table : DataFrame
        Indexed by clip id, with columns ``file`` (relative to `root`), ``emotion``, ``speaker``, ``sex``, ``sentence``
        and any others.
    root : path
        Folder of the corpus.
    words, phones : callable, optional
    marks : mapping of str to callable, optional
        See `Layout`.
    remarks : tuple of str
        What is doubtful about the table; not an error.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, repeats an id, or has an emotion outside the taxonomy.
    """

    def __init__(
        self,
        record: CorpusRecord,
        table: pd.DataFrame,
        root: str | Path,
        words: Alignment | None = None,
        phones: Alignment | None = None,
        marks: Mapping[str, Alignment] = MappingProxyType({}),
        remarks: tuple[str, ...] = (),
    ) -> None:
        lacking = [column for column in COLUMNS if column not in table.columns]
        repeated = sorted(set(table.index[table.index.duplicated()]))
        if lacking or repeated or table.empty:
            fault = f"lacks {lacking}" if lacking else f"repeats the ids {repeated[:3]}" if repeated else "is empty"
            raise InputError(f"corpus {record.name!r}: the table {fault}; it needs {', '.join(COLUMNS)}, one id a row.")
        record.check_emotions(set(table["emotion"]))
        self.record = record
        self.table = table.sort_index()
        self.root = Path(root)
        self.remarks = remarks
        self._tiers = {name: read for name, read in (("words", words), ("phones", phones)) if read is not None}
        self._marks = dict(marks)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, clips={len(self.table)}, root={str(self.root)!r})"

    @property
    def name(self) -> str:
        """Registered name."""
        return self.record.name

    @property
    def labelled(self) -> bool:
        """Whether any clip has an emotion."""
        return bool((self.table["emotion"] != "").any())

    def prepare(self, clip_ids: Iterable[str]) -> None:
        """Prepare clips for loading; corpora that are rendered on demand render them here, in one batch."""

    def clip(self, clip_id: str) -> Clip:
        """Load one clip.

        Raises
        ------
        InputError
            If the corpus has no clip of this id.
        ClipError
            If its audio or alignment file cannot be read; `UnusableClipError` if there is nothing to hear in it.
        """
        from ..audio.load import load_recording
        from .clip import Clip

        metadata = self._metadata(clip_id)
        alignment: dict[str, Any] = {name: read(self.root, clip_id) for name, read in self._tiers.items()}
        marks = {kind: read(self.root, clip_id) for kind, read in self._marks.items()}
        recording = load_recording(self.root / self._facts[clip_id][0])
        recording.check()
        return Clip(samples=recording.samples, marks=marks, **alignment, **metadata)

    def _metadata(self, clip_id: str) -> dict[str, Any]:
        """Keyword arguments of `Clip` from the table."""
        if clip_id not in self._facts:
            raise InputError(
                f"corpus {self.name!r} has no clip {clip_id!r}; ids look like {self.table.index[0]!r}. Take one of the "
                "corpus' table."
            )
        facts = zip(COLUMNS[1:], self._facts[clip_id][1:], strict=True)
        return {"id": clip_id, "corpus": self.name} | dict(facts)

    @cached_property
    def _facts(self) -> dict[str, tuple[str, ...]]:
        """Values of `COLUMNS` by clip id: looking up one cell of a table takes as long as decoding a short file."""
        values = self.table[list(COLUMNS)].itertuples(index=True, name=None)
        return {str(clip_id): tuple(map(str, row)) for clip_id, *row in values}

    def select(self, emotions: Collection[str] | None = None, limit: int | None = None) -> list[str]:
        """Clip ids in canonical order: round robin over speakers and emotions, within each by digest of the id.

        A limited selection is a prefix of every larger one, and balanced as far as the corpus allows.

        Parameters
        ----------
        emotions : collection of str, optional
            Default: all. Says nothing of a corpus without labels, of which all clips are taken.
        limit : int, optional
            At most so many clips, at least 1. Default: all.

        Raises
        ------
        InputError
            For an emotion that the corpus does not have, or a limit below 1.
        """
        present = set(self.table["emotion"])
        emotions = emotions if self.labelled else None
        unknown = sorted(set(emotions or ()) - present)
        if unknown:
            raise InputError(
                f"corpus {self.name!r} has no clips of {', '.join(unknown)}; it has {', '.join(sorted(present))}. "
                "Name those to explain: emotions, or --emotion once for each."
            )
        if limit is not None and limit < 1:
            raise InputError(f"limit must be at least 1 clip, got {limit}; leave it out for all clips.")
        groups: dict[tuple[str, str], list[str]] = {}
        for clip_id, emotion, speaker in zip(
            self.table.index, self.table["emotion"], self.table["speaker"], strict=True
        ):
            if emotions is None or emotion in emotions:
                groups.setdefault((speaker, emotion), []).append(clip_id)
        for ids in groups.values():
            ids.sort(key=lambda clip_id: digest("clip order", clip_id))
        # one round visits each (speaker, emotion) group once; both rotate together, with an offset where pairs would
        # repeat, so that every prefix of a round is balanced too
        speakers = sorted({s for s, _ in groups}, key=lambda speaker: digest("speaker order", speaker))
        names = sorted({e for _, e in groups})
        n, m = len(speakers), len(names)
        turn = [(speakers[t % n], names[(t + t // lcm(n, m)) % m]) for t in range(n * m)]
        queues = [groups[key] for key in turn if key in groups]
        longest = max(map(len, queues), default=0)
        return [queue[i] for i in range(longest) for queue in queues if i < len(queue)][:limit]

    def folds(self, n: int = 5) -> Folds:
        """Speaker-disjoint cross-validation folds over all clips, see `speaker_folds`."""
        from .folds import speaker_folds

        return speaker_folds(self.table, n)

    @cached_property
    def digest(self) -> str:
        """Digest of ids, metadata and file contents, independent of the corpus' location.

        An unreadable file contributes its error instead of raising: it fails its clip, not the corpus.
        """
        values = self.table[list(COLUMNS[1:])].to_numpy()
        rows = [[clip_id, *map(str, row)] for clip_id, row in zip(self.table.index, values, strict=True)]
        sums = [file_digest(self.root / file) for file in self.table["file"]]
        return digest("corpus", self.name, self.record.version, rows, sums)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes; ``"unreadable: REASON"`` if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def cache_root() -> Path:
    """Cache folder: ``$SERXAI_CACHE``, else ``serxai`` in the user cache folder."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("SERXAI_CACHE") or user_cache_path("serxai"))


def data_root_or_default(data_root: str | Path | None) -> Path:
    """Folder of the corpora: the argument, else ``$SERXAI_DATA``, else ``data`` in `cache_root`."""
    return Path(data_root or os.environ.get("SERXAI_DATA") or cache_root() / "data").expanduser()


def files_below(root: Path) -> Iterator[Path]:
    """All files at any depth, in sorted order, but macOS' own; links to folders are followed, each visited once."""
    visited = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(name for name in subfolders if name != "__MACOSX")
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith(APPLE_DOUBLE))


def not_found(record: CorpusRecord, layout: Layout, root: Path) -> InputError:
    """`InputError` for a folder that is missing or has none of the corpus' files."""
    fault = "found none" if root.is_dir() else "there is no such folder"
    if not root.is_dir() and root.parent.is_dir():
        alike = sorted(entry.name for entry in root.parent.iterdir() if entry.name.casefold() == root.name.casefold())
        fault += f" (but {', '.join(alike)}: rename it)" if alike else ""
    return InputError(
        f"corpus {record.name!r}: looked for files like {layout.example} in {root}, but {fault}. "
        f"Get the corpus from {record.url} and unpack it there, or name the folder above it with --data-root."
    )


class MissingLabelsError(InputError):
    """Corpus whose sound files are there and whose label files are not."""


class FileNameParser:
    """Parser of clip metadata from file paths in a publisher's layout.

    Parameters
    ----------
    record : CorpusRecord
    layout : Layout
    root : path
        The corpus' folder.
    """

    def __init__(self, record: CorpusRecord, layout: Layout, root: Path) -> None:
        self.record, self.layout = record, layout
        self._pattern = re.compile(rf"(?:.*/)?(?:{layout.pattern})", re.IGNORECASE)
        self._emotions = {label.casefold(): emotion for label, emotion in record.label_map.items()}
        self._speakers = {speaker.casefold(): speaker for speaker in layout.sexes}
        self._left_out = {label.casefold() for label in layout.left_out} - set(self._emotions)
        self._labels = None if layout.labels is None else layout.labels(root)

    def parse(self, file: str) -> dict[str, str] | None:
        """Parse a path into ``id``, ``file``, ``emotion``, ``speaker``, ``sex``, ``sentence`` and other groups.

        Parameters
        ----------
        file : str
            Relative to the corpus' folder, ``/`` between folders.

        Returns
        -------
        dict or None
            None where the path does not match the layout or the clip's label is excluded.

        Raises
        ------
        InputError
            If the label or the speaker is unknown; `MissingLabelsError` if there are no label files at all.
        """
        match = self._pattern.fullmatch(file)
        if match is None:
            return None
        if self._labels is not None and not self._labels:
            raise MissingLabelsError(
                f"corpus {self.record.name!r}: there are sound files such as {file}, but none of the files that label "
                f"them ({self.layout.label_files}); unpack these beside the sound. Without them no clip has an emotion."
            )
        groups = {group: text or "" for group, text in match.groupdict().items()}
        spoken = self.layout.speaker.format(**groups)
        speaker = self._speakers.get(spoken.casefold())
        clip_id = self.layout.id.format(**groups | {"speaker": speaker}) if self.layout.id else Path(file).stem
        label = groups.get("label", "") if self._labels is None else self._labels.get(clip_id, "")
        if label.casefold() in self._left_out:
            return None
        if not label:
            raise InputError(
                f"corpus {self.record.name!r}: {file}: the corpus' label files do not name {clip_id!r}; get the label "
                "files again or take the file away."
            )
        emotion = self._emotions.get(label.casefold())
        if emotion is None or speaker is None:
            what, got, known = (
                ("label", label, self.record.label_map) if emotion is None else ("speaker", spoken, self.layout.sexes)
            )
            raise InputError(
                f"corpus {self.record.name!r}: {file}: unknown {what} {got!r}; known: {', '.join(known)}. "
                "Rename the file or take it away."
            )
        standard = {"emotion": emotion, "speaker": speaker, "sex": self.layout.sexes[speaker]}
        groups.pop("label", None)
        return {"id": clip_id, "file": file, "sentence": ""} | groups | standard


def corpus_from_files(
    record: CorpusRecord,
    data_root: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    layout: Layout,
) -> Corpus:
    """Load a published corpus: find its files by name at any depth of its folder below a data root.

    Files with other names are ignored. ``partial(corpus_from_files, layout=...)`` is the target of a record.

    Parameters
    ----------
    record : CorpusRecord
    data_root : path, optional
        Default: `data_root_or_default`.
    progress : callable, optional
        Unused; part of the signature of every corpus loader.
    layout : Layout

    Returns
    -------
    Corpus

    Raises
    ------
    InputError
        If the folder is missing, has no matching file or two with the same id, or a file has an unknown label or
        speaker.
    """
    import pandas as pd

    root = record.root(data_root)
    if not root.is_dir():
        raise not_found(record, layout, root)
    names = FileNameParser(record, layout, root)
    rows: dict[str, dict[str, str]] = {}
    taken: dict[str, str] = {}
    twice: list[tuple[str, str]] = []
    for path in files_below(root):
        file = path.relative_to(root).as_posix()
        metadata = names.parse(file)
        if metadata is None:
            continue
        clip_id = metadata.pop("id")
        if clip_id.casefold() in taken:
            twice.append((taken[clip_id.casefold()], file))
        taken.setdefault(clip_id.casefold(), file)
        rows[clip_id] = metadata
    if twice:
        first, second = twice[0]
        others = f" ({len(twice)} clips are there twice)" if len(twice) > 1 else ""
        raise InputError(
            f"corpus {record.name!r}: {first} and {second} in {root} are both the same clip{others}; take one away."
        )
    if not rows:
        raise not_found(record, layout, root)
    return Corpus(record, pd.DataFrame.from_dict(rows, orient="index"), root, layout.words, layout.phones, layout.marks)
