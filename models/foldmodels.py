"""Fold models of one training, and foreign models, behind one interface.

Each speaker of the training corpus is explained by the fold model that was trained without them. A foreign model is
used as it comes and has a single fold.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets.corpora import CORPORA
from ..datasets.folds import Folds
from ..errors import InputError
from .checkpoint import CARD, Card, load_card, load_recogniser
from .records import MODELS

if TYPE_CHECKING:
    from .recogniser import Recogniser

BUNDLED = Path(__file__).parent / "bundled"
ALL = "all"  # fold name of a foreign model


class FoldModels:
    """Recognisers of one training, one per fold, loaded lazily.

    Parameters
    ----------
    folder : path
    card : Card

    Attributes
    ----------
    name : str
        Model.
    trained_on : str
        Corpus.
    folds : Folds
        Held-out speakers of each fold.
    info : dict
        The card: classes, held-out scores, settings, hashes.

    Raises
    ------
    InputError
        If the card's folds were edited.
    """

    def __init__(self, folder: Path, card: Card) -> None:
        self.folder = folder
        self.card = card
        self.name = card.recogniser
        self.trained_on = card.corpus.name
        self.folds = Folds(dict(card.folds))
        if self.folds.digest != card.folds_digest:
            raise InputError(
                f"{folder / CARD}: held-out speakers do not match their digest; the file was edited. Train it again."
            )

    def __repr__(self) -> str:
        return f"FoldModels({self.name!r}, trained_on={self.trained_on!r}, folds={len(self.card.folds)})"

    @property
    def info(self) -> dict[str, Any]:
        """The card as plain data."""
        return self.card.model_dump(mode="json")

    def recogniser(self, fold: str, device: str = "cpu") -> Recogniser:
        """The model that has not heard the fold's held-out speakers.

        Raises
        ------
        InputError
            For an unknown fold, or if its weights are missing or damaged.
        """
        return load_recogniser(self.folder, self.card, fold, device)

    @property
    def default_fold(self) -> str:
        """The first fold."""
        return next(iter(self.folds.speakers))

    def fold_for(self, corpus: str, speaker: str) -> str:
        """Fold whose model explains a speaker of a corpus: the one that has not heard them.

        Models trained on a corpus with other speakers have heard none of this one; the first fold is taken.
        """
        return self.folds.fold_of(speaker) if _share_speakers(self.trained_on, corpus) else self.default_fold

    def seen_in_training(self, corpus: str) -> str:
        """Whether the model of `fold_for` has heard a corpus' speakers: it has not."""
        return "no"


def _share_speakers(one: str, other: str) -> bool:
    if one == other:
        return True
    voices = [CORPORA.get(name).voices for name in (one, other) if name in CORPORA]
    return len(voices) == 2 and voices[0] == voices[1] != ""


class ForeignModel:
    """Foreign recogniser, used as it comes for all speakers.

    Parameters
    ----------
    name : str
    checkpoint : path, optional
    trust : bool
        Whether code in the checkpoint may run.

    Attributes
    ----------
    trained_on : str
        Corpus; ``unknown`` where the checkpoint does not say.
    info : dict
        Description for a run's record.

    Raises
    ------
    InputError
        If the checkpoint is missing, damaged, or not of this model.
    """

    def __init__(self, name: str, checkpoint: Path | None = None, trust: bool = False) -> None:
        self.name = name
        record = MODELS.get(name)
        if record.checkpoint and checkpoint is None:
            raise InputError(f"model {name!r} is not shipped with serxai; give its file with --checkpoint FILE.")
        self._load = lambda device: record.load()(record, checkpoint, trust, device)
        self._loaded: dict[str, Recogniser] = {}
        recogniser = self.recogniser(ALL)
        self.trained_on = recogniser.trained_on or "unknown"
        self.info: dict[str, Any] = {
            "recogniser": name,
            "version": record.version,
            "licence": record.licence,
            "checkpoint": None if checkpoint is None else str(checkpoint),
            "classes": list(recogniser.classes),
            "fingerprint": recogniser.fingerprint,
            "differentiable": recogniser.differentiable,
            "trained_on": self.trained_on,
        }

    def recogniser(self, fold: str = ALL, device: str = "cpu") -> Recogniser:
        """The recogniser; there is one for all speakers."""
        if fold != ALL:
            raise InputError(f"model {self.name!r} has no folds, so no fold {fold!r}; its one recogniser is {ALL!r}.")
        if device not in self._loaded:
            self._loaded[device] = self._load(device)
        return self._loaded[device]

    default_fold = ALL

    def fold_for(self, corpus: str, speaker: str) -> str:
        """Its one fold."""
        return ALL

    def seen_in_training(self, corpus: str) -> str:
        """``yes`` where it was trained on the corpus, ``unknown`` where it does not say on what, else ``no``."""
        return {corpus: "yes", "unknown": "unknown"}.get(self.trained_on, "no")


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
