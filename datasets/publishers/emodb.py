"""EMODB, the Berlin Database of Emotional Speech. File names: speaker, sentence, emotion, version (03a01Fa.wav)."""

from __future__ import annotations

import re
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ClipError
from ..corpus import CorpusRecord, Layout, corpus_from_files, files_below

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..clip import Word

RECORD = CorpusRecord(
    name="emodb",
    target=".datasets.publishers.emodb:load",
    summary="Berlin Database of Emotional Speech: 10 actors, 10 sentences, 7 emotions, German, 16 kHz",
    version="1.1.0",
    licence="CC0-1.0",
    citation=(
        "Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss 2005, A database of German emotional speech, "
        "Interspeech 2005, 1517-1520"
    ),
    language="de",
    emotions=("anger", "boredom", "disgust", "fear", "happiness", "sadness", "neutral"),
    speakers=10,
    clips=535,
    level_comparable=False,  # clips are peak-normalised
    derivatives_allowed=True,
    label_map={
        "W": "anger",
        "L": "boredom",
        "E": "disgust",
        "A": "fear",
        "F": "happiness",
        "T": "sadness",
        "N": "neutral",
    },
    url="http://emodb.bilderbar.info/download/",
    hours=0.4,
    label_counts={
        "anger": 127,
        "boredom": 81,
        "disgust": 46,
        "fear": 69,
        "happiness": 71,
        "sadness": 62,
        "neutral": 79,
    },
    sample_rate=16_000,
    voices="emodb",  # also those of the corpora that are rendered from it
)

# voiceless phones (SAMPA)
VOICELESS = frozenset(("p", "t", "k", "f", "s", "ss", "S", "C", "x", "X", "h", "?"))
_NUMBER = re.compile(r"\d(\.\d+)?")
# line of a label file: start, colour (in lablaut files), label (empty where only the articulation changes), marks
_MARK = re.compile(r"\s*(?P<start>\d+(\.\d+)?)(\s+-?\d+ ?|\s+)(?P<label>\S*)(?P<more>.*)")


def syllables(root: Path, clip_id: str) -> tuple[Word, ...]:
    """Syllables of a clip from the corpus' ``silb`` files (start of each; ``(`` is a pause, ``.`` the end).

    That times are starts was verified on 324 clips: the level is 30 dB (median) higher after the first than before it.

    Parameters
    ----------
    root : path
        Folder of the corpus, with the file at any depth.
    clip_id : str

    Returns
    -------
    tuple of Word
        Empty where the corpus has no such file for the clip.

    Raises
    ------
    ClipError
        If a line is not a time and a label.
    """
    return _intervals((start, label) for start, label, _ in _marks(root, f"{clip_id}.silb"))


def phones(root: Path, clip_id: str) -> tuple[Word, ...]:
    """Phones (SAMPA) of a clip from the corpus' ``lablaut`` files; parameters and errors as `syllables`.

    The files mark phases of a plosive (``d`` closure, ``!d`` burst, ``dasp`` aspiration, ``_d``) and changes of
    articulation within a phone (``-sth``: voiceless from here). All phases of a phone are merged into one interval.
    """
    starts: list[tuple[float, str]] = []
    for start, label, _ in _phone_marks(root, clip_id):
        phone = _phone(label)
        if phone and not (starts and phone == starts[-1][1] != label):
            starts.append((start, phone))
    return _intervals(starts)


def stress(root: Path, clip_id: str) -> tuple[Word, ...]:
    """Perceived stress of the syllables of a clip, from the corpus' ``labsilb`` files; parameters as `syllables`.

    Returns
    -------
    tuple of Word
        The label is a number from 0 (unstressed) to 3: the mean over listeners of the corpus' perception test of
        syllable stress (rounded multiples of 1/8). Syllables without a rating are skipped. Empty where the corpus has
        no such file for the clip.
    """
    rated = [(start, more.strip()) for start, _, more in _marks(root, f"{clip_id}.labsilb")]
    return tuple(word for word in _intervals(rated) if _NUMBER.fullmatch(word.label))


def voicing(root: Path, clip_id: str) -> tuple[Word, ...]:
    """Voiced (label ``1``) and voiceless (``0``) intervals from ``lablaut`` files; parameters as `syllables`.

    Voicing follows the phone's class, overridden by the labellers' marks ``+sth`` (voiced from here) and ``-sth``.
    """
    starts: list[tuple[float, str]] = []
    for start, label, more in _phone_marks(root, clip_id):
        phone, marks = _phone(label), re.findall(r"([+-])sth", label + more)
        if phone.startswith(("(", ".")):
            starts.append((start, "("))
        elif marks or phone:
            voiced = marks[-1] == "+" if marks else phone not in VOICELESS and not label.endswith("asp")
            starts.append((start, "1" if voiced else "0"))
    return _intervals(starts)


def _phone_marks(root: Path, clip_id: str) -> list[tuple[float, str, str]]:
    return _marks(root, f"{clip_id}xx.lablaut") or _marks(root, f"{clip_id}.lablaut")


def _phone(label: str) -> str:
    """Strip phases and marks from a phone's label; ``(`` for a pause, empty for a mark without a phone."""
    return "(" if label.startswith("(") else re.split(r"[-+[]", label)[0].lstrip("!_").removesuffix("asp")


def _marks(root: Path, name: str) -> list[tuple[float, str, str]]:
    """Parse a label file into (time, label, rest of the line), skipping its header; empty where there is no file."""
    path = _annotations(root).get(name)
    if path is None:
        return []
    lines = path.read_text(encoding="latin-1").splitlines()
    marks = []
    for line in filter(str.strip, lines[lines.index("#") + 1 :] if "#" in lines else lines):
        mark = _MARK.fullmatch(line)
        if mark is None:
            raise ClipError(f"{path}: line {line!r} is not a time in seconds and a label.")
        marks.append((float(mark["start"]), mark["label"], mark["more"]))
    return marks


@lru_cache(maxsize=4)  # a clip has three label files, and one walk of the folder takes as long as decoding the clip
def _annotations(root: Path) -> dict[str, Path]:
    """Label files by name; of files with the same name the first in path order."""
    label_files = (path for path in files_below(root) if path.suffix in (".silb", ".labsilb", ".lablaut"))
    return {path.name: path for path in sorted(label_files, reverse=True)}


def _intervals(marks: Iterable[tuple[float, str]]) -> tuple[Word, ...]:
    """Intervals between successive marks, labelled by the first of each; pauses and empty intervals are skipped."""
    from ..clip import Word

    return tuple(
        Word(label, start, end) for (start, label), (end, _) in pairwise(marks) if end > start and label != "("
    )


LAYOUT = Layout(
    pattern=r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<label>[A-Z])[a-z]\.wav",
    sexes={
        "03": "male",
        "08": "female",
        "09": "female",
        "10": "male",
        "11": "male",
        "12": "male",
        "13": "female",
        "14": "female",
        "15": "male",
        "16": "female",
    },
    example="03a01Fa.wav",
    words=syllables,
    phones=phones,
    marks={"stress": stress, "voicing": voicing},
)

load = partial(corpus_from_files, layout=LAYOUT)
