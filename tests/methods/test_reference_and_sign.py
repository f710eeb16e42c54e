"""What records say of every method's reference and sign, against the maps that it makes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from serxai.audio import FILLS
from serxai.datasets.clip import Clip
from serxai.datasets.corpora import load_corpus
from serxai.errors import InputError, NotApplicable
from serxai.methods.explainer import Request
from serxai.methods.records import METHODS, make_method
from serxai.models.obtain import load_model

NAMES = [
    record.name + "saliency" if record.name.endswith(":") else record.name
    for record in METHODS
    if record.family != "maps"
]
SLOW = (
    "emolime-paper", "emolime-paper-unshrunk", "occlusion-paper", "beyond-saliency", "beyond-saliency-regions",
    "beyond-saliency-paper-os",
)  # fmt: skip
NOT_HERE = ("crp-paper", "beyond-saliency-paper-crp")  # made for the authors' network


@cache
def clips() -> tuple[Clip, ...]:
    """Planted clips of three emotions, by different speakers."""
    corpus = load_corpus("planted")
    chosen = [corpus.select([emotion])[i] for i, emotion in enumerate(("anger", "happiness", "sadness"))]
    corpus.prepare(chosen)
    return tuple(corpus.clip(clip) for clip in chosen)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.long) if n in SLOW else n for n in NAMES])
def test_maps_have_the_sign_that_the_record_tells(name: str):
    """Unsigned maps are never negative; signed ones are somewhere, over clips and targets."""
    if METHODS.get(name).needs == "attention":
        pytest.skip("needs a transformer: tests/methods/test_attention.py")
    if name in NOT_HERE:
        pytest.skip("needs the authors' checkpoint: tests/methods/test_real_clips.py")
    recogniser = load_model("planted-rule" if name == "rule-truth" else "cnn", "planted")
    lowest = []
    for clip in clips():
        for target in {clip.emotion, "anger", "neutral"}:
            try:
                found = make_method(name).attribute(Request(recogniser, clip, target, ("sign", clip.id)))
            except (NotApplicable, InputError):
                continue
            lowest.append(float(found.values.min()))
            if METHODS.get(name).signed and lowest[-1] < 0:
                return  # seen one: the other clips and targets would take time only
    assert lowest
    assert not METHODS.get(name).signed and min(lowest) >= 0


@pytest.mark.parametrize("name", NAMES)
def test_the_parameter_that_names_a_fill_is_what_the_record_tells(name: str):
    record, method = METHODS.get(name), make_method(name)
    if name == "oracle":
        assert method.against == "twin" and record.reference == "fill"
    else:
        assert (method.fill_parameter is not None) == (record.reference == "fill")
    assert (record.reference == "base") == (method.base is not None and "paper" not in name)
    if method.fill_parameter:
        assert method.fill_parameter in method.get_params()
        for fill in FILLS:
            assert make_method(name, **{method.fill_parameter: fill}).against == fill


@pytest.mark.parametrize("name", ["occlusion", "band-loo", "feature-ablation", "integrated-gradients", "deeplift"])
def test_another_fill_gives_another_map(name: str):
    recogniser, clip = load_model("cnn", "planted"), clips()[0]
    parameter = str(make_method(name).fill_parameter)
    maps = [
        make_method(name, **{parameter: fill}).attribute(Request(recogniser, clip, "anger", ("fill", clip.id))).values
        for fill in ("attenuate", "noise")
    ]
    assert np.abs(maps[0] - maps[1]).max() > 1e-3 * np.abs(maps[0]).max()
