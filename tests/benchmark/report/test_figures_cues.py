"""The picture of cues: what is drawn is what the table says, whatever is missing from it."""

import math

import numpy as np
import pandas as pd
import pytest

from serxai.audio import SAMPLE_RATE, Grid
from serxai.benchmark.report.figures.cues import _why_no_bar, beyond_saliency_figure, cue_numbers
from serxai.cues.normalise import CueReference
from serxai.cues.records import REGION_CUES
from serxai.datasets.clip import Clip
from serxai.errors import InputError
from serxai.methods.attribution import Attribution
from serxai.methods.beyond_saliency import BeyondSaliency, with_norms
from serxai.methods.explainer import Request


def clip_and_map(target="anger"):
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    high = (t > 0.6) & (t < 1.2)
    phase = 2 * np.pi * np.cumsum(np.where(high, 220.0, 110.0)) / SAMPLE_RATE
    x = np.where(t < 1.6, np.where(high, 0.08, 0.02) * sum(np.cos(h * phase) / h for h in range(1, 16)), 0)
    values = np.zeros((8, 50))
    values[2:5, 16:30] = np.random.default_rng(0).uniform(0.5, 1, (3, 14))
    values[6, :5] = -0.5
    grid = Grid(np.linspace(0, 8000, 9), np.linspace(0, 2, 51))
    return Clip("c", x.astype(np.float32), "anger"), Attribution(values, grid, target, "somehow")


def explain(target="anger", where=None, **params):
    clip, base = clip_and_map(target)
    if where is not None:
        base = Attribution(np.roll(base.values, where, axis=1), base.grid, target, "somehow")
    return clip, BeyondSaliency(**params).attribute(Request(None, clip, target, ("seed",), base))


NORMS = {"f0_level": CueReference(2.0, 0.5, 8, "speaker neutral"), "hnr": CueReference(20.0, 4.0, 5, "speaker neutral")}


@pytest.mark.parametrize(
    ("target", "where", "params", "norms"),
    [
        ("anger", None, {}, {}),
        pytest.param("anger", None, {}, NORMS, marks=pytest.mark.long),
        ("neutral", None, {}, NORMS),  # no source expects anything
        ("sadness", 30, {}, NORMS),  # points at silence
        pytest.param("anger", None, {"regions": "cells"}, {}, marks=pytest.mark.long),
        pytest.param("fear", None, {"cues": "praat-full"}, {}, marks=pytest.mark.long),
    ],
)
def test_every_kind_of_table_is_drawn(target, where, params, norms, tmp_path):
    from matplotlib.image import imread

    clip, attribution = explain(target, where, **params)
    attribution = with_norms(attribution, norms)
    picture = beyond_saliency_figure(clip.samples, attribution, "a heading", tmp_path / "p.png")
    pixels = imread(picture)
    assert pixels.shape[0] > 900 and pixels[..., :3].std() > 0.1
    again = beyond_saliency_figure(clip.samples, attribution, "a heading", tmp_path / "q.png")
    assert picture.read_bytes() == again.read_bytes()
    numbers = pd.read_csv(picture.with_suffix(".csv"))
    assert numbers["cue"].tolist() == [row["cue"] for row in attribution.cues]
    for got, row in zip(numbers["contrast"], attribution.cues, strict=True):
        assert math.isnan(got) if row["contrast"] is None else got == pytest.approx(row["contrast"])


def test_numbers_hold_sources_and_their_verdict():
    _, attribution = explain("anger")
    table = cue_numbers(attribution).set_index("cue")
    assert list(table.index) == list(REGION_CUES)
    assert table.at["f0_level", "expected_JL"] == 1 and table.at["f0_level", "contrast_is"] == "expected"
    assert table.at["loudness", "contrast"] > 6
    assert pd.isna(table.at["shimmer", "expected_JL"])
    _, against = explain("sadness")
    assert cue_numbers(against).set_index("cue").at["loudness", "contrast_is"] == "unexpected"


def test_without_a_cue_table_there_is_nothing_to_draw(tmp_path):
    clip, base = clip_and_map()
    with pytest.raises(InputError, match="no cue table"):
        beyond_saliency_figure(clip.samples, base, "t", tmp_path / "p.png")


def test_a_missing_bar_says_why():
    """A missing value by its own reason; a missing comparison by what was not compared, per backend."""
    row = {
        "cue": "f0_level",
        "measured_by": "praat",
        "reason": "salient windows: 2 voiced frames, at least 5 needed; x",
    }
    assert _why_no_bar(row, by_voice=False) == "salient windows: 2 voiced frames, at least 5 needed"
    row["reason"] = ""
    assert _why_no_bar(row, by_voice=False) == "too few random windows with a value"
    assert _why_no_bar(row, by_voice=True) == "no reference of the speaker"
    assert _why_no_bar(row | {"cue": "loudness"}, by_voice=True) == "levels not comparable"
    for other in (row | {"measured_by": "egemaps"}, row | {"measured_by": "praat-full", "cue": "cpp"}):
        assert _why_no_bar(other, by_voice=False) == "not compared with random windows"
    assert _why_no_bar(row | {"measured_by": "egemaps"}, by_voice=True) == "no reference in the units of egemaps"
