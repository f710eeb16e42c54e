"""What a run will cost, told before it is started.

Model calls are counted, not guessed: the scorer itself walks through the plan, with stand-ins for explanations and
trajectories, so that whatever it shares, skips or explains a second time is counted as it will happen. Only the clean
clips are predicted for real, because the explained class decides what is shared. Seconds come from one clip of median
length that is explained and scored for real.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import soundfile

from ...audio import SAMPLE_RATE, scoring_grid
from ...datasets.clip import Clip
from ...datasets.corpus import Corpus
from ...datasets.shifts.conditions import CONDITIONS
from ...keys import digest
from ...methods.attribution import Attribution
from ...methods.explainer import Explainer, Request
from ...metrics.case import Case, Explained, Outcome, work_of
from ...metrics.records import METRICS, make_metric
from ..storage.store import Store
from .config import RunConfig
from .plan import Plan, Shard, cells_of
from .scoring import ShardScorer
from .workbench import KeepingScorer

TRAJECTORY = 32  # copies of one trajectory, for the order of the queue
TYPICAL_S = 2.5  # an utterance whose header cannot be read


@dataclass
class Forecast:
    """Model calls, and seconds of audio that go through the recogniser, by (part, method)."""

    calls: Counter = field(default_factory=Counter)
    audio_s: float = 0.0

    def add(self, part: str, method: str, calls: int, n_samples: int) -> None:
        """Count what one explanation, trajectory or prediction takes."""
        self.calls[part, method] += calls
        self.audio_s += calls * n_samples / SAMPLE_RATE

    @property
    def total(self) -> int:
        """Model calls of the run."""
        return sum(self.calls.values())


class ForecastScorer(KeepingScorer):
    """Walks through a shard as `ShardScorer` does, and counts instead of computing."""

    forecast: Forecast

    def _clip(self, clip_id: str, condition: str) -> Clip:
        # other shifts change no length, and lengths are all that counts here
        return super()._clip(clip_id, condition if CONDITIONS.get(condition).moves_time else "clean")

    def _log_odds(self, clip_id: str, condition: str) -> np.ndarray:
        def make() -> np.ndarray:
            clip = self._clip(clip_id, condition)
            found = self.store.prediction(digest("prediction", *self._clip_key(clip_id, condition)))
            if found is not None:
                return found
            self.recogniser.check_length(clip.samples.size)
            self.forecast.add("predictions", "", self.recogniser.calls_for(1), clip.samples.size)
            if condition != "clean":  # decides nothing that costs
                return np.zeros(len(self.recogniser.classes))
            return self.recogniser.log_odds(clip.samples[None])[0]

        return self._once(("log odds", clip_id, condition), make)

    def _attribute(self, explainer: Explainer, request: Request) -> Attribution:
        n_samples = request.clip.samples.size
        calls = explainer.calls_of(request)
        if calls == 0:  # costs nothing, and only the method itself knows where it does not apply
            return explainer.attribute(request)
        request.recogniser.check_length(n_samples)
        if request.base is None:
            key = explainer.shares(request)

            def count() -> None:
                self.forecast.add("explanations", explainer.name, calls, n_samples)

            count() if key is None else request.shared.once(key, count, request.recogniser)
        grid = scoring_grid(request.clip.duration_s)
        return Attribution(np.zeros(grid.shape), grid, request.label, explainer.name, model_calls=calls)

    def _outcome(self, metric: str, case: Case, explained: Explained) -> Outcome:
        if not self.gathering:
            if METRICS.get(metric).uses_fill and case.fill == "twin":
                case.shared("twin", lambda: case.twin_plane)  # tells where there is none
            method = explained.attribution.method
            for key, calls in work_of(make_metric(metric), case, explained).items():
                case.shared(("counted", key), partial(self._count, method, calls, case.clip.samples.size))
        return Outcome(0.0)

    def _count(self, method: str, calls: int, n_samples: int) -> bool:
        self.forecast.add("scores", method, calls, n_samples)
        return True


def forecast(plan: Plan, store: Store | None = None, retry_failed: bool = False) -> Forecast:
    """Count what a run of a plan will do: its total equals the ``model_calls`` that it will have computed.

    Parameters
    ----------
    plan : Plan
    store : Store, optional
        The run to be continued; what it holds costs nothing. Default: a fresh run.
    retry_failed : bool
        Whether its failed rows are computed again.

    Notes
    -----
    Three things only a run can tell: an explanation that fails, one in which a metric finds nothing to score before it
    asks the recogniser, and whether noise leaves a clip any pitch to edit. All make the run cheaper.
    """
    total = Forecast()
    with tempfile.TemporaryDirectory() as empty:
        earlier = store or Store(empty)
        for shard in plan.shards:
            if not earlier.is_pending(shard.key, retry_failed):
                continue
            scorer = _scorer(ForecastScorer, plan, shard, earlier)
            scorer.forecast = total
            scorer.run()
    return total


def calibrate(plan: Plan, device: str = "cpu") -> tuple[float, int]:
    """Explain and score one clip, the one of median length in the first shard, and see what it took.

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
    one = replace(shard, key="calibration", clips=(clip,), partners=("",))
    small = replace(plan, shards=[one])
    expected = forecast(small)
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(scratch)
        # the first use of a method or metric pays for loading its libraries
        less = plan.config.model_copy(update={"conditions": ["clean"], "fills": plan.config.fills[:1]})
        first = replace(one, clips=(clips[0],))
        _scorer(ShardScorer, replace(plan, config=less), first, store, device).run()
        scorer = _scorer(ShardScorer, small, one, store, device)
        start = time.perf_counter()
        rows = scorer.run()
        seconds = time.perf_counter() - start
        store.write_shard(one.key, rows, scorer.explanations, scorer.predictions, scorer.timing)
        size = sum(path.stat().st_size for path in store.path.rglob("*") if path.is_file())
    return seconds / max(expected.audio_s, 1e-9), size


def _scorer(kind: Any, plan: Plan, shard: Shard, store: Store, device: str = "cpu") -> Any:
    recogniser = plan.models[shard.model, shard.trained_on].recogniser(shard.fold, device)
    return kind(plan.config, shard, plan.corpora[shard.corpus], recogniser, "no", store, device)


def clip_seconds(corpus: Corpus, clip: str) -> float:
    """Length of a clip from its file's header, without decoding; `TYPICAL_S` where the header cannot be read."""
    try:
        return float(soundfile.info(str(corpus.root / str(corpus.table.loc[clip, "file"]))).duration)
    except (soundfile.LibsndfileError, OSError, KeyError, AttributeError):
        return TYPICAL_S


def shard_cost(config: RunConfig, corpus: Corpus, shard: Shard) -> float:
    """What a shard costs beside others of its run, for the order of the queue: rows' copies times seconds of audio."""
    work = len({(c, m, f) for c, m, _, f in cells_of(config, corpus.name)})
    return TRAJECTORY * work * sum(clip_seconds(corpus, clip) for clip in shard.clips)
