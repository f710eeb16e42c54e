"""Explanation methods: (recogniser, clip, target class) to signed relevance over the time-frequency plane.

The names below are the public interface for extensions; each is imported at first use, so that
``import serxai.methods`` stays fast and loads no torch. Modules of this package are private: their names may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        ".records": ("METHODS", "make_method"),
        ".record": ("FAMILIES", "NEEDS", "MethodRecord"),
        ".explainer": ("Explainer", "Request", "SharedWork"),
        ".attribution": ("Attribution",),
        ".caveats": ("Caveat",),
        ".gradient": ("GradientMethod",),
        ".relevance": ("RelevanceMethod",),
        ".masking_base": ("PartMethod", "PartWeights"),
        ".masks": ("MaskTable", "fill_of", "plane_of"),
        ".partitions": ("Partition", "make_partition"),
    },
)

if TYPE_CHECKING:
    from .attribution import Attribution as Attribution
    from .caveats import Caveat as Caveat
    from .explainer import Explainer as Explainer
    from .explainer import Request as Request
    from .explainer import SharedWork as SharedWork
    from .gradient import GradientMethod as GradientMethod
    from .masking_base import PartMethod as PartMethod
    from .masking_base import PartWeights as PartWeights
    from .masks import MaskTable as MaskTable
    from .masks import fill_of as fill_of
    from .masks import plane_of as plane_of
    from .partitions import Partition as Partition
    from .partitions import make_partition as make_partition
    from .record import FAMILIES as FAMILIES
    from .record import NEEDS as NEEDS
    from .record import MethodRecord as MethodRecord
    from .records import METHODS as METHODS
    from .records import make_method as make_method
    from .relevance import RelevanceMethod as RelevanceMethod
