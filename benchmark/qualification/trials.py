"""Trials of the qualification: constructed explanations of known quality, and their scores.

A *trial* is one constructed explanation of a planted clip, with its level: 0 the worst of its ladder, 1 the best. The
kind of the ladder depends on what the metric claims to measure:

=============== ======================================================================================================
``truth``       faithfulness: the true map mixed with noise. The truth is the exact map on white boxes, else the oracle
``oracle``      localisation and plausibility: the planted truth mixed with noise, whatever the recogniser
``sparsity``    complexity: equal cells, from all of them to a single one
``stability``   robustness by explaining noisy copies: a map that changes by 1 to 1/1000 of its norm on average, by
                more on one copy than on another
``consistency`` robustness between conditions: the clean map mixed with that of another clip
``dependence``  sanity by explaining another network or class: a map that changes, from not at all to completely
``independence`` sanity against another clip: the other clip's map, from the same to an unrelated one
=============== ======================================================================================================

Checks
------
Required: ``ladder``: six levels. ``random``: more draws of level 0. ``seed``: levels with two draws of the metric's own
randomness. ``real``: two methods whose order is known (level 1 and 0). ``fill``: the ladder under each fill. Under
every fill but the first also ``fill random`` and ``fill negated``; a white box's truth is then that of the fill, and
``own fill`` its ladder. The rivals that `rivals` lists: ``negated energy shift edges other class``.

Diagnostic: ``blur``, ``signs``, ``shuffle``: the best map degraded; their level is the share that is left. ``noise``:
levels of the ladder with 5 % noise on the map. ``disrupted``: levels of the ladder with all cells exchanged;
``coarse`` and ``method`` of the rivals.

The target is the planted emotion: the truth of other classes is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ...cues.neutral import NeutralReference
from ...datasets.clip import Clip
from ...errors import NotApplicable
from ...keys import digest, rng
from ...methods.attribution import Attribution
from ...methods.blend import blended, blurred, even_map, noise_like, shuffled, sign_noise, unit
from ...methods.explainer import Request
from ...methods.records import make_method
from ...metrics.case import Case, Explained, work_of
from ...metrics.record import MetricRecord
from ...metrics.records import METRICS, make_metric
from ...models.recogniser import Recogniser
from ...models.white_box import WhiteBox
from .rivals import method_maps, rival_maps

VERSION = "3"  # of trials and ladders, part of every key
LEVELS = tuple(i / 5 for i in range(6))
SEED_LEVELS = (0.0, 0.2, 0.6, 1.0)
DISRUPTED_LEVELS = (0.6, 1.0)
DEGRADED = (0.0, 0.5)  # share of the best map that is left
RANDOM_DRAWS = 4  # beside the ladder's own level 0
OTHERS = "quantus:"  # metrics of another library, the dearest ones: without diagnostic trials
FILL_DRAWS = 2  # the same, under other fills
SEED_DRAWS = 2
NOISE = 0.05  # of the map's norm
COPY_SPREAD = 0.25  # standard deviation of the log of a copy's change
DIAGNOSTIC = (
    "blur",
    "signs",
    "shuffle",
    "noise",
    "disrupted",
    "coarse",
    "method",
)  # checks of which nothing is required
REAL = {"sanity": ("energy", "input-x-gradient"), "robustness": ("random", "energy")}  # worse, better


@dataclass(frozen=True)
class Trial:
    """One explanation of known quality.

    Attributes
    ----------
    check : str
    level : float
        0..1, higher is better.
    explained : Explained or NotApplicable
        Or why this trial alone cannot be constructed.
    draw : int
        Number of the draw: of the map in check ``random``, of the metric in check ``seed``.
    fill : str
        Empty for the first one of the qualification.
    """

    check: str
    level: float
    explained: Explained | NotApplicable
    draw: int = 0
    fill: str = ""

    def explanation(self) -> Explained:
        """Explanation of the trial.

        Raises
        ------
        NotApplicable
            If it cannot be constructed.
        """
        if isinstance(self.explained, NotApplicable):
            raise self.explained
        return self.explained


Ladder = Callable[[float, int], Explained]  # level, draw


def ladder_kind(record: MetricRecord) -> str:
    """Kind of the ladder that a metric is tested on.

    Raises
    ------
    NotApplicable
        For metrics that measure nothing about a map.
    """
    if record.family in ("localisation", "plausibility"):
        return "oracle"
    if record.family == "faithfulness":
        return "truth"
    if record.family == "complexity":
        return "sparsity"
    if record.family == "robustness":
        return "stability" if record.explains else "consistency"
    if record.family == "sanity":
        return "dependence" if record.explains else "independence"
    what = "describe the recogniser" if record.family == "recogniser" else "count"
    raise NotApplicable(f"metrics of family {record.family!r} {what}, they do not judge a map")


class ClipTrials:
    """The trials of one clip and one recogniser.

    Parameters
    ----------
    recogniser : Recogniser
        With a class of the clip's emotion.
    clip : Clip
        Planted.
    fills : sequence of str
        The first is used in all checks but those under each fill, which are made for two and more.
    seed : int
    neutral : callable, optional
        Gives the windows of the same speaker's neutral clips.
    other : Clip, optional
        Same voice and sentence with another planted emotion.
    diagnostic : bool
        Whether trials of diagnostic checks are made, but for those of real methods, which are always.
    fine_tuned : callable, optional
        See `metrics.case.Case`.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        clip: Clip,
        fills: Sequence[str],
        seed: int = 0,
        *,
        neutral: Callable[[], NeutralReference] | None = None,
        other: Clip | None = None,
        diagnostic: bool = True,
        fine_tuned: Callable[[str], Recogniser] | None = None,
    ) -> None:
        self.fills = tuple(fills)
        self.other = other
        self.diagnostic = diagnostic
        self.cases = [
            Case(
                recogniser, clip, clip.emotion, fills[0], ("qualify", seed, clip.id, draw), neutral=neutral,
                fine_tuned=fine_tuned,
            )
            for draw in range(SEED_DRAWS)
        ]  # fmt: skip
        self.case = self.cases[0]
        self.seed = ("trial", seed, clip.id)

    # -- the ladders -------------------------------------------------------------------------------------------------

    def truth(self, kind: str) -> np.ndarray:
        """The best map of a ladder, shape of the scoring grid.

        Raises
        ------
        NotApplicable
            If nothing is planted, or the planted cue does not change the spectrum.
        """
        method = "oracle" if kind == "oracle" or not isinstance(self.case.recogniser, WhiteBox) else "rule-truth"
        case = self.case
        attribution = make_method(method).attribute(Request(case.recogniser, case.clip, case.target))
        return unit(attribution.on(case.grid))

    def ladder(self, kind: str) -> Ladder:
        """Explanations by level and draw."""
        if kind == "sparsity":
            return self._sparsity
        best = self.truth(kind)
        if kind in ("truth", "oracle"):
            return lambda level, draw: self._trained(kind, level, draw, self._mixed(kind, best, level, draw))
        return partial({"stability": self._stability, "dependence": self._dependence, "consistency": self._consistency,
                        "independence": self._independence}[kind], best)  # fmt: skip

    def _mixed(self, kind: str, best: np.ndarray, level: float, draw: Hashable) -> np.ndarray:
        return blended(best, noise_like(best, self._rng(kind, "noise", draw)), level)

    def _sparsity(self, level: float, draw: int) -> Explained:
        shape = self.case.grid.shape
        cells = round((shape[0] * shape[1]) ** (1 - level))
        return self._explained("sparsity", level, draw, even_map(shape, cells, self._rng("places", level, draw)))

    def _stability(self, best: np.ndarray, level: float, draw: int) -> Explained:
        def explain(clip: Clip, *seed: Hashable, **others: Any) -> Attribution:
            # seeded by the copy's samples: copies drawn by another seed of the metric change the map by more or less,
            # as they do with real methods
            copy = digest(clip.samples)
            size = self._rng("size", level, draw, copy).lognormal(-(COPY_SPREAD**2) / 2, COPY_SPREAD)
            change = noise_like(best, self._rng("stability", level, draw, copy, *seed))
            return self._attribution("copy", best + 10 ** (-3 * level) * size * change)

        return replace(self._explained("stability", level, draw, best), explain=explain)

    def _dependence(self, best: np.ndarray, level: float, draw: int) -> Explained:
        def explain(
            clip: Clip, *seed: Hashable, recogniser: Recogniser | None = None, target: str | None = None
        ) -> Attribution:
            explained = ("" if recogniser is None else recogniser.fingerprint, target or "")
            return self._attribution("other", self._mixed("dependence", best, 1 - level, (draw, *explained)))

        return replace(self._explained("dependence", level, draw, best), explain=explain)

    def _consistency(self, best: np.ndarray, level: float, draw: int) -> Explained:
        own = self._explained("consistency", level, draw, self._mixed("consistency", best, level, draw))
        other = self._attribution("other", noise_like(best, self._rng("consistency", "noise", draw)))
        clean = self._attribution("clean", best)
        return replace(own, clean=clean, repeat=clean, other=other)

    def _independence(self, best: np.ndarray, level: float, draw: int) -> Explained:
        other = self._attribution("other", self._mixed("independence", best, 1 - level, draw))
        return replace(self._explained("independence", level, draw, best), other=other)

    def _trained(self, kind: str, level: float, draw: Hashable, values: np.ndarray) -> Explained:
        """Explanation of a method that has learnt nothing of another network: there its map is unrelated noise."""
        own = self._explained(kind, level, draw, values)

        def explain(
            clip: Clip, *seed: Hashable, recogniser: Recogniser | None = None, target: str | None = None
        ) -> Attribution:
            if recogniser is None:
                return own.attribution
            noise = noise_like(values, self._rng(kind, "other network", level, draw, recogniser.fingerprint))
            return self._attribution("other network", noise)

        return replace(own, explain=explain)

    def _explained(self, kind: str, level: float, draw: Hashable, values: np.ndarray) -> Explained:
        # the name is part of what metrics share within a case: no two maps may have the same
        return Explained(self._attribution(f"{kind} {level} {draw}", values))

    def _attribution(self, name: str, values: np.ndarray) -> Attribution:
        return Attribution(values, self.case.grid, self.case.target, name)

    def _rng(self, *parts: Hashable) -> np.random.Generator:
        return rng(*self.seed, *parts)

    # -- the trials --------------------------------------------------------------------------------------------------

    def trials(self, kind: str) -> Iterator[Trial]:
        """All trials of a ladder, those of check ``real`` apart.

        Raises
        ------
        NotApplicable
            As `truth`.
        """
        ladder = self.ladder(kind)
        for level in LEVELS:
            yield Trial("ladder", level, ladder(level, 0))
        for draw in range(1, 1 + RANDOM_DRAWS):
            yield Trial("random", 0.0, ladder(0.0, draw), draw)
        for draw in range(SEED_DRAWS):
            for level in SEED_LEVELS:
                yield Trial("seed", level, ladder(level, 0), draw)
        if kind in ("truth", "oracle"):
            yield from self._rivals(kind, ladder)
            if self.diagnostic:
                yield from self._degraded(kind, ladder)
        if len(self.fills) > 1:
            for fill in self.fills:
                for level in LEVELS:
                    yield Trial("fill", level, ladder(level, 0), fill=fill)
            if kind == "truth":
                yield from self._under_fills(ladder)

    def _rivals(self, kind: str, ladder: Ladder) -> Iterator[Trial]:
        best = ladder(1.0, 0).attribution.values.astype(np.float64)
        for check, level, values in rival_maps(self.case, best, kind, self.other):
            if not self.diagnostic and (check in DIAGNOSTIC or level > 0):
                continue
            yield Trial(check, level, self._trained(f"{kind} {check}", level, 0, values))
        if kind == "truth" and isinstance(self.case.recogniser, WhiteBox):
            for draw, (level, values) in enumerate(method_maps(self.case, best)):
                yield Trial("method", level, self._explained("method", level, draw, values), draw)

    def _under_fills(self, ladder: Ladder) -> Iterator[Trial]:
        """Trials under each fill, of the fill's own truth where it is known, which is so for white boxes."""
        case = self.case
        box = case.recogniser if isinstance(case.recogniser, WhiteBox) else None
        for fill in self.fills:
            best = ladder(1.0, 0).attribution.values
            if box is not None and fill != "twin":
                reference = case.plane.istft(case.with_fill(fill).fill_spectrum).cpu().numpy()
                best = box.relevance(case.clip.samples, reference, case.target, case.grid)
            asked = [] if box is None else [("own fill", level, level, 0) for level in LEVELS]
            if fill != self.fills[0]:
                asked += [("fill random", 0.0, 0.0, draw) for draw in range(1, 1 + FILL_DRAWS)]
                asked.append(("fill negated", -1.0, 1.0, 0))
            for check, level, share, draw in asked:
                own: Explained | NotApplicable
                try:
                    if fill == self.fills[0]:
                        own = ladder(level, draw)
                    else:
                        own = self._under(fill, -best if level < 0 else best, level, share, draw)
                except NotApplicable as reason:  # this fill changes nothing: the other checks stand
                    own = reason
                yield Trial(check, level, own, draw if check == "fill random" else 0, fill)

    def _under(self, fill: str, best: np.ndarray, level: float, share: float, draw: int) -> Explained:
        return self._explained(f"truth under {fill}", level, draw, self._mixed("truth", best, share, draw))

    def _degraded(self, kind: str, ladder: Ladder) -> Iterator[Trial]:
        best = ladder(1.0, 0).attribution.values.astype(np.float64)
        for left in DEGRADED:
            degraded = {
                "blur": blurred(best, 1 - left),
                "signs": sign_noise(best, 1 - left, self._rng("signs")),
                "shuffle": shuffled(best, 1 - left, self._rng("shuffle")),
            }
            for check, values in degraded.items():
                yield Trial(check, left, self._trained(f"{kind} {check}", left, 0, values))
        for level in LEVELS:
            values = unit(ladder(level, 0).attribution.values)
            values = values + NOISE * noise_like(values, self._rng("little noise", level))
            yield Trial("noise", level, self._trained(f"{kind} noise", level, 0, values))
        for level in DISRUPTED_LEVELS:
            values = shuffled(ladder(level, 0).attribution.values, 1.0, self._rng("disrupted", level))
            yield Trial("disrupted", level, self._trained(f"{kind} disrupted", level, 0, values))

    def real(self, family: str) -> Iterator[Trial]:
        """Trials of two real methods whose order by metrics that explain again is known."""
        case = self.case
        for level, name in enumerate(REAL.get(family, ())):

            def explain(
                clip: Clip, *seed: Hashable, recogniser: Recogniser | None = None, target: str | None = None,
                name: str = name,
            ) -> Attribution:  # fmt: skip
                used = case.recogniser if recogniser is None else recogniser
                request = Request(used, clip, target or case.target, (*self.seed, name, *seed))
                return replace(make_method(name).attribute(request), model_calls=0)

            yield Trial("real", float(level), Explained(explain(case.clip), explain=explain))

    def __call__(self, metrics: Sequence[str]) -> Iterator[tuple[MetricRecord, Case, Trial | NotApplicable]]:
        """Pairs of metric and trial, with the case to score it in, or the reason why a metric has no trial."""
        kinds: dict[str, list[MetricRecord]] = {}
        for name in metrics:
            record = METRICS.get(name)
            try:
                kinds.setdefault(ladder_kind(record), []).append(record)
            except NotApplicable as reason:
                yield record, self.case, reason
        for kind, records in kinds.items():
            try:
                trials = list(self.trials(kind))
            except NotApplicable as reason:
                yield from ((record, self.case, reason) for record in records)
                continue
            for trial in trials:
                for record in records:
                    if trial.check in DIAGNOSTIC and record.name.startswith(OTHERS):
                        continue
                    if not trial.fill:
                        yield record, self.cases[trial.draw if trial.check == "seed" else 0], trial
                    elif record.uses_fill:
                        yield record, self.case.with_fill(trial.fill), trial
            for record in records:
                if record.explains:
                    yield from ((record, self.case, trial) for trial in self.real(record.family))


def score_trials(trials: ClipTrials, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Score all trials of a clip, one row each; failures and undefined scores are rows as well.

    Returns
    -------
    list of dict
        ``metric metric_version family direction check level draw fill value status reason``.
    """
    by_name = {name: make_metric(name) for name in metrics}
    rows = []
    for record, case, trial in trials(metrics):
        row: dict[str, Any] = {
            "metric": record.name, "metric_version": record.version, "family": record.family,
            "direction": record.direction, "check": "", "level": np.nan, "draw": 0, "fill": "", "value": np.nan,
            "status": "skipped", "reason": "",
        }  # fmt: skip
        if isinstance(trial, NotApplicable):
            rows.append(row | {"reason": str(trial)})
            continue
        row |= {"check": trial.check, "level": trial.level, "draw": trial.draw}
        row["fill"] = case.fill if record.uses_fill else ""
        try:
            value = float(by_name[record.name].score(case, trial.explanation()).value)
            finite = bool(np.isfinite(value))
            row |= {"value": value, "status": "ok"} if finite else {"status": "failed", "reason": f"returned {value}"}
        except NotApplicable as reason:
            row["reason"] = str(reason)
        except Exception as error:
            row |= {"status": "failed", "reason": " ".join(f"{type(error).__name__}: {error}".split())}
        rows.append(row)
    return rows


def calls_of_trials(trials: ClipTrials, metrics: Sequence[str]) -> int:
    """Number of model calls of `score_trials`, each shared piece of work counted once; nothing is scored.

    The real methods among the rivals are run, and their calls counted.
    """
    before = trials.case.recogniser.calls
    by_name = {name: make_metric(name) for name in metrics}
    work: dict[Hashable, int] = {}
    for record, case, trial in trials(metrics):
        if not isinstance(trial, NotApplicable):
            try:
                needed = work_of(by_name[record.name], case, trial.explanation())
            except NotApplicable:
                continue
            work |= {(case.seed, key): calls for key, calls in needed.items()}
    return sum(work.values()) + trials.case.recogniser.calls - before
