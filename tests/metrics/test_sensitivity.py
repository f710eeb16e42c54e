"""Robustness to small noise: against Quantus' objective functions, closed forms, and methods of known stability."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from serxai import _torchvision
from serxai.datasets.clip import Clip
from serxai.errors import NotApplicable
from serxai.methods.attribution import Attribution
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.metrics.case import Case, Explained, work_of
from serxai.metrics.records import METRICS, make_metric
from serxai.metrics.sensitivity import (
    COPIES,
    RADIUS,
    SMALL,
    changes,
    local_lipschitz,
    maps_of_copies,
    noisy_copies,
    relative_change,
    relative_stability,
    representations,
)
from serxai.models.front_end import LogMel
from serxai.models.planted_rule import PlantedRule
from serxai.models.recogniser import TorchRecogniser
from serxai.models.waveform import WaveformRecogniser

_torchvision.ensure_torchvision()


@pytest.mark.parametrize("seed", range(10))
def test_changes_against_plain_loops(seed):
    generator = np.random.default_rng(seed)
    map_, copies = generator.standard_normal((6, 7)), generator.standard_normal((5, 6, 7))
    expected = [np.sqrt(((c - map_) ** 2).sum() / (map_**2).sum()) for c in copies]
    np.testing.assert_allclose(changes(map_, copies), expected, rtol=1e-12)
    np.testing.assert_allclose(changes(3 * map_, 3 * copies), expected, rtol=1e-12)  # scale does not count
    expected = [np.sqrt((((c - map_) / map_) ** 2).sum()) for c in copies]
    np.testing.assert_allclose(relative_change(map_, copies), expected, rtol=1e-9)
    distance = generator.random(5)
    assert local_lipschitz(changes(map_, copies), distance) == max(changes(map_, copies) / distance)


@pytest.mark.parametrize("seed", range(5))
def test_relative_stability_is_quantus_objective(seed):
    """Without the logarithm, and away from zeros (Quantus adds to small cells where we hold them up)."""
    import quantus

    generator = np.random.default_rng(seed)
    x, e = generator.uniform(0.5, 1, (2, 1, 1, 6, 7))
    xs, es = generator.uniform(0.5, 1, (2, 5, 1, 6, 7))
    metric = quantus.RelativeInputStability(disable_warnings=True)
    theirs = [
        metric.relative_input_stability_objective(x=x, xs=xs[i : i + 1], e_x=e, e_xs=es[i : i + 1])[0] for i in range(5)
    ]
    ours = relative_stability(relative_change(e[0, 0], es[:, 0]), relative_change(x[0, 0], xs[:, 0]))
    assert ours == pytest.approx(np.log(max(theirs)), abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_relative_representation_stability_is_quantus_clip_by_clip(cnn, speech_like, explained_as_in_a_run, seed):
    """Its hidden representations of the same copies, in front of the last layer, and its objective."""
    import quantus
    from quantus.helpers.model.pytorch_model import PyTorchModel

    case = Case(cnn, speech_like(seed), "anger", seed=("representation", seed))
    explained = explained_as_in_a_run(case, "saliency")
    clips = noisy_copies(case).clips
    features = torch.cat([cnn.features(clip.samples) for clip in (case.clip, *clips)]).numpy()
    calls = cnn.calls
    theirs = PyTorchModel(cnn.network).get_hidden_representations(features, ["dropout"])
    cnn.calls = calls
    own, changed = representations(cnn, case.clip.samples, np.stack([clip.samples for clip in clips]))
    np.testing.assert_allclose(np.vstack([own, changed]), theirs, rtol=1e-4, atol=1e-6)
    maps = maps_of_copies(case, explained)
    metric = quantus.RelativeRepresentationStability(disable_warnings=True)
    objectives = [
        metric.relative_representation_stability_objective(
            l_x=theirs[:1], l_xs=theirs[i : i + 1], e_x=case.map(explained.attribution)[None], e_xs=maps[i - 1][None]
        )[0]
        for i in range(1, 1 + COPIES)
    ]
    found = make_metric("relative-representation-stability").score(case, explained).value
    assert found == pytest.approx(np.log(max(objectives)), abs=1e-3)


class Doubled(nn.Module):
    """A network of which the last layer sees two rows a copy."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, features):
        return self.linear(features.mean(dim=(1, 2))[:, :3].repeat(2, 1))[: len(features)]


def test_representations_of_networks_of_other_kinds(cnn, speech_like, linear_recogniser):
    clip = speech_like()
    copies = np.stack([clip.samples, clip.samples * 0.5, clip.samples])
    # a network on waveforms: what enters the last of its two layers, by hand
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(clip.samples.size, 5), nn.ReLU(), nn.Linear(5, 2))
    recogniser = WaveformRecogniser("waves", ("yes", "no"), module, "0")
    own, changed = representations(recogniser, copies[0], copies)
    expected = torch.relu(module[0](torch.from_numpy(copies))).detach().numpy()
    np.testing.assert_allclose(changed, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(own, expected[0], rtol=1e-4, atol=1e-6)
    assert not module[2]._forward_pre_hooks  # nothing stays behind
    # the white box: mean levels of its bands
    rule = PlantedRule()
    own, _ = representations(rule, copies[0], copies)
    np.testing.assert_allclose(own, rule.features(copies[0])[0, 0].mean(dim=1).numpy(), rtol=1e-5)
    # the copies pass in pieces where the memory is small
    whole = representations(cnn, copies[0], copies)[1]
    pieces = copy(cnn)
    pieces.at_once = lambda n_samples: 2
    np.testing.assert_allclose(representations(pieces, copies[0], copies)[1], whole, rtol=1e-4, atol=1e-6)
    with pytest.raises(NotApplicable, match="black box"):
        representations(linear_recogniser(np.ones(4)), copies[0], copies)
    strange = TorchRecogniser("strange", ("yes", "no"), LogMel(), Doubled(), "0")
    with pytest.raises(NotApplicable, match="one row for each waveform"):
        representations(strange, copies[0], copies)


def test_a_black_box_has_no_representation_stability_and_is_not_asked(linear_recogniser, speech_like):
    clip = speech_like()
    box = linear_recogniser(np.ones(clip.samples.size))
    case = Case(box, clip, "yes", seed=("box",))
    asked = []

    def explain(clip, *seed, **_):
        asked.append(seed)
        return Attribution(np.ones(case.grid.shape), case.grid, "yes", "steady")

    explained = Explained(explain(clip), explain=explain)
    with pytest.raises(NotApplicable, match="black box"):
        make_metric("relative-representation-stability").score(case, explained)
    assert len(asked) == 1 and box.calls == 0


def test_zero_maps_and_maps_that_never_move():
    with pytest.raises(NotApplicable, match="zero everywhere"):
        changes(np.zeros((2, 2)), np.ones((3, 2, 2)))
    with pytest.raises(NotApplicable, match="zero everywhere"):
        relative_change(np.zeros((2, 2)), np.ones((3, 2, 2)))
    with pytest.raises(NotApplicable, match="does not change"):
        relative_stability(np.zeros(3), np.ones(3))
    assert changes(np.ones((2, 2)), np.ones((3, 2, 2))).max() == 0


def test_causes_too_small_to_divide_by_count_as_small():
    change = np.array([0.5, 3.0, 2.0])
    assert relative_stability(change, np.array([1.0, 0.0, 1e-9])) == np.log(3.0 / SMALL)
    assert relative_stability(change, np.array([1.0, 2.0, 2e-6])) == np.log(2.0 / 2e-6)


@pytest.mark.parametrize("name", [record.name for record in METRICS if record.explains and not record.neutral])
def test_draws_of_one_method_are_explained_each_by_itself(cnn, speech_like, name):
    """A case that scored another draw of the same method before gives what a fresh one does."""
    case, metric, random = Case(cnn, speech_like(), "anger", seed=("draws",)), make_metric(name), make_method("random")

    def drawn(draw: int) -> Explained:
        def explain(clip, *seed, recogniser=None, target=None):
            return random.attribute(Request(recogniser or cnn, clip, target or "anger", ("draw", draw, *seed)))

        return Explained(explain(case.clip), explain=explain, draw=draw)

    alone = [metric.score(replace(case, _memo={}), drawn(draw)) for draw in range(3)]
    assert [metric.score(case, drawn(draw)) for draw in range(3)] == alone
    keys = [set(work_of(metric, case, drawn(draw))) for draw in range(3)]
    assert all(a - b for a in keys for b in keys if a is not b)


def test_copies_are_as_noisy_as_told_and_keep_their_truth(cnn, planted_clip):
    case = Case(cnn, planted_clip, "anger", seed=("noisy",))
    copies = noisy_copies(case)
    assert noisy_copies(case.with_fill("noise")) is copies
    for clip, distance in zip(copies.clips, copies.distance, strict=True):
        noise = clip.samples.astype(float) - planted_clip.samples
        assert np.linalg.norm(noise) / np.linalg.norm(planted_clip.samples) == pytest.approx(distance, rel=1e-3)
        np.testing.assert_allclose(clip.plant.twin - planted_clip.plant.twin, noise, atol=1e-6)
        assert clip.samples.dtype == np.float32 and clip.plant.words == planted_clip.plant.words
    np.testing.assert_allclose(copies.distance, RADIUS * np.arange(1, 9) / 8)
    with pytest.raises(NotApplicable, match="silent"):
        noisy_copies(Case(cnn, Clip("s", np.zeros(8000, np.float32)), "anger"))


def scored(case, explain, names):
    first = explain(case.clip)
    return {name: make_metric(name).score(case, Explained(first, explain=explain)).value for name in names}


def test_methods_of_known_stability(cnn, speech_like):
    case = Case(cnn, speech_like(), "anger", seed=("known",))
    names = ("max-sensitivity", "average-sensitivity", "local-lipschitz")

    def steady(clip, *seed, **_):
        return Attribution(np.ones(case.grid.shape), case.grid, "anger", "steady")

    assert scored(case, steady, names) == dict.fromkeys(names, 0)
    with pytest.raises(NotApplicable, match="does not change"):
        scored(case, steady, ["relative-input-stability"])

    def proportional(clip, *seed, **_):  # moves as far as the clip does
        distance = np.linalg.norm(clip.samples - case.clip.samples) / np.linalg.norm(case.clip.samples)
        values = np.zeros(case.grid.shape)
        values[0, 0], values[0, 1] = 1, distance
        return Attribution(values, case.grid, "anger", "proportional")

    found = scored(case, proportional, names)
    assert found["max-sensitivity"] == pytest.approx(RADIUS, rel=1e-2)
    assert found["average-sensitivity"] == pytest.approx(RADIUS * (COPIES + 1) / 2 / COPIES, rel=1e-2)
    assert found["local-lipschitz"] == pytest.approx(1, rel=1e-2)


def test_a_method_that_cannot_repeat_itself_is_not_robust(cnn, speech_like, explained_as_in_a_run):
    """Each copy is explained with a seed of its own: unrelated maps are sqrt(2) apart."""
    case = Case(cnn, speech_like(), "anger", seed=("seeds",))
    random, saliency = explained_as_in_a_run(case, "random"), explained_as_in_a_run(case, "saliency")
    metric = make_metric("average-sensitivity")
    assert metric.score(case, random).value == pytest.approx(np.sqrt(2), abs=0.15)
    assert metric.score(case, saliency).value < 0.5


def test_five_metrics_explain_the_copies_once(cnn, speech_like, explained_as_in_a_run):
    case = Case(cnn, speech_like(), "anger", seed=("once",))
    explained = explained_as_in_a_run(case, "saliency")
    names = ("max-sensitivity", "average-sensitivity", "local-lipschitz", "relative-input-stability")
    before = cnn.calls
    for name in (*names, "relative-output-stability"):
        make_metric(name).score(case, explained)
    # eight copies explained, eight read, and the clip read
    assert cnn.calls - before == COPIES * explained.attribution.model_calls + COPIES + 1
