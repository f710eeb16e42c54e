"""Trial of a user's recogniser before it is accepted.

serxai scores copies of a clip in batches, with and without gradient, and clips have lengths of their own. A recogniser
whose scores depend on the batch, the call or the gradient would give numbers that cannot be repeated; it is refused
with the cause. One that gives no gradient is a black box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..audio import SAMPLE_RATE
from ..errors import InputError, SerxaiError
from ..keys import rng
from .recogniser import Recogniser
from .waveform import WaveformRecogniser

SAMPLES = SAMPLE_RATE  # of the first trial, one second
OTHER = 1.37  # length of the second, in units of the first
COARSE = 0.1  # the same for dynamically quantised modules, whose steps follow the range of a batch
CLOSE = 1e-3  # difference of log-odds that rounding explains: float32, batches of other shapes


@dataclass
class Trial:
    """Checks of one recogniser on noise.

    Parameters
    ----------
    recogniser : Recogniser
    close : float
        Largest difference of log-odds, relative to the largest of them or 1, that counts as rounding.
    """

    recogniser: Recogniser
    close: float = CLOSE

    def __post_init__(self) -> None:
        length = getattr(self.recogniser, "n_samples", None)
        self.fixed = length is not None
        self.length = length or max(SAMPLES, self.recogniser.min_samples)

    def noise(self, n_samples: int) -> np.ndarray:
        """Three copies of different level, float32 (3, n_samples)."""
        noise = rng("probe of a model").standard_normal((3, n_samples)).astype(np.float32)
        return noise * np.array([[0.05], [0.2], [0.01]], dtype=np.float32)

    def run(self) -> None:
        """Run all checks.

        Raises
        ------
        InputError
            With the cause.
        """
        copies = self.noise(self.length)
        three, turned = self.scores(copies), self.scores(copies[[2, 0, 1]])[[1, 2, 0]]
        if self.gap(three, turned) > 0:  # the place in the batch, or the call?
            again = self.scores(copies)
            self.agree(three, again, "two calls on the same copies differ", "Is dropout on, or a state kept?")
            self.agree(three, turned, "a copy's scores depend on its place in the batch", "Score each row by itself.")
        alone = np.concatenate([self.scores(copy[None]) for copy in copies])
        self.agree(
            three, alone, "a copy's scores depend on the copies beside it",
            "Score each row by itself: no statistics over the batch, batch normalisation in eval mode.",
        )  # fmt: skip
        if not self.fixed:
            self.scores(self.noise(round(OTHER * self.length))[:1])
        if isinstance(self.recogniser, WaveformRecogniser):
            self.gradient(self.recogniser, copies[:1], alone[:1])
        self.recogniser.calls, self.recogniser.seconds = 0, 0.0

    def scores(self, copies: np.ndarray) -> np.ndarray:
        """Log-odds of copies, of the shape they must have."""
        model, n_classes = self.recogniser, len(self.recogniser.classes)
        try:
            scores = model.log_odds(copies)
        except SerxaiError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{error} (on {self.described(copies)})") from error
        except Exception as error:  # whatever the user's code raises
            hint = ""
            if copies.shape[1] != self.length:
                hint = (
                    f". It takes {self.length} samples; clips have lengths of their own: cut or pad inside the model, "
                    "or pool over time"
                )
            raise InputError(
                f"model {model.name!r} failed on {self.described(copies)}: {type(error).__name__}: {error}{hint}."
            ) from error
        if scores.shape != (len(copies), n_classes):
            raise InputError(
                f"model {model.name!r} returned shape {scores.shape} for {len(copies)} waveforms; its {n_classes} "
                f"classes ({', '.join(model.classes)}) need {(len(copies), n_classes)}."
            )
        return scores

    def agree(self, one: np.ndarray, other: np.ndarray, fault: str, advice: str) -> None:
        """Refuse scores that should be equal and are not."""
        gap = self.gap(one, other)
        if gap > self.close * max(1.0, float(np.abs(one).max())):
            raise InputError(f"model {self.recogniser.name!r}: {fault} (log-odds by up to {gap:.3g}). {advice}")

    @staticmethod
    def gap(one: np.ndarray, other: np.ndarray) -> float:
        """Largest difference."""
        return float(np.abs(one - other).max())

    def gradient(self, model: WaveformRecogniser, copy: np.ndarray, scores: np.ndarray) -> None:
        """Take a model that passes no gradient back as a black box; refuse other scores with gradient."""
        waveform = torch.from_numpy(copy).to(model.device).requires_grad_()
        try:
            with torch.enable_grad():
                found = model.waveform_log_odds(waveform)
                (gradient,) = torch.autograd.grad(found.sum(), waveform)
        except Exception:  # cut off from its input, an operator without derivative, in-place changes
            model.gradients = False
            return
        model.gradients = bool(torch.isfinite(gradient).all())
        self.agree(
            scores, found.detach().double().cpu().numpy(), "its scores are others when a gradient is asked for",
            "Compute the same in both cases.",
        )  # fmt: skip

    @staticmethod
    def described(copies: np.ndarray) -> str:
        """What the model was given."""
        return f"{copies.shape[1] / SAMPLE_RATE:.2g} s of noise, float32 {copies.shape}"


def accepted(recogniser: Recogniser, close: float = CLOSE) -> Recogniser:
    """Return the recogniser after its trial; parameters and errors are those of `Trial`."""
    Trial(recogniser, close).run()
    return recogniser
