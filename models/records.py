"""The recognisers by name. Listing them imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..registry import Record, Registry

if TYPE_CHECKING:
    from .recogniser import Recogniser


@dataclass(frozen=True, kw_only=True)
class ModelRecord(Record):
    """A kind of recogniser.

    Its target is a network class on log-mel features: ``Network(n_classes, width, dropout)`` with an attribute
    ``params`` that holds these three.

    Attributes
    ----------
    differentiable : bool
        Whether gradient and relevance methods apply.
    needs : str
        Extra that must be installed (``pip install 'serxai[NAME]'``); empty for none.
    """

    differentiable: bool
    needs: str = ""


MODELS: Registry[ModelRecord] = Registry(
    "model",
    ModelRecord,
    [
        ModelRecord(
            name="cnn",
            target=".models.cnn:ResidualCNN",
            summary="residual CNN on log-mel spectrograms (the Beyond Saliency network)",
            version="1",
            licence="MIT",
            citation="Nasr, Ren, Johnson (2025), Beyond saliency, arXiv 2511.11691; network from its description",
            differentiable=True,
        ),
    ],
)


def load_model(
    name: str,
    trained_on: str = "planted",
    fold: str | None = None,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    data_root: str | Path | None = None,
) -> Recogniser:
    """One trained recogniser.

    Parameters
    ----------
    name : str
        Name in `MODELS`.
    trained_on : str
        Corpus. Models of the planted corpus are bundled; others are taken from the user's cache, or trained now.
    fold : str, optional
        Which fold's model; default the first. To explain a clip of the training corpus take the fold that holds its
        speaker out (`FoldModels.for_speaker`).
    checkpoint : path, optional
        Folder written by ``serxai train``; `trained_on` is then read from it.
    device : str
    data_root : path, optional
        Where the corpora lie, if the model must be trained.

    Raises
    ------
    UnknownNameError
        For an unknown model or corpus.
    InputError
        If the checkpoint is missing, damaged, or of another model; for an unknown fold.
    """
    from ..datasets.corpora import CORPORA, load_corpus
    from .foldmodels import find_bundled, load_fold_models, obtain_fold_models

    record = MODELS.get(name)
    if checkpoint is not None:
        models = load_fold_models(checkpoint)
        if models.name != record.name:
            raise InputError(f"{checkpoint}: holds model {models.name!r}, not {name!r}; ask for {models.name!r}.")
    else:
        corpus = CORPORA.get(trained_on)
        models = find_bundled(name, corpus.name, corpus.version) or obtain_fold_models(
            name, load_corpus(trained_on, data_root)
        )
    return models.recogniser(fold if fold is not None else next(iter(models.folds.speakers)), device)
