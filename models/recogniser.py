"""Base classes of recognisers: waveforms in, class log-odds and probabilities out.

Conventions
-----------
Waveforms are float32 mono at 16 kHz, shape ``(n, n_samples)``; the rows of one call are copies of one clip, so they
share its length and need no padding. Log-odds are one-vs-rest, ``log p / (1 - p)``, natural logarithm.

Copies run in batches of one fixed shape, the last one filled up with zeros: a copy's score then does not depend on
how many copies it was scored with. Model calls count the copies that went through the network, fill-up included.

On a CUDA device the batch is larger. Where a batch would take more than the recogniser's `memory` it passes in equal
pieces. Batch and memory are part of a score's key.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from ..audio import SAMPLE_RATE, Grid
from ..errors import ClipError, InputError
from .recurrent import differentiate_recurrent

BATCH = 8  # a small CNN on one CPU thread gains nothing above 4-16 copies a batch
CUDA_BATCH = 32  # a deletion trajectory, or the nodes of integrated gradients, in one
CUDA_SHARE = 0.25  # of the device's memory for one batch, so that a few workers can share a device
PROBE_S = 4.0  # seconds of waveform on which the memory of a pass is measured

Scores = TypeVar("Scores", np.ndarray, torch.Tensor)


class Recogniser(ABC):
    """Base of all recognisers.

    Attributes
    ----------
    name : str
    classes : tuple of str
        In the order of the probability columns.
    trained_on : str
        Corpus whose clips it was fitted on; empty where unknown.
    fingerprint : str
        Digest of weights and front end; part of every key.
    min_samples : int
        Shortest waveform the front end takes.
    calls : int
        Copies that have gone through the network since the object was made; only ever grows.
    seconds : float
        Time spent inside front end and network, gradients included; only ever grows.
    batch : int
        Copies scored together.
    memory : float or None
        Bytes that one batch may take on its way forward and back; None is no limit.
    regression : bool
        Whether it predicts numbers (`models.dimensional`). Its classes are then named outputs, and wherever log-odds
        are spoken of, they are the outputs themselves, in units of their own.
    """

    name: str
    classes: tuple[str, ...]
    trained_on: str = ""
    fingerprint: str
    min_samples: int = 1
    calls: int = 0
    seconds: float = 0.0
    batch: int = BATCH
    memory: float | None = None
    regression: bool = False

    @property
    def differentiable(self) -> bool:
        """Whether front end and network can be differentiated through."""
        return isinstance(self, TorchRecogniser)

    @abstractmethod
    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Log-odds of every class for one batch, shape (batch, n_samples) -> (batch, n_classes)."""

    @property
    def bytes_per_sample(self) -> float:
        """Memory in bytes of a forward and backward pass per sample; of a black box only the input is counted."""
        return 4.0

    def at_once(self, n_samples: int) -> int:
        """Copies of this length that go through the network together: the batch, halved until it fits `memory`."""
        size = self.batch
        if self.memory is not None:
            while size > 1 and size % 2 == 0 and size * n_samples * self.bytes_per_sample > self.memory:
                size //= 2
        return size

    def calls_for(self, n: int) -> int:
        """Model calls of `n` copies scored together, fill-up of the last batch included."""
        return n if n <= 1 else -(-n // self.batch) * self.batch

    @contextmanager
    def metered(self) -> Iterator[None]:
        """Add a block's duration to `seconds`; CUDA runs deterministically and without TF32."""
        start = time.perf_counter()
        cudnn = torch.backends.cudnn
        try:
            with cudnn.flags(enabled=cudnn.enabled, deterministic=True, allow_tf32=False):
                yield
        finally:
            self.seconds += time.perf_counter() - start

    def log_odds(self, waveforms: np.ndarray | torch.Tensor) -> np.ndarray:
        """Log-odds of every class.

        Parameters
        ----------
        waveforms : array or Tensor, shape (n, n_samples)

        Returns
        -------
        array, float64, shape (n, n_classes)

        Raises
        ------
        ClipError
            If the waveforms are too short, not finite, or the recogniser returns something that is not finite.
        """
        tensor = self.checked(waveforms)
        out = [np.empty((0, len(self.classes)))]
        size = 1 if len(tensor) == 1 else self.batch
        for start in range(0, len(tensor), size):
            rows = tensor[start : start + size]
            filled = nn.functional.pad(rows, (0, 0, 0, size - len(rows)))
            with self.metered():  # the copy to the host waits for the device
                pieces = [self._raw_log_odds(piece) for piece in filled.split(self.at_once(tensor.shape[1]))]
                out.append(torch.cat(pieces)[: len(rows)].double().cpu().numpy())
        result = np.concatenate(out)
        if not np.all(np.isfinite(result)):
            raise ClipError(f"recogniser {self.name!r} returned log-odds that are not finite.")
        return result

    def scores_of(self, outputs: torch.Tensor) -> torch.Tensor:
        """What is explained, from a network's outputs (n, n_classes): log-odds; of a regression the outputs."""
        return outputs if self.regression else one_vs_rest(outputs)

    def predict_proba(self, waveforms: np.ndarray | torch.Tensor) -> np.ndarray:
        """Class probabilities (log-odds through the logistic function, normalised), shape (n, n_classes).

        Raises
        ------
        InputError
            If the recogniser predicts numbers.
        """
        if self.regression:
            raise InputError(
                f"recogniser {self.name!r} predicts numbers ({', '.join(self.classes)}), no probabilities."
            )
        p: np.ndarray = expit(self.log_odds(waveforms))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def checked(self, waveforms: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Waveforms as a float32 tensor, (n, n_samples); raises as `log_odds` says."""
        tensor = torch.as_tensor(waveforms, dtype=torch.float32)
        if tensor.ndim != 2:
            raise InputError(f"log_odds takes waveforms of shape (n, n_samples), got {tuple(tensor.shape)}.")
        self.check_length(tensor.shape[1])
        if not math.isfinite(float(tensor.sum())):  # a third of the time of looking at every sample
            raise ClipError("the waveform holds NaN or infinite samples.")
        return tensor

    def class_index(self, emotion: str) -> int:
        """Column of a class.

        Raises
        ------
        InputError
            If the recogniser does not know the class.
        """
        if emotion not in self.classes:
            raise InputError(f"target {emotion!r}: recogniser {self.name!r} knows {', '.join(self.classes)}.")
        return self.classes.index(emotion)

    def target_named(self, text: str) -> tuple[str, str | None]:
        """Parse a target: a class, or the two classes of a contrast ``A-B`` (why A rather than B).

        Raises
        ------
        InputError
            If the recogniser does not know a class, or both are the same.
        """
        if text not in self.classes:
            for cut in (place for place, letter in enumerate(text) if letter == "-"):  # classes may hold a "-" as well
                one, other = text[:cut], text[cut + 1 :]
                if {one, other} <= set(self.classes) and one != other:
                    return one, other
        self.class_index(text)
        return text, None

    def response(self, scores: Scores, target: str, contrast: str | None = None) -> Scores:
        """Scalar to explain, from log-odds or logits of every class: the target's, minus the contrast's if any.

        Parameters
        ----------
        scores : array or Tensor, shape (..., n_classes)
        target : str
        contrast : str, optional

        Returns
        -------
        array or Tensor, shape (...)

        Raises
        ------
        InputError
            If the recogniser does not know a class.
        """
        y = scores[..., self.class_index(target)]
        return y if contrast is None else y - scores[..., self.class_index(contrast)]

    def check_length(self, n_samples: int) -> None:
        """Raise `ClipError` if a waveform is shorter than the front end's window."""
        if n_samples < self.min_samples:
            raise ClipError(
                f"{n_samples} samples ({n_samples / SAMPLE_RATE * 1000:.0f} ms) are shorter than the "
                f"{self.min_samples / SAMPLE_RATE * 1000:.0f} ms window of recogniser {self.name!r}."
            )


class FrontEnd(Protocol):
    """Interface of front end modules besides the call (n, n_samples) -> (n, 1, n_freq, n_frames)."""

    min_samples: int
    floor: float

    def grid(self, n_samples: int) -> Grid:
        """Edges of the feature map's cells."""


class TorchRecogniser(Recogniser):
    """A differentiable recogniser: ``front_end`` (waveforms to features) and ``network`` (features to logits).

    Parameters
    ----------
    name : str
    classes : tuple of str
    front_end : nn.Module
        (n, n_samples) -> (n, 1, n_freq, n_frames), with the attributes of `FrontEnd`.
    network : nn.Module
        (n, 1, n_freq, n_frames) -> logits (n, n_classes).
    fingerprint : str
    trained_on : str
    device : str or torch.device
        On a CUDA device `batch` is 32.

    Attributes
    ----------
    memory : float or None
        A quarter of a CUDA device's by default.
    """

    def __init__(
        self,
        name: str,
        classes: tuple[str, ...],
        front_end: nn.Module,
        network: nn.Module,
        fingerprint: str,
        trained_on: str = "",
        device: str | torch.device = "cpu",
    ) -> None:
        self.name = name
        self.classes = tuple(classes)
        self.front_end = front_end.eval().to(device)
        self.network = network.eval().to(device)
        self.regression = bool(getattr(network, "regression", False))
        self.fingerprint = fingerprint
        self.trained_on = trained_on
        self.device = torch.device(device)
        if self.device.type == "cuda":
            self.batch = CUDA_BATCH
            self.memory = CUDA_SHARE * torch.cuda.get_device_properties(self.device).total_memory
        self.min_samples = cast(FrontEnd, front_end).min_samples
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)
        self.network.register_forward_pre_hook(self._count)
        differentiate_recurrent(self.network)

    def _count(self, module: nn.Module, args: tuple) -> None:
        self.calls += len(args[0])

    @cached_property
    def bytes_per_sample(self) -> float:
        """See `Recogniser.bytes_per_sample`; measured once on one copy of 4 s."""
        n_samples, calls = max(round(PROBE_S * SAMPLE_RATE), self.min_samples), self.calls
        features = self.features(np.zeros(n_samples, dtype=np.float32))
        per_sample = pass_bytes(self.feature_log_odds, features) / n_samples
        self.calls = calls  # the measurement is not an explanation's cost
        return per_sample

    def feature_grid(self, n_samples: int) -> Grid:
        """Time-frequency edges of the front end's feature map."""
        return cast(FrontEnd, self.front_end).grid(n_samples)

    def features(self, samples: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Feature map of one waveform, shape (1, 1, n_freq, n_frames)."""
        self.check_length(len(samples))
        with torch.no_grad():
            features: torch.Tensor = self.front_end(
                torch.as_tensor(samples, dtype=torch.float32, device=self.device)[None]
            )
        return features

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.feature_log_odds(self.front_end(waveforms.to(self.device)))

    def feature_log_odds(self, features: torch.Tensor) -> torch.Tensor:
        """Log-odds of every class from feature maps, differentiable: (n, 1, F, T) -> (n, n_classes)."""
        return self.scores_of(self.network(features))

    def raw_scores(self, features: torch.Tensor) -> torch.Tensor:
        """Output of the last linear layer, differentiable: (n, 1, F, T) -> (n, n_classes); see `raw_scores`."""
        return raw_scores(self.network, features, self._count)


def raw_scores(
    network: nn.Module, inputs: torch.Tensor, count: Callable[[nn.Module, tuple[Any, ...]], None]
) -> torch.Tensor:
    """Scores of every class before they are normalised over classes.

    Parameters
    ----------
    network : nn.Module
        With a method ``raw`` that returns one-vs-rest log-odds, or with logits as its output.
    inputs : Tensor
    count : callable
        The network's forward hook that counts model calls; ``raw`` does not trigger it.

    Returns
    -------
    Tensor, shape (n, n_classes)
    """
    raw = getattr(network, "raw", None)
    if raw is None:
        logits: torch.Tensor = network(inputs)
        return logits
    count(network, (inputs,))
    scores: torch.Tensor = raw(inputs)
    return scores


def pass_bytes(network: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> float:
    """Measure the memory of a forward and backward pass, without the weights.

    On a CUDA device the peak is measured. Elsewhere the tensors that autograd saves for the backward pass are counted
    twice, because their gradients are as large.

    Parameters
    ----------
    network : callable
    inputs : Tensor

    Returns
    -------
    float
        Bytes.
    """
    cuda, kept = inputs.device.type == "cuda", dict[int, int]()
    inputs = inputs.detach().requires_grad_()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.grad_fn is not None or tensor is inputs:  # weights are there anyway
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    held = torch.cuda.memory_allocated(inputs.device) if cuda else 0
    if cuda:
        torch.cuda.reset_peak_memory_stats(inputs.device)
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(inputs)
    torch.autograd.grad(outputs.sum(), inputs)
    return torch.cuda.max_memory_allocated(inputs.device) - held if cuda else 2.0 * sum(kept.values())


def one_vs_rest(logits: torch.Tensor) -> torch.Tensor:
    """One-vs-rest log-odds from softmax logits, ``z_c - logsumexp(z without c)``, without forming probabilities."""
    n = logits.shape[1]
    others = (
        logits[:, None, :]
        .expand(-1, n, -1)
        .masked_fill(torch.eye(n, dtype=torch.bool, device=logits.device), -torch.inf)
    )
    return logits - torch.logsumexp(others, dim=2)
