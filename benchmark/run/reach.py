"""Reach of fills, and the fills that a run scores with.

The *reach* of a fill for a recogniser is the fall of the target's log-odds when whole clips are replaced by it: the
mean over clips, with an interval clustered by speaker. A fill that leaves the prediction as it is cannot tell
explanations apart. Where the configuration names no fill, the first candidates are used whose reach is at least
`LEAST_RESPONSE` by the lower bound; by the mean below `MIN_SPEAKERS` speakers, where there is no bound, or `FEW` clips,
where it says little. Of a recogniser that predicts numbers reach is the fall of the output in its own units, which none
is measured against: the first candidates are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ...datasets.corpus import Corpus
from ...keys import digest
from ...methods.caveats import LEAST_RESPONSE
from ...metrics.records import METRICS
from ...models.foldmodels import Models
from ...models.recogniser import Recogniser
from ...progress import Progress
from ..stats.clustered import clustered_mean
from .backend import ComputeBackend
from .clip_conditions import ClipPredictions, ConditionedClips, Memo
from .config import RunConfig
from .identity import Keys, clip_identity
from .method_spec import MethodSpec

CLIPS = 64  # of a run, at most, on which reach is measured; the first ones are balanced over speakers and emotions
FEW = 12  # clips
VERSION = "1"
DIGITS = 6  # stored: fewer than what the number of threads may move


@dataclass(frozen=True)
class Reach:
    """Fall of the target's log-odds when whole clips are replaced by one fill.

    Attributes
    ----------
    corpus, model, trained_on, fill : str
    mean, low, high : float or None
        In log-odds; bounds of 95 %, None below `MIN_SPEAKERS` speakers. The mean is None if no clip could be measured.
    clips, speakers : int
        That entered.
    model_calls : int
    falls : dict of str to (float or None, int)
        Each clip's fall and the model calls it took, by the digest of everything it depends on; None where the clip
        cannot be decoded, predicted or filled.
    """

    corpus: str
    model: str
    trained_on: str
    fill: str
    mean: float | None
    low: float | None
    high: float | None
    clips: int
    speakers: int
    model_calls: int
    falls: Mapping[str, tuple[float | None, int]]

    @property
    def enough(self) -> bool:
        """Whether the lower bound is at least `LEAST_RESPONSE`; the mean where the bound says little."""
        bound = self.low if self.certain else self.mean
        return bound is not None and bound >= LEAST_RESPONSE

    @property
    def certain(self) -> bool:
        """Whether there are enough speakers and clips for the interval to decide."""
        return self.low is not None and self.clips >= FEW

    def __str__(self) -> str:
        if self.mean is None:
            return "not measured: no clip has a prediction"
        bounds = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.mean:.2f}{bounds}"


@dataclass(frozen=True)
class Fills:
    """Fills of one corpus and model.

    Attributes
    ----------
    names : tuple of str
        At least one; explanations for metrics that remove nothing are made against the first.
    barred : str
        Why no score with a fill is made; empty where they are made.
    reach : tuple of Reach
        Of every fill named or tried.
    calls : int
        Model calls made to measure what was not measured before.
    """

    names: tuple[str, ...]
    barred: str = ""
    reach: tuple[Reach, ...] = ()
    calls: int = 0

    @property
    def described(self) -> list[dict[str, Any]]:
        """What run.json says of each fill."""
        return [asdict(one) | {"used": one.fill in self.names and not self.barred} for one in self.reach]


def choose_fills(
    config: RunConfig,
    specs: Mapping[str, MethodSpec],
    corpus: Corpus,
    model: str,
    models: Models,
    recogniser: Callable[[str], Recogniser],
    clips: Sequence[str],
    measured: Sequence[Mapping[str, Any]],
    progress: Progress,
) -> Fills:
    """Measure the reach of fills for one corpus and model, and choose those that are scored with.

    Parameters
    ----------
    config : RunConfig
    specs : mapping of str to MethodSpec
    corpus : Corpus
    model : str
    models : Models
    recogniser : callable
        Recogniser of a fold.
    clips : sequence of str
        The run's, in canonical order.
    measured : sequence of mapping
        What run.json says of an earlier session's.
    progress : Progress
    """
    tried = config.fills_for(corpus.name)
    numbers = bool(models.info.get("regression"))
    if not any(METRICS.get(metric).uses_fill for metric in config.metrics):
        return Fills(tuple(tried if config.fills else tried[:1]))
    if models.info.get("untrained"):  # whose reach says nothing of that to be
        return Fills(tuple(tried if config.fills else tried[: config.n_fills]))
    known = _known(measured)
    some = tuple(clips[:CLIPS])
    corpus.prepare(sorted(some))
    folds = {clip: models.fold_for(corpus.name, str(corpus.table.loc[clip, "speaker"]), clip) for clip in some}
    weights = {fold: models.recogniser(fold).fingerprint for fold in sorted(set(folds.values()))}
    sounds = {clip: (clip, clip_identity(corpus, clip), weights[folds[clip]]) for clip in some}
    reach: list[Reach] = []
    spent = 0
    for fill in tried:
        if not config.fills and sum(numbers or one.enough for one in reach) >= config.n_fills:
            break
        keys = {
            clip: digest("reach", VERSION, corpus.name, *sounds[clip], config.target, config.seed, fill)
            for clip in some
        }
        missing = {clip: fold for clip, fold in folds.items() if keys[clip] not in known}
        made = _measure(config, specs, corpus, recogniser, missing, fill, progress)
        spent += sum(calls for _, calls in made.values())
        found = {clip: made[clip] if clip in made else known[keys[clip]] for clip in some}
        origin = (corpus.name, model, models.trained_on, fill)
        reach.append(_summary(origin, found, keys, corpus.table["speaker"]))
    # an output in units of its own has no fall that is large or small, so the first fills are used
    names, barred = (tuple(one.fill for one in reach), "") if numbers else _chosen(config, tried, reach)
    return Fills(names, barred, tuple(reach), spent)


def _chosen(config: RunConfig, tried: Sequence[str], reach: Sequence[Reach]) -> tuple[tuple[str, ...], str]:
    """Names of the fills that are scored with, and the reason if there is none."""
    if config.fills:
        return tuple(tried), ""
    enough = tuple(one.fill for one in reach if one.enough)[: config.n_fills]
    if enough:
        return enough, ""
    if not any(one.certain for one in reach):  # too little to say that no fill has reach
        best = max(reach, key=lambda one: -np.inf if one.mean is None else one.mean)
        return (best.fill,), ""
    told = ", ".join(f"{one.fill} {one}" for one in reach)
    return (tried[0],), (
        f"no reach: replacing the whole clip lowers the target's log-odds by less than {LEAST_RESPONSE:g} ({told}); "
        "name a fill with --fill to score with it all the same"
    )


def _known(measured: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float | None, int]]:
    """Falls by key, of what run.json says; what is not of that form is measured again."""
    known = {}
    for one in measured:
        with suppress(TypeError, ValueError, KeyError, AttributeError):
            for key, (fall, calls) in one["falls"].items():
                known[str(key)] = None if fall is None else float(fall), int(calls)
    return known


def _measure(
    config: RunConfig,
    specs: Mapping[str, MethodSpec],
    corpus: Corpus,
    recogniser: Callable[[str], Recogniser],
    folds: Mapping[str, str],
    fill: str,
    progress: Progress,
) -> dict[str, tuple[float | None, int]]:
    """Fall of the log-odds and model calls made, by clip."""
    found: dict[str, tuple[float | None, int]] = {}
    memo, backend, threads = Memo(), ComputeBackend(), torch.get_num_threads()
    clips = ConditionedClips(config, corpus, memo, backend)
    torch.set_num_threads(1)  # as in a worker
    try:
        for done, clip in enumerate(sorted(folds, key=lambda clip: folds[clip])):  # one recogniser at a time
            progress(f"reach of {fill}", done, len(folds))
            asked = recogniser(folds[clip])
            keys = Keys(config, specs, corpus, asked, clips)
            cases = ClipPredictions(clips, asked, keys, None, memo, backend, str(getattr(asked, "device", "cpu")))
            before, fall = asked.calls, None
            with suppress(Exception):  # a recogniser of the user's can raise anything; the clip's rows say what
                fall = _fall(cases, clip, config.target, fill)
            found[clip] = fall, asked.calls - before
            memo.end_clip()
        if folds:
            progress(f"reach of {fill}", len(folds), len(folds))
    finally:
        torch.set_num_threads(threads)
    return found


def _fall(cases: ClipPredictions, clip: str, rule: str, fill: str) -> float:
    case = cases.case(clip, "clean", cases.target(clip, rule)).with_fill(fill)
    filled = case.plane.istft(case.fill_spectrum)
    before, after = case.response(case.recogniser.log_odds(torch.stack([case.plane.samples, filled])))
    fall = round(float(before - after), DIGITS)
    if not np.isfinite(fall):
        raise ValueError(f"the fall of clip {clip} is not finite")
    return fall


def _summary(
    origin: tuple[str, str, str, str],
    found: Mapping[str, tuple[float | None, int]],
    keys: Mapping[str, str],
    speakers: Any,
) -> Reach:
    falls = {clip: fall for clip, (fall, _) in found.items() if fall is not None}
    calls, by_key = sum(calls for _, calls in found.values()), {keys[clip]: one for clip, one in found.items()}
    if not falls:
        return Reach(*origin, None, None, None, 0, 0, calls, by_key)
    whose = [str(speakers[clip]) for clip in falls]
    e = clustered_mean(list(falls.values()), whose)
    low, high = (None if np.isnan(bound) else round(bound, DIGITS) for bound in e.bounds)
    return Reach(*origin, round(e.mean, DIGITS), low, high, len(falls), len(set(whose)), calls, by_key)
