"""Corpora and recognisers kept open by one process."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial

from ...datasets.corpora import CORPORA, layout_of, load_corpus
from ...datasets.corpus import Corpus
from ...errors import InputError, TableWarning, TrainingWarning
from ...models.backbone_settings import BackboneSettings
from ...models.foldmodels import GivenRecogniser, Models
from ...models.obtain import find_shipped, obtain_models
from ...models.recogniser import Recogniser
from ...models.records import MODELS
from ...models.task import TrainingTask
from ...models.training_cost import training_notice
from ...models.untrained import UntrainedModels
from ...progress import Progress, no_progress
from ..storage.map_folder import MapFolder, read_map_folder
from .execution import GB, Execution, default_workers


class Workbench:
    """Corpora, trained models and recognisers, each loaded at its first use.

    Parameters
    ----------
    execution : Execution, optional
    progress : Progress, optional
    train : bool
        Whether models that have not been trained on a corpus yet are trained.
    ensemble : bool
        Whether the mean of the fold models takes the place of the refit; see `models.obtain.obtain_models`.
    stand_in : bool
        Whether an untrained network, or head, stands in for a model that has not been trained and must not be.
    quiet : bool
        Whether remarks on tables are left out, as in a worker, whose parent has loaded the same ones.
    settings : mapping of str to BackboneSettings, optional
        Settings of recognisers by name (`RunConfig.model_settings`).

    Attributes
    ----------
    corpora : dict of str to Corpus
        Those loaded, by name.
    """

    def __init__(
        self,
        execution: Execution | None = None,
        progress: Progress | None = None,
        train: bool = True,
        ensemble: bool = False,
        quiet: bool = False,
        stand_in: bool = False,
        settings: Mapping[str, BackboneSettings] | None = None,
    ) -> None:
        self.execution = execution or Execution()
        self.corpora: dict[str, Corpus] = {}
        self._progress = progress or no_progress
        self._train = train
        self._ensemble = ensemble
        self._quiet = quiet
        self._stand_in = stand_in
        self._settings = settings or {}
        self._models: dict[tuple[str, str], Models] = {}
        self._maps: MapFolder | None = None
        self._recogniser: tuple[tuple[str, str, str], Recogniser] | None = None

    def corpus(self, name: str) -> Corpus:
        """The corpus of this name, rendered first where it is a planted one."""
        if name not in self.corpora:
            rendering = partial(self._progress, f"rendering {name}")
            with warnings.catch_warnings():
                if self._quiet:
                    warnings.simplefilter("ignore", TableWarning)
                self.corpora[name] = load_corpus(name, self.execution.data_root, rendering)
        return self.corpora[name]

    def maps(self, corpus: str, model: str) -> MapFolder:
        """The maps of one corpus and model that were made elsewhere.

        Raises
        ------
        InputError
            If no folder was given, or it holds none of them.
        """
        if self.execution.maps is None:
            raise InputError(
                "maps: methods named maps:NAME are read from a folder, which only the command's own line names; give "
                "it: serxai score FOLDER --out RUN --resume."
            )
        if self._maps is None:
            self._maps = read_map_folder(self.execution.maps)
        return self._maps.of(corpus, model)

    def models(self, model: str, trained_on: str) -> Models:
        """The recognisers of a model, trained where there are none.

        Raises
        ------
        InputError
            If there are none, `train` is False, and nothing stands in.
        """
        key = (model, trained_on)
        if model in self.execution.recognisers:
            return GivenRecogniser(self.execution.recognisers[model], model)
        settings = self._settings.get(model)
        if key not in self._models:
            models: Models | None = self._shipped(model, trained_on)
            models = models or obtain_models(
                model,
                partial(self.corpus, trained_on),
                checkpoint=self.execution.checkpoints.get(model),
                permission=self.execution.permission,
                train=self._train,
                ensemble=self._ensemble,
                progress=partial(self._progress, f"training {model} on {trained_on}"),
                options=settings.given if settings else None,
                announce=None if self._quiet else self._announce,
            )
            if models is None and self._stand_in and MODELS.get(model).kind != "hf":
                models = UntrainedModels(model, self.corpus(trained_on))
            if models is None:
                raise InputError(
                    f"{model} has not been trained on {trained_on} yet: run without --dry-run, or train it with "
                    f"`serxai train {model} --corpus {trained_on}` and the same data, which takes minutes."
                )
            self._models[key] = models
        return self._models[key]

    def _announce(self, task: TrainingTask) -> None:
        """Warn of a training before it begins."""
        warnings.warn(training_notice(task, default_workers()), TrainingWarning, stacklevel=2)

    def _shipped(self, model: str, trained_on: str) -> Models | None:
        """Shipped models of a published corpus that is not on this disk; None where it is, or there are none."""
        if trained_on not in CORPORA:  # white boxes and custom models name none
            return None
        record = CORPORA.get(trained_on)
        here = record.root(self.execution.data_root).is_dir() or layout_of(record) is None
        if here or model in self.execution.checkpoints:
            return None
        return find_shipped(model, record, self.execution.permission, self._ensemble)

    def recogniser(self, model: str, trained_on: str, fold: str) -> Recogniser:
        """A fold's model; only the last one is kept, since tasks of one fold are computed together."""
        key = (model, trained_on, fold)
        if self._recogniser is None or self._recogniser[0] != key:
            recogniser = self.models(model, trained_on).recogniser(fold, self.execution.device)
            if self.execution.batch_memory is not None:
                recogniser.memory = self.execution.batch_memory * GB
            self._recogniser = key, recogniser
        return self._recogniser[1]
