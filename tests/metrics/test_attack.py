"""Attack on explanations: known answers, the bound at every iterate, the prediction, floor and determinism."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from serxai.audio import SAMPLE_RATE, Grid, Plane, band_edges_hz
from serxai.datasets.clip import Clip
from serxai.errors import ClipError, NotApplicable
from serxai.metrics import attack
from serxai.metrics.attack import (
    NOISES,
    SEARCH,
    STEPS,
    SURROGATES,
    AttackFloor,
    ExplanationAttack,
    correlation,
    descend,
    smooth_copy,
)
from serxai.metrics.attack import smooth_map as smooth
from serxai.metrics.audibility import LEVEL, Audibility, masking_threshold, quiet_spl
from serxai.metrics.case import Case, Explained, work_of
from serxai.models.recogniser import TorchRecogniser


class Ball:
    """Changes of at most a given norm."""

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def excess(self, change: torch.Tensor) -> float:
        return float(change.norm()) / self.radius

    def bounded(self, change: torch.Tensor) -> torch.Tensor:
        return change / max(1.0, self.excess(change) * (1 + 1e-6))

    def along(self, gradient: torch.Tensor) -> torch.Tensor:
        return self.radius * gradient / gradient.norm()


def tone(hertz: float, n: int = 8000, size: float = 0.1) -> np.ndarray:
    return (size * np.sin(2 * np.pi * hertz * np.arange(n) / SAMPLE_RATE)).astype(np.float32)


# -- audibility --------------------------------------------------------------------------------------------------------


def test_a_tone_masks_its_neighbours_and_more_above_than_below():
    plane = Plane(tone(1000))
    power = plane.spectrum.abs().square().numpy()
    threshold = masking_threshold(power, plane.freqs_hz)
    quiet = masking_threshold(np.zeros_like(power), plane.freqs_hz)
    middle = threshold.shape[1] // 2

    def above_quiet(hertz: float) -> float:
        row = int(np.argmin(np.abs(plane.freqs_hz - hertz)))
        return 10 * np.log10(threshold[row, middle] / quiet[row, middle])

    assert above_quiet(1000) > above_quiet(1600) > above_quiet(600) >= 0
    assert above_quiet(6500) < 0.1  # 8 Bark away: the threshold in quiet
    # inaudible by Johnston's offset: below the masker by 14.5 dB and its band number, in its own band
    own = power[np.abs(plane.freqs_hz - 1000) < 80, middle].sum()
    masked = threshold[np.abs(plane.freqs_hz - 1000) < 80, middle].sum()
    assert 14.5 < 10 * np.log10(own / masked) < 35
    assert 0 > quiet_spl(np.array([3300.0]))[0] > -7 and quiet_spl(np.array([100.0]))[0] > 20


def test_full_scale_is_96_db():
    power = Plane(tone(1000, size=1.0)).spectrum.abs().square().numpy()
    assert power.max() == pytest.approx(128**2, rel=0.01)


@pytest.mark.parametrize("size", [1e-6, 1e-2, 10.0])
def test_bounded_changes_are_within_both_bounds(speech_like, size: float):
    clip = speech_like(1)
    bound = Audibility(Plane(clip.samples))
    noise = torch.as_tensor(size * np.random.default_rng(0).standard_normal(clip.samples.size), dtype=torch.float32)
    for change in (bound.bounded(noise), bound.bounded(bound.shaped(noise)), bound.bounded(bound.along(noise))):
        assert bound.excess(change) <= 1 + 1e-5 and change.any()
        assert change.norm() <= LEVEL * np.linalg.norm(clip.samples) * (1 + 1e-5)
        assert (bound.plane.stft(change).abs().square() <= bound.threshold * (1 + 1e-4)).all()
    small = noise * 1e-3 / max(bound.excess(noise), 1e-3)
    assert torch.allclose(bound.bounded(small), small, atol=1e-7 * float(small.abs().max()) + 1e-9)


# -- the descent -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_a_linear_map_turns_by_the_largest_angle(share: float):
    """A change of relative norm r turns x by at most arcsin(r): the correlation falls to sqrt(1 - r^2)."""
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.standard_normal(64), dtype=torch.float64)
    x -= x.mean()
    ball, seen = Ball(share * float(x.norm())), []

    def visit(step: int, change: torch.Tensor) -> bool:
        seen.append(ball.excess(change))
        return True

    final = []
    start = ball.bounded(torch.as_tensor(rng.standard_normal(64)) * 0.01)

    def keep(step: int, change: torch.Tensor) -> bool:
        final.append(change)
        return visit(step, change)

    descend(lambda s: 3 * s, x, start, ball, keep, rng, correlation)
    assert len(seen) == STEPS and max(seen) <= 1 + 1e-5
    found = np.corrcoef((x + final[-1]).numpy(), x.numpy())[0, 1]
    assert found == pytest.approx(np.sqrt(1 - share**2), abs=0.05 * share**2)


def test_a_quadratic_response_is_attacked_through_its_gradient():
    """Its gradient map is A x: second derivatives lead to the change that 200,000 random directions do not exceed."""
    a, b, share = 4.0, 1.0, 0.1
    scale = torch.tensor([a, b, 1.0, 1.0], dtype=torch.float64)
    x = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)

    def gradient_map(samples: torch.Tensor) -> torch.Tensor:
        y = (scale * samples.square()).sum() / 2
        return torch.autograd.grad(y, samples, create_graph=True)[0]

    ball, found = Ball(share * float(x.norm())), []

    def keep(step: int, change: torch.Tensor) -> bool:
        found.append(change)
        return True

    rng = np.random.default_rng(1)
    start = torch.as_tensor(1e-3 * rng.standard_normal(4))
    descend(gradient_map, x, start, ball, keep, rng, correlation)
    reference = (scale * x).numpy()
    reached = np.corrcoef(scale.numpy() * (x + found[-1]).numpy(), reference)[0, 1]
    directions = rng.standard_normal((200_000, 4))
    changes = ball.radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    maps = scale.numpy() * (x.numpy() + changes)
    centred = maps - maps.mean(axis=1, keepdims=True)
    centre = reference - reference.mean()
    least = (centred @ centre / (np.linalg.norm(centred, axis=1) * np.linalg.norm(centre))).min()
    assert 1 - reached == pytest.approx(1 - least, rel=0.03)


def test_a_step_that_may_not_be_kept_is_taken_back():
    x = torch.linspace(-1, 1, 8, dtype=torch.float64)
    ball, asked = Ball(0.5), []

    def never(step: int, change: torch.Tensor) -> bool:
        asked.append(float(change.norm()))
        return False

    descend(lambda s: s**3, x, torch.zeros(8, dtype=torch.float64), ball, never, np.random.default_rng(0))
    assert len(asked) == STEPS and asked[-1] < 1e-3 < asked[0]


def test_leaving_the_bound_is_an_error():
    class Leaky(Ball):
        def bounded(self, change: torch.Tensor) -> torch.Tensor:
            return change

    with pytest.raises(ClipError, match="left the bound"):
        x = torch.linspace(-1, 1, 8)
        descend(lambda s: s**3, x, torch.zeros(8), Leaky(0.1), lambda *_: True, np.random.default_rng(0))


# -- smooth copies -----------------------------------------------------------------------------------------------------


def test_the_smooth_copy_is_near_and_the_original_untouched(cnn, speech_like):
    samples = speech_like().samples[None]
    before = cnn.log_odds(samples)
    copy = smooth_copy(cnn, samples[0])
    assert any(isinstance(m, nn.Softplus) for m in copy.network.modules())
    assert not any(isinstance(m, nn.ReLU) for m in copy.network.modules())
    assert np.array_equal(cnn.log_odds(samples), before)
    assert np.corrcoef(copy.log_odds(samples)[0], before[0])[0, 1] > 0.9


@pytest.mark.parametrize("method", sorted(SURROGATES))
def test_smooth_maps_resemble_the_methods(cnn, speech_like, explained_as_in_a_run, method: str):
    case = Case(cnn, speech_like(2), "anger", seed=("smooth", method))
    map_ = case.map(explained_as_in_a_run(case, method).attribution)
    found = smooth(case, smooth_copy(cnn, case.clip.samples), method)(case.plane.samples.clone().requires_grad_())
    assert found.requires_grad and tuple(found.shape) == case.grid.shape
    assert np.corrcoef(found.detach().numpy().ravel(), map_.ravel())[0, 1] > 0.5


# -- the metrics -------------------------------------------------------------------------------------------------------


@pytest.fixture
def case(cnn, speech_like) -> Callable[[], Case]:
    return lambda: Case(cnn, speech_like(3), "anger", seed=(0, "attack", "clip-3", "clean"))


@pytest.mark.parametrize(
    "method",
    [
        "saliency", "input-x-gradient", "gradcam", "random",
        pytest.param("integrated-gradients", marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_the_attack_is_no_better_than_the_floor_and_the_same_again(case, explained_as_in_a_run, method: str):
    values = []
    for order in ((AttackFloor, ExplanationAttack), (ExplanationAttack, AttackFloor)):
        fresh = case()
        explained = explained_as_in_a_run(fresh, method)
        told = sum(work_of(order[0](), fresh, explained).values())
        before = fresh.recogniser.calls
        found = {kind: kind().score(fresh, explained) for kind in order[:1]}
        assert fresh.recogniser.calls - before == told == found[order[0]].model_calls
        found[order[1]] = order[1]().score(fresh, explained)
        values.append((found[AttackFloor].value, found[ExplanationAttack].value))
    assert values[0] == values[1]
    floor, worst = values[0]
    assert 0 <= floor <= worst <= 2
    if method == "random":
        assert floor == worst == 0
    elif method in SURROGATES:
        assert worst > 1.2 * floor


def test_every_clip_tried_is_within_the_bound_and_counts_only_with_the_prediction(case, explained_as_in_a_run):
    fresh = case()
    explained = explained_as_in_a_run(fresh, "input-x-gradient")
    bound, tried = Audibility(fresh.plane), []
    explain = explained.explain

    def spy(clip: Clip, *seed: object, **more: object):
        tried.append(clip.samples - fresh.clip.samples)
        return explain(clip, *seed, **more)

    ExplanationAttack().score(fresh, replace(explained, explain=spy))
    assert len(tried) == NOISES + 4
    for change in tried:
        assert 0 < bound.excess(torch.as_tensor(change)) <= 1.001  # float32 sums


class Frames(nn.Module):
    """Frames of 80 samples as features: linear."""

    min_samples, floor = 80, 0.0

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        return waveforms.unfold(-1, 80, 80).transpose(1, 2)[:, None]

    def grid(self, n_samples: int) -> Grid:
        return Grid(band_edges_hz(80, rows=80), np.arange(n_samples // 80 + 1) * 80 / SAMPLE_RATE)


class OnTheEdge(nn.Module):
    """Logit of ``yes`` falls below that of ``no`` as soon as the waveform changes at all."""

    def __init__(self, frames: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("own", frames)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        apart = 1e6 * (features - self.own).square().sum((1, 2, 3))
        return torch.stack([1 - apart + 0 * features.sum((1, 2, 3)), apart], dim=1)


def test_nothing_counts_without_the_prediction(speech_like, explained_as_in_a_run):
    clip = speech_like(4)
    clip = clip.with_samples(clip.samples[: clip.samples.size // 80 * 80])
    network = OnTheEdge(Frames()(torch.as_tensor(clip.samples)[None]))
    edge = TorchRecogniser("edge", ("yes", "no"), Frames(), network, fingerprint="edge")
    fresh = Case(edge, clip, "yes", seed=("edge",))
    values = np.random.default_rng(0).standard_normal(fresh.grid.shape)
    explained = explained_as_in_a_run(fresh, "energy")
    turned = replace(explained.attribution, values=values, grid=fresh.grid)
    explained = replace(explained, explain=lambda clip, *s, **m: replace(turned, values=-values), attribution=turned)
    assert AttackFloor().score(fresh, explained).value == ExplanationAttack().score(fresh, explained).value == 0


def test_what_is_not_attacked_says_so(case, explained_as_in_a_run, linear_recogniser, speech_like):
    fresh = case()
    explained = explained_as_in_a_run(fresh, "gradcam")
    costly = replace(explained, attribution=replace(explained.attribution, model_calls=65))
    with pytest.raises(NotApplicable, match="at most 64 model calls where there are no derivatives: not attacked"):
        ExplanationAttack().score(fresh, costly)
    assert work_of(AttackFloor(), fresh, costly)
    black = Case(linear_recogniser(np.ones(speech_like().samples.size)), speech_like(), "yes", seed=("black",))
    by_search = explained_as_in_a_run(black, "energy")
    assert sum(work_of(ExplanationAttack(), black, by_search).values()) == 1 + NOISES + SEARCH
    silent = Case(fresh.recogniser, Clip("silence", np.zeros(8000, np.float32)), "anger", seed=("silent",))
    with pytest.raises(NotApplicable, match="silent"):
        AttackFloor().score(silent, Explained(explained.attribution, explain=lambda *a, **k: None))


def test_a_search_has_as_many_maps_as_a_gradient_attack():
    assert SEARCH == STEPS + STEPS // attack.TRIED_EVERY
