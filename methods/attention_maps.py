"""Maps made of attention weights: rollout, and gradient-weighted attention.

Conventions
-----------
Maps are over time only: one value per token, over all frequencies. A token lies where the strides of the layers before
the first attention put it; tokens of patches (AST) are summed over frequency. The recogniser reads the mean of all
tokens, or of the class tokens in front of them where there are any: that is the row, or the mean of rows, of the
accumulated matrix that is shown. Class tokens have no place in the clip and are left out.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch

from ..audio import SAMPLE_RATE, Grid
from ..errors import ClipError
from ..models.recogniser import Recogniser
from ..models.waveform import WaveformRecogniser
from .attention import AttentionRecorder, check_attention, frozen, network_of, no_attention
from .attribution import Attribution
from .explainer import Explainer, Request
from .inspection import View, differentiable, view_of

MOST_CLASS_TOKENS = 2  # AST has one of its own and one of distillation


class AttentionMap(Explainer):
    """Base class of maps made of attention weights; subclasses implement `accumulate`."""

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            One row over all frequencies, one column a token; non-negative. Tokens of padding lie outside the clip.

        Raises
        ------
        NotApplicable
            If the recogniser is not differentiable or has no self-attention.
        ClipError
            If the clip is too short, or the gradient is not finite.
        """
        recogniser = differentiable(request.recogniser, self.name)
        check_attention(recogniser, self.name)
        with recogniser.metered():
            view = view_of(request, self.name)
            recorder = AttentionRecorder()
            with torch.enable_grad(), frozen(network_of(recogniser)):
                with recorder:
                    response = view.response(view.values.detach().requires_grad_()).sum()
                if not recorder.kept:
                    raise no_attention(recogniser, self.name)
                gradients = torch.autograd.grad(response, recorder.kept, allow_unused=True)
            layers = [
                (weights.detach().flatten(0, -3), gradient.flatten(0, -3))
                for weights, gradient in zip(recorder.kept, gradients, strict=True)
                if gradient is not None  # the response does not depend on layers behind the one that is read
            ]
            if not layers:
                raise no_attention(recogniser, self.name)
            matrix = self.accumulate(layers)
        tokens = tokens_of(recorder, matrix.shape[-1])
        rows = matrix[: tokens.n_class] if tokens.n_class else matrix
        relevance = rows.mean(dim=0)[tokens.n_class :].reshape(tokens.n_rows, -1).sum(dim=0)
        if not bool(torch.isfinite(relevance).all()):
            raise ClipError(f"{self.name}: the gradient of recogniser {recogniser.name!r} is not finite.")
        return Attribution(relevance[None].cpu().numpy(), tokens.grid(view), request.label, self.name)

    @abstractmethod
    def accumulate(self, layers: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """Combine layers into one matrix.

        Parameters
        ----------
        layers : list of tuple of Tensor
            Attention weights and gradient of the response with respect to them, (n_heads, n_tokens, n_tokens), first
            layer first.

        Returns
        -------
        Tensor, shape (n_tokens, n_tokens)
            Relevance of each token (column) for each output token (row), non-negative.
        """

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: one forward pass; the backward pass is not counted."""
        check_attention(differentiable(recogniser, self.name), self.name)
        return 1


class AttentionRollout(AttentionMap):
    """Attention rollout (Abnar & Zuidema 2020, arXiv 2005.00928, section 3).

    Weights averaged over heads; half of each token is passed on by the residual connection. The map does not depend on
    the target and sums to 1 over all tokens. The gradient serves to leave out layers that the response does not read.
    """

    name = "attention-rollout"

    def accumulate(self, layers: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """See `AttentionMap.accumulate`: product of the layers' matrices."""
        identity = torch.eye(layers[0][0].shape[-1], device=layers[0][0].device, dtype=layers[0][0].dtype)
        total = identity
        for weights, _ in layers:
            total = (0.5 * weights.mean(dim=0) + 0.5 * identity) @ total
        return total


class AttentionRelevance(AttentionMap):
    """Attention weighted by the positive part of its gradient (Chefer, Gur & Wolf 2021, arXiv 2103.15679, eq. 5-6).

    The gradient is that of the target's log-odds. The identity that the accumulation starts with is subtracted from the
    result: with the mean of all tokens read, it would give every token the same relevance, whatever the network does.
    """

    name = "attention-relevance"

    def accumulate(self, layers: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """See `AttentionMap.accumulate`: each layer adds its weighted attention times the matrix so far."""
        identity = torch.eye(layers[0][0].shape[-1], device=layers[0][0].device, dtype=layers[0][0].dtype)
        total = identity
        for weights, gradient in layers:
            total = total + (weights * gradient).clamp_min(0).mean(dim=0) @ total
        return (total - identity).clamp_min(0)


@dataclass(frozen=True)
class Tokens:
    """Places of a transformer's tokens.

    Attributes
    ----------
    n_class : int
        Class tokens in front of the others.
    n_rows, n_columns : int
        Tokens over frequency and over time; frequency is the slower axis.
    step, first : float
        Distance of neighbouring tokens and centre of the first one, in cells of the network's input; a step of 0 stands
        for unknown places, equal parts of the clip.
    """

    n_class: int
    n_rows: int
    n_columns: int
    step: float
    first: float

    def grid(self, view: View) -> Grid:
        """All frequencies x one column a token; edges lie halfway between neighbouring centres."""
        freqs = view.grid.freq_edges_hz[[0, -1]]
        edges = np.arange(self.n_columns + 1)
        duration = view.request.clip.duration_s
        if self.step == 0:
            return Grid(freqs, edges * duration / self.n_columns)
        if isinstance(view.recogniser, WaveformRecogniser):
            start, width = -0.5 / SAMPLE_RATE, 1 / SAMPLE_RATE
        else:
            known = view.grid.time_edges_s
            width = float(np.median(np.diff(known)))  # the outer cells of a front end may be longer
            start = known[1] - width
        return Grid(freqs, start + width * (self.first + 0.5 + self.step * (edges - 0.5)))


def tokens_of(recorder: AttentionRecorder, n_tokens: int) -> Tokens:
    """Places of `n_tokens` tokens, from the layers before the first attention."""
    shape = (1, *recorder.shape)[-2:]
    n_class = n_tokens - shape[0] * shape[1] if recorder.shape else -1
    if 0 <= n_class <= MOST_CLASS_TOKENS:
        return Tokens(n_class, shape[0], shape[1], recorder.step, recorder.first)
    return Tokens(0, 1, n_tokens, 0.0, 0.0)
