"""Points and areas of strength curves, where methods have unlike strengths and clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from serxai.benchmark.analysis.robustness import clip_rows, pooled
from serxai.benchmark.analysis.shift_curves import shift_curves
from serxai.benchmark.analysis.strength_curves import OTHER_CLIPS, comparable_points, curve_areas

from .test_robustness_axes import KEPT, NOISE, Drawn


@pytest.fixture(scope="module")
def rows():
    """Half of the clips at five strengths, all at two of them, as of a long and a wide run of one recogniser.

    Gradcam has two strengths, of all clips; of occlusion there are five, of clips that no other method explained.
    """
    drawn = Drawn(speakers=6, clips=6)
    half = {clip["clip"] for clip in drawn.clips if clip["sentence"] in ("t0", "t1", "t2")}
    of_few = {clip["clip"] for clip in drawn.clips if clip["sentence"] in ("t4", "t5")}
    maps = []
    for method in ("saliency", "integrated-gradients", "gradcam", "occlusion"):
        clean = drawn.maps()
        shifted = [m for name, kept in zip(NOISE, KEPT, strict=True) for m in drawn.maps(kept, condition=name)]
        telephone = drawn.maps(0.6, condition="telephone")
        found = [*clean, *telephone, *(m for m in shifted if m.condition in NOISE[1:3] or m.clip in half)]
        if method == "gradcam":
            found = [m for m in found if m.condition in ("clean", *NOISE[1:3])]
        if method == "occlusion":
            found = [m for m in [*clean, *shifted] if m.clip in of_few]
        maps += [replace(m, method=method) for m in found]
    return clip_rows(maps, by="cosine", axes=["shift"])


def test_a_line_is_of_the_clips_of_all_strengths_and_methods(rows) -> None:
    points = comparable_points(rows)
    noise = points[points["curve"] == "noise"]
    counts = noise.groupby(["method", "other"])["clip"].nunique().unstack()
    assert (counts.loc[["saliency", "integrated-gradients"]] == 18).all(axis=None)
    assert counts.loc["gradcam"].dropna().to_dict() == {"noise-10db": 18, "noise-20db": 18}
    assert (counts.loc["occlusion"] == 12).all()
    clips = noise.groupby("method")["clip"].agg(set)
    assert clips["gradcam"] == clips["saliency"] == clips["integrated-gradients"] != clips["occlusion"]
    assert noise.groupby("method")["apart"].unique().map(list).to_dict() == {
        "saliency": [""], "integrated-gradients": [""], "gradcam": ["2 of 5 strengths"], "occlusion": [OTHER_CLIPS],
    }  # fmt: skip
    alone = points[points["curve"] == "telephone"]
    assert set(alone["method"]) == {"saliency", "integrated-gradients"} and len(alone) == 2 * 36
    assert comparable_points(rows.iloc[:0]).empty


def test_areas_are_of_equal_strengths_alone(rows) -> None:
    areas = curve_areas(rows).set_index("method")
    assert set(areas["curve"]) == {"noise"} and areas["strengths"].to_dict() == {
        "saliency": 5, "integrated-gradients": 5, "gradcam": 2, "occlusion": 5,
    }  # fmt: skip
    assert np.isnan(areas.loc["gradcam", ["area", "low", "all_area", "similarity_area"]].astype(float)).all()
    assert areas.loc["gradcam", "note"] == "2 of 5 strengths: no area to compare"
    assert areas.loc["occlusion", "note"] == "over 12 clips of its own" and areas.loc["saliency", "note"] == ""
    clips = set(comparable_points(rows).query("method == 'saliency' and curve == 'noise'")["clip"])
    table = pooled(rows[(rows["method"] == "saliency") & rows["clip"].isin(clips)]).set_index("other")
    assert areas.loc["saliency", "area"] == pytest.approx(np.trapezoid(table.loc[list(NOISE), "score"], dx=0.25))
    # alone, gradcam has all strengths that there are
    (alone,) = curve_areas(rows[rows["method"] == "gradcam"]).to_dict("records")
    assert np.isfinite(alone["area"]) and alone["n_clips"] == 36 and alone["note"] == ""


def test_points_of_a_figure_tell_what_they_are_of(rows) -> None:
    curves = shift_curves(rows).set_index(["method", "condition"])
    assert set(curves["shift"]) == {"noise", "telephone"}
    assert curves.loc[("saliency", "noise-10db"), "n_all"] == 18 == curves.loc[("saliency", "noise-0db"), "n_all"]
    assert curves.loc[("gradcam", "noise-10db"), ["strengths", "apart"]].tolist() == [5, "2 of 5 strengths"]
    assert np.isnan(curves.loc[("gradcam", "noise-10db"), "area"])
    # the order of the methods decides nothing
    turned = shift_curves(rows.iloc[::-1].reset_index(drop=True)).set_index(["method", "condition"])
    for name in ("similarity", "area", "n_all"):
        np.testing.assert_allclose(turned.loc[curves.index, name], curves[name])
