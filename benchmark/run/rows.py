"""Score rows: the columns known before a score is computed, and the reason of rows without one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...datasets.corpus import Corpus
from ...errors import ClipError, InputError
from ...keys import digest
from ...metrics.records import METRICS
from .config import RunConfig
from .identity import target_rule
from .method_spec import MethodSpec
from .plan import Shard, rows_of

_IDENTITY = (
    "corpus", "fold", "model", "trained_on", "method", "condition", "metric", "fill", "clip", "target_rule",
    "seed", "repeat",
)  # fmt: skip


class RowBuilder:
    """Rows of one shard.

    Parameters
    ----------
    config : RunConfig
    specs : mapping of str to MethodSpec
    shard : Shard
    corpus : Corpus
    fingerprint : str
        Of the recogniser.
    seen_in_training : mapping of str to {'no', 'yes', 'unknown'}
        By clip of the shard.
    """

    def __init__(
        self,
        config: RunConfig,
        specs: Mapping[str, MethodSpec],
        shard: Shard,
        corpus: Corpus,
        fingerprint: str,
        seen_in_training: Mapping[str, str],
    ) -> None:
        self.config = config
        self.specs = specs
        self.shard = shard
        self.corpus = corpus
        self.fingerprint = fingerprint
        self.seen_in_training = seen_in_training

    def of_clip(self, clip_id: str) -> Iterator[dict[str, Any]]:
        """Rows of one clip without scores, in the order of the cells."""
        clip_columns = self._clip_columns(clip_id)
        for condition, method, metric, fill, repeat in rows_of(self.config, self.specs, self.shard.fills):
            yield clip_columns | self._cell_columns(condition, method, metric, fill) | {"repeat": repeat}

    def failed(self, clip_id: str, reason: str) -> list[dict[str, Any]]:
        """Rows of one clip that all failed for one reason."""
        rows = []
        for row in self.of_clip(clip_id):
            row |= {"status": "failed", "reason": one_line(reason)}
            row["key"] = self.unscored_key(row)
            rows.append(row)
        return rows

    def unscored_key(self, row: Mapping[str, Any]) -> str:
        """Key of a row whose score has none, because not even the explained class is known."""
        return digest("unscored", self.fingerprint, [str(row[name]) for name in _IDENTITY])

    def _clip_columns(self, clip_id: str) -> dict[str, Any]:
        known = self.corpus.table.loc[clip_id]
        return {
            "corpus": self.corpus.name,
            "fold": self.shard.fold,
            "model": self.shard.model,
            "trained_on": self.shard.trained_on,
            "seen_in_training": self.seen_in_training[clip_id],
            "clip": clip_id,
            "speaker": known["speaker"],
            "emotion": known["emotion"],
            "predicted": "",
            "correct": None,
            "target": "",
            "seed": self.config.seed,
            "value": np.nan,
            "reason": "",
            "model_calls": 0,
            "key": "",
        }

    def _cell_columns(self, condition: str, method: str, metric: str, fill: str) -> dict[str, Any]:
        record = METRICS.get(metric)
        return {
            "target_rule": target_rule(self.config, record),
            "method": method,
            "condition": condition,
            "strength": np.nan,
            "metric": metric,
            "family": record.family,
            "direction": record.direction,
            "space": record.space,
            "fill": fill,
            "explained_against": self.specs[method].scored_with(fill or self.shard.fills[0]).against,
            "metric_version": record.version,
            "method_version": self.specs[method].version,
        }


def failure_reason(error: Exception) -> str:
    """Reason of a failed row, in one line; errors that serxai did not raise on purpose keep their type."""
    expected = isinstance(error, ClipError | InputError)
    return one_line(str(error) if expected else f"{type(error).__name__}: {error}")


def one_line(text: str) -> str:
    """A text without line breaks and repeated spaces."""
    return " ".join(text.split())
