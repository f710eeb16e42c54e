"""Attack on explanations: the worst change of a map under an inaudible change of the clip that keeps the prediction.

Conventions
-----------
The change of a map is 1 less Spearman's rank correlation of the two maps on the scoring grid, 0..2; the attacked clip
is explained by the method itself, with the recogniser itself and the seed of the clip's own explanation, so that only
the clip differs. Every change of the clip stays within the bound of `audibility`, checked at every iterate, and counts
only if the predicted class stays.

Maps with derivatives (`SURROGATES`, on a recogniser with a feature map) are attacked by projected gradient: 20 steps
down the correlation of a smooth copy of the map, for which rectifiers become softplus (their second derivative is zero
almost everywhere) and cells are compressed, m / (|m| + median), because ranks count; every fifth iterate is tried on
the original. Other methods of at most `SEARCH_CALLS` model calls an explanation are attacked by a random search of 24
explanations, as many maps as by gradient: each step adds noise to the best change so far. The rest is not attacked.

The *floor* is the largest change under eight random noises within the same bound. The attack starts from the worst of
them and is at least as bad. How far it lies above the floor is what an adversary adds to bad luck. A method that does
not call the recogniser, as `random`, scores 0: read this metric beside faithfulness.

Sources
-------
Ghorbani, Abid, Zou 2019, "Interpretation of neural networks is fragile", AAAI; Dombrowski et al. 2019, "Explanations
can be manipulated and geometry is to blame", NeurIPS (softplus); Madry et al. 2018, ICLR (projected gradient). For
audio with a bound of audibility: "The perceived fragility of explanations in audio models" (Audio-XAI),
arXiv:2606.14466, on deepfake detectors, whose definition of success differs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from copy import deepcopy
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ..datasets.clip import Clip
from ..errors import ClipError, NotApplicable
from ..keys import rng
from ..models.recogniser import TorchRecogniser
from .audibility import Audibility
from .case import CLIP_LOG_ODDS, Case, Explained, Metric, Outcome
from .record import OVER_BUDGET
from .reexplain import calls_again, explainer_of
from .similarity import rank_correlation

NOISES = 8
STEPS, TRIED_EVERY = 20, 5
SEARCH = STEPS + STEPS // TRIED_EVERY  # explanations of a search: as many maps as by gradient
SEARCH_CALLS = 64  # of one explanation, for a random search
RATE = 0.5  # length of a step, of the bound
BETA = 10.0  # of the softplus, over the spread of its input: at most .07 of that from the rectifier
# points at which the gradient of a method's smooth copy is taken
SURROGATES = {"saliency": 1, "input-x-gradient": 1, "integrated-gradients": 8, "smoothgrad": 8}
SMOOTHGRAD_NOISE = 0.15  # of the map's range, as of the method

_NOISE_LOG_ODDS = "log odds of attack noises"


class Bound(Protocol):
    """Set of changes that are allowed."""

    def excess(self, change: torch.Tensor) -> float:
        """Size of a change over the largest allowed."""

    def bounded(self, change: torch.Tensor) -> torch.Tensor:
        """An allowed change near another one."""

    def along(self, gradient: torch.Tensor) -> torch.Tensor:
        """A change along a gradient, of about the largest size allowed."""


def descend(
    map_of: Callable[[torch.Tensor], torch.Tensor],
    samples: torch.Tensor,
    start: torch.Tensor,
    bound: Bound,
    visit: Callable[[int, torch.Tensor], bool],
    generator: np.random.Generator,
    similarity: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
) -> None:
    """Projected gradient steps down the similarity of a map with that of the unchanged samples.

    Parameters
    ----------
    map_of : callable
        Samples to a map, twice differentiable.
    samples, start : Tensor, shape (n_samples,)
        `start` is the first change.
    bound : Bound
    visit : callable
        Called with the number of each step, from 1, and its change; returns whether the change may be gone on from.
        Where it may not, the next step starts from the last one that could be, at half the rate.
    generator : numpy Generator
        Draws a direction where the gradient vanishes.
    similarity : callable, optional
        Of a map and the reference, differentiable; default `soft_rank_correlation`.

    Raises
    ------
    ClipError
        If an iterate leaves the bound.
    """
    reference = map_of(samples.clone().requires_grad_()).detach()
    alike = similarity or soft_rank_correlation
    change, kept, rate = start, start, RATE
    for step in range(1, STEPS + 1):
        at = change.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(alike(map_of(samples + at), reference), at)
        if not bool(torch.isfinite(gradient).all()) or not bool(gradient.any()):
            gradient = torch.as_tensor(generator.standard_normal(samples.numel(), dtype=np.float32)).to(samples)
        change = bound.bounded(change - rate * bound.along(gradient))
        if bound.excess(change) > 1 + 1e-3:
            raise ClipError("explanation-attack: a change of the clip left the bound of audibility.")
        if visit(step, change):
            kept = change
        else:
            change, rate = kept, rate / 2


def soft_rank_correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Correlation of compressed maps, m / (|m| + median of |b|): a differentiable stand-in for that of ranks."""
    scale = b.abs().median() + 1e-30
    return correlation(a / (a.abs() + scale), b / (b.abs() + scale))


def correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Pearson's correlation of two maps."""
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-30)


# -- smooth copies -----------------------------------------------------------------------------------------------------


def smooth_copy(recogniser: TorchRecogniser, samples: np.ndarray) -> TorchRecogniser:
    """Copy of a recogniser whose rectifiers are softplus functions; one model call of the copy.

    Parameters
    ----------
    recogniser : TorchRecogniser
    samples : array, float32, shape (n_samples,)
        Clip on which the spread of each rectifier's input is measured, to which the softplus is scaled.
    """
    copy = deepcopy(recogniser)
    spread: dict[nn.Module, float] = {}

    def measure(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        spread[module] = float(arguments[0].detach().double().std(correction=0))

    hooks = [m.register_forward_pre_hook(measure) for m in copy.network.modules() if isinstance(m, nn.ReLU)]
    with torch.no_grad():
        copy.network(copy.features(samples))
    for hook in hooks:
        hook.remove()

    def replace(module: nn.Module) -> None:
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Softplus(beta=BETA / max(spread.get(child, 1.0), 1e-12)))
            else:
                replace(child)

    replace(copy.network)
    return copy


def smooth_map(case: Case, copy: TorchRecogniser, method: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Differentiable copy of a method's map on the scoring grid, as a function of the samples.

    Parameters
    ----------
    case : Case
    copy : TorchRecogniser
        Of `smooth_copy`.
    method : str
        One of `SURROGATES`.
    """
    source = copy.feature_grid(case.clip.samples.size)
    rows, columns = (
        torch.as_tensor(part, dtype=torch.float32, device=copy.device) for part in source.overlaps(case.grid)
    )
    points = SURROGATES[method]
    silence = float(copy.front_end.floor)  # type: ignore[arg-type]
    nodes = (torch.arange(points, device=copy.device) + 0.5)[:, None, None, None] / points
    draws = rng(*case.seed, "attack smoothgrad").standard_normal((points, 1, *source.shape), dtype=np.float32)
    noise = SMOOTHGRAD_NOISE * torch.as_tensor(draws, device=copy.device)
    one, other = copy.target_named(case.target)

    def map_of(samples: torch.Tensor) -> torch.Tensor:
        features = copy.front_end(samples[None])
        at = features
        if method == "integrated-gradients":
            at = silence + nodes * (features - silence)
        elif method == "smoothgrad":
            at = features + noise * (features.max() - features.min()).detach()
        y = copy.response(copy.feature_log_odds(at), one, other)
        (gradients,) = torch.autograd.grad(y.sum(), at, create_graph=True)
        gradient = gradients.mean(dim=0)[0]
        if method in ("saliency", "smoothgrad"):
            relevance = (gradient.square() + 1e-6 * gradient.detach().square().mean()).sqrt()
        else:
            relevance = gradient * (features[0, 0] - silence)
        return rows.T @ relevance @ columns

    return map_of


# -- the metrics -------------------------------------------------------------------------------------------------------


def _bound(case: Case) -> Audibility:
    return case.shared("audibility", lambda: Audibility(case.plane))


def _noises(case: Case) -> list[torch.Tensor]:
    """Random noises within the bound, the same for all methods, shaped like the masking threshold."""

    def make() -> list[torch.Tensor]:
        bound = _bound(case)
        drawn = (rng(*case.seed, "attack noise", i).standard_normal(case.clip.samples.size) for i in range(NOISES))
        return [
            bound.bounded(bound.shaped(torch.as_tensor(noise, dtype=torch.float32).to(case.plane.samples)))
            for noise in drawn
        ]

    return case.shared("attack noises", make)


def _changed(case: Case, change: torch.Tensor) -> Clip:
    added, plant = change.detach().cpu().numpy(), case.clip.plant
    twin = None if plant is None else (plant.twin + added).astype(np.float32)
    return case.clip.with_samples((case.clip.samples + added).astype(np.float32), twin)


def _change_of_map(case: Case, explained: Explained, clip: Clip) -> float:
    """Change of the method's map on a changed clip, 0..2; 1 if the changed clip's map is constant."""
    map_ = case.map(explainer_of(explained)(clip))
    return 1.0 if (map_ == map_.flat[0]).all() else 1.0 - rank_correlation(case.map(explained.attribution), map_)


def _floor(case: Case, explained: Explained) -> tuple[float, torch.Tensor]:
    """Largest change of the map under the noises that keep the prediction (0 if none does), and the worst of them."""
    noises = _noises(case)

    def clips_of() -> list[Clip]:
        return [_changed(case, noise) for noise in noises]

    def make() -> tuple[float, torch.Tensor]:
        clips = case.shared("clips of attack noises", clips_of)
        outputs = case.shared(
            _NOISE_LOG_ODDS, lambda: case.recogniser.log_odds(np.stack([clip.samples for clip in clips]))
        )
        kept = outputs.argmax(axis=1) == case.log_odds.argmax()
        changes = np.array([_change_of_map(case, explained, clip) for clip in clips])
        worst = int(np.argmax(np.where(kept, changes, -1.0)))
        return float(max(0.0, changes[worst])) if kept.any() else 0.0, noises[worst]

    return case.shared(("attack floor", explained.identity), make)


def _floor_work(case: Case, explained: Explained) -> dict[Hashable, int]:
    calls = case.recogniser.calls_for
    if case.recogniser.regression:
        raise NotApplicable("not attacked: a predicted number is not kept or lost, as a class is")
    if not case.clip.samples.any():
        raise NotApplicable("the clip is silent")
    again = calls_again(case, explained, "attack noises", NOISES)
    return {CLIP_LOG_ODDS: calls(1), _NOISE_LOG_ODDS: calls(NOISES)} | again


class AttackFloor(Metric):
    """Largest change of the map under eight random noises within the bound of audibility. Lower is better."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        return _floor_work(case, explained)

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        calls = sum(self.work(case, explained).values())
        return Outcome(_floor(case, explained)[0], calls)


class ExplanationAttack(Metric):
    """Largest change of the map that an inaudible attack found. Lower is better."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        work = _floor_work(case, explained)
        tried = STEPS // TRIED_EVERY if self._by_gradient(case, explained) else SEARCH
        if self._by_gradient(case, explained):
            work["attack steps", explained.identity] = 1 + (STEPS + 1) * SURROGATES[explained.attribution.method]
        elif explained.attribution.model_calls > SEARCH_CALLS:
            raise NotApplicable(
                f"{OVER_BUDGET} {SEARCH_CALLS} model calls where there are no derivatives: not attacked"
            )
        work["attack predictions", explained.identity] = tried * case.recogniser.calls_for(1)
        return work | calls_again(case, explained, ("attack", explained.identity), tried)

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        calls = sum(self.work(case, explained).values())
        attack = self._gradient if self._by_gradient(case, explained) else self._search
        return Outcome(attack(case, explained), calls)

    def _by_gradient(self, case: Case, explained: Explained) -> bool:
        return isinstance(case.recogniser, TorchRecogniser) and explained.attribution.method in SURROGATES

    def _tried(self, case: Case, explained: Explained, change: torch.Tensor) -> float | None:
        """Change of the map under a change of the clip; None if the prediction is lost."""
        clip = _changed(case, change)
        value = _change_of_map(case, explained, clip)
        kept = case.recogniser.log_odds(clip.samples[None])[0].argmax() == case.log_odds.argmax()
        return value if kept else None

    def _gradient(self, case: Case, explained: Explained) -> float:
        assert isinstance(case.recogniser, TorchRecogniser)
        worst, start = _floor(case, explained)
        calls, own_seconds, found = case.recogniser.calls, case.recogniser.seconds, [worst]
        copy = smooth_copy(case.recogniser, case.clip.samples)
        seconds = copy.seconds

        def visit(step: int, change: torch.Tensor) -> bool:
            if step % TRIED_EVERY:
                return True
            value = self._tried(case, explained, change.to(case.plane.samples))
            found.extend([] if value is None else [value])
            return value is not None

        with copy.metered():  # includes the calls of the original
            samples = case.plane.samples.to(copy.device)
            generator = rng(*case.seed, "attack directions")
            map_of = smooth_map(case, copy, explained.attribution.method)
            descend(map_of, samples, start.to(samples), _bound(case), visit, generator)
        case.recogniser.calls += copy.calls - calls  # a copy begins with the calls of the original
        case.recogniser.seconds = own_seconds + copy.seconds - seconds
        return max(found)

    def _search(self, case: Case, explained: Explained) -> float:
        worst, best = _floor(case, explained)
        bound = _bound(case)
        for i in range(SEARCH):
            drawn = rng(*case.seed, "attack search", i).standard_normal(case.clip.samples.size)
            noise = bound.bounded(bound.shaped(torch.as_tensor(drawn, dtype=torch.float32).to(best)))
            change = bound.bounded(best + RATE * noise)
            value = self._tried(case, explained, change)
            if value is not None and value > worst:
                worst, best = value, change
        return worst
