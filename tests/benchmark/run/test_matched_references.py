"""Acceptance: against the fill it is scored with, the exact explanation leads and is better than the clip's energy."""

from __future__ import annotations

import numpy as np
import pytest

from serxai.benchmark.stats.clustered import clustered_mean
from serxai.datasets.corpora import load_corpus
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.metrics.case import Case, Explained
from serxai.metrics.faithfulness import AreaBetween
from serxai.models.obtain import load_model

VOICES = 6


def scores(fill: str, emotion: str, methods: tuple[str, ...], voices: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Area between the curves on planted-rule by method, one clip a voice, and the voices."""
    corpus, recogniser = load_corpus("planted"), load_model("planted-rule")
    table = corpus.table.loc[corpus.select([emotion])]
    chosen = [table.index[table["speaker"] == voice][0] for voice in table["speaker"].unique()[:voices]]
    corpus.prepare(chosen)
    found: dict[str, list[float]] = {method: [] for method in methods}
    for clip in map(corpus.clip, chosen):
        case = Case(recogniser, clip, emotion, fill, seed=(0, "planted", clip.id, "clean"))
        for method, values in found.items():
            parameter = make_method(method).fill_parameter
            explainer = make_method(method, **({parameter: fill} if parameter else {}))
            seed = ("explain", 0, "planted", clip.id, method, "clean", 0)
            explained = Explained(explainer.attribute(Request(recogniser, clip, emotion, seed)))
            values.append(AreaBetween().score(case, explained).value)
    return {method: np.array(values) for method, values in found.items()}, [str(table["speaker"][c]) for c in chosen]


@pytest.mark.parametrize("emotion", ["anger", "happiness", "sadness"])
def test_the_exact_explanation_is_better_than_energy(emotion: str):
    found, voices = scores("attenuate", emotion, ("rule-truth", "energy"), VOICES)
    difference = clustered_mean(found["rule-truth"] - found["energy"], voices)
    assert difference.n_speakers == VOICES and difference.low > 0 and difference.p < 0.05


@pytest.mark.long
@pytest.mark.parametrize("fill", ["attenuate", "noise", "spectral-mean"])
@pytest.mark.parametrize("emotion", ["anger", "happiness", "sadness"])
def test_the_exact_explanation_leads_under_every_matched_fill(emotion: str, fill: str):
    """Nothing is better than it by more than the draws of the noise, which differ between explanation and score."""
    rivals = ("energy", "random", "oracle", "occlusion", "emolime", "input-x-gradient", "integrated-gradients")
    found, voices = scores(fill, emotion, ("rule-truth", *rivals), 16)
    for rival in rivals:
        difference = clustered_mean(found["rule-truth"] - found[rival], voices)
        if rival == "integrated-gradients":  # equals the closed form where features are linear
            assert abs(difference.mean) < 0.05
        else:
            assert difference.low > 0
