"""The models of one training, one a fold: each speaker is explained by the model that has not heard them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets.corpus import cache_root
from ..datasets.folds import Folds
from ..errors import InputError
from .checkpoint import CARD, Card, load_card, load_recogniser

if TYPE_CHECKING:
    from ..datasets.corpus import Corpus
    from .recogniser import TorchRecogniser
    from .training import Task

BUNDLED = Path(__file__).parent / "bundled"


class FoldModels:
    """Trained recognisers of all folds, loaded when asked for.

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
        Who is held out where.
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

    def recogniser(self, fold: str, device: str = "cpu") -> TorchRecogniser:
        """The model that has not heard the fold's held-out speakers.

        Raises
        ------
        InputError
            For an unknown fold, or if its weights are missing or damaged.
        """
        return load_recogniser(self.folder, self.card, fold, device)

    def for_speaker(self, speaker: str, device: str = "cpu") -> TorchRecogniser:
        """The model that has not heard a speaker.

        Raises
        ------
        InputError
            If no fold holds the speaker out.
        """
        return self.recogniser(self.folds.fold_of(speaker), device)


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
    """The models shipped with serxai for this version of a corpus, if there are any.

    The planted corpus is rendered on the user's machine and equals ours within a tolerance, not bit by bit; its
    version says whether a bundled model fits, its digest cannot.
    """
    folder = BUNDLED / f"{model}-{corpus}"
    if not folder.is_dir():
        return None
    models = load_fold_models(folder)
    return models if models.card.corpus.version == version else None


def cache_folder() -> Path:
    """Where trained models are kept: ``models`` in ``SERXAI_CACHE``, else in the user's cache folder."""
    return cache_root() / "models"


def obtain_fold_models(
    model: str,
    corpus: Corpus,
    progress: Callable[[int, int], None] | None = None,
    *,
    emotions: Sequence[str] | None = None,
) -> FoldModels:
    """Bundled models, else cached ones, else train now and keep them.

    The cache's key holds everything the training depends on, so a changed corpus, setting or procedure is trained
    anew.

    Parameters
    ----------
    model : str
    corpus : Corpus
    progress : callable, optional
        Called with (done, total) while training.
    emotions : sequence of str, optional
        Classes; default: see `training.plan_training`.

    Raises
    ------
    UnknownNameError
        For an unknown model.
    InputError
        If the corpus cannot be trained on, or what is cached is damaged.
    """
    from .training import plan_training, train

    task = plan_training(model, corpus, emotions=emotions)
    return _find(task) or train(task, _cached(task), progress=progress)


def find_fold_models(model: str, corpus: Corpus, *, emotions: Sequence[str] | None = None) -> FoldModels | None:
    """What `obtain_fold_models` would return without training, or None.

    Raises
    ------
    UnknownNameError
        For an unknown model.
    InputError
        If the corpus cannot be trained on, or what is cached is damaged.
    """
    from .training import plan_training

    return _find(plan_training(model, corpus, emotions=emotions))


def _find(task: Task) -> FoldModels | None:
    bundled = find_bundled(task.name, task.corpus.name, task.corpus.record.version)
    if (
        bundled is not None
        and bundled.card.classes == task.classes
        and set(task.corpus.table["speaker"])
        <= {speaker for held_out in bundled.card.folds.values() for speaker in held_out}
    ):
        return bundled
    folder = _cached(task)
    if not (folder / CARD).is_file():
        return None
    try:
        return load_fold_models(folder)
    except InputError as error:
        raise InputError(f"{error} The folder is a cache: delete it, and the models are trained again.") from None


def _cached(task: Task) -> Path:
    return cache_folder() / f"{task.name}-{task.corpus.name}-{task.key}"
