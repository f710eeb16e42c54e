"""What an explanation method says about itself."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..registry import Record

FAMILIES = ("gradient", "relevance", "occlusion", "lime", "cue-referenced", "baseline")
NEEDS = ("gradient", "features", "black box", "none", "truth")


@dataclass(frozen=True, kw_only=True)
class MethodRecord(Record):
    """What an explanation method says about itself.

    Attributes
    ----------
    family : str
        One of `FAMILIES`.
    needs : {'gradient', 'features', 'black box', 'none', 'truth'}
        What it needs of the recogniser: a differentiable one, a network on a feature map (whose layers it may look
        into), any one, none at all; ``truth`` needs a planted clip.
    cost : str
        Copies that go through the recogniser for one explanation, as text.
    resolution : str
        The finest detail a map of this method can show, at its default parameters.
    cheap : bool
        Whether it belongs into a default run: a few hundred model calls a clip at most.

    Raises
    ------
    InputError
        If a field holds something that is not allowed.
    """

    family: str
    needs: str
    cost: str
    resolution: str
    cheap: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, allowed in (("family", FAMILIES), ("needs", NEEDS)):
            if getattr(self, field) not in allowed:
                raise InputError(
                    f"method {self.name!r}: {field} {getattr(self, field)!r} is not allowed; take {', '.join(allowed)}."
                )
        for field in ("cost", "resolution"):
            if not getattr(self, field).strip():
                raise InputError(f"method {self.name!r}: field {field!r} is empty; every record must fill it.")
