"""The models of one training, one a fold: each speaker is explained by the model that has not heard them.

A foreign model, used as it comes, stands beside them with a single fold and says what it may have heard.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets.corpora import CORPORA, load_corpus
from ..datasets.corpus import cache_root
from ..datasets.folds import Folds
from ..errors import InputError
from .checkpoint import CARD, Card, load_card, load_recogniser
from .records import MODELS, model_kind

if TYPE_CHECKING:
    from ..datasets.corpus import Corpus
    from .recogniser import Recogniser
    from .training import Task

BUNDLED = Path(__file__).parent / "bundled"
ALL = "all"  # the one fold of a foreign model


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

    def recogniser(self, fold: str, device: str = "cpu") -> Recogniser:
        """The model that has not heard the fold's held-out speakers.

        Raises
        ------
        InputError
            For an unknown fold, or if its weights are missing or damaged.
        """
        return load_recogniser(self.folder, self.card, fold, device)

    def for_speaker(self, speaker: str, device: str = "cpu") -> Recogniser:
        """The model that has not heard a speaker.

        Raises
        ------
        InputError
            If no fold holds the speaker out.
        """
        return self.recogniser(self.folds.fold_of(speaker), device)

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
    """A recogniser that is used as it comes, for all speakers.

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
        What goes into a run's record.

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


def obtain_models(
    model: str,
    corpus: Callable[[], Corpus],
    *,
    checkpoint: Path | None = None,
    trust: bool = False,
    train: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Models | None:
    """The recognisers of a model, from wherever they come.

    Parameters
    ----------
    model : str
    corpus : callable
        Gives the corpus to train on; not called for what was trained elsewhere.
    checkpoint : path, optional
        Folder written by ``serxai train``, or the file or folder of a foreign model.
    trust : bool
        Whether code in a foreign checkpoint may run.
    train : bool
        Whether models may be trained now.
    progress : callable, optional
        Called with (done, total) while training.

    Returns
    -------
    FoldModels or ForeignModel
        None where they must be trained and `train` is false.

    Raises
    ------
    UnknownNameError
        For an unknown model.
    InputError
        If the checkpoint is not of this model, or for what `obtain_fold_models` raises.
    """
    if model_kind(model) == "foreign":
        return ForeignModel(model, checkpoint, trust)
    if checkpoint is not None:
        models = load_fold_models(checkpoint)
        if models.name != model:
            raise InputError(f"{checkpoint}: holds model {models.name!r}, not {model!r}; give --model {models.name}.")
        return models
    return obtain_fold_models(model, corpus(), progress) if train else find_fold_models(model, corpus())


def load_models(
    model: str,
    trained_on: str,
    *,
    data_root: str | Path | None = None,
    checkpoint: str | Path | None = None,
    trust: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Models:
    """The recognisers of a model; the corpus is loaded only if they are neither given, nor foreign, nor bundled.

    Parameters
    ----------
    model : str
    trained_on : str
        Corpus.
    data_root : path, optional
    checkpoint, trust
        See `obtain_models`.
    progress : callable, optional
        Called with (what, done, total).

    Raises
    ------
    UnknownNameError
        For an unknown model or corpus.
    InputError
        See `obtain_models`.
    """
    report = progress or (lambda what, done, total: None)
    record = CORPORA.get(trained_on)
    bundled = None
    if checkpoint is None and model_kind(model) != "foreign":
        bundled = find_bundled(model, record.name, record.version)
    found = bundled or obtain_models(
        model,
        lambda: load_corpus(trained_on, data_root, partial(report, f"rendering {trained_on}")),
        checkpoint=None if checkpoint is None else Path(checkpoint),
        trust=trust,
        progress=partial(report, f"training {model} on {trained_on}"),
    )
    assert found is not None  # trained where there was none
    return found


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
    named = re.sub(r"[^A-Za-z0-9_-]+", "_", f"{task.name}-{task.corpus.name}")  # a name may hold a path
    return cache_folder() / f"{named[:80]}-{task.key}"
