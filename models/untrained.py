"""Stand-in for recognisers that are not trained yet, so that a run of theirs can be planned and its calls counted.

How often methods and metrics call a recogniser depends on its kind, classes and front end, hardly on its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from ..audio import SAMPLE_RATE
from ..datasets.folds import Folds
from .card import REFIT
from .exposure import NO, share_speakers
from .foldmodels import ForeignModel
from .front_end import LogMel
from .head import LinearHead
from .recogniser import Recogniser, TorchRecogniser
from .records import MODELS
from .training import plan_training

if TYPE_CHECKING:
    from ..datasets.corpus import Corpus

FINGERPRINT = "untrained"


class UntrainedModels(ForeignModel):
    """Fold models of a training that has not been done, all with the same random weights.

    Parameters
    ----------
    name : str
        Model that can be trained here.
    corpus : Corpus
        Of training.

    Attributes
    ----------
    task : TrainingTask
        The training.

    Raises
    ------
    InputError
        If the corpus cannot be trained on.
    """

    def __init__(self, name: str, corpus: Corpus) -> None:
        task = plan_training(name, corpus)
        self.name = name
        self.trained_on = corpus.name
        self.info = {"classes": list(task.classes), "untrained": True}
        self.task = task
        self._held_out = {s for held_out in task.folds.speakers.values() for s in held_out}
        self._made: dict[str, Recogniser] = {}

    def recogniser(self, fold: str = REFIT, device: str = "cpu") -> Recogniser:
        """A recogniser with the network, or the features and head, that training would make."""
        if device not in self._made:
            self._made[device] = self._build(device)
        return self._made[device]

    def _build(self, device: str) -> Recogniser:
        task, name = self.task, self.name
        extractor = task.extractor
        if extractor is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                width, dropout = task.settings.width, task.settings.dropout
                network = MODELS.get(name).load()(len(task.classes), width, dropout)
            network = network.to(memory_format=torch.channels_last)
            return TorchRecogniser(name, task.classes, LogMel(), network, FINGERPRINT, self.trained_on, device)
        noise = np.random.default_rng(0).normal(0, 0.1, (1, 2 * SAMPLE_RATE)).astype(np.float32)
        head = LinearHead(len(task.classes), extractor.features(noise).shape[1])
        return extractor.recogniser(name, task.classes, head, FINGERPRINT, self.trained_on, device)

    def fold_for(self, corpus: str, speaker: str, clip: str | None = None) -> str:
        """As that of the fold models to be."""
        folds = cast(Folds, self.task.folds)
        known = share_speakers(self.trained_on, corpus) and speaker in self._held_out
        return folds.fold_of(speaker) if known else REFIT

    def seen_in_training(self, corpus: Corpus, clips: Sequence[str], fold: str = REFIT) -> dict[str, str]:
        """``no``: nothing has been trained."""
        return dict.fromkeys(clips, NO)
