"""Computing shards in one process: score them, and write their files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ...errors import SerxaiError
from ...keys import digest
from ..storage.files import writing
from ..storage.scratch import Scratch
from ..storage.store import Store
from .config import RunConfig
from .execution import Execution
from .identity import clip_identity
from .method_spec import resolve_methods
from .plan import Shard
from .processes import resident_bytes, use_one_thread
from .scoring import ShardScorer
from .workbench import Workbench


class ShardWorker:
    """Computes shards of one run, keeping corpora and recognisers between them.

    Parameters
    ----------
    config : RunConfig
    path : Path
        The run's folder: where earlier results are looked up, and new ones written.
    execution : Execution
    """

    def __init__(self, config: RunConfig, path: Path, execution: Execution) -> None:
        use_one_thread()
        self.config = config
        self.specs = resolve_methods(config)
        self._external = any(spec.external for spec in self.specs.values())
        self.store = Store(path)
        self.bench = Workbench(execution, ensemble=config.ensemble, quiet=True, settings=config.model_settings)
        self.scratch = Scratch(path) if len(config.models) > 1 else None

    def identity(self, shard: Shard) -> tuple[str, str]:
        """Digests of the clips and of the recogniser that this process has for a shard."""
        corpus = self.bench.corpus(shard.corpus)
        clips = digest(
            [
                clip_identity(corpus, clip)
                for clip in (*shard.clips, *filter(None, shard.partners), *shard.mixed, *shard.training)
            ]
        )
        return clips, self.bench.recogniser(shard.model, shard.trained_on, shard.fold).fingerprint

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
        scorer = self._scorer(shard)
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
        scorer = self._scorer(shard)
        rows = scorer.fail(reason)
        with writing(into.path):
            into.write_shard(shard.key, rows, {}, {}, scorer.timing | {"attempts": attempt})

    def _scorer(self, shard: Shard) -> ShardScorer:
        bench = self.bench
        return ShardScorer(
            self.config,
            self.specs,
            shard,
            bench.corpus(shard.corpus),
            bench.recogniser(shard.model, shard.trained_on, shard.fold),
            seen_in_training=bench.models(shard.model, shard.trained_on).seen_in_training(
                bench.corpus(shard.corpus), shard.clips, shard.fold
            ),
            store=self.store,
            device=bench.execution.device,
            scratch=self.scratch,
            maps=bench.maps(shard.corpus, shard.model) if self._external else None,
        )
