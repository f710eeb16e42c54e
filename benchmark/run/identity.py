"""Keys and seeds of predictions, explanations and scores: digests of everything that a result depends on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from ...audio import SAMPLE_RATE
from ...datasets.clip import Clip
from ...datasets.corpus import Corpus, file_digest
from ...datasets.shifts.conditions import CONDITIONS
from ...errors import ClipError
from ...keys import digest
from ...metrics.records import METRICS, MetricRecord
from ...models.fine_tuning import FineTuning
from ...models.recogniser import Recogniser
from ..storage.map_folder import MapFolder, MapRow
from .config import RunConfig
from .method_spec import MethodSpec

GRID = "16 mel bands x 80 ms"  # the scoring grid, part of every score's key


def clip_identity(corpus: Corpus, clip: str, load: Callable[[str], Clip] | None = None) -> str:
    """Digest of a clip's samples and alignment, or of its file's bytes where it cannot be decoded.

    Parameters
    ----------
    corpus : Corpus
    clip : str
    load : callable, optional
        Returns the clip of an id, for callers that keep decoded clips. Default: decode it.
    """
    try:
        return (load or corpus.clip)(clip).identity
    except ClipError:
        return "undecodable: " + file_digest(corpus.root / str(corpus.table.loc[clip, "file"]))


def target_rule(config: RunConfig, metric: MetricRecord) -> str:
    """How the explained class is chosen: ``predicted``, ``true``, an emotion, or a contrast such as ``A-B``.

    The planted truth refers to the planted emotion, so localisation explains the true class unless one is named.
    """
    if config.target == "predicted" and metric.family == "localisation":
        return "true"
    return config.target


class ClipIdentities(Protocol):
    """What keys need to know about clips."""

    def identity(self, clip_id: str) -> str:
        """Digest of a clip."""

    def mixed(self, clip_id: str, condition: str) -> list[str]:
        """Ids of the clips that a condition mixes into a clip."""

    def neutral(self, clip_id: str) -> list[str]:
        """Ids of the neutral clips of a clip's speaker that metrics compare it with."""

    def training(self) -> Mapping[str, str]:
        """Digest of each clip that copies of the recogniser are fine-tuned on, by its id."""


class Keys:
    """Keys and seeds of one corpus, recogniser and configuration.

    Parameters
    ----------
    config : RunConfig
    specs : mapping of str to MethodSpec
    corpus : Corpus
    recogniser : Recogniser
    clips : ClipIdentities
    maps : MapFolder, optional
        Maps that were made elsewhere; an explanation by them is known by its content.
    """

    def __init__(
        self,
        config: RunConfig,
        specs: Mapping[str, MethodSpec],
        corpus: Corpus,
        recogniser: Recogniser,
        clips: ClipIdentities,
        maps: MapFolder | None = None,
    ) -> None:
        self.maps = maps
        self.config = config
        self.specs = specs
        self.corpus = corpus
        self.recogniser = recogniser
        self.clips = clips

    @property
    def batch(self) -> Hashable:
        """Batch size and, where bounded, batch memory: both decide the last digits of a result."""
        batch, memory = self.recogniser.batch, self.recogniser.memory
        return batch if memory is None else (batch, memory)

    def prediction(self, clip_id: str, condition: str) -> str:
        """Key of the log-odds of a clip under a condition."""
        return digest("prediction", *self._clip(clip_id, condition))

    def explanation(self, clip_id: str, condition: str, method: str, target: str, repeat: int, fill: str) -> str:
        """Key of an explanation for scores with a fill."""
        of_clip = self._clip(clip_id, condition)
        spec = self.specs[method].scored_with(fill)
        content = [] if self.maps is None or not spec.external else [
            self.maps.content(self.map_row(clip_id, condition, method, target, repeat, fill))
        ]  # fmt: skip
        return digest("explanation", *of_clip, spec.identity, target, repeat, self.batch, *content)

    def map_row(
        self, clip_id: str, condition: str, method: str, target: str, repeat: int, fill: str
    ) -> MapRow | None:  # fmt: skip
        """Which map that was made elsewhere is the explanation for scores with a fill; None if there is none."""
        assert self.maps is not None
        against = self.specs[method].scored_with(fill).against
        return self.maps.row(method, clip_id, condition, target, repeat, against)

    def explanation_seed(self, clip_id: str, method: str, condition: str, repeat: int) -> tuple:
        """Parts of the seed of an explanation."""
        return ("explain", self.config.seed, self.corpus.name, clip_id, method, condition, repeat)

    def case_seed(self, clip_id: str, condition: str) -> tuple:
        """Parts of the seed of a metric's own draws."""
        return (self.config.seed, self.corpus.name, clip_id, condition)

    def score(
        self,
        clip_id: str,
        partner: str,
        target: str,
        condition: str,
        method: str,
        metric: str,
        fill: str,
        repeat: int,
        against: str,
    ) -> str:
        """Key of a score of an explanation made for the fill `against`."""
        record = METRICS.get(metric)
        other = [partner, self.clips.identity(partner)] if "other" in record.companions and partner else []
        explained = self.explanation(clip_id, condition, method, target, repeat, against)
        rule = target_rule(self.config, record)
        voice = self.clips.neutral(clip_id) if record.neutral else []
        return digest(
            "score", explained, metric, record.version, fill, record.space, GRID, self.batch, rule, other,
            *((name, self.clips.identity(name)) for name in voice),
            *((asdict(FineTuning()), sorted(self.clips.training().items())) if record.fine_tunes else ()),
        )  # fmt: skip

    def _clip(self, clip_id: str, condition: str) -> list[Any]:
        shift = CONDITIONS.get(condition)
        return [
            self.recogniser.fingerprint, self.corpus.name, clip_id, self.clips.identity(clip_id), SAMPLE_RATE,
            condition, shift.version, shift.strength, self.config.seed,
            *((other, self.clips.identity(other)) for other in self.clips.mixed(clip_id, condition)),
        ]  # fmt: skip
