"""Why shares of AttnLRP's books are far above 1 on heads that standardise their features: docs/methods.md, Books."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("transformers")

from serxai.datasets.corpora import load_corpus
from serxai.methods.attention import network_of
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.models.head import LinearHead
from serxai.models.obtain import load_models

CLIPS = 8


def constants(head: LinearHead) -> np.ndarray:
    """What the head adds to each class whatever the clip: standardisation, biases and Platt's offset, (n_classes,)."""
    centred = -(head.weight @ (head.mean / head.scale)) + head.bias
    return (head.platt_a * centred + head.platt_b).detach().numpy()


@pytest.mark.long
@pytest.mark.real_data
def test_the_heads_constants_outweigh_the_response() -> None:
    """Positions take many times the response, but less than what the head reads from the clip."""
    corpus = load_corpus("emodb")
    models = load_models(f"hf:{corpus.root.parent / 'whisper-tiny-en'}", "emodb")
    recogniser = models.recogniser("0")
    head = network_of(recogniser).head  # type: ignore[arg-type]
    held_out = set(models.folds.speakers["0"])  # type: ignore[union-attr]
    table = corpus.table[corpus.table["speaker"].isin(held_out) & corpus.table["emotion"].isin(recogniser.classes)]
    rows = []
    for clip_id in table.index[:: len(table) // CLIPS][:CLIPS]:
        clip = corpus.clip(clip_id)
        target = recogniser.classes[int(recogniser.log_odds(clip.samples[None])[0].argmax())]
        details = make_method("attn-lrp-values").attribute(Request(recogniser, clip, target, ("shares",))).details
        start = details["start"]
        assert details["softmax_share"] == 0 and abs(details["unbalanced"]) < 1e-3 * max(1, *map(abs, details.values()))
        rows.append((start, constants(head)[recogniser.classes.index(target)], details["position_share"] * start))
    response, constant, positions = np.array(rows).T
    assert np.median(np.abs(constant)) > np.median(np.abs(response))
    read = response - constant  # what the head reads from the clip, before its constants
    assert np.median(np.abs(positions / response)) > np.median(np.abs(positions / read))
    assert np.median(np.abs(positions / read)) < 1.5
