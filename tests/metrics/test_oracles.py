"""Every metric against somebody else's code, as a table in the tests' output.

Each metric is scored as in a run, through its record; beside it stands what other implementations make of the same
clip, map and recogniser. Quantus and captum work on inputs of a network, our metrics on cells of the waveform: here
they are given the network `MaskSpace`, whose input says which share of each cell is kept. So their removals are ours,
and clip by clip the numbers must be the same. A metric without an oracle must say why. The oracles themselves are in
`oracles_faithfulness` and `oracles_maps`, what they share in `oracles`.
"""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
import torch

from serxai.keys import rng
from serxai.methods.attribution import Attribution
from serxai.metrics.case import Case, Explained
from serxai.metrics.records import METRICS
from serxai.tests.metrics import oracles_faithfulness, oracles_maps  # noqa: F401  (they register their oracles)
from serxai.tests.metrics.oracles import ORACLES, REASONS, Scored

LIVELY = 200.0  # times the weights of the last layer: removals move the log-odds by about 1


@pytest.fixture(scope="module")
def settings(cnn, planted_clip, explained_as_in_a_run) -> list[Scored]:
    """One clip under two fills, each with maps of its own; the recogniser is undecided on it, and reacts."""
    lively = deepcopy(cnn)
    *_, head = (m for m in lively.network.modules() if isinstance(m, torch.nn.Linear))
    with torch.no_grad():
        head.weight *= LIVELY
        head.bias -= lively.network(lively.features(planted_clip.samples))[0]
    found = []
    for target, fill in (("anger", "twin"), ("sadness", "noise")):
        case = Case(lively, planted_clip, target, fill, seed=("oracle", fill))
        values = rng("drawn", fill).standard_normal(case.grid.shape)
        drawn = Explained(Attribution(values, case.grid, target, "drawn"))
        found.append(Scored(case, drawn, explained_as_in_a_run(case, "saliency")))
    return found


@pytest.mark.parametrize("name", METRICS.names())
def test_agrees_with_an_oracle_or_says_why_there_is_none(name, settings, record_property):
    assert (name in ORACLES) != (name in REASONS), f"{name}: give it an oracle, or a reason why there is none"
    if name in REASONS:
        record_property("oracle", json.dumps([name, "–", "", "", REASONS[name]]))
    for oracle in ORACLES.get(name, ()):
        pairs = np.array([pair for scored in settings for pair in oracle.compare(scored)], dtype=float)
        assert len(pairs) >= 2 and np.isfinite(pairs).all(), oracle.name
        worst = np.abs(pairs[:, 0] - pairs[:, 1]).max()
        told = [name, oracle.name, f"{worst:.0e}" if worst else "0", str(len(pairs)), oracle.difference]
        record_property("oracle", json.dumps(told))
        assert worst <= oracle.tolerance, (oracle.name, pairs)


def test_oracles_are_of_metrics_there_are():
    assert set(ORACLES) | set(REASONS) == set(METRICS.names())
