"""Fine-tuned copies of a shard's recogniser, for metrics that measure on them: on which clips, and where from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...datasets.clip import Clip
from ...datasets.corpus import Corpus
from ...datasets.folds import ClipFolds
from ...keys import rng
from ...metrics.records import METRICS
from ...models.fine_tuning import FineTuned, obtain_copy
from ...models.foldmodels import FoldModels, Models
from ...models.recogniser import Recogniser

MAX_CLIPS = 96  # about 30 MB of spectra


def fine_tunes(metrics: Iterable[str]) -> bool:
    """Whether any of the metrics measures on a fine-tuned copy."""
    return any(METRICS.get(name).fine_tunes for name in metrics)


def training_clips(corpus: Corpus, models: Models, fold: str) -> tuple[str, ...]:
    """Ids of at most 96 clips to fine-tune a fold's model on, as many of each emotion, in canonical order.

    They are clips that the model was trained on, or clips of a corpus with the same voices by speakers of its training
    part. None that the fold holds out is among them, so none that it explains.

    Parameters
    ----------
    corpus : Corpus
        Whose clips are explained.
    models : FoldModels or ForeignModel
    fold : str

    Returns
    -------
    tuple of str
        Empty for a model without folds, and for one that explains another corpus than it was trained on.
    """
    if not isinstance(models, FoldModels) or fold not in models.folds.speakers:
        return ()
    shared = isinstance(models.folds, ClipFolds)  # then a speaker's other clips are in training
    table = corpus.table
    groups: dict[str, list[str]] = {}
    for clip in rng("fine-tuning clips", corpus.name, fold).permutation(sorted(table.index)):
        emotion, speaker = str(table.at[clip, "emotion"]), str(table.at[clip, "speaker"])
        tested_in = models.fold_for(corpus.name, speaker, str(clip) if shared else None)
        if tested_in != fold and tested_in in models.folds.speakers and emotion in models.card.classes:
            groups.setdefault(emotion, []).append(str(clip))
    each = MAX_CLIPS // max(1, len(groups))
    return tuple(sorted(clip for members in groups.values() for clip in members[:each]))


class Copies:
    """Fine-tuned copies of one recogniser by fill, made or found at their first use.

    Parameters
    ----------
    recogniser : Recogniser
    contents : callable
        Gives the digest of each clip to fine-tune on, by its id.
    load : callable
        Gives a clip by its id.

    Attributes
    ----------
    made : dict of str to FineTuned
        By fill.
    """

    def __init__(
        self, recogniser: Recogniser, contents: Callable[[], Mapping[str, str]], load: Callable[[str], Clip]
    ) -> None:
        self.recogniser = recogniser
        self.contents = contents
        self.load = load
        self.made: dict[str, FineTuned] = {}

    def __call__(self, fill: str) -> Recogniser:
        """Copy that was fine-tuned with a fill.

        Raises
        ------
        NotApplicable
            If the recogniser cannot be fine-tuned.
        """
        if fill not in self.made:
            self.made[fill] = obtain_copy(self.recogniser, fill, self.contents(), self.load)
        return self.made[fill].recogniser

    @property
    def costs(self) -> dict[str, dict[str, Any]]:
        """Calls and seconds that each copy took, and whether it was found in the cache, by fill."""
        return {
            f"{self.recogniser.fingerprint[:8]} {fill}": {
                "calls": copy.calls, "seconds": round(copy.seconds, 1), "cached": copy.cached,
                "loss": [round(loss, 3) for loss in copy.loss],
            }
            for fill, copy in self.made.items()
        }  # fmt: skip


def spent(timings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Copies that shards used, those made anew, and what these took; empty if there are none."""
    costs: dict[str, list[Mapping[str, Any]]] = {}
    for timing in timings:
        for name, cost in timing.get("fine_tuning", {}).items():
            costs.setdefault(name, []).append(cost)
    if not costs:
        return {}
    new = [cost for each in costs.values() for cost in each if not cost["cached"]]
    return {
        "copies": len(costs),
        "made": len(new),
        "calls": sum(cost["calls"] for cost in new),
        "seconds": round(sum(cost["seconds"] for cost in new), 1),
    }
