"""Training task: everything that the weights depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..datasets.folds import Folds
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
    folds : Folds
    settings : Settings or HeadSettings
    seed : int
    options : dict
        Parameters of the feature extractor that are not its own defaults.
    """

    name: str
    corpus: Corpus
    classes: tuple[str, ...]
    clips: tuple[str, ...]
    folds: Folds
    settings: Any
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def extractor(self) -> Extractor | None:
        """Feature extractor of a linear head; None for a network."""
        return make_extractor(self.name, **self.options) if model_kind(self.name) == "head" else None

    @property
    def key(self) -> str:
        """Cache key of the trained models."""
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
        )
