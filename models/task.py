"""Training task: everything that the weights depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets.folds import ClipFolds, Folds
from ..datasets.schemes import FoldScheme, Part
from ..keys import digest
from .extractor import Extractor
from .factory import make_extractor, model_kind
from .front_end import LogMel
from .records import MODELS

if TYPE_CHECKING:
    from ..datasets.corpus import Corpus

VERSION = "1"  # of the procedure; part of every cached model's key


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """Model, corpus, classes, clips, folds, settings and seed of one training.

    Attributes
    ----------
    name : str
        Of the model.
    corpus : Corpus
    classes : tuple of str
    clips : tuple of str
        Ids, in the order of the corpus' table sorted by id.
    folds : Folds or ClipFolds
    settings : Settings or HeadSettings
    seed : int
    options : dict
        Parameters of the feature extractor that are not its own defaults.
    scheme : FoldScheme, optional
        Published folds that `folds` are; None for speaker-grouped folds made here.
    values : dict of str to tuple of float, optional
        Of a regression, the labels of each clip in the order of `classes`, which are then dimensions.
    others : tuple of FoldScheme
        Further divisions that are only scored, with the same settings; their models are not kept.
    """

    name: str
    corpus: Corpus
    classes: tuple[str, ...]
    clips: tuple[str, ...]
    folds: Folds | ClipFolds
    settings: Any
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    scheme: FoldScheme | None = None
    others: tuple[FoldScheme, ...] = ()
    values: Mapping[str, tuple[float, ...]] | None = None

    @cached_property
    def extractor(self) -> Extractor | None:
        """Feature extractor of a linear head; None for a network."""
        return make_extractor(self.name, **self.options) if model_kind(self.name, trained=True) == "head" else None

    @cached_property
    def kept_parts(self) -> dict[str, Part]:
        """Clips of each fold whose model is kept."""
        if self.scheme is not None:
            return self.scheme.parts()
        speakers = self.corpus.table["speaker"].to_dict()
        fold_of = {speaker: fold for fold, held_out in self.folds.speakers.items() for speaker in held_out}
        tested = {clip: fold_of.get(speakers[clip]) for clip in self.clips}
        return {
            fold: Part(
                tuple(clip for clip in self.clips if tested[clip] != fold),
                tuple(clip for clip in self.clips if tested[clip] == fold),
            )
            for fold in self.folds.speakers
        }

    def other_parts(self, place: int) -> dict[str, Part]:
        """Clips of each fold of one of the divisions that are only scored, by the name of its model."""
        return {f"other{place}-{fold}": part for fold, part in self.others[place].parts().items()}

    def labels(self, clips: Sequence[str]) -> np.ndarray:
        """Class of each clip, int (n,); of a regression the labels, float (n, n_classes)."""
        if self.values is not None:
            return np.array([self.values[clip] for clip in clips])
        place = {emotion: i for i, emotion in enumerate(self.classes)}
        return self.corpus.table.loc[list(clips), "emotion"].map(place).to_numpy(dtype=np.int64)

    @property
    def key(self) -> str:
        """Cache key of the trained models."""
        further = [scheme.digest for scheme in (self.scheme, *self.others) if scheme is not None]
        front_end = LogMel().params if self.extractor is None else self.extractor.fingerprint
        return digest(
            "fold models",
            VERSION,
            self.name,
            MODELS.get(self.name).version,
            self.corpus.name,
            self.corpus.digest,
            self.classes,
            self.clips,
            self.folds.speakers,
            asdict(self.settings),
            front_end,
            self.seed,
            *further,
            *(() if self.values is None else ("regression", [(clip, *self.values[clip]) for clip in self.clips])),
        )
