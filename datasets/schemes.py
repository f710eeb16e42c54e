"""Published divisions of a corpus into training and test parts, such as EmoBox's, read from the user's copy of them.

Many of them test each speaker by a model that was trained on other clips of the same speaker. A `FoldScheme` holds any
division, by clips, and counts the speakers that its parts share.

Files
-----
``emobox``: the repository, with ``data/NAME/fold_K/NAME_test_fold_K.jsonl`` and ``..._train_fold_K.jsonl``, one JSON
object a line whose ``wav`` ends in the name of the clip's file.

Any other scheme is a JSON file ``NAME.json``: ``source``, ``commit`` and ``licence`` (texts), and ``corpora``, for each
corpus the fold in which a file is tested, by file name without folder and suffix; ``"train"`` for a file that only ever
trains. Every file of a corpus that is not tested in a fold is trained on in it; files that are not listed are not used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InputError
from ..keys import digest

if TYPE_CHECKING:
    import pandas as pd

    from .corpus import Corpus
    from .folds import Folds

SPEAKER, EMOBOX, TRAIN = "speaker", "emobox", "train"
SPEAKER_FOLDS = 5
MAX_FILE_BYTES = 2**26
FOLD = re.compile(r"[A-Za-z0-9_]+")


@cache
def emobox() -> dict[str, Any]:
    """Facts of EmoBox's lists.

    Returns
    -------
    dict
        ``source``; the ``commit`` whose lists ``digests`` are of (`assignment_digest`, by its name of the corpus); its
        ``licence``; ``names`` of corpora that have another name there.
    """
    facts: dict[str, Any] = json.loads(Path(__file__).with_name("emobox.json").read_text("utf-8"))
    return facts


class Part(NamedTuple):
    """Clips that one fold's model is trained on, and those it is tested on."""

    trained: tuple[str, ...]
    tested: tuple[str, ...]


class Sharing(NamedTuple):
    """How many speakers of the test parts are also in the training part of the same fold."""

    shared: int
    speakers: int

    def __str__(self) -> str:
        return f"{self.shared} of {self.speakers}"


@dataclass(frozen=True)
class FoldScheme:
    """Division of a corpus' clips into the test parts of cross-validation folds.

    Attributes
    ----------
    name : str
    tested : dict of str to str
        Fold in which a clip is tested, by clip id; every fold trains on all other clips of the scheme.
    training : tuple of str
        Clips that only ever train.
    source, commit, licence : str
        Of the lists; empty for folds made here.
    note : str
        Whether the lists are those of the commit that was looked at.

    Raises
    ------
    InputError
        If no clip is tested, or a fold's name does not fit a file name.
    """

    name: str
    tested: Mapping[str, str]
    training: tuple[str, ...] = ()
    source: str = ""
    commit: str = ""
    licence: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not self.tested:
            raise InputError(f"folds {self.name!r}: no clip is tested in any fold; take another scheme.")
        for fold in self.folds:
            if not FOLD.fullmatch(fold):
                raise InputError(f"folds {self.name!r}: fold {fold!r} must be named by letters, digits and _.")

    @classmethod
    def of_speakers(cls, folds: Folds, table: pd.DataFrame, name: str = SPEAKER) -> FoldScheme:
        """Division by speakers."""
        return cls(name, {str(clip): folds.fold_of(speaker) for clip, speaker in table["speaker"].items()})

    @property
    def folds(self) -> tuple[str, ...]:
        """Names, in the order of their numbers."""
        return tuple(sorted(set(self.tested.values()), key=lambda fold: (len(fold), fold)))

    @property
    def digest(self) -> str:
        """Digest of the assignment of clips."""
        return digest("fold scheme", sorted(self.tested.items()), sorted(self.training))

    def within(self, clips: Iterable[str]) -> FoldScheme:
        """The same division of some of the clips; a fold without test clips is gone.

        Raises
        ------
        InputError
            If none of them is tested.
        """
        kept = set(clips)
        tested = {clip: fold for clip, fold in self.tested.items() if clip in kept}
        training = tuple(clip for clip in self.training if clip in kept)
        return FoldScheme(self.name, tested, training, self.source, self.commit, self.licence, self.note)

    @property
    def clips(self) -> tuple[str, ...]:
        """All clips of the division, sorted."""
        return tuple(sorted([*self.tested, *self.training]))

    def parts(self) -> dict[str, Part]:
        """Clips of each fold, sorted."""
        everything = self.clips
        return {
            fold: Part(
                tuple(clip for clip in everything if self.tested.get(clip) != fold),
                tuple(clip for clip in everything if self.tested.get(clip) == fold),
            )
            for fold in self.folds
        }

    def sharing(self, speakers: Mapping[str, str]) -> Sharing:
        """Count the speakers whose clips are both in the training and in the test part of a fold.

        Parameters
        ----------
        speakers : mapping of str to str
            Speaker by clip id, of the corpus' own table.
        """
        shared, everyone = set[str](), set[str]()
        for part in self.parts().values():
            tested = {speakers[clip] for clip in part.tested}
            everyone |= tested
            shared |= tested & {speakers[clip] for clip in part.trained}
        return Sharing(len(shared), len(everyone))

    def held_out(self, speakers: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Speakers of each fold's test part; those that no fold shares with its training part."""
        return {
            fold: tuple(sorted({speakers[clip] for clip in part.tested} - {speakers[clip] for clip in part.trained}))
            for fold, part in self.parts().items()
        }


def read_scheme(name: str, corpus: Corpus, root: Path | None = None) -> FoldScheme:
    """Read a published scheme for one corpus.

    Parameters
    ----------
    name : str
        ``emobox``; the name of a file ``NAME.json`` in `root`; or a path that ends in ``.json``.
    corpus : Corpus
    root : path, optional
        Folder of the lists: EmoBox's repository, or the folder of one's own files.

    Raises
    ------
    InputError
        If the lists are missing, damaged or not of this corpus.
    """
    place = find_scheme(name, root)
    return _emobox(corpus, place) if name == EMOBOX else _own(place, corpus)


def find_scheme(name: str, root: Path | None) -> Path:
    """Folder or file of a scheme's lists; parameters and errors are those of `read_scheme`."""
    if name == EMOBOX:
        if root is None:
            raise InputError(
                f"--folds {EMOBOX}: its lists are not part of serxai (no licence file was found with them); clone "
                f"{emobox()['source']} and name that folder with --folds-root."
            )
        return root
    path = Path(name) if name.endswith(".json") else (root or Path()) / f"{name}.json"
    if not path.is_file():
        raise InputError(
            f"--folds {name}: no file {path}. Give a number of speaker-grouped folds, {SPEAKER}, {EMOBOX}, or a "
            "scheme's JSON file (its folder with --folds-root)."
        )
    return path


def _emobox(corpus: Corpus, root: Path) -> FoldScheme:
    name = emobox()["names"].get(corpus.name, corpus.name)
    places = [folder / name for folder in (root / "data", root)]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        raise InputError(
            f"--folds {EMOBOX}: no folder {places[0]}; --folds-root names a clone of {emobox()['source']}, which has "
            "lists of other corpora too, by EmoBox's names."
        )
    fold_of: dict[str, str] = {}
    numbered = re.compile(rf"fold_(\d+)/{re.escape(name)}_(train|test)_fold_\1\.jsonl")
    lists: dict[str, dict[str, set[str]]] = {}
    for path in sorted(folder.glob("fold_*/*.jsonl")):
        found = numbered.fullmatch(path.relative_to(folder).as_posix())
        if found:
            lists.setdefault(found[1], {})[found[2]] = set(_listed(path))
    everything = set().union(*(names for parts in lists.values() for names in parts.values()))
    for fold, parts in lists.items():
        if (
            parts.keys() != {"train", "test"}
            or parts["train"] & parts["test"]
            or set().union(*parts.values()) != everything
        ):
            raise InputError(
                f"--folds {EMOBOX}: fold {fold} in {folder} is not one list of training files and one of test files "
                "that cover the corpus; get the lists again."
            )
        again = [file for file in parts["test"] if file in fold_of]
        if again:
            raise InputError(f"--folds {EMOBOX}: {min(again)} is tested in two folds of {folder}; get the lists again.")
        fold_of |= dict.fromkeys(parts["test"], fold)
    if not fold_of:
        raise InputError(f"--folds {EMOBOX}: no file fold_K/{name}_test_fold_K.jsonl in {folder}; get the lists again.")
    facts = emobox()
    known, seen = facts["digests"].get(name), facts["commit"]
    found_digest = assignment_digest(fold_of | {file: TRAIN for file in everything - fold_of.keys()})
    as_seen = f"the lists are those of commit {seen[:7]}"
    note = {None: "", found_digest: as_seen}.get(known, f"not the lists of commit {seen[:7]}")
    commit = seen if known == found_digest else ""
    training = everything - fold_of.keys()
    return _of_files(EMOBOX, corpus, fold_of, training, folder, facts["source"], commit, facts["licence"], note)


def assignment_digest(fold_of: Mapping[str, str]) -> str:
    """Digest of the fold of each file."""
    return digest("fold lists", sorted(fold_of.items()))


def _listed(path: Path) -> Iterable[str]:
    """Names of the files that a list of EmoBox holds, without folder and suffix."""
    for number, line in enumerate(_read(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            yield PurePosixPath(entry["wav"]).stem
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path}, line {number}: not an entry with a 'wav'; get the lists again.") from None


def _own(path: Path, corpus: Corpus) -> FoldScheme:
    try:
        content: Any = json.loads(_read(path))
        fold_of = content["corpora"].get(corpus.name)
        texts = [content.get(key, "") for key in ("source", "commit", "licence")]
        known = list(content["corpora"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a file of folds ({error}); see docs/models.md, Published folds.") from None
    if fold_of is None:
        raise InputError(f"{path}: has no folds of corpus {corpus.name!r}; it has {', '.join(map(str, known))}.")
    texts_only = isinstance(fold_of, dict) and all(isinstance(fold, str) for fold in fold_of.values())
    if not texts_only or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{path}: the folds of {corpus.name!r} must map file names to names of folds.")
    tested = {file: fold for file, fold in fold_of.items() if fold != TRAIN}
    source, commit, licence = texts
    return _of_files(path.stem, corpus, tested, fold_of.keys() - tested.keys(), path, source, commit, licence, "")


def _of_files(
    name: str,
    corpus: Corpus,
    tested: Mapping[str, str],
    training: Iterable[str],
    where: Path,
    source: str,
    commit: str,
    licence: str,
    note: str,
) -> FoldScheme:
    """Scheme of clip ids, from file names; names that are not in the corpus' folder here are left out."""
    id_of: dict[str, str] = {}
    for clip, file in zip(corpus.table.index, corpus.table["file"], strict=True):
        id_of[Path(str(file)).stem] = str(clip)
    id_of |= {str(clip): str(clip) for clip in corpus.table.index}
    if not FOLD.fullmatch(name):
        raise InputError(f"--folds {name}: a scheme must be named by letters, digits and _; rename the file.")
    here = {id_of[file]: fold for file, fold in tested.items() if file in id_of}
    if not here:
        raise InputError(
            f"--folds {name}: none of the {len(tested)} files in {where} is in corpus {corpus.name!r}, whose files are "
            f"like {next(iter(id_of))}; they are lists of another corpus."
        )
    trained = tuple(sorted(id_of[file] for file in training if file in id_of))
    return FoldScheme(name, here, trained, source, commit, licence, note)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path}: {path.stat().st_size / 1e6:.0f} MB, too large for a list of folds.")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); get the lists again.") from None


def kept_first(asked: Sequence[str]) -> list[int | str]:
    """Parse names of divisions into folds, the one whose models are kept first: speaker-grouped where there is one.

    Parameters
    ----------
    asked : sequence of str
        Numbers of speaker-grouped folds, ``speaker`` (5 folds), names of published schemes.

    Raises
    ------
    InputError
        For fewer than 2 folds, or a division that is asked for twice.
    """
    schemes: list[int | str] = []
    for text in asked:
        number = SPEAKER_FOLDS if text == SPEAKER else int(text) if re.fullmatch(r"-?\d+", text) else None
        if number is not None and number < 2:
            raise InputError(f"--folds must be at least 2, got {text}; more than speakers leaves one out at a time.")
        schemes.append(text if number is None else number)
        if schemes.index(schemes[-1]) < len(schemes) - 1:
            raise InputError(f"--folds {text}: given twice; name each division once.")
    return sorted(schemes or [SPEAKER_FOLDS], key=lambda scheme: isinstance(scheme, str))
