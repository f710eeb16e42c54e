"""Scores of explanations: one module a family, pure functions over arrays and one thin class for each metric.

The names below are the public interface for extensions; each is imported at first use, so that
``import serxai.metrics`` stays fast and loads no torch. Modules of this package are private: their names may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        ".records": ("METRICS", "make_metric"),
        ".record": ("COMPANIONS", "CONDITIONS", "DIRECTIONS", "FAMILIES", "SPACES", "MetricRecord"),
        ".case": ("CallingMetric", "Case", "Explain", "Explained", "Metric", "Outcome", "work_of"),
    },
)

if TYPE_CHECKING:
    from .case import CallingMetric as CallingMetric
    from .case import Case as Case
    from .case import Explain as Explain
    from .case import Explained as Explained
    from .case import Metric as Metric
    from .case import Outcome as Outcome
    from .case import work_of as work_of
    from .record import COMPANIONS as COMPANIONS
    from .record import CONDITIONS as CONDITIONS
    from .record import DIRECTIONS as DIRECTIONS
    from .record import FAMILIES as FAMILIES
    from .record import SPACES as SPACES
    from .record import MetricRecord as MetricRecord
    from .records import METRICS as METRICS
    from .records import make_metric as make_metric
