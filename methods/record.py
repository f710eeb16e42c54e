"""Method records: the metadata by which explanation methods are listed, selected and grouped."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..registry import Record

EXTERNAL = "maps"  # family of maps that were made elsewhere
PREFIX = f"{EXTERNAL}:"  # of their methods' names
FAMILIES = ("gradient", "relevance", "attention", "occlusion", "lime", "cue-referenced", "baseline", EXTERNAL)
NEEDS = ("gradient", "features", "attention", "black box", "none", "truth")
REFERENCES = ("fill", "own", "none", "base")


@dataclass(frozen=True, kw_only=True)
class MethodRecord(Record):
    """Metadata of an explanation method.

    Attributes
    ----------
    family : str
        One of `FAMILIES`; ``baseline`` for references that explain no recogniser (see `methods.records.baselines`),
        ``maps`` for maps that were made elsewhere (`methods.external`).
    needs : {'gradient', 'features', 'attention', 'black box', 'none', 'truth'}
        What it requires: a differentiable recogniser, a network on a feature map (whose layers it may inspect), a
        differentiable recogniser with self-attention, any recogniser, or none; ``truth`` requires a clip of
        the planted corpus.
    cost : str
        Copies that go through the recogniser for one explanation, as text.
    resolution : str
        The finest detail a map of this method can show, at its default parameters.
    reference : {'fill', 'own', 'none', 'base'}
        What relevance is relative to: a fill that replaces parts of the clip or the whole of it, a baseline of the
        method's own, nothing (local gradients, class activations, baselines), or what its base method's is.
    signed : bool
        Whether maps, at default parameters, take negative values; those of unsigned methods never do.

    Raises
    ------
    InputError
        If a field holds something that is not allowed.
    """

    family: str
    needs: str
    cost: str
    resolution: str
    reference: str
    signed: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, allowed in (("family", FAMILIES), ("needs", NEEDS), ("reference", REFERENCES)):
            if getattr(self, field) not in allowed:
                raise InputError(
                    f"method {self.name!r}: {field} {getattr(self, field)!r} is not allowed; take {', '.join(allowed)}."
                )
        for field in ("cost", "resolution"):
            if not getattr(self, field).strip():
                raise InputError(f"method {self.name!r}: field {field!r} is empty; every record must fill it.")
