"""Corpora and recognisers kept open by one process, and the scoring of shards with them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch

from ...datasets.corpora import load_corpus
from ...datasets.corpus import Corpus
from ...errors import ClipError, SerxaiError
from ...keys import digest
from ...metrics.case import Case, Explained, Outcome
from ...models.foldmodels import Models
from ...models.obtain import obtain_models
from ...models.recogniser import Recogniser
from ..storage.files import writing
from ..storage.store import Store
from .config import RunConfig
from .execution import GB, Execution
from .plan import Shard, clip_identity
from .processes import keep_heap, resident_bytes
from .scoring import ShardScorer

S = TypeVar("S", bound=ShardScorer)


class Workbench:
    """What a process keeps between shards: corpora, fold models and recognisers, each loaded once."""

    def __init__(self, config: RunConfig, execution: Execution, path: Path) -> None:
        torch.set_num_threads(1)  # small networks are slower with more, and scores must not depend on it
        keep_heap()
        self.config = config
        self.execution = execution
        self.store = Store(path)
        self._corpora: dict[str, Corpus] = {}
        self._models: dict[tuple[str, str], Models] = {}
        self._recogniser: tuple[tuple[str, str, str], Recogniser] | None = None

    def corpus(self, name: str) -> Corpus:
        """Load a corpus once."""
        if name not in self._corpora:
            self._corpora[name] = load_corpus(name, self.execution.data_root)
        return self._corpora[name]

    def recogniser(self, model: str, trained_on: str, fold: str) -> Recogniser:
        """The fold model; only the last one is kept, since shards of one fold come together."""
        key = (model, trained_on, fold)
        if self._recogniser is None or self._recogniser[0] != key:
            self._recogniser = key, self.models(model, trained_on).recogniser(fold, self.execution.device)
            if self.execution.batch_memory is not None:
                self._recogniser[1].memory = self.execution.batch_memory * GB
        return self._recogniser[1]

    def models(self, model: str, trained_on: str) -> Models:
        """The recognisers of a model, obtained once."""
        key = (model, trained_on)
        if key not in self._models:
            found = obtain_models(
                model,
                lambda: self.corpus(trained_on),
                checkpoint=self.execution.checkpoints.get(model),
                trust=self.execution.trust,
            )
            assert found is not None  # trained where there was none
            self._models[key] = found
        return self._models[key]

    def identity(self, shard: Shard) -> tuple[str, str]:
        """Digests of the clips and of the recogniser that this process has for a shard."""
        corpus = self.corpus(shard.corpus)
        clips = digest(
            [clip_identity(corpus, clip) for clip in (*shard.clips, *filter(None, shard.partners), *shard.mixed)]
        )
        return clips, self.recogniser(shard.model, shard.trained_on, shard.fold).fingerprint

    def compute(
        self,
        shard: Shard,
        done: Callable[[str], None] = lambda clip: None,
        attempt: int = 1,
        into: Store | None = None,
    ) -> None:
        """Score one shard and write it, by default where earlier results are looked up.

        Raises
        ------
        InputError
            If the results cannot be written, or corpus or model cannot be had here. Any other error becomes failed
            rows.
        """
        scorer = self._scorer(KeepingScorer, shard)
        try:
            rows = scorer.run(done)
        except SerxaiError:
            raise
        except Exception as error:
            self.give_up(shard, f"{type(error).__name__}: {error}", attempt, into)
            return
        facts = {"attempts": attempt, "process": os.getpid(), "peak_bytes": resident_bytes()[1]}
        into = into or self.store
        with writing(into.path):
            into.write_shard(shard.key, rows, scorer.explanations, scorer.predictions, scorer.timing | facts)

    def give_up(self, shard: Shard, reason: str, attempt: int, into: Store | None = None) -> None:
        """Write a shard whose rows all failed for one reason, unless an earlier run left rows of it."""
        into = into or self.store
        if self.store.has_shard(shard.key):
            return
        scorer = self._scorer(LostShard, shard)
        scorer.reason = reason
        rows = scorer.run()
        with writing(into.path):
            into.write_shard(shard.key, rows, {}, {}, scorer.timing | {"attempts": attempt})

    def _scorer(self, kind: type[S], shard: Shard) -> S:
        return kind(
            self.config,
            shard,
            self.corpus(shard.corpus),
            self.recogniser(shard.model, shard.trained_on, shard.fold),
            seen_in_training=self.models(shard.model, shard.trained_on).seen_in_training(shard.corpus),
            store=self.store,
            device=self.execution.device,
        )


class KeepingScorer(ShardScorer):
    """Also gathers the explanations of rows found in the store, so that a shard's file holds all that its rows read.

    What an earlier plan or a damaged file left is read again; only what cannot be read is explained again.
    """

    gathering = False

    def _score_clip(self, clip_id: str, partner: str) -> list[dict[str, Any]]:
        rows = super()._score_clip(clip_id, partner)
        self.gathering = True
        for row in rows:
            if row["status"] != "failed" and row["key"] not in self.timing["scores"]:
                cell = (row[name] for name in ("target", "condition", "method", "metric", "fill", "repeat"))
                with suppress(Exception):  # not applicable again, or lost for good: the score stays
                    self._score(clip_id, partner, *cell)
        self.gathering = False
        return rows

    def _outcome(self, metric: str, case: Case, explained: Explained) -> Outcome:
        return Outcome(0.0) if self.gathering else super()._outcome(metric, case, explained)


class LostShard(ShardScorer):
    """A shard that could not be computed: every row fails, for `reason`."""

    reason: str

    def _predicted(self, clip_id: str, condition: str) -> str:
        raise ClipError(self.reason)


def on_cpu(execution: Execution) -> Execution:
    """As `execution`, without an accelerator."""
    return Execution(data_root=execution.data_root)
