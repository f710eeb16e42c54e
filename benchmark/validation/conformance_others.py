"""Conformance of metrics, recognisers and corpora."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...audio import scoring_grid
from ...datasets.corpora import load_corpus
from ...datasets.corpus import TAXONOMY, Corpus
from ...errors import ClipError, NotApplicable, SerxaiError
from ...keys import Seed, rng
from ...methods.attribution import Attribution
from ...methods.explainer import Request
from ...methods.records import make_method
from ...metrics.case import Case, Explained, Outcome, work_of
from ...metrics.record import MetricRecord
from ...metrics.records import METRICS, make_metric
from ...models.obtain import load_model
from ...models.recogniser import Recogniser, TorchRecogniser
from .check_result import NOT_CHECKED, Check, concluded
from .probes import global_random, needs_record, probe_clip, probe_recogniser, report

CLOSE = 1e-6
CLIPS = 4  # of a corpus that are decoded
BEFORE = "input-x-gradient"
AGAIN = "saliency"  # method that metrics which explain again are given


# -- metrics -----------------------------------------------------------------------------------------------------------


def check_metric(name: str, raises: bool = True) -> list[Check]:
    """Check a registered metric.

    The same score each time, whatever was scored before; within the declared bounds; model calls as declared; the order
    of cells alone where it is declared `invariant`; a number or a reason for constant and empty maps; nothing changed.

    Parameters
    ----------
    name : str
        As registered.
    raises : bool
        Whether a failed check raises.

    Returns
    -------
    list of Check

    Raises
    ------
    ConformanceError
        If a check failed.
    """
    record = METRICS.get(name)
    needs_record("metric", name, record)
    return report(f"metric {name!r}", list(_MetricTrial(record).checks()), raises)


class _MetricTrial:
    def __init__(self, record: MetricRecord) -> None:
        self.record = record
        self.recogniser = probe_recogniser()
        self.clip = probe_clip(1.0, planted=True)
        in_features = record.space == "features"
        size = self.clip.samples.size
        self.grid = self.recogniser.feature_grid(size) if in_features else scoring_grid(self.clip.duration_s)

    def case(self) -> Case:
        fill = "attenuate" if self.record.uses_fill else "noise"
        condition = "noise-20db" if self.record.conditions == "shifted" else "clean"
        return Case(self.recogniser, self.clip, "anger", fill, ("conformance",), condition)

    def map(self, what: object = 0) -> Attribution:
        values = rng("conformance map", what).standard_normal(self.grid.shape)
        return Attribution(values, self.grid, "anger", AGAIN)

    def explained(self, found: Attribution) -> Explained:
        companions: dict[str, Any] = {}
        if "clean" in self.record.companions:
            companions["clean"] = replace(found, values=found.values + self.map("clean").values)
        if "repeat" in self.record.companions:
            base = companions.get("clean", found)
            companions["repeat"] = replace(base, values=base.values + 0.1 * self.map("repeat").values)
        if "other" in self.record.companions:
            companions |= {"other": self.map("other"), "other_duration_s": self.clip.duration_s}
        if self.record.explains:
            companions["explain"] = self._explain
        return Explained(found, **companions)

    def _explain(
        self, clip: Any, *seed: Any, recogniser: Recogniser | None = None, target: str | None = None
    ) -> Attribution:  # fmt: skip
        used = recogniser or self.recogniser
        return make_method(AGAIN).attribute(Request(used, clip, target or "anger", Seed("again", *seed)))

    def score(self, found: Attribution, case: Case | None = None) -> Outcome | NotApplicable:
        try:
            return make_metric(self.record.name).score(case or self.case(), self.explained(found))
        except NotApplicable as signal:
            return signal

    def checks(self) -> Iterator[Check]:
        found = self._explain(self.clip) if self.record.explains else self.map()
        values, state, samples = found.values.copy(), global_random(), self.clip.samples.copy()
        first = self.score(found)
        if isinstance(first, NotApplicable):
            yield Check("score", NOT_CHECKED, f"not defined on the probe clip: {first}")
            return
        left = ["the map is changed"] if not np.array_equal(values, found.values) else []
        left += ["global random state is changed"] if state != global_random() else []
        left += ["the clip's samples are changed"] if not np.array_equal(samples, self.clip.samples) else []
        yield concluded("side effects", "map, clip and global random state are as before", left)
        yield concluded("bounds", "a finite number within the record's low and high", self.bounds(first))
        yield concluded(
            "determinism", "the same score again, and after another map was scored", self.again(found, first)
        )
        yield self.calls(found)
        yield self.order_alone(found, first)
        yield self.edges()

    def bounds(self, outcome: Outcome) -> Iterator[str]:
        low, high = self.record.low, self.record.high
        if not np.isfinite(outcome.value):
            yield f"the score is {outcome.value}"
        elif (low is not None and outcome.value < low - CLOSE) or (high is not None and outcome.value > high + CLOSE):
            yield f"the score {outcome.value:g} lies outside {low} .. {high}"
        if self.record.perfect is not None and self.record.random is not None and self.record.bar is None:
            better = self.record.perfect > self.record.random
            if better != (self.record.direction == "higher"):
                yield f"direction {self.record.direction!r}, perfect {self.record.perfect}, random {self.record.random}"

    def again(self, found: Attribution, first: Outcome) -> Iterator[str]:
        case = self.case()
        self.score(replace(self.map("before"), method=BEFORE), case)  # caches of one case are by method
        for what, outcome in (("again", self.score(found)), ("after another map", self.score(found, case))):
            if isinstance(outcome, NotApplicable) or outcome.value != first.value:
                yield f"{what}: {outcome}, first {first.value!r}"

    def calls(self, found: Attribution) -> Check:
        case, explained = self.case(), self.explained(found)
        if self.record.explains or self.record.companions:
            return Check("model calls", NOT_CHECKED, "its calls are those of other explanations")
        told = sum(work_of(make_metric(self.record.name), case, explained).values())
        case, before = self.case(), self.recogniser.calls
        self.score(found, case)
        made = self.recogniser.calls - before
        wrong = [f"work() says {told}, {made} were made: --dry-run would be wrong"] if told != made else []
        return concluded("model calls", "as work() says", wrong)

    def order_alone(self, found: Attribution, first: Outcome) -> Check:
        if not self.record.invariant or self.record.explains or self.record.companions:
            return Check("order of cells", NOT_CHECKED, "not declared invariant, or it reads several maps")
        cubed = self.score(replace(found, values=found.values.astype(np.float64) ** 3))
        other = isinstance(cubed, NotApplicable) or abs(cubed.value - first.value) > CLOSE
        wrong = [f"{first.value:g}, of the cubed map {cubed}"] if other else []
        return concluded("order of cells", "declared invariant: the cubed map has the same score", wrong)

    def edges(self) -> Check:
        wrong = []
        zeros, flat, peak = np.zeros(self.grid.shape), np.ones(self.grid.shape), np.zeros(self.grid.shape)
        peak[3, 3] = 1.0
        for what, values in (("zeros", zeros), ("a constant map", flat), ("one cell", peak), ("negative", -flat)):
            try:
                outcome = self.score(Attribution(values, self.grid, "anger", AGAIN))
            except ClipError:
                continue
            except Exception as error:
                wrong.append(f"{what}: {type(error).__name__}: {error}; raise NotApplicable with a reason")
                continue
            if isinstance(outcome, Outcome) and not np.isfinite(outcome.value):
                wrong.append(f"{what}: the score is {outcome.value}; raise NotApplicable where it is not defined")
        return concluded("edge cases", "zeros, constant, one-cell and negative maps give a number or a reason", wrong)


# -- recognisers -------------------------------------------------------------------------------------------------------


def check_recogniser(model: str | Recogniser, trained_on: str | None = None, raises: bool = True) -> list[Check]:
    """Check a recogniser.

    Shape and finiteness of its log-odds; the same in each call, alone and in a batch of any size; waveforms untouched;
    calls counted; too short waveforms refused; silence scored; classes, fingerprint, probabilities; of a differentiable
    one gradients and the grid of its features.

    Parameters
    ----------
    model : str or Recogniser
        Name of one that is shipped, trained here, or ``python:MODULE:FACTORY``; or a recogniser.
    trained_on : str, optional
        Training corpus of a named one.
    raises : bool
        Whether a failed check raises.

    Returns
    -------
    list of Check

    Raises
    ------
    ConformanceError
        If a check failed.
    """
    if isinstance(model, Recogniser):
        used = model
    else:
        used = load_model(model, trained_on) if trained_on else load_model(model)
    return report(f"recogniser {used.name!r}", list(_recogniser_checks(used)), raises)


def _recogniser_checks(used: Recogniser) -> Iterator[Check]:
    waves = np.stack([probe_clip(1.0, seed).samples for seed in range(3)])
    kept, before = waves.copy(), used.calls
    facts = [] if len(set(used.classes)) == len(used.classes) >= 1 + (not used.regression) else ["too few or twice"]
    facts += [] if isinstance(used.fingerprint, str) and used.fingerprint else ["fingerprint is no text"]
    yield concluded("facts", "classes and fingerprint", facts)
    together = used.log_odds(waves)
    wrong = [] if together.shape == (3, len(used.classes)) else [f"shape {together.shape}, {len(used.classes)} classes"]
    wrong += [] if np.array_equal(waves, kept) else ["the waveforms are changed"]
    wrong += [] if used.calls - before == used.calls_for(3) else [f"{used.calls - before} calls counted"]
    yield concluded("log-odds", "shape, counted calls, waveforms untouched", wrong)
    wrong = [] if np.array_equal(used.log_odds(waves), together) else ["the second call gives other numbers"]
    alone = np.concatenate([used.log_odds(wave[None]) for wave in waves])
    size, tolerance = float(np.abs(together).max()), 1e-4
    off = float(np.abs(alone - together).max())
    wrong += [f"alone and in a batch differ by {off:.2g} of {size:.2g}"] if off > tolerance * max(size, 1.0) else []
    yield concluded("determinism and batches", "the same again, alone and in a batch", wrong)
    wrong = []
    for what, wave in (("silence", np.zeros(16000)), ("full scale", np.sign(kept[0])), ("odd length", kept[0, :-37])):
        try:
            used.log_odds(wave[None].astype(np.float32))
        except SerxaiError:
            continue
        except Exception as error:
            wrong.append(f"{what}: {type(error).__name__}: {error}")
    if used.min_samples > 1:
        try:
            used.log_odds(kept[:1, : used.min_samples - 1])
            wrong.append("a waveform shorter than min_samples is scored")
        except ClipError:
            pass
    yield concluded("edge cases", "silence, full scale, odd and short waveforms", wrong)
    if not used.regression:
        p = used.predict_proba(waves)
        wrong = [] if (p >= 0).all() and np.allclose(p.sum(axis=1), 1) else ["probabilities do not add up to 1"]
        yield concluded("probabilities", "non-negative, adding up to 1", wrong)
    if isinstance(used, TorchRecogniser):
        yield concluded("features", "grid and gradient of the feature map", _feature_faults(used, kept[0]))


def _feature_faults(used: TorchRecogniser, wave: np.ndarray) -> Iterator[str]:
    features = used.features(wave)
    if tuple(features.shape[-2:]) != used.feature_grid(wave.size).shape:
        yield f"features have shape {tuple(features.shape[-2:])}, their grid {used.feature_grid(wave.size).shape}"
    features = features.detach().requires_grad_()
    scores = used.feature_log_odds(features)
    scores[:, 0].sum().backward()
    if features.grad is None or not bool(features.grad.isfinite().all()) or not bool(features.grad.any()):
        yield "the gradient at the features is zero or not finite"


# -- corpora -----------------------------------------------------------------------------------------------------------


def check_corpus(corpus: str | Corpus, data_root: str | Path | None = None, raises: bool = True) -> list[Check]:
    """Check a corpus: its table, labels, order and alignment, and a few of its clips.

    Parameters
    ----------
    corpus : str or Corpus
    data_root : path, optional
    raises : bool
        Whether a failed check raises.

    Returns
    -------
    list of Check

    Raises
    ------
    ConformanceError
        If a check failed.
    """
    used = corpus if isinstance(corpus, Corpus) else load_corpus(corpus, data_root)
    return report(f"corpus {used.name!r}", list(_corpus_checks(used)), raises)


def _corpus_checks(used: Corpus) -> Iterator[Check]:
    table, record = used.table, used.record
    wrong = [
        f"lacks the column {name}" for name in ("file", "emotion", "speaker", "sex", "sentence") if name not in table
    ]
    wrong += [] if table.index.is_unique else ["ids are not unique"]
    wrong += ["speakers are empty"] if not wrong and (table["speaker"].astype(str) == "").any() else []
    yield concluded("table", f"{len(table)} clips, ids and columns", wrong)
    if wrong:
        return
    known = {*TAXONOMY, *record.emotions}
    wrong = [
        f"label {name!r} is neither of the taxonomy nor of the record" for name in sorted(set(table["emotion"]) - known)
    ]
    yield concluded("labels", "of the taxonomy, or of the record", wrong)
    order = used.select()
    wrong = [] if order == used.select() and len(set(order)) == len(order) else ["select() gives another order"]
    wrong += [] if used.select(limit=3) == order[:3] else ["select(limit=3) is not the beginning of select()"]
    yield concluded("order", "one canonical order of clips", wrong)
    chosen = order[:CLIPS]
    used.prepare(chosen)
    yield concluded("clips", f"{len(chosen)} clips decoded", [f for name in chosen for f in _clip_faults(used, name)])


def _clip_faults(used: Corpus, name: str) -> Iterator[str]:
    clip, again = used.clip(name), used.clip(name)
    x = clip.samples
    if clip.id != name or clip.emotion != str(used.table.loc[name, "emotion"]):
        yield f"{name}: id or emotion are not those of the table"
    if x.dtype != np.float32 or x.ndim != 1 or not np.isfinite(x).all() or np.abs(x).max(initial=0.0) > 1.0:
        yield f"{name}: samples must be float32 mono within -1..1, got {x.dtype} {x.shape}"
    if clip.identity != again.identity:
        yield f"{name}: another clip when it is loaded again"
    for word in (*clip.words, *clip.phones):
        if not -0.05 <= word.start_s <= word.end_s <= clip.duration_s + 0.05:
            yield f"{name}: {word.label!r} lies at {word.start_s:.2f}-{word.end_s:.2f} s of {clip.duration_s:.2f} s"
            break
    if used.record.twinned and (clip.plant is None or clip.plant.twin.shape != x.shape):
        yield f"{name}: the record says twinned, and the clip has no twin of its length"
