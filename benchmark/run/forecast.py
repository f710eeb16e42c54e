"""Forecast of a run's cost: model calls, seconds, bytes.

Model calls are counted, not estimated: the scorer itself walks through the plan with a backend that counts, so that
whatever it shares, skips or explains a second time is counted as it will happen. Seconds come from one clip of median
length that is explained and scored.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ...audio import SAMPLE_RATE, scoring_grid
from ...audio.decode import MAX_SECONDS, header_seconds
from ...datasets.clip import Clip
from ...datasets.corpus import Corpus
from ...datasets.shifts.conditions import CONDITIONS
from ...errors import ClipError
from ...methods.attribution import Attribution
from ...methods.explainer import Explainer, Request
from ...metrics.case import Case, Explained, Outcome, work_of
from ...metrics.records import METRICS, make_metric
from ...metrics.reexplain import ANOTHER_TARGET, Again
from ...models.recogniser import Recogniser
from ..storage.store import Store
from .backend import Backend
from .config import RunConfig
from .plan import Plan, Shard, cells_of, rows_of
from .scoring import ShardScorer

EXACT_ROWS = 30_000  # a plan of more score rows is not walked through whole, which takes about 10 s for so many
CALLS_OF_A_CLIP = 5_000  # about ten seconds of a small network: more is not made only to be timed
SAMPLE = 4  # clips of each corpus, recogniser and emotion in a forecast by a sample, at least
TRAJECTORY = 32  # copies of one trajectory, for the order of the queue
TYPICAL_S = 2.5  # an utterance whose header cannot be read


@dataclass
class Forecast:
    """Model calls, and seconds of audio that go through the recogniser, by (part, method).

    `sampled` is the number of clips that the counts were extrapolated from; None where they are exact.
    Parts are ``predictions``, ``reach``, ``explanations``, ``again`` (explanations made again by metrics) and
    ``scores`` (all other calls of metrics).
    """

    calls: Counter = field(default_factory=Counter)
    audio_s: float = 0.0
    sampled: int | None = None

    def add(self, part: str, method: str, calls: int, n_samples: int) -> None:
        """Add the calls of one explanation, trajectory or prediction."""
        self.calls[part, method] += calls
        self.audio_s += calls * n_samples / SAMPLE_RATE

    @property
    def total(self) -> int:
        """Model calls of the run."""
        return sum(self.calls.values())


class CountingBackend:
    """Counts model calls instead of making them.

    Only clean clips are predicted, because the explained class decides what is shared, and methods that ask the
    recogniser nothing are run, because only they know where they do not apply.

    Parameters
    ----------
    total : Forecast
        Where calls are added.
    """

    def __init__(self, total: Forecast) -> None:
        self.total = total
        self._calls: dict[Hashable, int] = {}

    def applied_condition(self, condition: str) -> str:
        """``clean`` for shifts that keep a clip's length, which is all that counts here."""
        return condition if CONDITIONS.get(condition).moves_time else "clean"

    def predict(self, recogniser: Recogniser, clip: Clip, condition: str) -> np.ndarray:
        """Log-odds of a clean clip; zeros under a shift, where they decide nothing that costs."""
        recogniser.check_length(clip.samples.size)
        self.total.add("predictions", "", recogniser.calls_for(1), clip.samples.size)
        if condition != "clean":
            return np.zeros(len(recogniser.classes))
        return recogniser.log_odds(clip.samples[None])[0]

    def attribute(self, explainer: Explainer, request: Request) -> Attribution:
        """An empty attribution with the calls that the real one would take."""
        n_samples = request.clip.samples.size
        calls = self._calls_of(explainer, request)
        if calls == 0:
            return explainer.attribute(request)
        request.recogniser.check_length(n_samples)
        if request.base is None:
            key = explainer.shares(request)

            def count() -> None:
                self.total.add("explanations", explainer.name, calls, n_samples)

            count() if key is None else request.shared.once(key, count, request.recogniser)
        grid = scoring_grid(request.clip.duration_s)
        return Attribution(np.zeros(grid.shape), grid, request.label, explainer.name, model_calls=calls)

    def _calls_of(self, explainer: Explainer, request: Request) -> int:
        """Model calls of an explanation; those that a clip's length decides are asked for once a length."""
        n_samples, recogniser = request.clip.samples.size, request.recogniser
        if type(explainer).calls_of is not Explainer.calls_of:
            return explainer.calls_of(request)
        key = explainer.name, repr(explainer.get_params()), n_samples, recogniser.fingerprint
        if key not in self._calls:
            self._calls[key] = explainer.calls_of(request)
        return self._calls[key]

    def score(self, metric: str, case: Case, explained: Explained) -> Outcome:
        """A score of 0; calls that metrics of one clip share are counted once."""
        if METRICS.get(metric).uses_fill and case.fill == "twin":
            case.shared("twin", lambda: case.twin_plane)  # raises where there is none
        method, n_samples = explained.attribution.method, case.clip.samples.size
        for key, calls in work_of(make_metric(metric), case, explained).items():
            again = isinstance(key, Again)
            count = partial(self.total.add, "again" if again else "scores", method, calls, n_samples)
            if isinstance(key, Again) and key.what == ANOTHER_TARGET and explained.table and explained.shared:
                explained.shared.once(explained.table, count, case.recogniser)  # the table serves every target
            else:
                case.shared(("counted", key), count)
        return Outcome(0.0)


def forecast(plan: Plan, store: Store | None = None, retry_failed: bool = False, sample: bool = False) -> Forecast:
    """Model calls of a run: the total equals the ``model_calls`` that run.json will hold.

    Parameters
    ----------
    plan : Plan
    store : Store, optional
        The run to be continued; what it holds costs nothing. Default: a fresh run.
    retry_failed : bool
        Whether its failed rows are computed again.
    sample : bool
        Whether to count some clips of each corpus, recogniser and emotion, and to extrapolate by their number.

    Notes
    -----
    Three things are known only after the run: an explanation that fails, one in which a metric finds nothing to score
    before it asks the recogniser, and whether noise leaves a clip any pitch to edit. All make the run cheaper.
    """
    total = Forecast()
    total.calls["reach", ""] = plan.reach_calls  # made already, to plan; the run makes them again
    with tempfile.TemporaryDirectory() as empty:
        earlier = store or Store(empty)
        pending = [shard for shard in plan.shards if earlier.is_pending(shard.key, retry_failed)]
        if not sample:
            for shard in pending:
                _scorer(plan, shard, earlier, backend=CountingBackend(total)).run()
            return total
        total.sampled = 0
        counted: Counter[Any] = Counter()
        for shard, weight in _typical(plan, pending):
            part = Forecast()
            _scorer(plan, shard, earlier, backend=CountingBackend(part)).run()
            counted.update({key: calls * weight for key, calls in part.calls.items()})
            total.audio_s += part.audio_s * weight
            total.sampled += len(shard.clips)
        total.calls.update({key: round(calls) for key, calls in counted.items()})
    return total


def _typical(plan: Plan, shards: Sequence[Shard]) -> Iterator[tuple[Shard, float]]:
    """Shards whose clips are of average length, at least `SAMPLE` clips of each corpus, recogniser and emotion.

    With each, how many clips of the plan one of its clips stands for.
    """
    groups: dict[tuple[str, str, str], list[tuple[Shard, float]]] = {}
    for shard in shards:  # clips of a shard share their emotion
        corpus = plan.corpora[shard.corpus]
        emotion = str(corpus.table.at[shard.clips[0], "emotion"])
        seconds = float(np.mean([clip_seconds(corpus, clip) for clip in shard.clips]))
        groups.setdefault((shard.corpus, shard.model, emotion), []).append((shard, seconds))
    for members in groups.values():
        sizes = [len(shard.clips) for shard, _ in members]
        average = float(np.average([seconds for _, seconds in members], weights=sizes))
        distances = [abs(seconds - average) for _, seconds in members]
        members = [members[i] for i in np.argsort(distances, kind="stable")]
        reached = np.cumsum([len(shard.clips) for shard, _ in members])
        chosen = [shard for shard, _ in members[: int(np.searchsorted(reached, SAMPLE)) + 1]]
        weight = sum(sizes) / sum(len(shard.clips) for shard in chosen)
        yield from ((shard, weight) for shard in chosen)


def typical_methods(total: Forecast, methods: Sequence[str]) -> list[str]:
    """The most costly of the methods, the one in the middle and the cheapest that calls the recogniser, by calls."""
    calls = {name: sum(n for (_, method), n in total.calls.items() if method == name) for name in methods}
    calling = sorted((name for name in methods if calls[name]), key=lambda name: -calls[name]) or list(methods[:1])
    return list(dict.fromkeys([calling[0], calling[len(calling) // 2], calling[-1]]))


def calibrate(plan: Plan, device: str = "cpu", light: Sequence[str] = ()) -> tuple[float, int]:
    """Time and disk space that the clip of median length in the first shard takes.

    Parameters
    ----------
    plan : Plan
    device : str
    light : sequence of str
        Methods to compute it by, clean, under one fill, by metrics that explain nothing again: these repeat at length
        what is timed already. Default: everything in the plan.

    Returns
    -------
    seconds : float
        That a second of audio takes in the recogniser, with all work beside it.
    size : int
        Bytes that the clip leaves on disk.
    """
    shard = plan.shards[0]
    corpus = plan.corpora[shard.corpus]
    clips = sorted(shard.clips, key=lambda clip: clip_seconds(corpus, clip))
    clip = clips[len(clips) // 2]
    # fine-tuning is no part of what a second of audio costs
    one = replace(shard, key="calibration", clips=(clip,), partners=("",), training=())
    less = plan.config.model_copy(update={"conditions": ["clean"]})
    rows = 1.0
    if light:
        metrics = [name for name in plan.config.metrics if not METRICS.get(name).explains] or plan.config.metrics
        less = less.model_copy(update={"methods": list(light), "metrics": metrics, "repeats": 1})
        planned = sum(1 for _ in rows_of(plan.config, plan.specs, one.fills))
        one = replace(one, fills=one.fills[:1])
        rows = planned / max(1, sum(1 for _ in rows_of(less, plan.specs, one.fills)))
    small = replace(plan, shards=[one], config=less if light else plan.config)
    expected = forecast(small)
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(scratch)
        # the first use of a method or metric pays for loading its libraries
        first = replace(one, clips=(clips[0],), fills=one.fills[:1])
        warm = less.model_copy(update={"methods": list(light[-1:])}) if light else less
        _scorer(replace(plan, config=warm), first, store, device).run()
        scorer = _scorer(small, one, store, device)
        start = time.perf_counter()
        made = scorer.run()
        seconds = time.perf_counter() - start
        store.write_shard(one.key, made, scorer.explanations, scorer.predictions, scorer.timing)
        size = sum(path.stat().st_size for path in store.path.rglob("*") if path.is_file())
    return seconds / max(expected.audio_s, 1e-9), round(size * rows)


def _scorer(plan: Plan, shard: Shard, store: Store, device: str = "cpu", backend: Backend | None = None) -> ShardScorer:
    recogniser = plan.models[shard.model, shard.trained_on].recogniser(shard.fold, device)
    seen = dict.fromkeys(shard.clips, "no")
    return ShardScorer(
        plan.config,
        plan.specs,
        shard,
        plan.corpora[shard.corpus],
        recogniser,
        seen,
        store,
        device,
        backend,
        maps=plan.maps.get((shard.corpus, shard.model)),
    )


def clip_seconds(corpus: Corpus, clip: str) -> float:
    """Length of a clip from its file's header, without decoding; `TYPICAL_S` where the header cannot be read."""
    try:
        seconds = header_seconds(corpus.root / str(corpus.table.at[clip, "file"]))
    except (ClipError, KeyError, AttributeError):
        return TYPICAL_S
    return seconds if 0 < seconds <= MAX_SECONDS else TYPICAL_S  # a stream does not state its length


def shard_cost(config: RunConfig, corpus: Corpus, shard: Shard) -> float:
    """Relative cost of a shard, for the order of the queue: copies of its rows times seconds of audio."""
    work = len({(c, m, f) for c, m, _, f in cells_of(config, shard.fills)})
    return TRAJECTORY * work * sum(clip_seconds(corpus, clip) for clip in shard.clips)
