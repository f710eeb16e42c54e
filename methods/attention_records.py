"""Records of explanations made for attention."""

from __future__ import annotations

from .record import MethodRecord

_OWN = "MIT"
_CELLS = "one cell of the gradient's map (networks on waveforms: 31 Hz x 8 ms)"
_TOKENS = "time only: all frequencies x one token (wav2vec 2.0, Whisper: 20 ms)"
_ATTNLRP = (
    "Achtibat, Hatefi, Dreyer, Jain, Wiegand, Lapuschkin & Samek 2024, AttnLRP: attention-aware layer-wise relevance "
    "propagation for transformers, ICML, arXiv 2402.05602"
)

RECORDS = [
    MethodRecord(
        name="attention-rollout",
        target=".methods.attention_maps:AttentionRollout",
        summary="attention weights of all layers multiplied, half of each token passed on; ignores the target",
        version="1",
        licence=_OWN,
        citation="Abnar & Zuidema 2020, Quantifying attention flow in transformers, ACL, arXiv 2005.00928, sec. 3",
        family="attention",
        needs="attention",
        cost="1",
        resolution=_TOKENS,
        reference="none",
        signed=False,
    ),
    MethodRecord(
        name="attention-relevance",
        target=".methods.attention_maps:AttentionRelevance",
        summary="attention weights times the positive part of the target's gradient, accumulated over layers",
        version="1",
        licence=_OWN,
        citation="Chefer, Gur & Wolf 2021, Generic attention-model explainability for interpreting bi-modal and "
        "encoder-decoder transformers, ICCV, arXiv 2103.15679, eq. 5-6",
        family="attention",
        needs="attention",
        cost="1",
        resolution=_TOKENS,
        reference="none",
        signed=False,
    ),
    MethodRecord(
        name="attn-lrp",
        target=".methods.attnlrp:AttnLrp",
        summary="relevance of the target's logit by rules for attention, norms and activations, one backward pass",
        version="1",
        licence=_OWN,
        citation=_ATTNLRP,
        family="attention",
        needs="attention",
        cost="1",
        resolution=_CELLS,
        reference="own",
        signed=True,
    ),
    MethodRecord(
        name="attn-lrp-values",
        target=".methods.attnlrp:AttnLrpValues",
        summary="as attn-lrp, with the attention weights held constant: relevance flows through the values alone",
        version="1",
        licence=_OWN,
        citation=_ATTNLRP + "; Ali, Schnake, Eberle, Montavon, Müller & Wolf 2022, XAI for transformers, ICML, arXiv "
        "2202.07304",
        family="attention",
        needs="attention",
        cost="1",
        resolution=_CELLS,
        reference="own",
        signed=True,
    ),
]
