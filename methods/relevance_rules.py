"""Backward rules of attention-aware relevance propagation (AttnLRP), and the books of what constants take.

Achtibat, Hatefi, Dreyer, Jain, Wiegand, Lapuschkin & Samek 2024, ICML, arXiv 2402.05602, section 3. Each torch function
of a forward pass keeps its value and gets the gradient with which *tensor times gradient is relevance*, so that a
single backward pass propagates it (there, appendix B):

* linear layers, convolutions, sums, means and everything else linear: the gradient itself (epsilon rule, epsilon 0);
* activations ``f`` with ``f(0) = 0``: the factor ``f(x) / x`` is held constant (identity rule, equation 9);
* layer and group norm, and other divisions by a statistic of the input: the divisor is held constant;
* product of two tracked tensors, matrix products included: half of the gradient to each factor (equation 15);
* softmax: its own gradient, ``x_i (R_i - s_i sum R)`` (equation 13), or the weights are held constant altogether;
* sigmoid gates (WavLM's position bias, gated linear units) are held constant: ``f(0)`` is not 0.

Relevance is not created, but some of it ends at constants. `Books` adds it up under four names: ``biases`` (also class
tokens and every other added constant), ``positions`` (constants that differ from token to token, and biases of
attention scores), ``softmax`` (what its rule takes: relevance of the weights less that of the scores). Together with
the relevance of the input they are the response, as long as every function on the way was a linear one or had a rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from .attention import AttentionMode, tracked

ENTRIES = ("biases", "positions", "softmax")

_ACTIVATIONS = (
    "relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "elu_", "selu", "celu", "gelu", "silu", "mish",
    "tanh", "tanh_", "hardtanh", "hardswish", "softsign", "prelu", "hardshrink", "softshrink", "square", "sqrt", "log",
    "log10", "log2", "log1p",
)  # fmt: skip
_HELD = ("sigmoid", "sigmoid_", "hardsigmoid", "rsqrt", "reciprocal", "rsqrt_", "__rdiv__", "__rtruediv__")
# linear in what is tracked, homogeneous of degree 1, or without a gradient
_PLAIN = frozenset({
    "__get__", "__getitem__", "abs", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "alpha_dropout", "amax", "amin", "as_strided", "avg_pool1d", "avg_pool2d",
    "broadcast_tensors", "broadcast_to", "chunk", "clone", "contiguous", "cumsum", "detach", "diff", "dim", "double",
    "dropout", "dropout1d", "dropout2d", "expand", "expand_as", "feature_dropout", "fft_rfft", "flatten", "flip",
    "float", "gather", "index_select", "interpolate", "is_complex", "is_floating_point", "istft", "max_pool1d",
    "max_pool2d", "mean", "movedim", "narrow", "neg", "norm", "numel", "permute", "register_hook", "repeat",
    "repeat_interleave", "reshape", "roll", "select", "size", "split", "squeeze", "std", "stft", "stride", "sum",
    "swapaxes", "tensor_split", "to", "transpose", "tril", "triu", "type_as", "unbind", "unflatten", "unfold",
    "unsqueeze", "vector_norm", "view", "view_as", "view_as_real", "zero_", "zeros_like", "ones_like", "empty_like",
    "full_like", "new_zeros", "new_ones", "gt", "lt", "ge", "le", "eq", "ne", "isnan", "isinf", "isfinite", "argmax",
    "argmin", "__len__", "item", "is_contiguous", "dtype", "ndimension", "data_ptr",
})  # fmt: skip


class Books:
    """Relevance that ends at constants, by entry; filled by hooks during the backward pass."""

    def __init__(self) -> None:
        self._amounts: dict[str, list[torch.Tensor]] = {name: [] for name in ENTRIES}

    def add(self, entry: str, constant: Any, output: torch.Tensor) -> None:
        """Book the relevance of a constant that was added to make `output`."""
        if not output.requires_grad:
            return
        if not isinstance(constant, torch.Tensor):
            if constant != 0:
                self.on(entry, output, lambda gradient: gradient.sum(dtype=torch.float64) * constant)
            return
        held = constant.detach()
        held = held.masked_fill(~held.isfinite(), 0.0) if held.is_floating_point() else held
        shape = held.shape
        if held.dim() == 0:
            self.on(entry, output, lambda gradient: gradient.sum(dtype=torch.float64) * held.double())
        else:
            self.on(entry, output, lambda gradient: (gradient.sum_to_size(shape).double() * held.double()).sum())

    def on(self, entry: str, output: torch.Tensor, amount: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Book a function of the gradient at `output`."""

        def hook(gradient: torch.Tensor) -> None:
            self._amounts[entry].append(amount(gradient.detach()).detach())

        output.register_hook(hook)

    def totals(self) -> dict[str, float]:
        """Sum of each entry."""
        return {name: float(sum(float(amount) for amount in found)) for name, found in self._amounts.items()}


class _Scaled(torch.autograd.Function):
    """Identity whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] * ctx.factor, None


def scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
    """The tensor itself, its gradient multiplied by a factor."""
    out: torch.Tensor = _Scaled.apply(x, factor)  # type: ignore[no-untyped-call]
    return out


class RelevanceRules(AttentionMode):
    """Forward pass whose backward pass propagates relevance.

    Parameters
    ----------
    softmax : {'propagated', 'constant'}
        Whether relevance passes to the scores of attention, or its weights are constants.

    Attributes
    ----------
    books : Books
    unknown : set of str
        Functions of tracked tensors that have no rule and are not known to be linear.
    """

    def __init__(self, softmax: str = "propagated") -> None:
        super().__init__()
        self.softmax = softmax
        self.books = Books()
        self.unknown: set[str] = set()
        self.rules |= dict.fromkeys(_ACTIVATIONS, self._activation) | dict.fromkeys(_HELD, self._held)
        self.rules |= {
            "linear": lambda func, x, weight, bias=None: self.linear(x, weight, bias),
            "conv1d": self._convolution,
            "conv2d": self._convolution,
            "layer_norm": self._layer_norm,
            "group_norm": self._group_norm,
            "batch_norm": self._batch_norm,
            "addmm": self._addmm,
            "addmv": self._addmm,
            "baddbmm": self._addmm,
            "glu": self._glu,
            "pow": self._power,
            "var": lambda func, *args, **options: scaled(func(*args, **options), 0.5),
            "cat": self._joined,
            "concat": self._joined,
            "stack": self._joined,
            "where": self._chosen,
            "masked_fill": self._filled,
            "pad": self._padded,
            "max": self._extreme,
            "min": self._extreme,
            "maximum": self._extreme,
            "minimum": self._extreme,
        }
        self.rules |= dict.fromkeys(
            ("matmul", "__matmul__", "__rmatmul__", "bmm", "mm", "mv", "einsum"), self._products
        )
        self.rules |= dict.fromkeys(("mul", "__mul__", "multiply", "mul_", "__imul__", "__rmul__"), self._products)
        self.rules |= dict.fromkeys(("add", "__add__", "__radd__", "add_", "__iadd__"), self._sum)
        self.rules |= dict.fromkeys(("sub", "__sub__", "sub_", "__isub__", "rsub", "__rsub__"), self._difference)
        self.rules |= dict.fromkeys(("div", "__truediv__", "true_divide", "div_", "__itruediv__"), self._quotient)
        self.rules |= dict.fromkeys(("clamp", "clamp_min", "clamp_max", "clip"), self._clamped)

    def other(self, func: Any, name: str, *args: Any, **options: Any) -> Any:
        """See `AttentionMode.other`; remembers functions that are not known to be linear."""
        if name not in _PLAIN:
            self.unknown.add(name)
        return func(*args, **options)

    # -- attention ---------------------------------------------------------------------------------------------------

    def linear(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """See `AttentionMode.linear`."""
        out = functional.linear(x, weight, bias)
        if tracked(x) and tracked(weight):
            out = scaled(out, 0.5)
        if bias is not None:
            self.books.add("biases", bias, out)
        return out

    def product(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """See `AttentionMode.product`; half of the relevance to each factor."""
        out = one @ other
        return scaled(out, 0.5) if tracked(one) and tracked(other) else out

    def biased(self, scores: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """See `AttentionMode.biased`; a constant bias is booked as positions."""
        out = scores + bias
        if not tracked(bias):
            self.books.add("positions", bias, out)
        return out

    def weights(self, scores: torch.Tensor) -> torch.Tensor:
        """See `AttentionMode.weights`; the gradient of the softmax is its rule, what it does not pass on is booked."""
        if scores.dim() > 2 and scores.shape[-1] == scores.shape[-2]:
            self.n_attentions += 1
        if self.softmax == "constant" or not tracked(scores):
            return scores.detach().softmax(dim=-1)
        weights = scores.softmax(dim=-1)
        s, x = weights.detach(), scores.detach()
        x = x.masked_fill(~x.isfinite(), 0.0)

        def taken(gradient: torch.Tensor) -> torch.Tensor:
            relevance = s * gradient
            total = relevance.sum(dim=-1, keepdim=True)
            return total.sum(dtype=torch.float64) - (x * (relevance - s * total)).sum(dtype=torch.float64)

        self.books.on("softmax", weights, taken)
        return weights

    # -- products, sums ----------------------------------------------------------------------------------------------

    def _products(self, func: Any, *args: Any, **options: Any) -> torch.Tensor:
        flat = [v for arg in args for v in (arg if isinstance(arg, list | tuple) else (arg,))]
        out: torch.Tensor = func(*args, **options)
        n = sum(map(tracked, flat + list(options.values())))
        return scaled(out, 1 / n) if n > 1 else out

    def _sum(self, func: Any, one: Any, other: Any, *, alpha: float = 1, **options: Any) -> torch.Tensor:
        out: torch.Tensor = func(one, other, **(options if alpha == 1 else options | {"alpha": alpha}))
        for constant, factor in ((one, 1.0), (other, float(alpha))):
            if not tracked(constant):
                self._book(constant, factor, out)
        return out

    def _difference(self, func: Any, one: Any, other: Any, **options: Any) -> torch.Tensor:
        out: torch.Tensor = func(one, other, **options)
        turned = func.__name__ in ("rsub", "__rsub__")
        for constant, factor in ((one, -1.0 if turned else 1.0), (other, 1.0 if turned else -1.0)):
            if not tracked(constant):
                self._book(constant, factor, out)
        return out

    def _book(self, constant: Any, factor: float, out: torch.Tensor) -> None:
        """Book an added constant, as positions if it differs from token to token."""
        by_token = isinstance(constant, torch.Tensor) and constant.dim() > 1 and min(constant.shape[-2:]) > 1
        self.books.add("positions" if by_token else "biases", constant * factor, out)

    def _quotient(self, func: Any, one: Any, other: Any, **options: Any) -> torch.Tensor:
        return func(one, other.detach() if tracked(other) else other, **options)

    def _addmm(self, func: Any, constant: torch.Tensor, one: torch.Tensor, other: torch.Tensor, **options: Any) -> Any:
        out = func(constant, one, other, **options)
        if tracked(constant) or options:
            self.unknown.add(func.__name__)
            return out
        if tracked(one) and tracked(other):
            out = scaled(out, 0.5)
        self.books.add("biases", constant, out)
        return out

    # -- layers ------------------------------------------------------------------------------------------------------

    def _convolution(
        self,
        func: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        *args: Any,
        **options: Any,
    ) -> torch.Tensor:
        out: torch.Tensor = func(x, weight, bias, *args, **options)
        if bias is not None:
            self.books.add("biases", bias.view(-1, *[1] * (weight.dim() - 2)), out)
        return out

    def _affine(self, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
        out = x if weight is None else x * weight
        if bias is None:
            return out
        out = out + bias
        self.books.add("biases", bias, out)
        return out

    def _layer_norm(
        self,
        func: Any,
        x: torch.Tensor,
        normalized_shape: Any,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        return self._affine(standardised(x, tuple(range(-len(normalized_shape), 0)), eps), weight, bias)

    def _group_norm(
        self,
        func: Any,
        x: torch.Tensor,
        num_groups: int,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        out = standardised(x.reshape(len(x), num_groups, -1), (-1,), eps).view_as(x)
        shape = (-1, *[1] * (x.dim() - 2))
        return self._affine(
            out, None if weight is None else weight.view(shape), None if bias is None else bias.view(shape)
        )

    def _batch_norm(
        self,
        func: Any,
        x: torch.Tensor,
        running_mean: torch.Tensor,
        running_var: torch.Tensor,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        scale = (running_var + eps).rsqrt() * (1.0 if weight is None else weight)
        shift = -running_mean * scale + (0.0 if bias is None else bias)
        shape = (-1, *[1] * (x.dim() - 2))
        return self._affine(x, scale.view(shape), shift.view(shape))

    def _activation(self, func: Any, x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        with torch.no_grad():
            factor = func(x.clone(), *args, **options) / x
            factor.masked_fill_(x == 0, 0.0)
        return x * factor

    def _held(self, func: Any, x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        return func(x.detach().clone(), *args, **options)

    def _power(self, func: Any, x: Any, exponent: Any, **options: Any) -> torch.Tensor:
        if not isinstance(exponent, int | float):
            self.unknown.add("pow")
            return func(x, exponent, **options)
        if exponent < 0:
            return self._held(func, x, exponent, **options)
        return self._activation(func, x, exponent, **options)

    def _glu(self, func: Any, x: torch.Tensor, dim: int = -1) -> torch.Tensor:
        value, gate = x.chunk(2, dim=dim)
        return value * gate.detach().sigmoid()

    # -- constants in place of values --------------------------------------------------------------------------------

    def _joined(self, func: Any, tensors: Any, *args: Any, **options: Any) -> torch.Tensor:
        out: torch.Tensor = func(tensors, *args, **options)
        held = func([torch.zeros_like(t) if tracked(t) else t for t in tensors], *args, **options)
        self.books.add("biases", held, out)
        return out

    def _chosen(self, func: Any, one: Any, other: Any, third: Any) -> torch.Tensor:
        # torch.where(condition, a, b), or a.where(condition, b)
        condition, one, other = (one, other, third) if one.dtype == torch.bool else (other, one, third)
        out = torch.where(condition, one, other)
        held = [torch.zeros_like(v) if tracked(v) else v for v in (one, other)]
        self.books.add("biases", torch.where(condition, *held), out)
        return out

    def _extreme(self, func: Any, one: Any, other: Any = None, *args: Any, **options: Any) -> Any:
        if not isinstance(other, torch.Tensor):  # over a dimension: the gradient goes to the winners
            return func(one, *(() if other is None else (other,)), *args, **options)
        out = func(one, other)
        for constant, x in ((one, other), (other, one)):
            if not tracked(constant):
                share = (out == constant).to(out.dtype) / (1 + (constant == x).to(out.dtype))  # ties are halved
                self.books.add("biases", out.detach() * share, out)
        return out

    def _filled(self, func: Any, x: torch.Tensor, mask: torch.Tensor, value: Any) -> torch.Tensor:
        out: torch.Tensor = func(x, mask, value)
        self.books.add("biases", func(torch.zeros_like(out), mask, value), out)
        return out

    def _padded(self, func: Any, x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        out: torch.Tensor = func(x, *args, **options)
        self.books.add("biases", func(torch.zeros_like(x), *args, **options), out)
        return out

    def _clamped(self, func: Any, x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        out: torch.Tensor = func(x, *args, **options)
        value, kept = out.detach(), out.detach() == x.detach()
        self.books.add("biases", value.masked_fill(kept, 0.0), out)
        return out


def standardised(x: torch.Tensor, dims: tuple[int, ...], eps: float) -> torch.Tensor:
    """Mean 0 and variance 1 over dimensions, with the standard deviation held constant."""
    centred = x - x.mean(dim=dims, keepdim=True)
    spread = (centred.detach().square().mean(dim=dims, keepdim=True) + eps).rsqrt()
    return centred * spread
