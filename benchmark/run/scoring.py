"""One shard of work: explain its clips, score the explanations, one row for every clip and cell, come what may."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import numpy as np

from ...audio import SAMPLE_RATE
from ...datasets.clip import Clip
from ...datasets.corpus import Corpus
from ...datasets.shifts.conditions import CONDITIONS, Talkers, apply_condition
from ...errors import ClipError, InputError, NotApplicable
from ...keys import digest
from ...methods.attribution import Attribution
from ...methods.explainer import Explainer, Request, SharedWork
from ...methods.records import METHODS
from ...metrics.case import Case, Explain, Explained, Outcome
from ...metrics.records import METRICS, MetricRecord, make_metric
from ...models.recogniser import Recogniser
from ..storage.store import Explanation, Store
from .config import RUNNER_UP, RunConfig
from .plan import Shard, clip_identity, method_identity, rows_of

GRID = "16 mel bands x 80 ms"  # the scoring grid, part of every score's key


class ShardScorer:
    """Explains and scores the clips of one shard with one recogniser.

    Everything computed is found again by its key, in memory or in the store: an explanation is made once and read by
    all metrics, and a companion (a clean, repeated or other clip's explanation) is an explanation like any other.

    Parameters
    ----------
    config : RunConfig
    shard : Shard
    corpus : Corpus
    recogniser : Recogniser
        The fold model of the shard.
    seen_in_training : {'no', 'yes', 'unknown'}
    store : Store
        Where earlier results are looked up; nothing is written here.
    device : str
    """

    def __init__(
        self,
        config: RunConfig,
        shard: Shard,
        corpus: Corpus,
        recogniser: Recogniser,
        seen_in_training: str,
        store: Store,
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.shard = shard
        self.corpus = corpus
        self.recogniser = recogniser
        self.seen = seen_in_training
        self.store = store
        self.device = device
        self.explanations: dict[str, Explanation] = {}
        self.predictions: dict[str, np.ndarray] = {}
        self._memo: dict[tuple, Any] = {}
        self.timing: dict[str, Any] = {"clips": {}, "explanations": {}, "scores": {}}

    def run(self, done: Callable[[str], None] = lambda clip: None) -> list[dict[str, Any]]:
        """Score rows of all clips, in the order of clips and cells.

        Parameters
        ----------
        done : callable
            Told each clip's id as it is finished.
        """
        rows = []
        began, inside = self.recogniser.calls, self.recogniser.seconds
        for clip_id, partner in zip(self.shard.clips, self.shard.partners, strict=True):
            start = time.perf_counter()
            rows += self._score_clip(clip_id, partner)
            self.timing["clips"][clip_id] = time.perf_counter() - start
            # what is kept of this clip is only what a later clip can ask for
            self._memo = {key: value for key, value in self._memo.items() if key[0] != "case"}
            done(clip_id)
        self.timing["model_calls"] = self.recogniser.calls - began
        self.timing["recogniser_seconds"] = self.recogniser.seconds - inside
        return rows

    # -- one clip ----------------------------------------------------------------------------------------------------

    def _score_clip(self, clip_id: str, partner: str) -> list[dict[str, Any]]:
        facts = self._facts(clip_id)
        rows = []
        for condition, method, metric, fill, repeat in rows_of(self.config, self.corpus.name):
            row = facts | self._cell_facts(condition, method, metric, fill) | {"repeat": repeat}
            try:
                prediction = self._predicted(clip_id, condition)
                row["predicted"] = prediction
                row["correct"] = prediction == row["emotion"] if row["emotion"] else None
                row["target"] = target = self._target(clip_id, row["target_rule"])
                row["key"] = self._score_key(clip_id, partner, target, condition, method, metric, fill, repeat)
                earlier = self.store.row(row["key"])
                if earlier is not None:
                    row |= earlier
                else:
                    row["strength"] = self._clip(clip_id, condition).strength
                    start = time.perf_counter()
                    value, calls = self._score(clip_id, partner, target, condition, method, metric, fill, repeat)
                    self.timing["scores"][row["key"]] = time.perf_counter() - start
                    row |= {"value": value, "status": "ok", "model_calls": calls}
            except NotApplicable as signal:
                row |= {"status": "skipped", "reason": str(signal)}
            except Exception as error:
                row |= {"status": "failed", "reason": _reason(error)}
            if not row["key"]:
                row["key"] = digest("unscored", self.recogniser.fingerprint, [str(row[n]) for n in _IDENTITY])
            rows.append(row)
        return rows

    def _facts(self, clip_id: str) -> dict[str, Any]:
        known = self.corpus.table.loc[clip_id]
        return {
            "corpus": self.corpus.name,
            "fold": self.shard.fold,
            "model": self.shard.model,
            "trained_on": self.shard.trained_on,
            "seen_in_training": self.seen,
            "clip": clip_id,
            "speaker": known["speaker"],
            "emotion": known["emotion"],
            "predicted": "",
            "correct": None,
            "target": "",
            "seed": self.config.seed,
            "value": np.nan,
            "reason": "",
            "model_calls": 0,
            "key": "",
        }

    def _cell_facts(self, condition: str, method: str, metric: str, fill: str) -> dict[str, Any]:
        record = METRICS.get(metric)
        return {
            "target_rule": target_rule(self.config, record),
            "method": method,
            "condition": condition,
            "strength": np.nan,
            "metric": metric,
            "family": record.family,
            "direction": record.direction,
            "space": record.space,
            "fill": fill,
            "metric_version": record.version,
            "method_version": METHODS.get(method).version,
        }

    def _score(
        self, clip_id: str, partner: str, target: str, condition: str, method: str, metric: str, fill: str, repeat: int
    ) -> tuple[float, int]:
        record = METRICS.get(metric)
        case = self._case(clip_id, condition, target)
        companions: dict[str, Any] = {}
        if "clean" in record.companions:
            companions["clean"] = self._explanation(clip_id, "clean", method, target, repeat)
        if "repeat" in record.companions:
            again = repeat + 1 if self.config.explainer(method).stochastic else 0
            companions["repeat"] = self._explanation(clip_id, "clean", method, target, again)
        if "other" in record.companions:
            if not partner:
                raise NotApplicable("no clip of the same emotion by another speaker to compare with")
            its_target = self._target(partner, target_rule(self.config, record))
            companions["other"] = self._explanation(partner, "clean", method, its_target, repeat)
            companions["other_duration_s"] = self._clip(partner, "clean").duration_s
        if record.explains:
            companions["explain"] = self._explaining(clip_id, condition, method, target, repeat)
        explained = Explained(self._explanation(clip_id, condition, method, target, repeat), draw=repeat, **companions)
        outcome = self._outcome(metric, case.with_fill(fill) if fill else case, explained)
        if not np.isfinite(outcome.value):
            raise ClipError(f"metric {metric!r} returned {outcome.value}")
        return float(outcome.value), int(outcome.model_calls)

    # -- the two places where work is done; a forecast replaces them ---------------------------------------------------

    def _outcome(self, metric: str, case: Case, explained: Explained) -> Outcome:
        return make_metric(metric).score(case, explained)

    def _attribute(self, explainer: Explainer, request: Request) -> Attribution:
        recogniser, shared = request.recogniser, request.shared
        before = recogniser.calls + shared.spared
        found = explainer.attribute(request)
        # what it costs on its own: also what another explanation of the clip had scored already
        return replace(found, model_calls=recogniser.calls + shared.spared - before)

    # -- what metrics and methods share, each made once and kept with its outcome, also when that is an error ---------

    def _once(self, key: tuple, make: Callable[[], Any]) -> Any:
        if key not in self._memo:
            try:
                self._memo[key] = make()
            except Exception as error:
                self._memo[key] = error
        found = self._memo[key]
        if isinstance(found, Exception):
            raise found
        return found

    def _identity(self, clip_id: str) -> str:
        return self._once(
            ("identity", clip_id), lambda: clip_identity(self.corpus, clip_id, lambda clip: self._clip(clip, "clean"))
        )

    def _mixed(self, clip_id: str, condition: str) -> list[str]:
        """Ids of the clips that a condition mixes into this one."""
        if not CONDITIONS.get(condition).others:
            return []
        return self._once(("talkers",), lambda: Talkers(self.corpus, self.config.seed)).of(clip_id, condition)

    def _clip(self, clip_id: str, condition: str) -> Clip:
        if condition == "clean":
            return self._once(("clip", clip_id), lambda: self.corpus.clip(clip_id))
        return self._once(
            ("case", "clip", clip_id, condition),
            lambda: apply_condition(
                condition,
                self._clip(clip_id, "clean"),
                self.config.seed,
                [self._clip(other, "clean").samples for other in self._mixed(clip_id, condition)],
            ),
        )

    def _case(self, clip_id: str, condition: str, target: str) -> Case:
        return self._once(
            ("case", clip_id, condition, target),
            lambda: Case(
                self.recogniser,
                self._clip(clip_id, condition),
                target,
                seed=(self.config.seed, self.corpus.name, clip_id, condition),
                condition=condition,
                device=self.device,
            ),
        )

    def _log_odds(self, clip_id: str, condition: str) -> np.ndarray:
        def make() -> np.ndarray:
            key = digest("prediction", *self._clip_key(clip_id, condition))
            found = self.store.prediction(key)
            if found is None:
                found = self.recogniser.log_odds(self._clip(clip_id, condition).samples[None])[0]
            if clip_id in self.shard.clips:
                self.predictions[key] = found
            return found

        return self._once(("log odds", clip_id, condition), make)

    def _predicted(self, clip_id: str, condition: str) -> str:
        return self.recogniser.classes[int(np.argmax(self._log_odds(clip_id, condition)))]

    def _target(self, clip_id: str, rule: str) -> str:
        """The class explained, or ``A-B``; the same under every condition, so that explanations can be compared."""
        side, _, other_side = rule.partition("-")
        target = self._class(clip_id, side)
        if not other_side:
            return target
        other = self._class(clip_id, other_side, besides=target)
        if other == target:
            raise NotApplicable(f"a contrast needs two classes: this clip's are both {target!r}")
        return f"{target}-{other}"

    def _class(self, clip_id: str, side: str, besides: str = "") -> str:
        """The class that one side of a target means for a clip."""
        if side in ("predicted", RUNNER_UP):
            likeliest = np.argsort(-self._log_odds(clip_id, "clean"), kind="stable")
            ranked = [self.recogniser.classes[int(column)] for column in likeliest]
            return next(name for name in ranked if name != besides)
        emotion = str(self.corpus.table.loc[clip_id, "emotion"]) if side == "true" else side
        if emotion not in self.recogniser.classes:
            raise NotApplicable(f"recogniser {self.recogniser.name!r} does not know the class {emotion!r}")
        return emotion

    def _explanation(self, clip_id: str, condition: str, method: str, target: str, repeat: int) -> Attribution:
        def make() -> Attribution:
            key = self._explanation_key(clip_id, condition, method, target, repeat)
            found = self.store.explanation(key)
            if found is None:
                explainer = self.config.explainer(method)
                base = self._explanation(clip_id, condition, explainer.base, target, repeat) if explainer.base else None
                seed = self._explanation_seed(clip_id, method, condition, repeat)
                clip = self._clip(clip_id, condition)
                shared = self._once(("case", "shared work", clip_id, condition), SharedWork)
                start = time.perf_counter()
                request = _request(self.recogniser, clip, target, seed, base=base, shared=shared)
                found = self._attribute(explainer, request)
                if base:  # an explanation from a base costs what the base cost as well
                    found = replace(found, model_calls=found.model_calls + base.model_calls)
                self.timing["explanations"][key] = time.perf_counter() - start
            if clip_id in self.shard.clips:
                origin = (self.corpus.name, self.shard.model, clip_id, condition, repeat)
                self.explanations[key] = Explanation(found, *origin)
            return found

        return self._once(("explanation", clip_id, condition, method, target, repeat), make)

    def _explanation_seed(self, clip_id: str, method: str, condition: str, repeat: int) -> tuple:
        return ("explain", self.config.seed, self.corpus.name, clip_id, method, condition, repeat)

    def _explaining(self, clip_id: str, condition: str, method: str, its_target: str, repeat: int) -> Explain:
        """The method, for metrics that explain again; what it makes is not stored."""
        seed = self._explanation_seed(clip_id, method, condition, repeat)

        def explain(
            clip: Clip, *more: Hashable, recogniser: Recogniser | None = None, target: str | None = None
        ) -> Attribution:
            used = self.recogniser if recogniser is None else recogniser
            before, inside = used.calls, used.seconds
            request = _request(used, clip, target or its_target, (*seed, *more))
            found = self._attribute(self.config.explainer(method), request)
            if used is not self.recogniser:  # the run pays for copies of its recogniser as well
                self.recogniser.calls += used.calls - before
                self.recogniser.seconds += used.seconds - inside
            return found

        return explain

    # -- keys --------------------------------------------------------------------------------------------------------

    @property
    def _batch(self) -> Hashable:
        """How copies pass, which decides the last digits: the batch, and the memory it may take if that is bounded."""
        batch, memory = self.recogniser.batch, self.recogniser.memory
        return batch if memory is None else (batch, memory)

    def _clip_key(self, clip_id: str, condition: str) -> list[Any]:
        shift = CONDITIONS.get(condition)
        return [
            self.recogniser.fingerprint, self.corpus.name, clip_id, self._identity(clip_id), SAMPLE_RATE,
            condition, shift.version, shift.strength, self.config.seed,
            *((other, self._identity(other)) for other in self._mixed(clip_id, condition)),
        ]  # fmt: skip

    def _explanation_key(self, clip_id: str, condition: str, method: str, target: str, repeat: int) -> str:
        of_clip = self._clip_key(clip_id, condition)
        identity = method_identity(method, self.config)
        return digest("explanation", *of_clip, identity, target, repeat, self._batch)

    def _score_key(
        self, clip_id: str, partner: str, target: str, condition: str, method: str, metric: str, fill: str, repeat: int
    ) -> str:
        record = METRICS.get(metric)
        other = [partner, self._identity(partner)] if "other" in record.companions and partner else []
        explained = self._explanation_key(clip_id, condition, method, target, repeat)
        rule = target_rule(self.config, record)
        batch = self._batch
        return digest("score", explained, metric, record.version, fill, record.space, GRID, batch, rule, other)


def _request(recogniser: Recogniser, clip: Clip, target: str, seed: tuple, **more: Any) -> Request:
    """A request for a class, or for the contrast ``A-B``."""
    name, contrast = recogniser.target_named(target)
    return Request(recogniser, clip, name, seed, contrast=contrast, **more)


def target_rule(config: RunConfig, metric: MetricRecord) -> str:
    """How the explained class is chosen: ``predicted``, ``true``, the emotion named, or a contrast such as ``A-B``.

    The planted truth speaks of the planted emotion, so localisation explains the true class unless one is named.
    """
    if config.target == "predicted" and metric.family == "localisation":
        return "true"
    return config.target


_IDENTITY = (
    "corpus", "fold", "model", "trained_on", "method", "condition", "metric", "fill", "clip", "target_rule",
    "seed", "repeat",
)  # fmt: skip


def _reason(error: Exception) -> str:
    told = isinstance(error, ClipError | InputError)
    return " ".join((str(error) if told else f"{type(error).__name__}: {error}").split())
