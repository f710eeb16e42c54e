"""What `serxai explain` says in words of band weights and of fills."""

from __future__ import annotations

import numpy as np

from serxai.audio import Grid
from serxai.benchmark.cli.explain import fill_lines, weight_lines
from serxai.methods.attribution import Attribution
from serxai.methods.masks import FillEffect

BANDS = Grid([0, 386, 760, 8000], [0.0, 1.0])


def weights(errors: list[float] | None = None, **details: float) -> Attribution:
    values = np.array([[0.25], [-0.5], [0.0]])
    return Attribution(values, BANDS, "anger", "m", details, errors=None if errors is None else np.array(errors))


def test_weights_are_told_with_what_is_known_of_them():
    assert weight_lines(weights(r2=0.71, shrinkage=1.0, full=0.4, none=0.1, noise=0.0)) == [
        "0-386 Hz: +0.250",
        "386-760 Hz: -0.500",
        "760-8000 Hz: +0.000",
        "R² 0.710, no noise: no mask was drawn, with all kept 0.400, with all removed 0.100",
    ]
    drawn = weights([0.1, 0.02, 0.003], r2=0.5, shrinkage=0.876, full=0.4, none=0.1, noise=0.041, clip=0.3)
    assert weight_lines(drawn)[0] == "0-386 Hz: +0.250 ± 0.100"
    assert weight_lines(drawn)[3] == (
        "R² 0.500, shrunk to 0.876 by its penalty, noise 0.041 a weight, with all kept 0.400 (the clip itself 0.300), "
        "with all removed 0.100"
    )
    unshrunk = weights(full=0.4, none=0.1, clip=0.3, shrinkage=1.0)
    assert weight_lines(unshrunk)[3] == "with all kept 0.400 (the clip itself 0.300), with all removed 0.100"
    assert weight_lines(weights()) == []


def test_fills_are_told_and_those_beyond_speech_are_warned_of():
    effects = [
        FillEffect("none", False, -0.3, 0.426, 0.0),
        FillEffect("resynthesis", False, -0.3, 0.426, 0.0),
        FillEffect("attenuate", False, -841.2, 0.0, 840.9),
        FillEffect("noise", False, -0.8, 0.31, 0.5),
        FillEffect("noise", True, 2.0, 0.881, -2.3),
    ]
    told, falls, weak, warning = fill_lines(effects)
    assert told == (
        "probability: the clip 0.426; resynthesised with nothing removed 0.426; all of it replaced by attenuate 0.000, "
        "noise 0.310, noise at the level of the clip 0.881"
    )
    assert falls == "fall of the log-odds with all of it replaced: attenuate 840.90, noise 0.50"
    assert weak == "no reach on this clip (a fall below 1): noise"
    assert warning.startswith("Filled with attenuate, the clip has log-odds of -841, far from any that speech has")
    assert fill_lines([FillEffect("none", False, 99.0, 1.0, 0.0)]) == ["probability: the clip 1.000"]
    assert fill_lines([]) == []
