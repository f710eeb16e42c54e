"""Conformance of explanation methods: what every method must keep to, tried on a probe clip and a small network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ...datasets.clip import Clip
from ...errors import ClipError, InputError, NotApplicable
from ...keys import Seed
from ...methods.attribution import Attribution
from ...methods.explainer import Explainer, Request
from ...methods.map_grids import check_cover
from ...methods.record import EXTERNAL, MethodRecord
from ...methods.records import METHODS, make_method
from ...models.recogniser import Recogniser, TorchRecogniser
from .check_result import NOT_CHECKED, Check, concluded
from .probes import global_random, needs_record, probe_clip, probe_recogniser, report, snapshot

BATCHES = (8, 3, 1)
LONG_S = 2.2
TOLERANCE = 2e-6  # of the largest value, between batch sizes
Answer = Attribution | NotApplicable


def check_explainer(
    name: str, recogniser: Recogniser | None = None, clip: Clip | None = None, raises: bool = True, **parameters: Any
) -> list[Check]:
    """Check a registered explanation method.

    Record and parameters; the same map for the same seed and another for another seed where it says ``stochastic``;
    no change with batch size, nor with the clip's name and labels; nothing left behind in recogniser, clip or global
    random state; silent and short clips; target, sign, reference and number of model calls as declared; dependence on
    the recogniser.

    Parameters
    ----------
    name : str
        As registered.
    recogniser : Recogniser, optional
        Default a small network on log-mel features. Give one of your own for methods that need more.
    clip : Clip, optional
        Default 0.3 s of harmonics with two words.
    raises : bool
        Whether a failed check raises.
    **parameters : object
        Parameters of the method, such as fewer masks.

    Returns
    -------
    list of Check

    Raises
    ------
    ConformanceError
        If a check failed.
    UnknownNameError
        If there is no such method.

    Examples
    --------
    >>> checks = check_explainer("energy")
    >>> all(check.result in ("pass", "not checked") for check in checks)
    True
    """
    record = METHODS.get(name)
    needs_record("method", name, record)
    if record.family == EXTERNAL:
        raise InputError(f"method {name!r}: maps made elsewhere are read, not made; there is nothing to check.")
    used = recogniser or probe_recogniser()
    trial = _Trial(record, parameters, used, clip or probe_clip(planted=record.needs == "truth"))
    return report(f"method {name!r}", list(trial.checks(recogniser is None)), raises)


class _Trial:
    def __init__(self, record: MethodRecord, parameters: dict[str, Any], recogniser: Recogniser, clip: Clip) -> None:
        self.record = record
        self.parameters = parameters
        self.recogniser = recogniser
        self.clip = clip
        self.target = "anger" if "anger" in recogniser.classes else recogniser.classes[0]

    @property
    def method(self) -> Explainer:
        return make_method(self.record.name, **self.parameters)

    def ask(self, seed: object = 0, **changes: Any) -> Answer:
        """One explanation, or why there is none."""
        request = Request(self.recogniser, self.clip, self.target, Seed("conformance", seed))
        try:
            return self.method.attribute(replace(request, **changes))
        except NotApplicable as signal:
            return signal

    def checks(self, own_recogniser: bool) -> Iterator[Check]:
        yield concluded("record and parameters", "record, name, parameters and reference agree", self.metadata())
        before, state, samples = snapshot(self.recogniser), global_random(), self.clip.samples.copy()
        first = self.ask()
        if isinstance(first, NotApplicable):
            why = f"does not apply to {'the probe' if own_recogniser else 'this'} recogniser and clip: {first}"
            yield Check("explanations", NOT_CHECKED, f"{why}; give recogniser= or clip= of the kind it needs")
            return
        left = [
            f"recogniser: {a[0]} is changed" for a, b in zip(before, snapshot(self.recogniser), strict=True) if a != b
        ]
        left += ["global random state is changed"] if state != global_random() else []
        left += ["the clip's samples are changed"] if not np.array_equal(samples, self.clip.samples) else []
        yield concluded("side effects", "recogniser, samples and global random state are as before", left)
        yield concluded("map", "target, method, grid and calls as declared", self.map_faults(first))
        yield self.seeds(first)
        yield self.names(first)
        yield self.batches()
        yield self.edges()
        yield self.weights(first, own_recogniser)
        yield self.targets()

    def metadata(self) -> Iterator[str]:
        method, record = self.method, self.record
        if not isinstance(method, Explainer):
            yield f"target {record.target!r} makes a {type(method).__name__}, not an Explainer"
            return
        if method.name != record.name:
            yield f"its class has the name {method.name!r}, its record {record.name!r}"
        parameters = method.get_params()
        try:
            again = type(method)(**parameters).get_params()
        except TypeError as error:
            again = {}
            yield f"its class cannot be made again from get_params(): {error}"
        if again and again != parameters:
            yield "get_params() of a copy differ: __init__ must store parameters as they are given"
        if not isinstance(method.stochastic, bool):
            yield f"stochastic must be True or False, is {method.stochastic!r}"
        if method.fill_parameter is not None and method.fill_parameter not in parameters:
            yield f"fill_parameter {method.fill_parameter!r} is no parameter"
        if record.reference == "fill" and method.fill_parameter is None and record.needs != "truth":
            yield "reference is 'fill', but fill_parameter names none; runs could not set the fill it is scored with"
        if record.reference != "fill" and method.fill_parameter is not None:
            yield f"fill_parameter is {method.fill_parameter!r}, but the record's reference is {record.reference!r}"
        if (record.reference == "base") != (method.base is not None) and "paper" not in record.name:
            yield f"base is {method.base!r}, but the record's reference is {record.reference!r}"

    def map_faults(self, found: Attribution) -> Iterator[str]:
        if found.target != self.target:
            yield f"target is {found.target!r}, asked for was {self.target!r}"
        if found.method != self.record.name:
            yield f"method is {found.method!r}, registered is {self.record.name!r}"
        try:
            check_cover(found.grid, self.clip.duration_s)
        except ClipError as error:
            yield str(error)
        if not self.record.signed and found.values.min() < 0:
            yield f"the record says unsigned, and the least value is {found.values.min():g}"
        if self.method.base is not None:
            return
        before = self.recogniser.calls
        request = Request(self.recogniser, self.clip, self.target, Seed("conformance", "calls"))
        told = self.method.calls_of(request)
        self.method.attribute(request)
        made = self.recogniser.calls - before
        if told != made:
            yield f"calls() says {told} model calls, {made} were made: --dry-run would be wrong"

    def seeds(self, made: Attribution) -> Check:
        first: Answer = made
        again, other = self.ask(), self.ask(seed=1)
        found = []
        if not _same(first, again):
            found.append("the same request gives another map; draw from request.generator(...) alone")
        if self.method.stochastic and _same(first, other):  # a short clip may have so few parts that none are drawn
            longer = probe_clip(LONG_S)
            first, other = self.ask(clip=longer), self.ask(clip=longer, seed=1)
        if _same(first, other) == self.method.stochastic:
            said, is_ = ("stochastic", "the same") if self.method.stochastic else ("not stochastic", "another")
            found.append(f"it says it is {said}, and another seed gives {is_} map")
        return concluded("seeds", "same seed, same bytes; another map with another seed only where stochastic", found)

    def names(self, first: Attribution) -> Check:
        if self.record.needs == "truth":
            return Check("clip's name", NOT_CHECKED, "a reference of the truth may know the label")
        renamed = replace(
            self.clip,
            id="other", speaker="other", sex="other", sentence="other", corpus="other", emotion="sadness", marks={},
        )  # fmt: skip
        found = [] if _same(first, self.ask(clip=renamed)) else ["another id, label or speaker gives another map"]
        return concluded("clip's name", "samples and alignment alone decide, not id, label, speaker or corpus", found)

    def batches(self) -> Check:
        if not isinstance(self.recogniser, TorchRecogniser):
            return Check("batch size", NOT_CHECKED, "a black box")
        kept, maps = self.recogniser.batch, []
        try:
            for self.recogniser.batch in BATCHES:
                maps.append(self.ask())
        finally:
            self.recogniser.batch = kept
        values = [one.values for one in maps if isinstance(one, Attribution)]
        largest = max(float(np.abs(v).max()) for v in values) if values else 0.0
        off = [float(np.abs(v - values[0]).max()) for v in values[1:]]
        found = [f"up to {max(off):.2g} of {largest:.2g}"] if off and max(off) > TOLERANCE * max(largest, 1.0) else []
        return concluded("batch size", f"within {TOLERANCE:g} for batches of {', '.join(map(str, BATCHES))}", found)

    def edges(self) -> Check:
        silent, short = np.zeros(4800, np.float32), self.clip.samples[: max(self.recogniser.min_samples, 600)]
        loud, odd = np.sign(self.clip.samples).astype(np.float32), self.clip.samples[:-37]
        found = []
        for what, samples in (("silence", silent), ("a short clip", short), ("full scale", loud), ("odd length", odd)):
            try:
                self.ask(clip=replace(self.clip, samples=samples, words=(), phones=(), plant=None, marks={}))
            except ClipError:
                continue
            except Exception as error:
                found.append(f"{what}: {type(error).__name__}: {error}; raise NotApplicable or ClipError with a reason")
        return concluded("edge cases", "silence, short, full-scale and odd clips give a map or a reason", found)

    def weights(self, first: Attribution, own_recogniser: bool) -> Check:
        if self.record.needs in ("none", "truth"):
            return Check("other weights", NOT_CHECKED, "it does not ask the recogniser")
        if not own_recogniser:
            return Check("other weights", NOT_CHECKED, "a recogniser was given")
        other = self.ask(recogniser=probe_recogniser(1))
        found = ["another network gives the same map"] if _same(first, other) else []
        return concluded("other weights", "another network gives another map", found)

    def targets(self) -> Check:
        found = []
        try:
            self.ask(target="no such class")
            if self.record.needs not in ("none", "truth"):
                found.append("a target that the recogniser does not know is explained")
        except InputError:
            pass
        except Exception as error:
            found.append(f"unknown target: {type(error).__name__}: {error}")
        contrast = next(name for name in self.recogniser.classes if name != self.target)
        try:
            self.ask(contrast=contrast)
        except Exception as error:
            found.append(f"contrast: {type(error).__name__}: {error}; raise NotApplicable where it cannot be explained")
        summary = "an unknown class is refused; a contrast is explained, or refused with NotApplicable"
        return concluded("targets", summary, found)


def _same(one: Answer, other: Answer) -> bool:
    if isinstance(one, Attribution) and isinstance(other, Attribution):
        return one.values.tobytes() == other.values.tobytes()
    return type(one) is type(other)
