"""Forecast of a run's cost: model calls, seconds, bytes.

Model calls are counted, not estimated: the scorer itself walks through the plan with a backend that counts, so that
whatever it shares, skips or explains a second time is counted as it will happen. Seconds come from one clip of median
length that is explained and scored.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial

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
from .plan import Plan, Shard, cells_of
from .scoring import ShardScorer

TRAJECTORY = 32  # copies of one trajectory, for the order of the queue
TYPICAL_S = 2.5  # an utterance whose header cannot be read


@dataclass
class Forecast:
    """Model calls, and seconds of audio that go through the recogniser, by (part, method).

    Parts are ``predictions``, ``reach``, ``explanations``, ``again`` (explanations made again by metrics) and
    ``scores`` (all other calls of metrics).
    """

    calls: Counter = field(default_factory=Counter)
    audio_s: float = 0.0

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
        calls = explainer.calls_of(request)
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


def forecast(plan: Plan, store: Store | None = None, retry_failed: bool = False) -> Forecast:
    """Model calls of a run: the total equals the ``model_calls`` that run.json will hold.

    Parameters
    ----------
    plan : Plan
    store : Store, optional
        The run to be continued; what it holds costs nothing. Default: a fresh run.
    retry_failed : bool
        Whether its failed rows are computed again.

    Notes
    -----
    Three things are known only after the run: an explanation that fails, one in which a metric finds nothing to score
    before it asks the recogniser, and whether noise leaves a clip any pitch to edit. All make the run cheaper.
    """
    total = Forecast()
    total.calls["reach", ""] = plan.reach_calls  # made already, to plan; the run makes them again
    with tempfile.TemporaryDirectory() as empty:
        earlier = store or Store(empty)
        for shard in plan.shards:
            if not earlier.is_pending(shard.key, retry_failed):
                continue
            _scorer(plan, shard, earlier, backend=CountingBackend(total)).run()
    return total


def calibrate(plan: Plan, device: str = "cpu") -> tuple[float, int]:
    """Time and disk space that the clip of median length in the first shard takes.

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
    small = replace(plan, shards=[one])
    expected = forecast(small)
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(scratch)
        # the first use of a method or metric pays for loading its libraries
        less = plan.config.model_copy(update={"conditions": ["clean"]})
        first = replace(one, clips=(clips[0],), fills=one.fills[:1])
        _scorer(replace(plan, config=less), first, store, device).run()
        scorer = _scorer(small, one, store, device)
        start = time.perf_counter()
        rows = scorer.run()
        seconds = time.perf_counter() - start
        store.write_shard(one.key, rows, scorer.explanations, scorer.predictions, scorer.timing)
        size = sum(path.stat().st_size for path in store.path.rglob("*") if path.is_file())
    return seconds / max(expected.audio_s, 1e-9), size


def _scorer(plan: Plan, shard: Shard, store: Store, device: str = "cpu", backend: Backend | None = None) -> ShardScorer:
    recogniser = plan.models[shard.model, shard.trained_on].recogniser(shard.fold, device)
    seen = dict.fromkeys(shard.clips, "no")
    return ShardScorer(
        plan.config, plan.specs, shard, plan.corpora[shard.corpus], recogniser, seen, store, device, backend
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
