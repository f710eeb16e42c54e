"""Load recognisers by name: bundled, cached, trained on demand, or foreign."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets.corpora import CORPORA, load_corpus
from ..errors import InputError
from .backbone_settings import check_trained
from .bundled import REAL_SPEECH, bundled_heads
from .cache import cached
from .card import CARD, Card
from .factory import model_kind
from .foldmodels import FoldModels, ForeignModel, Models, find_bundled, load_fold_models
from .head_training import HeadSettings
from .records import MODELS
from .training import add_refit, plan_training, train
from .trust import NO_PERMISSION, Permission

if TYPE_CHECKING:
    from ..datasets.corpus import Corpus, CorpusRecord
    from .recogniser import Recogniser
    from .task import TrainingTask


def load_model(
    name: str,
    trained_on: str | None = None,
    fold: str | None = None,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    data_root: str | Path | None = None,
    trust: bool = False,
) -> Recogniser:
    """Load one recogniser.

    Parameters
    ----------
    name : str
        Name in `MODELS`.
    trained_on : str, optional
        Corpus; default EMODB, real speech. `cnn` trained on it or on the planted corpus is bundled, and a head for the
        encoder of Whisper tiny.en trained on it; others are taken from the user's cache, or trained now.
    fold : str, optional
        Which fold's model, or ``ensemble`` for the mean of all folds' log-odds; default ``refit``, the model of all
        speakers. To explain a clip of the training corpus take the fold that holds its speaker out
        (`FoldModels.fold_for`).
    checkpoint : path, optional
        Folder written by ``serxai train``, or file or folder of a foreign model; `trained_on` is then read from it.
    device : str
    data_root : path, optional
        Where the corpora lie, if the model must be trained.
    trust : bool
        Whether code in a foreign checkpoint may run.

    Raises
    ------
    UnknownNameError
        For an unknown model or corpus.
    InputError
        If the checkpoint is missing, damaged, or of another model; for an unknown fold.
    """
    permission = Permission.of([name], trust)
    models = load_models(name, trained_on, data_root=data_root, checkpoint=checkpoint, permission=permission)
    return models.recogniser(models.default_fold if fold is None else fold, device)


def obtain_models(
    model: str,
    corpus: Callable[[], Corpus],
    *,
    checkpoint: Path | None = None,
    permission: Permission = NO_PERMISSION,
    train: bool = True,
    ensemble: bool = False,
    progress: Callable[[int, int], None] | None = None,
    options: Mapping[str, Any] | None = None,
    announce: Callable[[TrainingTask], None] | None = None,
) -> Models | None:
    """Load, or train, the recognisers of a model.

    Parameters
    ----------
    model : str
    corpus : callable
        Gives the corpus to train on; not called for what was trained elsewhere.
    checkpoint : path, optional
        Folder written by ``serxai train``, or the file or folder of a foreign model.
    permission : Permission
        Models whose code may run.
    train : bool
        Whether models may be trained now.
    ensemble : bool
        Whether speakers that no fold holds out are explained by the mean of the folds' log-odds instead of the refit.
    progress : callable, optional
        Called with (done, total) while training.
    options : mapping, optional
        ``layer`` and ``pooling`` of a Hugging Face backbone that is trained, or that `checkpoint` was trained with.
    announce : callable, optional
        Called with the task before models are trained.

    Returns
    -------
    FoldModels or ForeignModel
        None where they must be trained and `train` is false.

    Raises
    ------
    UnknownNameError
        For an unknown model.
    InputError
        If the checkpoint is not of this model, or was trained with other options; if there are options and nothing is
        trained; or for what `obtain_fold_models` raises.
    """
    trained = checkpoint is not None and MODELS.get(model).kind == "hf" and (checkpoint / CARD).is_file()
    if not trained and model_kind(model) == "foreign":
        if ensemble:
            raise InputError(f"--ensemble averages fold models; model {model!r} has none. Leave it out.")
        if options:
            raise InputError(
                f'[models."{model}"] {", ".join(options)}: this checkpoint has a head of its own and is used as it '
                "comes; leave the settings out."
            )
        return ForeignModel(model, checkpoint, permission)
    models: FoldModels | None
    if checkpoint is not None:
        models = load_fold_models(checkpoint)
        if models.name != model:
            raise InputError(f"{checkpoint}: holds model {models.name!r}, not {model!r}; give --model {models.name}.")
        check_trained(model, models.trained_on, options or {}, models.card.front_end, checkpoint)
    else:
        find = partial(obtain_fold_models, progress=progress, announce=announce) if train else find_fold_models
        models = find(model, corpus(), options=options)
    if models is not None:
        models.averaged, models.permission = ensemble, permission
        if train:
            models.add_refit = partial(_add_refit, corpus, progress)
    return models


def _add_refit(corpus: Callable[[], Corpus], progress: Callable[[int, int], None] | None, models: FoldModels) -> Card:
    """Train the missing refit of a folder, on the corpus at hand or, where that is another one, on its own."""
    known = corpus()
    return add_refit(models, known if known.name == models.trained_on else load_corpus(models.trained_on), progress)


def load_models(
    model: str,
    trained_on: str | None,
    *,
    data_root: str | Path | None = None,
    checkpoint: str | Path | None = None,
    permission: Permission = NO_PERMISSION,
    ensemble: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Models:
    """Load, or train, the recognisers of a model by the name of the training corpus.

    The corpus is loaded only if the recognisers are neither given, nor foreign, nor bundled.

    Parameters
    ----------
    model : str
    trained_on : str or None
        Corpus; None: EMODB.
    data_root : path, optional
    checkpoint, permission, ensemble
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
    trained_on = REAL_SPEECH if trained_on is None else trained_on
    record = CORPORA.get(trained_on)
    bundled = None
    if checkpoint is None:
        bundled = find_shipped(model, record, permission, ensemble)
    models = bundled or obtain_models(
        model,
        lambda: load_corpus(trained_on, data_root, partial(report, f"rendering {trained_on}")),
        checkpoint=None if checkpoint is None else Path(checkpoint),
        permission=permission,
        ensemble=ensemble,
        progress=partial(report, f"training {model} on {trained_on}"),
    )
    assert models is not None  # trained where there was none
    return models


def find_shipped(
    model: str, corpus: CorpusRecord, permission: Permission = NO_PERMISSION, ensemble: bool = False
) -> FoldModels | None:
    """Models shipped with serxai for a corpus, whether it is on this disk or not; None where there are none.

    Parameters
    ----------
    model : str
    corpus : CorpusRecord
        Of training.
    permission, ensemble
        See `obtain_models`.
    """
    if model_kind(model) == "foreign":
        return None
    found = find_bundled(model, corpus.name, corpus.version) or _find_bundled_head(model, corpus, permission)
    if found is not None:
        found.averaged, found.permission = ensemble, permission
    return found


def _find_bundled_head(model: str, corpus: CorpusRecord, permission: Permission) -> FoldModels | None:
    """Shipped head for a Hugging Face encoder, wherever it lies; None where there is none for these weights."""
    heads = bundled_heads(corpus.name, corpus.version) if MODELS.get(model).kind == "hf" else {}
    if not heads:
        return None
    from .hf import Backbone

    return _head_of(model, heads, Backbone(MODELS.get(model).argument, permission.trust).identity)


def _head_of(model: str, heads: Mapping[Path, Card], identity: str) -> FoldModels | None:
    """The head, of several, that belongs to an encoder; under the path that the encoder has here."""
    path = MODELS.get(model).argument
    for folder, card in heads.items():
        if card.encoder == identity:
            front_end = card.front_end | {"path": path}
            return FoldModels(folder, card.model_copy(update={"recogniser": model, "front_end": front_end}))
    return None


def _bundled_head_of(task: TrainingTask) -> FoldModels | None:
    """Shipped head that a task would train: of the same encoder, hidden state and pooling."""
    if MODELS.get(task.name).kind != "hf" or task.values is not None or task.settings != HeadSettings(None):
        return None
    heads = bundled_heads(task.corpus.name, task.corpus.record.version)
    if not heads or task.extractor is None:
        return None
    models = _head_of(task.name, heads, str(getattr(task.extractor, "identity", "")))
    alike = models is not None and models.card.front_end == task.extractor.params and models.folds == task.folds
    return models if alike else None


def obtain_fold_models(
    model: str,
    corpus: Corpus,
    progress: Callable[[int, int], None] | None = None,
    *,
    emotions: Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
    announce: Callable[[TrainingTask], None] | None = None,
) -> FoldModels:
    """Load bundled or cached fold models, else train and cache them.

    The cache key covers everything the training depends on: a changed corpus, setting or procedure is retrained.

    Parameters
    ----------
    model : str
    corpus : Corpus
    progress : callable, optional
        Called with (done, total) while training.
    emotions : sequence of str, optional
        Classes; default: see `models.training.plan_training`.
    options : mapping, optional
        Of a Hugging Face backbone; see `models.training.plan_training`.
    announce : callable, optional
        Called with the task before it is trained.

    Raises
    ------
    UnknownNameError
        For an unknown model.
    InputError
        If the corpus cannot be trained on, or what is cached is damaged.
    """
    task = plan_training(model, corpus, emotions=emotions, options=options)
    found = _find(task)
    if found is not None:
        return found
    if announce is not None:
        announce(task)
    return train(task, cached(task), progress=progress)


def find_fold_models(
    model: str, corpus: Corpus, *, emotions: Sequence[str] | None = None, options: Mapping[str, Any] | None = None
) -> FoldModels | None:
    """Load bundled or cached fold models; None where they must be trained.

    Raises
    ------
    UnknownNameError
        For an unknown model.
    InputError
        If the corpus cannot be trained on, or what is cached is damaged.
    """
    return _find(plan_training(model, corpus, emotions=emotions, options=options))


def _find(task: TrainingTask) -> FoldModels | None:
    bundled = find_bundled(task.name, task.corpus.name, task.corpus.record.version) or _bundled_head_of(task)
    if (
        bundled is not None
        and bundled.card.classes == task.classes
        # the planted corpus is rendered on each machine; of a published one, the user's copy may be another
        and (task.corpus.record.twinned or task.corpus.digest == bundled.card.corpus.digest)
        and set(task.corpus.table["speaker"])
        <= {speaker for held_out in bundled.card.folds.values() for speaker in held_out}
    ):
        return bundled
    folder = cached(task)
    if not (folder / CARD).is_file():
        return None
    try:
        return load_fold_models(folder)
    except InputError as error:
        raise InputError(f"{error} The folder is a cache: delete it, and the models are trained again.") from None
