"""Attention of a network, seen through the torch functions that it calls.

Conventions
-----------
A `torch.overrides.TorchFunctionMode` sees every torch function of a forward pass, whatever the modules are called:
transformers' attention interface (`scaled_dot_product_attention`), attention written out as products and softmax, and
`multi_head_attention_forward`, one opaque function whose weights come averaged over heads. Both fused functions are
computed here step by step, in the order query times scale, product with key, bias, softmax, product with value.

A tensor is *tracked* if it depends on the network's input; everything else (weights, biases, position embeddings) is a
constant. Parameters that require gradients are frozen for the pass (`frozen`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ..audio import SAMPLE_RATE
from ..errors import NotApplicable
from ..models.recogniser import TorchRecogniser
from .inspection import Differentiable

PROBE_S = 1.0  # seconds of silence on which a network without modules called attention is tried

_MULTI_HEAD = inspect.signature(functional.multi_head_attention_forward)


def tracked(value: Any) -> bool:
    """Whether a value is a tensor that depends on the network's input."""
    return isinstance(value, torch.Tensor) and value.requires_grad


class AttentionMode(TorchFunctionMode):
    """Torch functions with attention computed step by step; subclasses see or replace the steps.

    Attributes
    ----------
    rules : dict of str to callable
        Replacement of a torch function by its name: ``rule(function, *args, **options)``, called where a tracked tensor
        is among the arguments.
    n_attentions : int
        Softmax functions over keys seen so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.n_attentions = 0
        self.rules: dict[str, Callable[..., Any]] = {
            "scaled_dot_product_attention": self._scaled_dot_product,
            "multi_head_attention_forward": self._multi_head,
            "softmax": self._softmax,
        }

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Call a function, or its rule; inside of a rule functions are plain."""
        options, name = kwargs or {}, getattr(func, "__name__", "")
        values = (*args, *options.values())
        if not any(tracked(v) or (isinstance(v, list | tuple) and any(map(tracked, v))) for v in values):
            return func(*args, **options)
        rule = self.rules.get(name)
        return self.other(func, name, *args, **options) if rule is None else rule(func, *args, **options)

    def other(self, func: Any, name: str, *args: Any, **options: Any) -> Any:
        """A function without a rule."""
        return func(*args, **options)

    # -- steps -------------------------------------------------------------------------------------------------------

    def linear(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Linear layer."""
        return functional.linear(x, weight, bias)

    def product(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Matrix product."""
        return one @ other

    def biased(self, scores: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Scores with a mask or a position bias added."""
        return scores + bias

    def weights(self, scores: torch.Tensor) -> torch.Tensor:
        """Softmax over the last axis."""
        return scores.softmax(dim=-1)

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention, (..., n_queries, dim), and its weights, (..., n_queries, n_keys)."""
        scores = self.product(query * scale, key.transpose(-2, -1))
        weights = self.weights(scores if bias is None else self.biased(scores, bias))
        return self.product(weights, value), weights

    # -- functions ---------------------------------------------------------------------------------------------------

    def _softmax(self, func: Any, x: torch.Tensor, dim: int | None = None, *args: Any, **options: Any) -> torch.Tensor:
        if dim not in (-1, x.dim() - 1):
            last = self.weights(x.transpose(-1, dim if dim is not None else -1))
            return last.transpose(-1, dim if dim is not None else -1)
        return self.weights(x)

    def _scaled_dot_product(
        self,
        func: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        if enable_gqa:
            groups = query.shape[-3] // key.shape[-3]
            key, value = (part.repeat_interleave(groups, dim=-3) for part in (key, value))
        if is_causal:
            size = (query.shape[-2], key.shape[-2])
            attn_mask = torch.ones(size, dtype=torch.bool, device=query.device).tril()
        bias = attn_mask
        if attn_mask is not None and attn_mask.dtype == torch.bool:  # True takes part
            bias = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, -torch.inf)
        return self.attend(query, key, value, bias, query.shape[-1] ** -0.5 if scale is None else scale)[0]

    def _multi_head(self, func: Any, *args: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        bound = _MULTI_HEAD.bind(*args, **options)
        bound.apply_defaults()
        given = bound.arguments
        if any(given[name] is not None for name in ("bias_k", "bias_v", "static_k", "static_v")):
            raise NotApplicable("multi-head attention with bias_k, bias_v or static keys is not followed")
        if given["add_zero_attn"]:
            raise NotApplicable("multi-head attention with add_zero_attn is not followed")
        inputs = [given[name] for name in ("query", "key", "value")]
        batched = inputs[0].dim() == 3
        if not batched:
            inputs = [x[:, None] for x in inputs]
        heads = given["num_heads"]
        if given["use_separate_proj_weight"]:
            matrices = [given[f"{name}_proj_weight"] for name in "qkv"]
        else:
            matrices = list(given["in_proj_weight"].chunk(3))
        offsets = [None] * 3 if given["in_proj_bias"] is None else list(given["in_proj_bias"].chunk(3))
        # (length, n, dim) -> (n, heads, length, dim / heads)
        query, key, value = (
            self.linear(x, matrix, offset).unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)
            for x, matrix, offset in zip(inputs, matrices, offsets, strict=True)
        )
        bias = _head_bias(given["attn_mask"], given["key_padding_mask"], query, key)
        found, weights = self.attend(query, key, value, bias, query.shape[-1] ** -0.5)
        merged = found.permute(2, 0, 1, 3).flatten(2)
        out = self.linear(merged, given["out_proj_weight"], given["out_proj_bias"])
        shown = None
        if given["need_weights"]:
            shown = weights.mean(dim=1) if given["average_attn_weights"] else weights
        if not batched:
            return out[:, 0], None if shown is None else shown[0]
        return out, shown


def _head_bias(
    mask: torch.Tensor | None, padding: torch.Tensor | None, query: torch.Tensor, key: torch.Tensor
) -> torch.Tensor | None:
    """Sum of the masks of `multi_head_attention_forward`, in which True does not take part; (n, heads, query, key)."""
    n, heads = query.shape[:2]
    parts = []
    if mask is not None:
        parts.append(mask.unflatten(0, (n, heads)) if mask.dim() == 3 else mask)
    if padding is not None:
        parts.append(padding.reshape(-1, 1, 1, key.shape[-2]))
    total: torch.Tensor | None = None
    for part in parts:
        if part.dtype == torch.bool:
            part = torch.zeros_like(part, dtype=query.dtype).masked_fill(part, -torch.inf)
        total = part if total is None else total + part
    return total


class AttentionRecorder(AttentionMode):
    """Forward pass that keeps attention weights, and the time axis of the tokens.

    Attributes
    ----------
    kept : list of Tensor, shape (..., n_tokens, n_tokens)
        Weights of self-attention in the order of the pass, differentiable.
    step, first : float
        Distance of neighbouring tokens and centre of the first, in cells of the network's input, as the strides and
        kernels of the layers before the first attention make them.
    shape : tuple of int
        Shape of the last such layer's map without batch and channels: (time,) or (frequency, time).
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[torch.Tensor] = []
        self.step, self.first = 1.0, 0.0
        self.shape: tuple[int, ...] = ()
        self.rules |= {name: self._strided for name in ("conv1d", "conv2d")} | {"stft": self._stft}

    def weights(self, scores: torch.Tensor) -> torch.Tensor:
        """See `AttentionMode.weights`."""
        weights = super().weights(scores)
        square = weights.dim() > 2 and weights.shape[-1] == weights.shape[-2]
        if square and (not self.kept or weights.shape[-1] == self.kept[0].shape[-1]):
            self.kept.append(weights)
            self.n_attentions += 1
        return weights

    def _strided(self, func: Any, x: torch.Tensor, weight: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        out: torch.Tensor = func(x, weight, *args, **options)
        if self.kept:
            return out
        given = dict(zip(("bias", "stride", "padding", "dilation"), args, strict=False)) | options
        stride, dilation = _last(given.get("stride", 1)), _last(given.get("dilation", 1))
        reach = dilation * (weight.shape[-1] - 1)
        named = {"valid": 0, "same": reach // 2}
        padding = given.get("padding", 0)
        before = named[padding] if isinstance(padding, str) else _last(padding)
        if stride == 1 and 2 * before >= reach:  # keeps the time axis; its output may be a branch, such as positions
            return out
        self.first += (reach / 2 - before) * self.step
        self.step *= stride
        self.shape = tuple(out.shape[2:])
        return out

    def _stft(self, func: Any, x: torch.Tensor, n_fft: int, *args: Any, **options: Any) -> torch.Tensor:
        out: torch.Tensor = func(x, n_fft, *args, **options)
        hop = options.get("hop_length", args[0] if args else None)
        self.first += 0.0 if options.get("center", True) else (n_fft - 1) / 2 * self.step
        self.step *= n_fft // 4 if hop is None else hop
        return out


def _last(value: Any) -> int:
    return int(value[-1]) if isinstance(value, tuple | list) else int(value)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Freeze parameters that require gradients, so that only what depends on the input is tracked."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def network_of(recogniser: Differentiable) -> nn.Module:
    """Module that the rules act on: that behind the front end, or that on waveforms."""
    return recogniser.module if hasattr(recogniser, "module") else recogniser.network


def has_attention_modules(network: nn.Module) -> bool:
    """Whether a module's class is called attention."""
    return any("attention" in type(module).__name__.lower() for module in network.modules())


def check_attention(recogniser: Differentiable, method: str) -> None:
    """Raise `NotApplicable` if a recogniser's network has no attention.

    A module whose class is called attention settles it; else a second of silence goes through the network, which is not
    counted as a call.
    """
    network = network_of(recogniser)
    if has_attention_modules(network):
        return
    calls, recorder = recogniser.calls, AttentionRecorder()
    silence = torch.zeros(max(int(PROBE_S * SAMPLE_RATE), recogniser.min_samples), device=recogniser.device)
    inputs = recogniser.features(silence) if isinstance(recogniser, TorchRecogniser) else silence[None]
    with torch.enable_grad(), frozen(network), recorder:
        recogniser.raw_scores(inputs.requires_grad_())
    recogniser.calls = calls
    if not recorder.kept:
        raise no_attention(recogniser, method)


def no_attention(recogniser: Differentiable, method: str) -> NotApplicable:
    """Reason for which a network without self-attention is skipped."""
    return NotApplicable(f"no attention found: {method} explains transformers; recogniser {recogniser.name!r} is none")
