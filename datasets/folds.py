"""Speaker-disjoint cross-validation folds: deterministic, independent of row order, balanced over emotion and sex."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..keys import digest

if TYPE_CHECKING:
    import pandas as pd


EXCHANGED_SPEAKERS = 500  # with more, all pairs are too many to try, and the greedy folds are as good as balanced


@dataclass(frozen=True)
class Folds:
    """Assignment of speakers to cross-validation folds, each speaker held out in exactly one.

    Attributes
    ----------
    speakers : dict of str to tuple of str
        Fold name ("0", "1", ...) to its held-out speakers.

    Raises
    ------
    InputError
        If a fold is empty or a speaker is in two folds.
    """

    speakers: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        everyone = [speaker for held_out in self.speakers.values() for speaker in held_out]
        if not everyone or len(set(everyone)) < len(everyone) or not all(self.speakers.values()):
            raise InputError(
                f"folds must hold out each speaker exactly once, got {dict(self.speakers)}; put each in one fold."
            )

    @cached_property
    def _fold_of(self) -> dict[str, str]:
        return {speaker: fold for fold, held_out in self.speakers.items() for speaker in held_out}

    def fold_of(self, speaker: str) -> str:
        """Name of the fold in which a speaker is held out.

        Raises
        ------
        InputError
            For a speaker that no fold holds out.
        """
        if speaker in self._fold_of:
            return self._fold_of[speaker]
        everyone = sorted(name for held_out in self.speakers.values() for name in held_out)
        raise InputError(
            f"no fold holds out speaker {speaker!r}; the folds cover {', '.join(everyone)}. Take this corpus' folds."
        )

    @property
    def digest(self) -> str:
        """Digest of the assignment, independent of the order of speakers."""
        return digest("folds", {fold: sorted(held_out) for fold, held_out in self.speakers.items()})

    def save(self, path: str | Path) -> None:
        """Write the assignment and its digest as JSON."""
        content = {"speakers": {fold: list(names) for fold, names in self.speakers.items()}, "digest": self.digest}
        Path(path).write_text(json.dumps(content, indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Folds:
        """Read folds written by `save` and check their digest.

        Raises
        ------
        InputError
            If the file is missing, malformed or does not match its digest.
        """
        try:
            content = json.loads(Path(path).read_text("utf-8"))
            folds = cls({fold: tuple(names) for fold, names in content["speakers"].items()})
            stored = content["digest"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: not a file of folds ({error}); write it with Folds.save.") from None
        if stored != folds.digest:
            raise InputError(f"{path}: speakers do not match the digest; the file was edited. Write it again.")
        return folds


@dataclass(frozen=True)
class ClipFolds:
    """Assignment of clips to cross-validation folds that hold out no speaker: others of their clips are trained on.

    Attributes
    ----------
    clips : dict of str to tuple of str
        Fold name to its test clips.
    """

    clips: Mapping[str, tuple[str, ...]]

    @property
    def speakers(self) -> dict[str, tuple[str, ...]]:
        """Held-out speakers of each fold: none."""
        return dict.fromkeys(self.clips, ())

    @cached_property
    def _fold_of(self) -> dict[str, str]:
        return {clip: fold for fold, tested in self.clips.items() for clip in tested}

    def fold_of_clip(self, clip: str) -> str | None:
        """Name of the fold in which a clip is tested; None for one that no fold tests."""
        return self._fold_of.get(clip)

    @property
    def digest(self) -> str:
        """Digest of the assignment, independent of the order of clips."""
        return digest("clip folds", {fold: sorted(tested) for fold, tested in self.clips.items()})


def speaker_folds(table: pd.DataFrame, n: int = 5) -> Folds:
    """Balanced speaker-disjoint folds whose numbers of speakers differ by at most one.

    Greedy assignment, speakers with most clips first, each to the fold that minimises the imbalance: the squared
    deviation from the expectation, over the expectation, of clips, clips per emotion and speakers per sex, as a share
    of all clips or speakers. Then pairs of speakers are exchanged while that lowers the imbalance, up to
    `EXCHANGED_SPEAKERS` speakers. Ties are broken by
    digest of the speaker's name.

    Parameters
    ----------
    table : DataFrame
        With columns ``speaker``, ``sex`` and ``emotion``, one row per clip.
    n : int
        Number of folds, at least 2; with at least as many folds as speakers, leave-one-speaker-out.

    Returns
    -------
    Folds

    Raises
    ------
    InputError
        If there are fewer than two folds or speakers.
    """
    names = sorted(set(table["speaker"]), key=lambda name: digest("speaker", name))
    if n < 2 or len(names) < 2:
        raise InputError(
            f"folds: need at least 2 folds and 2 speakers, got {n} folds and {len(names)} speakers; take more of "
            "either."
        )
    n = min(n, len(names))
    profiles, weights = _profiles(table, names, n)
    order = sorted(range(len(names)), key=lambda i: -profiles[i, 0])  # a stable sort keeps ties in digest order

    loads = np.zeros((n, profiles.shape[1]))
    size, larger = divmod(len(names), n)  # `larger` folds hold one speaker more
    sizes = np.zeros(n, dtype=int)
    fold_of = np.zeros(len(names), dtype=int)
    for i in order:
        room = sizes < size + int(np.sum(sizes > size) < larger)
        # increase of the weighted sum of squares, up to terms common to all folds
        cost = np.where(room, loads @ (weights * profiles[i]), np.inf)
        fold_of[i] = np.argmin(np.round(cost, 9))
        loads[fold_of[i]] += profiles[i]
        sizes[fold_of[i]] += 1

    exchanged = len(names) <= EXCHANGED_SPEAKERS
    while exchanged:
        exchanged = False
        for i, j in combinations(order, 2):
            a, b, change = fold_of[i], fold_of[j], profiles[j] - profiles[i]
            if a != b and np.sum(weights * change * (loads[a] - loads[b] + change)) < -1e-9:
                loads[a] += change
                loads[b] -= change
                fold_of[i], fold_of[j] = b, a
                exchanged = True
    return Folds({str(k): tuple(sorted(names[i] for i in np.flatnonzero(fold_of == k))) for k in range(n)})


def _profiles(table: pd.DataFrame, names: list[str], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts to balance and their weights.

    Returns
    -------
    profiles : array, shape (n_speakers, n_counts)
        Clips, clips of each emotion, and one column per sex of each speaker.
    weights : array, shape (n_counts,)
    """
    speaker, emotion, sex = (table[column].to_numpy() for column in ("speaker", "emotion", "sex"))
    row_of = {name: row for row, name in enumerate(names)}
    rows = np.array([row_of[name] for name in speaker])
    clips = np.bincount(rows, minlength=len(names))[:, None]
    emotions, sexes = (np.zeros((len(names), len(set(values))), dtype=int) for values in (emotion, sex))
    for counts, values in ((emotions, emotion), (sexes, sex)):
        column_of = {value: column for column, value in enumerate(sorted(set(values)))}
        np.add.at(counts, (rows, np.array([column_of[value] for value in values])), 1)
    sexes = sexes > 0
    totals = np.concatenate([part.sum(axis=0) for part in (clips, emotions, sexes)])
    population = np.repeat([len(table), len(names)], [1 + emotions.shape[1], sexes.shape[1]])
    return np.hstack([clips, emotions, sexes]).astype(float), n / (totals * population)
