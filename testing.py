"""Conformance checks for methods, metrics, recognisers and corpora, of serxai and of other packages.

Each runs on small made-up clips and networks, returns what it checked, and raises `ConformanceError` with everything
that is wrong. ``serxai check KIND NAME`` prints the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "..benchmark.validation.conformance": ("check_explainer",),
        "..benchmark.validation.conformance_others": ("check_corpus", "check_metric", "check_recogniser"),
        "..benchmark.validation.check_result": ("Check",),
        "..benchmark.validation.probes": ("ConformanceError", "probe_clip", "probe_recogniser"),
    },
)

if TYPE_CHECKING:
    from .benchmark.validation.check_result import Check as Check
    from .benchmark.validation.conformance import check_explainer as check_explainer
    from .benchmark.validation.conformance_others import check_corpus as check_corpus
    from .benchmark.validation.conformance_others import check_metric as check_metric
    from .benchmark.validation.conformance_others import check_recogniser as check_recogniser
    from .benchmark.validation.probes import ConformanceError as ConformanceError
    from .benchmark.validation.probes import probe_clip as probe_clip
    from .benchmark.validation.probes import probe_recogniser as probe_recogniser
