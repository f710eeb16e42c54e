"""All explanation methods by name. This module imports nothing heavy: a method's module is imported when it is made."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..registry import Record, Registry

if TYPE_CHECKING:
    from .explainer import Explainer

FAMILIES = ("gradient", "occlusion", "lime", "cue-referenced", "baseline")
NEEDS = ("gradient", "black box", "none", "truth")


@dataclass(frozen=True, kw_only=True)
class MethodRecord(Record):
    """What an explanation method says about itself.

    Attributes
    ----------
    family : str
        One of `FAMILIES`.
    needs : {'gradient', 'black box', 'none', 'truth'}
        What it needs of the recogniser: a differentiable one, any one, none at all; ``truth`` needs a planted clip.
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


_OWN = "MIT"
_CAPTUM = "MIT (own code); gradients by captum, BSD-3-Clause"
_FEATURES = "one cell of the recogniser's feature map (log-mel CNN: 128 mel bands x 15 ms)"
_SCORING = "one cell of the scoring grid: 16 mel bands x 80 ms"
_NONE = "none: a baseline of this benchmark"

METHODS: Registry[MethodRecord] = Registry(
    "method",
    MethodRecord,
    [
        MethodRecord(
            name="saliency",
            target=".methods.gradient:Saliency",
            summary="magnitude of the gradient of the target's log-odds with respect to the features",
            version="1",
            licence=_CAPTUM,
            citation="Simonyan, Vedaldi & Zisserman 2014, Deep inside convolutional networks, arXiv 1312.6034, sec. 3",
            family="gradient",
            needs="gradient",
            cost="1",
            resolution=_FEATURES,
            cheap=True,
        ),
        MethodRecord(
            name="input-x-gradient",
            target=".methods.gradient:InputXGradient",
            summary="gradient times the feature's distance from silence",
            version="1",
            licence=_CAPTUM,
            citation="Shrikumar, Greenside, Shcherbina & Kundaje 2016, Not just a black box, arXiv 1605.01713; "
            "Kindermans, Schütt, Müller & Dähne 2016, arXiv 1611.07270",
            family="gradient",
            needs="gradient",
            cost="1",
            resolution=_FEATURES,
            cheap=True,
        ),
        MethodRecord(
            name="integrated-gradients",
            target=".methods.gradient:IntegratedGradients",
            summary="gradients along the straight path from silence to the features; sums to the change of log-odds",
            version="1",
            licence=_CAPTUM,
            citation="Sundararajan, Taly & Yan 2017, Axiomatic attribution for deep networks, ICML, arXiv 1703.01365",
            family="gradient",
            needs="gradient",
            cost="34",
            resolution=_FEATURES,
            cheap=True,
        ),
        MethodRecord(
            name="occlusion",
            target=".methods.occlusion:Occlusion",
            summary="drop of the target's log-odds when one patch of the waveform is replaced",
            version="1",
            licence=_OWN,
            citation="Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, ECCV, "
            "arXiv 1311.2901, sec. 4.2",
            family="occlusion",
            needs="black box",
            cost="one per patch + 1, in whole batches (184 for 1.7 s)",
            resolution="16 mel bands x 150 ms",
            cheap=True,
        ),
        MethodRecord(
            name="emolime",
            target=".methods.emolime:EmoLime",
            summary="linear surrogate over 8 frequency bands, fitted to all 256 combinations of bands",
            version="1",
            licence=_OWN,
            citation="Hjuler, Clemmensen & Das 2025, Exploring local interpretable model-agnostic explanations for "
            "speech emotion recognition with distribution-shift, ICASSP, doi 10.1109/ICASSP49660.2025.10889825; "
            "Ribeiro, Singh & Guestrin 2016, arXiv 1602.04938",
            family="lime",
            needs="black box",
            cost="256",
            resolution="8 mel bands x the whole clip",
            cheap=True,
        ),
        MethodRecord(
            name="beyond-saliency",
            target=".methods.beyond_saliency:BeyondSaliency",
            summary="salient windows of another method's map (default: occlusion) and their acoustic cues",
            version="1",
            licence=_OWN,
            citation="Nasr, Ren & Johnson 2025, Beyond saliency: enhancing explanation of speech emotion recognition "
            "with expert-referenced acoustic cues, arXiv 2511.11691",
            family="cue-referenced",
            needs="black box",
            cost="that of its base method",
            resolution="all frequencies x 150 ms",
            cheap=True,
        ),
        MethodRecord(
            name="random",
            target=".methods.baselines:Random",
            summary="baseline: standard normal relevance, drawn anew for every clip and condition",
            version="1",
            licence=_OWN,
            citation=_NONE,
            family="baseline",
            needs="none",
            cost="0",
            resolution=_SCORING,
            cheap=True,
        ),
        MethodRecord(
            name="energy",
            target=".methods.baselines:Energy",
            summary="baseline: the clip's own energy, whatever the recogniser and the target",
            version="1",
            licence=_OWN,
            citation=_NONE,
            family="baseline",
            needs="none",
            cost="0",
            resolution=_SCORING,
            cheap=True,
        ),
        MethodRecord(
            name="oracle",
            target=".methods.baselines:Oracle",
            summary="reference: where the emotion's cues were planted",
            version="1",
            licence=_OWN,
            citation=_NONE,
            family="baseline",
            needs="truth",
            cost="0",
            resolution=_SCORING,
            cheap=True,
        ),
    ],
)


def make_method(name: str, **params: Any) -> Explainer:
    """Explainer of this name.

    Parameters
    ----------
    name : str
        As registered.
    **params : object
        Parameters of the method; the others keep their defaults.

    Raises
    ------
    UnknownNameError
        If no method has this name.
    InputError
        If the method has no such parameter.
    """
    factory = METHODS.get(name).load()
    allowed = list(inspect.signature(factory).parameters)
    unknown = [param for param in params if param not in allowed]
    if unknown:
        raise InputError(
            f"method {name!r} has no parameter {', '.join(map(repr, unknown))}; "
            f"allowed: {', '.join(allowed) or 'none'}."
        )
    return factory(**params)
