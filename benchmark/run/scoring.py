"""Scoring of one shard: explain its clips, score the explanations, and give every clip and cell a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from ...datasets.corpus import Corpus
from ...errors import ClipError, NotApplicable
from ...methods.attribution import Attribution
from ...methods.explainer import SharedWork
from ...metrics.case import Explained
from ...metrics.records import METRICS
from ...models.recogniser import Recogniser
from ..storage.map_folder import MapFolder
from ..storage.scratch import Scratch
from ..storage.store import Explanation, Store
from .again import Reexplainer, request_for, shared_calls
from .backend import Backend, ComputeBackend
from .clip_conditions import OF_CLIP, ClipPredictions, ConditionedClips, Memo
from .config import RunConfig
from .external import refuse_copies, refuse_what_needs_another, taken_from
from .fine_tuned import Copies
from .identity import Keys, target_rule
from .method_spec import MethodSpec
from .plan import Shard
from .rows import RowBuilder, failure_reason


class ShardScorer:
    """Explains and scores the clips of one shard with one recogniser.

    Every result is looked up by its key first, in memory or in the store: an explanation is computed once and read by
    all metrics, and a companion (a clean, repeated or other clip's explanation) is an explanation like any other. For
    rows found in the store the explanations are collected as well, so that a shard's file holds all that its rows read.

    Parameters
    ----------
    config : RunConfig
    specs : mapping of str to MethodSpec
        Methods of the run, see `resolve_methods`.
    shard : Shard
    corpus : Corpus
    recogniser : Recogniser
        The fold model of the shard.
    seen_in_training : mapping of str to {'no', 'yes', 'unknown'}
        By clip of the shard.
    store : Store
        Where earlier results are looked up; nothing is written here.
    device : str
    backend : Backend, optional
        Default: computes every step.
    scratch : Scratch, optional
        Where arrays that no recogniser moves are kept for the run's other recognisers.
    maps : MapFolder, optional
        Maps that were made elsewhere, for methods ``maps:NAME``.

    Attributes
    ----------
    explanations : dict of str to Explanation
        Of the shard's clips, by key.
    timing : dict
        Seconds by clip, explanation and score; model calls and seconds in the recogniser.
    """

    def __init__(
        self,
        config: RunConfig,
        specs: Mapping[str, MethodSpec],
        shard: Shard,
        corpus: Corpus,
        recogniser: Recogniser,
        seen_in_training: Mapping[str, str],
        store: Store,
        device: str = "cpu",
        backend: Backend | None = None,
        scratch: Scratch | None = None,
        maps: MapFolder | None = None,
    ) -> None:
        self.scratch = scratch
        self.config = config
        self.specs = specs
        self.shard = shard
        self.recogniser = recogniser
        self.store = store
        self.backend = backend or ComputeBackend()
        self._memo = Memo()
        self.clips = ConditionedClips(config, corpus, self._memo, self.backend, shard.training)
        self.keys = Keys(config, specs, corpus, recogniser, self.clips, maps)
        self.copies = (
            Copies(recogniser, self.clips.training, lambda clip: self.clips.clip(clip, "clean"))
            if shard.training
            else None
        )
        self.cases = ClipPredictions(
            self.clips, recogniser, self.keys, store, self._memo, self.backend, device, self.copies
        )
        self.rows = RowBuilder(config, specs, shard, corpus, recogniser.fingerprint, seen_in_training)
        self.reexplainer = Reexplainer(specs, recogniser, self.backend, self._memo)
        self.explanations: dict[str, Explanation] = {}
        self.timing: dict[str, Any] = {"clips": {}, "explanations": {}, "scores": {}}

    @property
    def predictions(self) -> dict[str, np.ndarray]:
        """Log-odds of the shard's clips, by key."""
        return {key: log_odds for key, (clip, log_odds) in self.cases.by_key.items() if clip in self.shard.clips}

    def run(self, done: Callable[[str], None] = lambda clip: None) -> list[dict[str, Any]]:
        """Score rows of all clips, in the order of clips and cells.

        Parameters
        ----------
        done : callable
            Called with each clip's id when it is finished.
        """
        rows = []
        calls, seconds = self.recogniser.calls, self.recogniser.seconds
        for clip_id, partner in zip(self.shard.clips, self.shard.partners, strict=True):
            start = time.perf_counter()
            rows += self._score_clip(clip_id, partner)
            self.timing["clips"][clip_id] = time.perf_counter() - start
            self._memo.end_clip()
            done(clip_id)
        if self.copies is not None and self.copies.made:
            self.timing["fine_tuning"] = self.copies.costs
        self.timing["model_calls"] = self.recogniser.calls - calls
        self.timing["recogniser_seconds"] = self.recogniser.seconds - seconds
        return rows

    def fail(self, reason: str) -> list[dict[str, Any]]:
        """Score rows of a shard that could not be computed: all failed for one reason."""
        self.timing |= {
            "clips": dict.fromkeys(self.shard.clips, 0.0), "model_calls": 0, "recogniser_seconds": 0.0
        }  # fmt: skip
        return [row for clip_id in self.shard.clips for row in self.rows.failed(clip_id, reason)]

    def _score_clip(self, clip_id: str, partner: str) -> list[dict[str, Any]]:
        rows = list(self.rows.of_clip(clip_id))
        for row in rows:
            try:
                self._score_row(row, partner)
            except NotApplicable as signal:
                row |= {"status": "skipped", "reason": str(signal)}
            except Exception as error:
                row |= {"status": "failed", "reason": failure_reason(error)}
            if not row["key"]:
                row["key"] = self.rows.unscored_key(row)
        for row in rows:
            if row["target"] and row["status"] != "failed" and row["key"] not in self.timing["scores"]:
                with suppress(Exception):  # not applicable again, or lost for good: the score stays
                    self._gather(row)
        return rows

    def _gather(self, row: Mapping[str, Any]) -> None:
        """Read the explanations of the row's clip again, so that the shard's file holds all that its rows read."""
        companions, against = METRICS.get(row["metric"]).companions, self._against(row["fill"])
        wanted = [(row["condition"], row["repeat"])]
        if "clean" in companions:
            wanted.append(("clean", row["repeat"]))
        if "repeat" in companions:
            stochastic = self.specs[row["method"]].scored_with(against).stochastic
            wanted.append(("clean", row["repeat"] + 1 if stochastic else 0))
        for condition, repeat in wanted:
            self._explanation(row["clip"], condition, row["method"], row["target"], repeat, against)

    def _score_row(self, row: dict[str, Any], partner: str) -> None:
        """Fill in prediction, target, key and score of a row."""
        clip_id, condition, fill = row["clip"], row["condition"], row["fill"]
        if fill and self.shard.barred:
            raise NotApplicable(self.shard.barred)
        prediction = self.cases.predicted(clip_id, condition)
        row["predicted"] = prediction
        row["correct"] = prediction == row["emotion"] if row["emotion"] and prediction else None
        row["target"] = target = self.cases.target(clip_id, row["target_rule"])
        key = self.keys.score(
            clip_id, partner, target, condition, row["method"], row["metric"], fill, row["repeat"], self._against(fill)
        )  # fmt: skip
        row["key"] = key
        stored = self.store.row(key)
        if stored is not None:
            row |= stored
            return
        row["strength"] = self.clips.clip(clip_id, condition).strength
        start = time.perf_counter()
        case = self.cases.case(clip_id, condition, target)
        explained = self._explained(row, partner)
        outcome = self.backend.score(row["metric"], case.with_fill(fill) if fill else case, explained)
        if not np.isfinite(outcome.value):
            raise ClipError(f"metric {row['metric']!r} returned {outcome.value}")
        self.timing["scores"][key] = time.perf_counter() - start
        row |= {"value": float(outcome.value), "status": "ok", "model_calls": int(outcome.model_calls)}

    def _against(self, fill: str) -> str:
        """The fill whose explanations a score reads: its own, or the first one where it has none."""
        return fill or self.shard.fills[0]

    def _explained(self, row: Mapping[str, Any], partner: str) -> Explained:
        """The explanation that a row scores, with the companions that its metric reads."""
        clip_id, condition, method, target = row["clip"], row["condition"], row["method"], row["target"]
        repeat, record, against = row["repeat"], METRICS.get(row["metric"]), self._against(row["fill"])
        companions: dict[str, Any] = {}
        refuse_what_needs_another(self.specs[method], record)
        if "clean" in record.companions:
            companions["clean"] = self._explanation(clip_id, "clean", method, target, repeat, against)
        if "repeat" in record.companions:
            other_seed = repeat + 1 if self.specs[method].scored_with(against).stochastic else 0
            companions["repeat"] = self._explanation(clip_id, "clean", method, target, other_seed, against)
        if "other" in record.companions:
            if not partner and not row["emotion"]:
                raise NotApplicable("needs a label: compares with a clip of the same emotion, and this clip has none")
            if not partner:
                raise NotApplicable("no clip of the same emotion by another speaker to compare with")
            its_target = self.cases.target(partner, target_rule(self.config, record))
            companions["other"] = self._explanation(partner, "clean", method, its_target, repeat, against)
            companions["other_duration_s"] = self.clips.clip(partner, "clean").duration_s
        scored = self._explanation(clip_id, condition, method, target, repeat, against)
        if self.specs[method].external and "clean" in companions:
            refuse_copies(scored, companions["clean"])
        if record.explains:
            companions |= self._again(clip_id, condition, method, target, repeat, against)
        return Explained(scored, draw=repeat, **companions)

    def _explanation(
        self, clip_id: str, condition: str, method: str, target: str, repeat: int, against: str
    ) -> Attribution:
        spec = self.specs[method].scored_with(against)

        def make() -> Attribution:
            key = self.keys.explanation(clip_id, condition, method, target, repeat, against)
            stored = self.store.explanation(key)
            if stored is not None:
                attribution, heard = stored.attribution, (stored.duration_s, stored.time_map)
            elif spec.external:
                clip = self.clips.clip(clip_id, condition)
                heard = (clip.duration_s, clip.time_map)
                attribution = taken_from(
                    self.keys, clip_id, condition, method, target, repeat, against, clip.duration_s
                )
                self.timing["explanations"][key] = 0.0
            else:
                base = None
                if spec.base:
                    base = self._explanation(clip_id, condition, spec.base.name, target, repeat, against)
                seed = self.keys.explanation_seed(clip_id, method, condition, repeat)
                clip = self.clips.clip(clip_id, condition)
                shared = self._shared_work(clip_id, condition)
                start = time.perf_counter()
                request = request_for(spec, self.recogniser, clip, target, seed, base=base, shared=shared)
                attribution = self.backend.attribute(spec.explainer(), request)
                if base:  # an explanation from a base costs what the base cost as well
                    attribution = replace(attribution, model_calls=attribution.model_calls + base.model_calls)
                self.timing["explanations"][key] = time.perf_counter() - start
                heard = (clip.duration_s, clip.time_map)
            if clip_id in self.shard.clips:
                first = spec is self.specs[method].scored_with(self.shard.fills[0])
                where = (self.clips.corpus.name, self.shard.model, clip_id, condition, repeat)
                self.explanations[key] = Explanation(attribution, *where, spec.against, first, *heard)
            return attribution

        made_for = against if self.specs[method].by_fill else ""
        return self._memo.once(("explanation", clip_id, condition, method, target, repeat, made_for), make)

    def _shared_work(self, clip_id: str, condition: str) -> SharedWork:
        """Cache of the explanations of a clip."""
        keep = self.scratch.once if self.scratch else None
        return self._memo.once((OF_CLIP, "shared work", clip_id, condition), lambda: SharedWork(keep))

    def _again(
        self, clip_id: str, condition: str, method: str, target: str, repeat: int, against: str
    ) -> dict[str, Any]:
        """Fields of `Explained` for metrics that explain again."""
        spec = self.specs[method].scored_with(against)
        clip, seed = self.clips.clip(clip_id, condition), self.keys.explanation_seed(clip_id, method, condition, repeat)
        shared = self._shared_work(clip_id, condition)
        return {
            "explain": self.reexplainer.of(spec, clip, target, seed, shared),
            "budget": self.config.reexplain_calls,
        } | shared_calls(spec, request_for(spec, self.recogniser, clip, target, seed, shared=shared))
