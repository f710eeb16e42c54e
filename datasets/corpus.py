"""What a corpus is: a table of clips with licence, citation and version, and how its files are found.

A corpus of the usual kind is declared in one short file: a `CorpusRecord` and a `Layout` (the publisher's file names as
a regular expression, its codes as tables). All logic is here. Importing this module loads neither torch nor pandas.
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

TAXONOMY = ("anger", "happiness", "sadness", "neutral", "fear", "disgust", "surprise", "boredom", "calm")


@dataclass(frozen=True, kw_only=True)
class CorpusRecord(Record):
    """What a corpus says about itself.

    Where a publisher numbers no versions, ``version`` is "1" for the files that the shipped checksums describe.

    Attributes
    ----------
    language : str
        BCP 47 tag.
    emotions : tuple of str
        Of the common taxonomy.
    speakers, clips : int
        In the complete corpus.
    hours : float
        Sound in the complete corpus; NaN where unknown.
    label_counts : dict of str to int
        Clips of each emotion in the complete corpus; empty where unknown.
    sample_rate : int
        Of the publisher's files, in Hz; 0 where they have none in common.
    level_comparable : bool
        Whether levels of two clips may be compared (not where clips are peak-normalised).
    derivatives_allowed : bool
        Whether audio made from it may enter a report.
    label_map : dict of str to str
        Publisher's label to the common taxonomy.
    url : str
        Where it can be had.
    folder : str
        Its folder below the data root, where that is not its name.
    twinned : bool
        Whether each clip has a neutral twin, from which fill ``twin`` fills.
    voices : str
        Corpora that share their speakers have the same text here; empty where the speakers are the corpus' own.
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
    voices: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_taxonomy(self.name, {*self.emotions, *self.label_map.values(), *self.label_counts})
        counted = sum(self.label_counts.values())
        if self.label_counts and (counted != self.clips or set(self.label_counts) != set(self.emotions)):
            raise InputError(
                f"corpus {self.name!r}: label_counts {dict(self.label_counts)} add up to {counted}; they must name "
                f"each of {', '.join(self.emotions)} and add up to the {self.clips} clips."
            )

    def root(self, data_root: str | Path | None = None) -> Path:
        """The corpus' folder below a data root (default: `data_root_or_default`)."""
        return data_root_or_default(data_root) / (self.folder or self.name)


@dataclass(frozen=True)
class Layout:
    """How a publisher names files.

    Attributes
    ----------
    pattern : str
        Regular expression for the end of a file's path below the corpus' folder (``/`` between folders), without
        regard to case. Its named groups ``speaker`` and ``label`` (in the publisher's codes) are required, unless
        `speaker` or `labels` below say otherwise; each other group (``sentence``, ``intensity``, ...) becomes a column
        of the table.
    sexes : dict of str to str
        Speaker to ``female`` or ``male``.
    example : str
        A file name, for messages.
    id : str
        Clip id made of the groups, such as ``"{speaker}_{label}{sentence}"``, for publishers whose file names repeat
        from folder to folder. Default: the file's name without its extension.
    speaker : str
        The speaker made of the groups, such as ``"{session}{role}"``.
    labels : callable, optional
        Reads the labels from the publisher's own tables: takes the corpus' folder, returns clip id to label.
    left_out : collection of str
        Labels whose clips do not belong to the corpus, unless the record maps them to an emotion.
    words, phones : callable, optional
        Read a clip's alignment from the publisher's own files: take the corpus' folder and the clip's id, return its
        words (or syllables) and its phones, none where the publisher has none.
    marks : mapping of str to callable, optional
        Read what the publisher's labellers say of stretches of a clip, by kind, as `words`; see `Clip`.
    """

    pattern: str
    sexes: Mapping[str, str]
    example: str
    id: str = ""
    speaker: str = "{speaker}"
    labels: Callable[[Path], Mapping[str, str]] | None = None
    left_out: Collection[str] = ()
    words: Alignment | None = None
    phones: Alignment | None = None
    marks: Mapping[str, Alignment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        needed = set(re.findall(r"{(\w+)}", self.speaker)) | ({"label"} if self.labels is None else set())
        missing = needed - set(re.compile(self.pattern).groupindex)
        if missing:
            raise InputError(f"Layout: pattern {self.pattern!r} lacks the named groups {', '.join(sorted(missing))}.")


COLUMNS = ("file", "emotion", "speaker", "sex", "sentence")


class Corpus:
    """Clips of one corpus as found on disk.

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
    ) -> None:
        lacking = [column for column in COLUMNS if column not in table.columns]
        repeated = sorted(set(table.index[table.index.duplicated()]))
        if lacking or repeated or table.empty:
            fault = f"lacks {lacking}" if lacking else f"repeats the ids {repeated[:3]}" if repeated else "is empty"
            raise InputError(f"corpus {record.name!r}: the table {fault}; it needs {', '.join(COLUMNS)}, one id a row.")
        _check_taxonomy(record.name, table["emotion"])
        self.record = record
        self.table = table.sort_index()
        self.root = Path(root)
        self._tiers = {name: read for name, read in (("words", words), ("phones", phones)) if read is not None}
        self._marks = dict(marks)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, clips={len(self.table)}, root={str(self.root)!r})"

    @property
    def name(self) -> str:
        """Registered name."""
        return self.record.name

    def prepare(self, clip_ids: Iterable[str]) -> None:
        """Announce clips that will be loaded; a corpus that is made on demand makes them now, all at once."""

    def clip(self, clip_id: str) -> Clip:
        """Load one clip.

        Raises
        ------
        InputError
            If the corpus has no clip of this id.
        ClipError
            If its file, or that of its alignment, cannot be read.
        """
        from ..audio import load_audio
        from .clip import Clip

        facts = self._facts(clip_id)
        alignment: dict[str, Any] = {name: read(self.root, clip_id) for name, read in self._tiers.items()}
        marks = {kind: read(self.root, clip_id) for kind, read in self._marks.items()}
        samples = load_audio(self.root / str(self.table.at[clip_id, "file"]))
        return Clip(samples=samples, marks=marks, **alignment, **facts)

    def _facts(self, clip_id: str) -> dict[str, Any]:
        """What the table says about a clip, as `Clip` takes it."""
        if clip_id not in self.table.index:
            raise InputError(f"corpus {self.name!r} has no clip {clip_id!r}; ids look like {self.table.index[0]!r}.")
        row = self.table.loc[clip_id]
        return {"id": clip_id, "corpus": self.name} | {column: str(row[column]) for column in COLUMNS[1:]}

    def select(self, emotions: Collection[str] | None = None, limit: int | None = None) -> list[str]:
        """Clip ids in canonical order: turns over speakers and emotions, within each by digest of the id.

        A limited selection is a prefix of a larger one and balanced as far as the corpus allows.

        Parameters
        ----------
        emotions : collection of str, optional
            Default: all.
        limit : int, optional
            At most so many clips, at least 1. Default: all.

        Raises
        ------
        InputError
            For an emotion that the corpus does not have, or a limit below 1.
        """
        present = set(self.table["emotion"])
        strange = sorted(set(emotions or ()) - present)
        if strange:
            raise InputError(
                f"corpus {self.name!r} has no clips of {', '.join(strange)}; it has {', '.join(sorted(present))}."
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
        # one turn visits each group once; speakers and emotions rotate side by side, shifted where the same pairs would
        # come round, so that any part of a turn is balanced too
        speakers = sorted({s for s, _ in groups}, key=lambda speaker: digest("speaker order", speaker))
        names = sorted({e for _, e in groups})
        n, m = len(speakers), len(names)
        turn = [(speakers[t % n], names[(t + t // lcm(n, m)) % m]) for t in range(n * m)]
        queues = [groups[key] for key in turn if key in groups]
        longest = max(map(len, queues), default=0)
        return [queue[i] for i in range(longest) for queue in queues if i < len(queue)][:limit]

    def folds(self, n: int = 5) -> Folds:
        """Speaker-disjoint folds over all clips."""
        from .folds import speaker_folds

        return speaker_folds(self.table, n)

    @cached_property
    def digest(self) -> str:
        """Digest of what was read: ids, facts and file contents, wherever the corpus lies.

        A file that cannot be read enters as such: it is one clip's fault, not the corpus'.
        """
        facts = [[clip_id, *map(str, row)] for clip_id, row in zip(
            self.table.index, self.table[list(COLUMNS[1:])].to_numpy(), strict=True
        )]  # fmt: skip
        sums = [file_digest(self.root / file) for file in self.table["file"]]
        return digest("corpus", self.name, self.record.version, facts, sums)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, or ``unreadable`` with the reason."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _check_taxonomy(name: str, emotions: Collection[str]) -> None:
    strange = sorted(set(emotions) - set(TAXONOMY))
    if strange:
        raise InputError(f"corpus {name!r}: {', '.join(strange)} not in the taxonomy {', '.join(TAXONOMY)}.")


def cache_root() -> Path:
    """``$SERXAI_CACHE``, else serxai's folder in the user's cache."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("SERXAI_CACHE") or user_cache_path("serxai"))


def data_root_or_default(data_root: str | Path | None) -> Path:
    """The folder given, else ``$SERXAI_DATA``, else ``data`` in the user cache folder."""
    return Path(data_root or os.environ.get("SERXAI_DATA") or cache_root() / "data").expanduser()


def files_below(root: Path) -> Iterator[Path]:
    """All files at any depth, in an order that does not depend on the file system; links are followed once."""
    visited = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def not_found(record: CorpusRecord, layout: Layout, root: Path) -> InputError:
    """The error for a folder that is missing or holds none of the corpus' files."""
    fault = "found none" if root.is_dir() else "there is no such folder"
    return InputError(
        f"corpus {record.name!r}: looked for files like {layout.example} in {root}, but {fault}. "
        f"Get the corpus from {record.url} and unpack it there, or name the folder above it with --data-root."
    )


class FileNames:
    """Reads a clip's facts from where its file lies, as the publisher's layout has it.

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

    def facts(self, file: str) -> dict[str, str] | None:
        """``id``, ``file``, ``emotion``, ``speaker``, ``sex``, ``sentence`` and the other groups of a file name.

        Parameters
        ----------
        file : str
            Relative to the corpus' folder, ``/`` between folders.

        Returns
        -------
        dict or None
            None where the name is not the publisher's or the clip's label is left out.

        Raises
        ------
        InputError
            If the label or the speaker is unknown.
        """
        match = self._pattern.fullmatch(file)
        if match is None:
            return None
        groups = {group: text or "" for group, text in match.groupdict().items()}
        spoken = self.layout.speaker.format(**groups)
        speaker = self._speakers.get(spoken.casefold())
        clip_id = self.layout.id.format(**groups | {"speaker": speaker}) if self.layout.id else Path(file).stem
        label = groups.get("label", "") if self._labels is None else self._labels.get(clip_id, "")
        if label.casefold() in self._left_out:
            return None
        if not label:
            raise InputError(f"corpus {self.record.name!r}: {file}: the corpus' label files do not name {clip_id!r}.")
        emotion = self._emotions.get(label.casefold())
        if emotion is None or speaker is None:
            what, got, known = (
                ("label", label, self.record.label_map) if emotion is None else ("speaker", spoken, self.layout.sexes)
            )
            raise InputError(
                f"corpus {self.record.name!r}: {file}: unknown {what} {got!r}; known: {', '.join(known)}. "
                "Rename the file or take it away."
            )
        known_facts = {"emotion": emotion, "speaker": speaker, "sex": self.layout.sexes[speaker]}
        groups.pop("label", None)
        return {"id": clip_id, "file": file, "sentence": ""} | groups | known_facts


def corpus_from_files(
    record: CorpusRecord,
    data_root: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    layout: Layout,
) -> Corpus:
    """Find a corpus by its publisher's file names at any depth of the corpus' folder below a data root.

    Files of other names are left alone. ``partial(corpus_from_files, layout=...)`` is a record's target.

    Parameters
    ----------
    record : CorpusRecord
    data_root : path, optional
        Default: `data_root_or_default`.
    progress : callable, optional
        Part of every target's signature; nothing here takes long enough to report.
    layout : Layout

    Raises
    ------
    InputError
        If the folder is missing, holds no such file, holds two of one id, or a file has an unknown label or speaker.
    """
    import pandas as pd

    root = record.root(data_root)
    if not root.is_dir():
        raise not_found(record, layout, root)
    names = FileNames(record, layout, root)
    rows: dict[str, dict[str, str]] = {}
    taken: dict[str, str] = {}
    for path in files_below(root):
        file = path.relative_to(root).as_posix()
        facts = names.facts(file)
        if facts is None:
            continue
        clip_id = facts.pop("id")
        other = taken.setdefault(clip_id.casefold(), file)
        if other != file:
            raise InputError(
                f"corpus {record.name!r}: {other} and {file} in {root} are both clip {clip_id!r}; take one away."
            )
        rows[clip_id] = facts
    if not rows:
        raise not_found(record, layout, root)
    return Corpus(record, pd.DataFrame.from_dict(rows, orient="index"), root, layout.words, layout.phones, layout.marks)
