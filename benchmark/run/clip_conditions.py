"""Clips of one corpus under the conditions of a run: samples, predictions, explained classes and metric cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ...cues.neutral import NeutralReference
from ...cues.windows import WindowCues
from ...datasets.clip import Clip
from ...datasets.corpus import Corpus
from ...datasets.shifts.conditions import CONDITIONS, Talkers, apply_condition
from ...errors import ClipError, NotApplicable
from ...metrics.case import Case
from ...models.dimensional import no_class
from ...models.recogniser import Recogniser
from ..storage.store import Store
from .backend import Backend
from .config import RUNNER_UP, RunConfig
from .identity import Keys, clip_identity
from .neutral import neutral_clips, neutral_reference, window_cues

T = TypeVar("T")
OF_CLIP = "of clip"  # first part of memo keys whose values only the clip at hand can ask for


class Memo:
    """Values computed once by key, errors included."""

    def __init__(self) -> None:
        self._values: dict[tuple, Any] = {}

    def once(self, key: tuple, make: Callable[[], T]) -> T:
        """Value of `make`, called at the first request of `key`; an error is raised again at later requests."""
        if key not in self._values:
            try:
                self._values[key] = make()
            except Exception as error:
                self._values[key] = error
        value = self._values[key]
        if isinstance(value, Exception):
            raise value
        return value

    def end_clip(self) -> None:
        """Drop what no later clip can ask for."""
        self._values = {key: value for key, value in self._values.items() if key[0] != OF_CLIP}


class ConditionedClips:
    """Clips of one corpus, shifted by the conditions of a run.

    Parameters
    ----------
    config : RunConfig
    corpus : Corpus
    memo : Memo
    backend : Backend
    trained : sequence of str
        Clips that copies of the recogniser are fine-tuned on.
    """

    def __init__(
        self, config: RunConfig, corpus: Corpus, memo: Memo, backend: Backend, trained: Sequence[str] = ()
    ) -> None:
        self.config = config
        self.trained = trained
        self.corpus = corpus
        self._memo = memo
        self._backend = backend

    def identity(self, clip_id: str) -> str:
        """Digest of a clip."""
        return self._memo.once(
            ("identity", clip_id), lambda: clip_identity(self.corpus, clip_id, lambda clip: self.clip(clip, "clean"))
        )

    def mixed(self, clip_id: str, condition: str) -> list[str]:
        """Ids of the clips that a condition mixes into a clip."""
        if not CONDITIONS.get(condition).others:
            return []
        return self._memo.once(("talkers",), lambda: Talkers(self.corpus, self.config.seed)).of(clip_id, condition)

    def neutral(self, clip_id: str) -> list[str]:
        """Ids of the neutral clips of a clip's speaker that metrics compare it with."""
        return self._memo.once(("neutral clips", clip_id), lambda: neutral_clips(self.corpus, clip_id))

    def training(self) -> Mapping[str, str]:
        """Digest of each clip that copies of the recogniser are fine-tuned on, by its id."""
        return {clip_id: self.identity(clip_id) for clip_id in self.trained}

    def neutral_reference(self, clip_id: str) -> NeutralReference:
        """Windows of those clips as recorded; the cues of each clip are measured once."""

        def cues_of(name: str) -> WindowCues | None:
            return self._memo.once(("window cues", name), lambda: self._window_cues(name))

        return neutral_reference(self.corpus, clip_id, cues_of)

    def _window_cues(self, clip_id: str) -> WindowCues | None:
        try:
            return window_cues(self.clip(clip_id, "clean"))
        except ClipError:  # it cannot be decoded
            return None

    def clip(self, clip_id: str, condition: str) -> Clip:
        """A clip under a condition.

        Raises
        ------
        ClipError
            If the clip cannot be decoded, or the shift is undefined for it.
        """
        condition = self._backend.applied_condition(condition)
        if condition == "clean":
            return self._memo.once(("clip", clip_id), lambda: self.corpus.clip(clip_id))
        return self._memo.once(
            (OF_CLIP, "clip", clip_id, condition),
            lambda: apply_condition(
                condition,
                self.clip(clip_id, "clean"),
                self.config.seed,
                [self.clip(other, "clean").samples for other in self.mixed(clip_id, condition)],
            ),
        )


class ClipPredictions:
    """Predictions, explained classes and metric cases of conditioned clips by one recogniser.

    Parameters
    ----------
    clips : ConditionedClips
    recogniser : Recogniser
    keys : Keys
    store : Store or None
        Where earlier predictions are looked up.
    memo : Memo
    backend : Backend
    device : str
    fine_tuned : callable, optional
        See `metrics.case.Case`.

    Attributes
    ----------
    by_key : dict of str to (str, array)
        Every prediction asked for: id of the clip, and log-odds of shape (n_classes,).
    """

    def __init__(
        self,
        clips: ConditionedClips,
        recogniser: Recogniser,
        keys: Keys,
        store: Store | None,
        memo: Memo,
        backend: Backend,
        device: str,
        fine_tuned: Callable[[str], Recogniser] | None = None,
    ) -> None:
        self.fine_tuned = fine_tuned
        self.clips = clips
        self.recogniser = recogniser
        self.keys = keys
        self.store = store
        self.device = device
        self._memo = memo
        self._backend = backend
        self.by_key: dict[str, tuple[str, np.ndarray]] = {}

    def log_odds(self, clip_id: str, condition: str) -> np.ndarray:
        """Log-odds of every class, shape (n_classes,)."""

        def make() -> np.ndarray:
            key = self.keys.prediction(clip_id, condition)
            stored = None if self.store is None else self.store.prediction(key)
            if stored is None:
                stored = self._backend.predict(self.recogniser, self.clips.clip(clip_id, condition), condition)
            self.by_key[key] = clip_id, stored
            return stored

        return self._memo.once(("log odds", clip_id, condition), make)

    def predicted(self, clip_id: str, condition: str) -> str:
        """The predicted class; empty where the recogniser predicts numbers."""
        if self.recogniser.regression:
            return ""
        return self.recogniser.classes[int(np.argmax(self.log_odds(clip_id, condition)))]

    def target(self, clip_id: str, rule: str) -> str:
        """The class explained, or ``A-B``; the same under every condition, so that explanations can be compared.

        Raises
        ------
        NotApplicable
            If the recogniser does not know the class, or both sides of a contrast are the same.
        """
        side, _, other_side = rule.partition("-")
        target = self._class(clip_id, side)
        if not other_side:
            return target
        other = self._class(clip_id, other_side, besides=target)
        if other == target:
            raise NotApplicable(f"a contrast needs two classes: this clip's are both {target!r}")
        return f"{target}-{other}"

    def _class(self, clip_id: str, side: str, besides: str = "") -> str:
        """The class that one side of a target stands for."""
        if side in ("predicted", RUNNER_UP):
            if self.recogniser.regression:
                raise NotApplicable(no_class(self.recogniser.name, self.recogniser.classes))
            likeliest = np.argsort(-self.log_odds(clip_id, "clean"), kind="stable")
            ranked = [self.recogniser.classes[int(column)] for column in likeliest]
            return next(name for name in ranked if name != besides)
        emotion = str(self.clips.corpus.table.loc[clip_id, "emotion"]) if side == "true" else side
        if not emotion:
            raise NotApplicable("needs a label: the true class is explained, and the clip has none")
        if emotion not in self.recogniser.classes:
            raise NotApplicable(f"recogniser {self.recogniser.name!r} does not know the class {emotion!r}")
        return emotion

    def case(self, clip_id: str, condition: str, target: str) -> Case:
        """What metrics score an explanation of the clip on."""
        return self._memo.once(
            (OF_CLIP, "case", clip_id, condition, target),
            lambda: Case(
                self.recogniser,
                self.clips.clip(clip_id, condition),
                target,
                seed=self.keys.case_seed(clip_id, condition),
                condition=condition,
                device=self.device,
                neutral=lambda: self.clips.neutral_reference(clip_id),
                fine_tuned=self.fine_tuned,
            ),
        )
