"""Method registry. Imports nothing heavy: a method's own module is imported when the method is instantiated."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..registry import Registry
from .attention_records import RECORDS as ATTENTION
from .baseline_records import MAPS
from .baseline_records import RECORDS as BASELINE
from .gradient_records import RECORDS as GRADIENT
from .record import EXTERNAL, FAMILIES, NEEDS, MethodRecord

if TYPE_CHECKING:
    from .explainer import Explainer

__all__ = ["FAMILIES", "METHODS", "NEEDS", "MethodRecord", "baselines", "make_method"]

_OWN = "MIT"
_SCORING = "one cell of the scoring grid: 16 mel bands x 80 ms"
_BANDS = "8 mel bands x the whole clip"
_LIME = "Ribeiro, Singh & Guestrin 2016, Why should I trust you?, KDD, arXiv 1602.04938"
_EMOLIME = (
    "Hjuler, Clemmensen & Das 2025, Exploring local interpretable model-agnostic explanations for speech emotion "
    "recognition with distribution-shift, ICASSP, doi 10.1109/ICASSP49660.2025.10889825; Ribeiro, Singh & Guestrin "
    "2016, arXiv 1602.04938"
)
_WORDS = (
    "Pastor et al. 2024, Explaining speech classification models via word-level audio segments, EACL, arXiv 2309.07733"
)
_BEYOND = (
    "Nasr, Ren & Johnson 2025, Beyond saliency: enhancing explanation of speech emotion recognition with "
    "expert-referenced acoustic cues, arXiv 2511.11691"
)

# the order is that of tables and boards
METHODS: Registry[MethodRecord] = Registry(
    "method",
    MethodRecord,
    [
        *GRADIENT,
        *ATTENTION,
        MethodRecord(
            name="occlusion",
            target=".methods.occlusion:Occlusion",
            summary="drop of the target's log-odds when one patch of the waveform is replaced",
            version="2",
            licence=_OWN,
            citation="Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, ECCV, "
            "arXiv 1311.2901, sec. 4.2",
            family="occlusion",
            needs="black box",
            cost="one per patch + 1, in whole batches (184 for 1.7 s)",
            resolution="16 mel bands x 150 ms",
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="feature-ablation",
            target=".methods.ablation:FeatureAblation",
            summary="drop of the target's log-odds when one cell of the features is silenced",
            version="2",
            licence=_OWN,
            citation="Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, ECCV, arXiv "
            "1311.2901, sec. 4.2; Kokhlikyan et al. 2020, Captum, arXiv 2009.07896",
            family="occlusion",
            needs="gradient",
            cost="one per cell of the scoring grid + 1, in whole batches (344 for 1.7 s)",
            resolution=_SCORING,
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="occlusion-paper",
            target=".methods.ablation:OcclusionPaper",
            summary="mean drop of the logit when 1 mel row x 10 frames of the features take their loudest value",
            version="2",
            licence=_OWN,
            citation="Nasr, Ren & Johnson 2025, Beyond saliency, arXiv 2511.11691 (their released code); Zeiler & "
            "Fergus 2014, arXiv 1311.2901",
            family="occlusion",
            needs="features",
            cost="one per patch + 1, in whole batches (4,616 for 1.7 s)",
            resolution="1 row x 10 frames of the recogniser's feature map",
            reference="own",
            signed=True,
        ),
        MethodRecord(
            name="emolime",
            target=".methods.emolime:EmoLime",
            summary="linear surrogate over 8 frequency bands, fitted to all 256 combinations of bands",
            version="2",
            licence=_OWN,
            citation=_EMOLIME,
            family="lime",
            needs="black box",
            cost="256",
            resolution=_BANDS,
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="emolime-sampled",
            target=".methods.emolime:EmoLimeSampled",
            summary="EmoLIME's 64 drawn masks and ridge penalty 1, with linear masks",
            version="2",
            licence=_OWN,
            citation=_EMOLIME,
            family="lime",
            needs="black box",
            cost="64",
            resolution=_BANDS,
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="emolime-paper",
            target=".methods.emolime_paper:EmoLimePaper",
            summary="EmoLIME by its authors' recipe: 64 inverted mel spectrograms, 1-6 s each",
            version="1",
            licence=_OWN,
            citation=_EMOLIME,
            family="lime",
            needs="black box",
            cost="66",
            resolution=_BANDS,
            reference="own",
            signed=True,
        ),
        MethodRecord(
            name="emolime-paper-unshrunk",
            target=".methods.emolime_paper:EmoLimePaperUnshrunk",
            summary="emolime-paper without its ridge penalty: weighted least squares on the same 64 inversions",
            version="1",
            licence=_OWN,
            citation=_EMOLIME,
            family="lime",
            needs="black box",
            cost="66, shared with emolime-paper",
            resolution=_BANDS,
            reference="own",
            signed=True,
        ),
        MethodRecord(
            name="segment-lime",
            target=".methods.emolime:SegmentLime",
            summary="linear surrogate over stretches of time of 0.2 s, drawn masks",
            version="2",
            licence=_OWN,
            citation=_LIME,
            family="lime",
            needs="black box",
            cost="256, or twice the stretches; every mask up to 8",
            resolution="all frequencies x 200 ms",
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="patch-lime",
            target=".methods.emolime:PatchLime",
            summary="linear surrogate over patches of the plane, drawn masks",
            version="2",
            licence=_OWN,
            citation=_LIME,
            family="lime",
            needs="black box",
            cost="512, or twice the patches; every mask up to 8",
            resolution="4 mel bands x 300 ms",
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="energy-lime",
            target=".methods.emolime:EnergyLime",
            summary="linear surrogate over 8 stretches of time cut where the clip is quiet, every mask",
            version="2",
            licence=_OWN,
            citation=_LIME,
            family="lime",
            needs="black box",
            cost="256",
            resolution="all frequencies x an eighth of the clip",
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="nmf-lime",
            target=".methods.emolime:NmfLime",
            summary="linear surrogate over 8 components of a non-negative matrix factorisation, every mask",
            version="2",
            licence=_OWN,
            citation=_LIME,
            family="lime",
            needs="black box",
            cost="256",
            resolution="soft masks of 8 components",
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="band-shapley",
            target=".methods.shapley:BandShapley",
            summary="exact Shapley values of 8 frequency bands",
            version="2",
            licence=_OWN,
            citation="Shapley 1953, A value for n-person games; Lundberg & Lee 2017, NeurIPS, arXiv 1705.07874",
            family="lime",
            needs="black box",
            cost="256 (shared with emolime)",
            resolution=_BANDS,
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="band-banzhaf",
            target=".methods.shapley:BandBanzhaf",
            summary="exact Banzhaf values of 8 frequency bands",
            version="2",
            licence=_OWN,
            citation="Banzhaf 1965, Weighted voting doesn't work, Rutgers Law Review 19",
            family="lime",
            needs="black box",
            cost="256 (shared with emolime)",
            resolution=_BANDS,
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="band-kernelshap",
            target=".methods.shapley:BandKernelShap",
            summary="Shapley values of 8 frequency bands estimated from 64 masks",
            version="2",
            licence=_OWN,
            citation="Lundberg & Lee 2017, A unified approach to interpreting model predictions, NeurIPS, "
            "arXiv 1705.07874",
            family="lime",
            needs="black box",
            cost="64",
            resolution=_BANDS,
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="band-interactions",
            target=".methods.shapley:BandInteractions",
            summary="pairwise interactions of 8 frequency bands; map: main effects plus half of the interactions",
            version="1",
            licence=_OWN,
            citation="Grabisch & Roubens 1999, An axiomatic approach to the concept of interaction among players, "
            "International Journal of Game Theory 28; Bordt & von Luxburg 2023, AISTATS, arXiv 2209.04012",
            family="lime",
            needs="black box",
            cost="256 (shared with emolime)",
            resolution=_BANDS,
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="band-forest",
            target=".methods.shapley:BandForest",
            summary="importance of 8 frequency bands for a random forest that imitates the recogniser",
            version="2",
            licence=_OWN,
            citation="Bolaños et al. 2025, Benchmarking time-localised explanations, Interspeech, arXiv 2506.04391",
            family="lime",
            needs="black box",
            cost="256 (shared with emolime)",
            resolution=_BANDS,
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="band-loo",
            target=".methods.shapley:BandLeaveOneOut",
            summary="drop of the target's log-odds without each of 8 frequency bands",
            version="2",
            licence=_OWN,
            citation=_WORDS,
            family="occlusion",
            needs="black box",
            cost="16",
            resolution=_BANDS,
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="word-loo",
            target=".methods.shapley:WordLeaveOneOut",
            summary="drop of the target's log-odds without each word (EMODB: syllable) or pause",
            version="2",
            licence=_OWN,
            citation=_WORDS,
            family="occlusion",
            needs="black box",
            cost="one per word and pause + 2, in whole batches",
            resolution="one word",
            reference="fill",
            signed=True,
        ),
        MethodRecord(
            name="beyond-saliency",
            target=".methods.beyond_saliency:BeyondSaliency",
            summary="salient windows of another method's map (default: occlusion) and their acoustic cues",
            version="2",
            licence=_OWN,
            citation=_BEYOND,
            family="cue-referenced",
            needs="black box",
            cost="that of its base method",
            resolution="all frequencies x 150 ms",
            reference="base",
            signed=False,
        ),
        MethodRecord(
            name="beyond-saliency-regions",
            target=".methods.beyond_saliency:BeyondSaliencyRegions",
            summary="cues of occlusion's most relevant tenth of the plane, measured on the clip filtered to it",
            version="1",
            licence=_OWN,
            citation=_BEYOND,
            family="cue-referenced",
            needs="black box",
            cost="that of its base method",
            resolution=_SCORING,
            reference="base",
            signed=False,
        ),
        MethodRecord(
            name="beyond-saliency-paper-crp",
            target=".methods.beyond_saliency_paper:BeyondSaliencyPaperCrp",
            summary="the authors' recipe: five windows of ten frames of crp-paper's map, six openSMILE descriptors",
            version="1",
            licence=_OWN,
            citation=_BEYOND,
            family="cue-referenced",
            needs="features",
            cost="that of its base method",
            resolution="all frequencies x 10 frames of the front end",
            reference="own",
            signed=False,
        ),
        MethodRecord(
            name="beyond-saliency-paper-os",
            target=".methods.beyond_saliency_paper:BeyondSaliencyPaperOs",
            summary="the authors' recipe: five windows of occlusion-paper's map, six openSMILE descriptors of each",
            version="1",
            licence=_OWN,
            citation=_BEYOND,
            family="cue-referenced",
            needs="features",
            cost="that of its base method",
            resolution="all frequencies x 10 frames of the front end",
            reference="own",
            signed=False,
        ),
        MethodRecord(
            name="beyond-saliency:",
            target=".methods.beyond_saliency:BeyondSaliency",
            summary="the same over the map of the method named behind the colon, as in beyond-saliency:saliency",
            version="3",
            licence=_OWN,
            citation=_BEYOND,
            family="cue-referenced",
            needs="none",
            cost="that of its base method",
            resolution="all frequencies x 150 ms",
            reference="base",
            signed=False,
        ),
        MAPS,
        *BASELINE,
    ],
)


def baselines() -> tuple[str, ...]:
    """Names of all registered baselines and reference explanations, in registration order.

    Examples
    --------
    >>> [name for name in baselines() if name in ("random", "energy", "oracle", "rule-truth")]
    ['random', 'energy', 'oracle', 'rule-truth']
    """
    return tuple(record.name for record in METHODS if record.family == "baseline")


def make_method(name: str, **params: Any) -> Explainer:
    """Instantiate an explanation method by its registered name.

    Parameters
    ----------
    name : str
        As registered.
    **params : object
        Parameters of the method; the others keep their defaults.

    Raises
    ------
    UnknownNameError
        If no method, or no base method behind a colon, has this name.
    InputError
        If the method has no such parameter.
    """
    record = METHODS.get(name)
    factory: Callable[..., Explainer] = record.load()
    if record.name.endswith(":"):
        raise InputError(f"method {name!r} stands for a family; name the base method behind the colon.")
    if record.family == EXTERNAL:
        params["label"] = record.argument
    elif record.argument:
        METHODS.get(record.argument)  # an unknown base is refused before any work
        params["base"] = record.argument
    if not params:  # the common case, asked for in every cell; reading a signature takes a millisecond
        return factory()
    allowed = list(inspect.signature(factory).parameters)
    unknown = [param for param in params if param not in allowed]
    if unknown:
        raise InputError(
            f"method {name!r} has no parameter {', '.join(map(repr, unknown))}; "
            f"allowed: {', '.join(allowed) or 'none'}."
        )
    return factory(**params)
