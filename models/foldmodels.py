"""Fold models of one training, and foreign models, behind one interface.

Each speaker of the training corpus is explained by the fold model that was trained without them. Any other speaker is
explained by the refit, which was trained on all speakers, or on request by the ensemble of the folds, the mean of their
log-odds; never by one fold alone. A foreign model is used as it comes and has a single fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets.authentic import authentic_clips
from ..datasets.corpora import CORPORA
from ..datasets.folds import ClipFolds, Folds
from ..errors import InputError
from .bundled import BUNDLED
from .card import CARD, ENSEMBLE, REFIT, Card, load_card
from .checkpoint import load_recogniser
from .ensemble import ensemble
from .exposure import NO, UNKNOWN, YES, TrainingExposure, samples_digest, share_speakers
from .records import MODELS
from .training_distance import TrainingStatistics, load_statistics
from .trust import NO_PERMISSION, Permission

if TYPE_CHECKING:
    import numpy as np

    from ..datasets.corpus import Corpus
    from .recogniser import Recogniser

ALL = "all"  # fold name of a foreign model
OPTIONAL = ("scheme", "regression", "encoder")  # entries of the card that most models lack
UNTRAINED = "none"  # training corpus of a recogniser with fixed weights


class FoldModels:
    """Recognisers of one training, one per fold, loaded lazily.

    Parameters
    ----------
    folder : path
    card : Card
    averaged : bool
        Whether speakers that no fold holds out are explained by the ensemble of the folds instead of the refit.
    add_refit : callable, optional
        Trains the refit of a folder that was written without one, and returns the completed card.
    permission : Permission
        Whether code of a Hugging Face backbone may run.

    Attributes
    ----------
    name : str
        Model.
    trained_on : str
        Corpus.
    folds : Folds or ClipFolds
        Held-out speakers of each fold; clips where the folds share speakers.
    info : dict
        The card: classes, held-out scores, settings, hashes.

    Raises
    ------
    InputError
        If the card's folds were edited.
    """

    def __init__(
        self,
        folder: Path,
        card: Card,
        averaged: bool = False,
        add_refit: Callable[[FoldModels], Card] | None = None,
        permission: Permission = NO_PERMISSION,
    ) -> None:
        self.folder = folder
        self.card = card
        self.averaged = averaged
        self.add_refit = add_refit
        self.permission = permission
        self.name = card.recogniser
        self.trained_on = card.corpus.name
        tested = {} if card.scheme is None else dict(card.scheme.tested)
        self.folds = ClipFolds(tested) if tested else Folds(dict(card.folds))
        if self.folds.digest != card.folds_digest:
            raise InputError(
                f"{folder / CARD}: held-out speakers do not match their digest; the file was edited. Train it again."
            )

    def __repr__(self) -> str:
        return f"FoldModels({self.name!r}, trained_on={self.trained_on!r}, folds={len(self.card.folds)})"

    @property
    def info(self) -> dict[str, Any]:
        """The card as plain data, without the digests of the training clips."""
        facts = self.card.model_dump(mode="json", exclude={"clips": {"digests"}})
        return {name: value for name, value in facts.items() if value is not None or name not in OPTIONAL}

    @property
    def statistics(self) -> TrainingStatistics | None:
        """Statistics of the training corpus; None where the folder holds none."""
        return load_statistics(self.folder)

    @property
    def described(self) -> str:
        """Corpus of training, classes, and the UAR on held-out speakers, in words."""
        text = _described(self.name, self.trained_on, len(self.card.classes), bool(self.card.regression))
        pooled = self.card.scores.get("pooled")  # not checked when the card is read
        uar = pooled.get("uar") if isinstance(pooled, dict) else None
        return text + (f", UAR {uar:.2f} on speakers held out" if isinstance(uar, float) else "")

    def recogniser(self, fold: str, device: str = "cpu") -> Recogniser:
        """Model of a fold, trained without its held-out speakers; the ``refit``; or the ``ensemble`` of all folds.

        Raises
        ------
        InputError
            For an unknown fold; if weights are missing or damaged; if there is no refit and none can be trained.
        """
        if fold == ENSEMBLE:
            return ensemble([self._load(each, device) for each in self.card.folds])
        if fold == REFIT and self.card.refit is None:
            if self.add_refit is None:
                raise InputError(
                    f"{self.folder}: has no model refitted on all speakers, which explains speakers of other corpora. "
                    f"Train the folder again with `serxai train {self.name} --corpus {self.trained_on} --out DIR`, or "
                    "take the mean of its folds with --ensemble."
                )
            self.card = self.add_refit(self)
        return self._load(fold, device)

    def _load(self, fold: str, device: str) -> Recogniser:
        return load_recogniser(self.folder, self.card, fold, device, trust=self.permission.trust)

    @property
    def stored(self) -> tuple[str, ...]:
        """Names of the models that have weights of their own: the folds, and the refit where there is one."""
        return (*self.folds.speakers, *([] if self.card.refit is None else [REFIT]))

    @property
    def default_fold(self) -> str:
        """Model of speakers that no fold holds out: ``refit``, or ``ensemble`` where `averaged`."""
        return ENSEMBLE if self.averaged else REFIT

    @cached_property
    def _speakers(self) -> set[str]:
        return {speaker for held_out in self.folds.speakers.values() for speaker in held_out}

    def fold_for(self, corpus: str, speaker: str, clip: str | None = None) -> str:
        """Model that explains a speaker of a corpus: that of the fold that holds them out, else `default_fold`.

        Where the folds share speakers, the model that was not trained on the clip.
        """
        if isinstance(self.folds, ClipFolds):
            tested_in = self.folds.fold_of_clip(clip) if clip is not None and corpus == self.trained_on else None
            return tested_in or self.default_fold
        known = share_speakers(self.trained_on, corpus) and speaker in self._speakers
        return self.folds.fold_of(speaker) if known else self.default_fold

    def fold_for_samples(self, samples: np.ndarray) -> str:
        """Model that explains a sound: that of the fold that holds its speaker out if it is a training clip."""
        if self.card.clips is not None and isinstance(self.folds, Folds):
            content = samples_digest(samples)
            for speaker, digests in self.card.clips.digests.items():
                if content in digests and speaker in self._speakers:
                    return self.folds.fold_of(speaker)
        return self.default_fold

    def exposure(self, fold: str) -> TrainingExposure:
        """Training data of a model."""
        held_out = set(self.folds.speakers.get(fold, ()))
        clips = self.card.clips
        return TrainingExposure(
            self.trained_on,
            (self._speakers | set(() if clips is None else clips.digests)) - held_out,
            held_out,
            None if clips is None else clips.digests,
            clips is not None and clips.verified,
        )

    def seen_in_training(self, corpus: Corpus, clips: Sequence[str], fold: str) -> dict[str, str]:
        """Whether a model was trained on each clip or its speaker: ``yes``, ``no`` or ``unknown``."""
        return self.exposure(fold).seen(corpus, clips)

    def seen_file(self, path: Path | None, samples: np.ndarray, fold: str) -> str:
        """Whether a model was trained on the content of a sound file or on its speaker, as far as is known."""
        if self.fold_for_samples(samples) == fold != self.default_fold:
            return NO
        return self.exposure(fold).seen_file(path, samples)


class ForeignModel:
    """Foreign recogniser, used as it comes for all speakers.

    Parameters
    ----------
    name : str
    checkpoint : path, optional
    permission : Permission
        The gate: the model is not loaded where its code may not run.

    Attributes
    ----------
    trained_on : str
        Corpus; ``unknown`` where the checkpoint does not say.
    info : dict
        Description for a run's record.

    Raises
    ------
    InputError
        If the checkpoint is missing, damaged, or not of this model; if its code may not run.
    """

    def __init__(self, name: str, checkpoint: Path | None = None, permission: Permission = NO_PERMISSION) -> None:
        self.name = name
        record = MODELS.get(name)
        permission.admit(record)
        if record.checkpoint and checkpoint is None:
            raise InputError(f"model {name!r} is not shipped with serxai; give its file with --checkpoint FILE.")
        self._load = lambda device: record.load()(record, checkpoint, permission.trust, device)
        self._loaded: dict[str, Recogniser] = {}
        recogniser = self.recogniser(ALL)
        self.trained_on = recogniser.trained_on or "unknown"
        self.info: dict[str, Any] = {
            "recogniser": name,
            "version": record.version,
            "licence": record.licence,
            "checkpoint": None if checkpoint is None else str(checkpoint),
        } | _foreign_info(name, recogniser, self.trained_on)

    def recogniser(self, fold: str = ALL, device: str = "cpu") -> Recogniser:
        """The recogniser; there is one for all speakers."""
        if fold != ALL:
            raise InputError(f"model {self.name!r} has no folds, so no fold {fold!r}; its one recogniser is {ALL!r}.")
        if device not in self._loaded:
            self._loaded[device] = self._load(device)
        return self._loaded[device]

    default_fold = ALL
    statistics = None

    @property
    def described(self) -> str:
        """Name, corpus of training and number of classes, in words."""
        return _described(self.name, self.trained_on, len(self.info["classes"]), "regression" in self.info)

    def fold_for(self, corpus: str, speaker: str, clip: str | None = None) -> str:
        """Its one fold."""
        return ALL

    def fold_for_samples(self, samples: np.ndarray) -> str:
        """Its one fold."""
        return ALL

    def seen_in_training(self, corpus: Corpus, clips: Sequence[str], fold: str = ALL) -> dict[str, str]:
        """Whether it was trained on a corpus, by the corpus that it names: ``yes``, ``no`` or ``unknown`` of each clip.

        ``no`` where it was not trained at all, or on another published corpus and the clip's file is authentic.
        """
        if self.trained_on == UNTRAINED:
            return dict.fromkeys(clips, NO)
        if share_speakers(self.trained_on, corpus.name):
            return dict.fromkeys(clips, YES)
        published = self.trained_on in CORPORA and not self.trained_on.startswith("folder:")
        authentic = authentic_clips(corpus, clips) if published else set()
        return {clip: NO if clip in authentic else UNKNOWN for clip in clips}

    def seen_file(self, path: Path | None, samples: np.ndarray, fold: str = ALL) -> str:
        """``no`` where it was not trained at all, else ``unknown``."""
        return NO if self.trained_on == UNTRAINED else UNKNOWN


class GivenRecogniser(ForeignModel):
    """Recogniser that is at hand as an object, used as it comes for all speakers.

    Parameters
    ----------
    recogniser : Recogniser
    name : str, optional
        Its name in a run; default its own.
    """

    def __init__(self, recogniser: Recogniser, name: str | None = None) -> None:
        self.name = name or recogniser.name
        self.trained_on = recogniser.trained_on or "unknown"
        self.info = _foreign_info(self.name, recogniser, self.trained_on) | {"object": type(recogniser).__qualname__}
        self._recogniser = recogniser

    def recogniser(self, fold: str = ALL, device: str = "cpu") -> Recogniser:
        """The recogniser, where it is."""
        return self._recogniser

    def seen_in_training(self, corpus: Corpus, clips: Sequence[str], fold: str = ALL) -> dict[str, str]:
        """As a foreign model's; ``unknown`` on its own corpus, since it may be a fold that holds the speaker out."""
        seen = super().seen_in_training(corpus, clips, fold)
        return {clip: UNKNOWN if answer == YES else answer for clip, answer in seen.items()}


def _foreign_info(name: str, recogniser: Recogniser, trained_on: str) -> dict[str, Any]:
    return {
        "recogniser": name,
        "classes": list(recogniser.classes),
        "fingerprint": recogniser.fingerprint,
        "differentiable": recogniser.differentiable,
        "trained_on": trained_on,
        **({"regression": True} if recogniser.regression else {}),
    }


def _described(name: str, trained_on: str, count: int, regression: bool) -> str:
    corpus = "not trained" if trained_on == UNTRAINED else f"trained on {trained_on}"
    return f"{name}, {corpus}: {count} {'dimensions' if regression else 'classes'}"


Models = FoldModels | ForeignModel


def load_fold_models(folder: str | Path) -> FoldModels:
    """Read a folder written by ``serxai train``.

    Raises
    ------
    InputError
        If it is missing, damaged, or a pickled checkpoint.
    """
    folder = Path(folder)
    card = load_card(folder)
    return FoldModels(folder.parent if folder.name == CARD else folder, card)


def find_bundled(model: str, corpus: str, version: str) -> FoldModels | None:
    """Load the models shipped with serxai for this version of a corpus; None where there are none.

    The planted corpus is rendered on the user's machine and equals ours within a tolerance, not bit by bit; its
    version says whether a bundled model fits, its digest cannot.
    """
    folder = BUNDLED / f"{model}-{corpus}"
    if not folder.is_dir():
        return None
    models = load_fold_models(folder)
    return models if models.card.corpus.version == version else None
