"""What `test_oracles` compares with: a scored case, the recogniser as a network on masks, the register of oracles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from serxai import _torchvision
from serxai.audio import Grid
from serxai.metrics.case import Case, Explained
from serxai.metrics.records import make_metric

_torchvision.ensure_torchvision()

FLOAT = 1e-5  # of log-odds: copies rendered and scored one by one


class MaskSpace(torch.nn.Module):
    """The recogniser as a network on masks, 1 for a cell that is kept: (n, 1, n_freq, n_time) -> log-odds."""

    def __init__(self, case: Case, grid: Grid) -> None:
        super().__init__()
        self.case, self.grid = case, grid
        self.unused = torch.nn.Parameter(torch.zeros(1))  # Quantus asks for the device of the parameters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        case = self.case
        masks = x.detach().numpy().reshape(-1, *self.grid.shape)
        each = [case.plane.render(mask[None], self.grid, case.fill_spectrum) for mask in masks]
        return torch.tensor(np.concatenate([case.recogniser.log_odds(waveform) for waveform in each])).float()


@dataclass(frozen=True)
class Scored:
    """A case with two explanations: a map without ties, and a method's that can explain again."""

    case: Case
    drawn: Explained
    made: Explained

    def __call__(self, metric: str, explained: Explained | None = None) -> float:
        return make_metric(metric).score(self.case, explained or self.drawn).value

    @property
    def map(self) -> np.ndarray:
        return self.case.map(self.drawn.attribution)

    def left(self, keep: np.ndarray, grid: Grid | None = None) -> np.ndarray:
        """Log-odds of the target for each mask, one by one."""
        network = MaskSpace(self.case, grid or self.case.grid)
        return network(torch.tensor(keep, dtype=torch.float32))[:, self.case.target_index].numpy().astype(float)

    def quantus(self, name: str, relevance: np.ndarray, grid: Grid, **more: object) -> np.ndarray:
        """What a metric of Quantus makes of this one clip and map."""
        import quantus

        metric = getattr(quantus, name)(disable_warnings=True, perturb_baseline=0.0, return_aggregate=False, **more)
        found = metric(
            model=MaskSpace(self.case, grid).eval(),
            x_batch=np.ones((1, 1, *grid.shape), np.float32),
            y_batch=np.array([self.case.target_index]),
            a_batch=relevance[None, None].astype(np.float32),
            softmax=False,
            channel_first=True,
            device="cpu",
            batch_size=1,
        )
        return np.asarray(found[0], dtype=float)


Pairs = Iterator[tuple[float, float]]


@dataclass(frozen=True)
class Oracle:
    """Somebody else's score: `compare` yields (ours, theirs)."""

    name: str
    compare: Callable[[Scored], Pairs]
    tolerance: float
    difference: str


ORACLES: dict[str, list[Oracle]] = {}
NO_OTHER = "serxai's own definition; plain twins in "
REASONS = {
    "weak-stress-mass": NO_OTHER + "test_weak_truth.py",
    "weak-voicing-mass": NO_OTHER + "test_weak_truth.py",
    "direction-agreement": NO_OTHER + "test_plausibility.py",
    "direction-agreement:": NO_OTHER + "test_plausibility.py",
    "salience-contrast": NO_OTHER + "test_plausibility_contrast.py",
    "cue-profile": NO_OTHER + "test_plausibility_profile.py",
    "neutral-agreement": NO_OTHER + "test_neutral_agreement.py",
    "neutral-agreement-trained": NO_OTHER + "test_neutral_agreement.py",
    "causal-cue-fidelity": NO_OTHER + "test_causal_cues.py",
    "causal-cue-fidelity:": NO_OTHER + "test_causal_cues.py",
    "f-fidelity": "no other implementation removes in the waveform; a plain twin in test_f_fidelity.py",
    "explanation-attack": NO_OTHER + "test_attack.py",
    "explanation-attack-floor": NO_OTHER + "test_attack.py",
    "explanation-calls": "a count that the recogniser keeps",
}


def oracle(metric: str, name: str, tolerance: float, difference: str = "none") -> Callable:
    def keep(compare: Callable[[Scored], Pairs]) -> Callable[[Scored], Pairs]:
        ORACLES.setdefault(metric, []).append(Oracle(name, compare, tolerance, difference))
        return compare

    return keep


def most_first(relevance: np.ndarray) -> np.ndarray:
    return np.argsort(-relevance, axis=None)
