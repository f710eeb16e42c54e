"""Canonical copy of a network for relevance rules and hooks; the network itself is never modified.

torch.fx traces the data flow. In the copy

* a batch norm is folded into the convolution or linear layer that feeds it (not into the one declared before it),
* a sum of two branches, a mean and each functional activation or pooling is a module, so that a rule can be hooked on,
* each use of a module is a separate module, and no module works in place.

The copy computes the same function up to rounding; `check_logits` verifies this on every clip.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from .. import _torchvision  # noqa: F401  (before zennit)
from ..audio import Grid
from ..errors import InputError, NotApplicable
from ..models.recogniser import TorchRecogniser
from .attention import has_attention_modules

import zennit.layer  # isort: skip
import zennit.types  # isort: skip

TOLERANCE = 1e-5  # largest difference between the logits of copy and network, relative where they exceed 1

_ATTENTION = "it has attention: softmax and products of branches, for which attn-lrp has rules"
_SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
_ACTIVATIONS: dict[Any, Callable[..., nn.Module]] = {
    torch.relu: nn.ReLU,
    torch.nn.functional.relu: nn.ReLU,
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
    torch.sigmoid: nn.Sigmoid,
    "sigmoid": nn.Sigmoid,
    torch.tanh: nn.Tanh,
    "tanh": nn.Tanh,
    torch.nn.functional.gelu: nn.GELU,
    torch.nn.functional.silu: nn.SiLU,
    torch.nn.functional.leaky_relu: nn.LeakyReLU,
    torch.nn.functional.elu: nn.ELU,
}
_POOLS: dict[Any, Callable[..., nn.Module]] = {
    torch.nn.functional.max_pool2d: nn.MaxPool2d,
    torch.nn.functional.avg_pool2d: nn.AvgPool2d,
    torch.nn.functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    torch.nn.functional.adaptive_max_pool2d: nn.AdaptiveMaxPool2d,
}
_RESHAPES = (
    torch.flatten,
    torch.reshape,
    torch.squeeze,
    torch.unsqueeze,
    torch.permute,
    torch.transpose,
    getattr,
    operator.getitem,
    "flatten",
    "reshape",
    "view",
    "squeeze",
    "unsqueeze",
    "permute",
    "transpose",
    "contiguous",
    "size",
    torch.nn.functional.dropout,
    "float",
    "to",
)
_TRANSPARENT = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)


class Mean(nn.Module):
    """Mean over given dimensions as a module."""

    def __init__(self, dim: Any, keepdim: bool = False) -> None:
        super().__init__()
        self.dim, self.keepdim = dim, keepdim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take the mean."""
        return x.mean(dim=self.dim, keepdim=self.keepdim)


class Stack(nn.Module):
    """Stack two branches along a new last dimension, to be summed by `zennit.layer.Sum`."""

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Broadcast, then stack."""
        return torch.stack(torch.broadcast_tensors(one, other), dim=-1)


@dataclass(frozen=True)
class Spacing:
    """Stride and offset of a layer's map relative to the network's input (the geometry of its receptive fields).

    Attributes
    ----------
    step : tuple of int
        Input rows and columns from one cell to the next.
    first : tuple of float
        Input row and column on which the first cell is centred.
    """

    step: tuple[int, int] = (1, 1)
    first: tuple[float, float] = (0.0, 0.0)

    def after(self, module: nn.Module) -> Spacing | None:
        """Spacing of the output of a layer applied to this map; None if the output is no map."""
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            kernel, stride, dilation = (
                pair(getattr(module, name, 1)) for name in ("kernel_size", "stride", "dilation")
            )
            reach = [dilation[i] * (kernel[i] - 1) for i in (0, 1)]
            named = {"valid": (0, 0), "same": (reach[0] // 2, reach[1] // 2)}
            padding = named[module.padding] if isinstance(module.padding, str) else pair(module.padding)
            offsets = [reach[i] / 2 - padding[i] for i in (0, 1)]
            return Spacing(
                step=(self.step[0] * stride[0], self.step[1] * stride[1]),
                first=(self.first[0] + offsets[0] * self.step[0], self.first[1] + offsets[1] * self.step[1]),
            )
        elementwise = (zennit.types.Activation, zennit.types.BatchNorm, nn.Identity, nn.Dropout, nn.Dropout2d, Stack)
        return self if isinstance(module, (*elementwise, zennit.layer.Sum)) else None

    def grid(self, shape: tuple[int, int], cells: Grid) -> Grid:
        """Time-frequency grid of a map with this spacing: edges lie halfway between neighbouring centres.

        Parameters
        ----------
        shape : tuple of int
            (rows, columns) of the layer's map.
        cells : Grid
            Grid of the network's input.

        Raises
        ------
        NotApplicable
            If cells lie wholly outside the input.
        """
        edges = []
        for n, step, first, known in zip(
            shape, self.step, self.first, (cells.freq_edges_hz, cells.time_edges_s), strict=True
        ):
            inner = first + 0.5 + step * (np.arange(1, n) - 0.5)  # halfway between neighbouring centres
            places = np.concatenate([[0.0], inner, [known.size - 1.0]])
            if np.any(np.diff(places) <= 0):
                raise NotApplicable(f"some of the layer's {n} cells lie outside the {known.size - 1} of its input")
            edges.append(np.interp(places, np.arange(known.size), known))
        return Grid(*edges)


@dataclass(frozen=True, eq=False)
class Canonical:
    """Network in canonical form.

    Attributes
    ----------
    network : fx.GraphModule
        Feature maps to logits. Modules keep the network's names; modules are declared in the order of data flow.
    first : frozenset of str
        Layers whose input is the unchanged feature map.
    maps : dict of str to Spacing
        Convolutional layers, and layers after one, whose output is a two-dimensional map, in the order of data flow.
    folded : dict of str to str
        Name of each folded batch norm, to the layer it was folded into.
    """

    network: fx.GraphModule
    first: frozenset[str]
    maps: dict[str, Spacing]
    folded: dict[str, str]

    def layer(self, name: str | None) -> str:
        """Resolve the name of a layer with a map; default the last one.

        Raises
        ------
        InputError
            If no layer with a map has this name.
        NotApplicable
            If no layer of the network has a map.
        """
        if not self.maps:
            raise NotApplicable("no layer of the network is a map over time and frequency")
        layer = list(self.maps)[-1] if name is None else self.folded.get(name, name)
        if layer not in self.maps:
            raise InputError(f"no layer {name!r} with a map; the network has {', '.join(self.maps)}.")
        return layer

    def unsupported(self, *kinds: Any) -> list[str]:
        """Sorted names of the layer types that are not among `kinds` and do more than reshape."""
        leaves = (module for name, module in self.network.named_modules() if name and not list(module.children()))
        others = {type(m).__name__ for m in leaves if not isinstance(m, (*kinds, *_TRANSPARENT, Stack))}
        return sorted(others)


def canonical(recogniser: TorchRecogniser, method: str) -> Canonical:
    """Build the canonical form of a recogniser's network, in evaluation mode; its forward passes count as model calls.

    Raises
    ------
    NotApplicable
        If torch.fx cannot trace the network, or an operation in it has no module counterpart.
    """
    network = recogniser.network
    try:
        graph = fx.Tracer().trace(network)
    except Exception as error:  # a user's forward may raise anything when called with a torch.fx proxy
        why = _ATTENTION if has_attention_modules(network) else " ".join(str(error).split())[:120]
        raise NotApplicable(f"{method}: the network of {recogniser.name!r} cannot be followed ({why})") from None
    try:
        form = _Rewriter(network, graph).form()
    except NotApplicable as error:
        why = f"cannot be followed ({_ATTENTION})" if has_attention_modules(network) else str(error)
        raise NotApplicable(f"{method}: the network of {recogniser.name!r} {why}") from None

    def count(module: nn.Module, args: tuple[Any, ...]) -> None:
        recogniser.calls += len(args[0])

    form.network.register_forward_pre_hook(count)
    return form


def check_logits(copied: torch.Tensor, recogniser: TorchRecogniser, features: torch.Tensor) -> None:
    """Verify that the canonical form's logits for one feature map, shape (1, n_classes), equal the network's.

    Raises
    ------
    NotApplicable
        If they differ by more than `TOLERANCE`.
    """
    with torch.no_grad():
        logits = recogniser.network(features)
        error = float((copied - logits).abs().max() / logits.abs().max().clamp_min(1.0))
    if error > TOLERANCE:  # NaN passes here and is detected in the relevance
        raise NotApplicable(
            f"the canonical form of the network of {recogniser.name!r} is off by {error:.1e} on this clip, more than "
            f"{TOLERANCE:.0e}; it would explain another network"
        )


class _Rewriter:
    """Builder of the canonical form, node by node."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        self.source, self.traced = network, graph
        self.graph = fx.Graph()
        self.modules: dict[str, nn.Module] = {}
        self.nodes: dict[fx.Node, fx.Node] = {}
        self.spacing: dict[fx.Node, Spacing] = {}  # of traced nodes
        self.folded: dict[str, str] = {}

    def form(self) -> Canonical:
        """Rewrite all nodes; see `Canonical`."""
        maps: dict[str, Spacing] = {}
        first: set[str] = set()
        unchanged: set[fx.Node] = set()
        convolved: set[fx.Node] = set()
        for node in self.traced.nodes:
            new = self._place(node)
            self.nodes[node] = new
            inputs = node.all_input_nodes
            if node.op == "placeholder":
                self.spacing[node] = Spacing()
                unchanged.add(node)
                continue
            module = self.modules.get(str(new.target)) if new.op == "call_module" else None
            if inputs and inputs[0] in unchanged:
                if module is not None and not isinstance(module, _TRANSPARENT):
                    first.add(str(new.target))
                else:
                    unchanged.add(node)
            spacing = self.spacing.get(inputs[0]) if inputs else None
            if module is None or spacing is None:
                continue
            # a folded batch norm maps to the node of its layer, whose spacing is already included
            after = spacing if new is self.nodes[inputs[0]] else spacing.after(module)
            if after is None:
                continue
            self.spacing[node] = after
            if isinstance(module, nn.Conv2d) or any(n in convolved for n in inputs):
                convolved.add(node)
                maps[str(new.target)] = after
        self.graph.lint()
        network = fx.GraphModule(self.modules, self.graph).eval().requires_grad_(False)
        return Canonical(network, frozenset(first), maps, self.folded)

    def _place(self, node: fx.Node) -> fx.Node:
        if node.op in ("placeholder", "output"):
            return self.graph.node_copy(node, self.nodes.__getitem__)
        if node.op == "call_module":
            return self._module(node, self.source.get_submodule(str(node.target)))
        if node.op not in ("call_function", "call_method"):
            raise NotApplicable(f"uses the tensor {node.target!r} outside a layer")
        kind = node.target
        branches = [self.nodes[arg] for arg in node.args if isinstance(arg, fx.Node)]
        if kind in _SUMS and len(branches) == len(node.args) == 2 and not node.kwargs:
            stacked = self._call(f"{node.name}_branches", Stack(), branches)
            return self._call(node.name, zennit.layer.Sum(dim=-1), [stacked])
        given: list[Any] = [arg for arg in node.args if not isinstance(arg, fx.Node)]
        options: dict[str, Any] = {key: value for key, value in node.kwargs.items() if key != "inplace"}
        one = len(node.all_input_nodes) == 1
        if one and kind in _ACTIVATIONS:
            # further arguments of a functional activation are its parameters, except relu's ``inplace``
            parameters = [] if _ACTIVATIONS[kind] is nn.ReLU else given
            return self._call(node.name, _ACTIVATIONS[kind](*parameters, **options), [self._input(node)])
        if one and kind in _POOLS:
            return self._call(node.name, _POOLS[kind](*given, **options), [self._input(node)])
        if one and kind in (torch.mean, "mean"):
            return self._call(node.name, Mean(*given, **options), [self._input(node)])
        if kind in _RESHAPES:
            return self.graph.node_copy(node, self.nodes.__getitem__)
        raise NotApplicable(f"has a step that no relevance rule is known for ({getattr(kind, '__name__', kind)})")

    def _module(self, node: fx.Node, module: nn.Module) -> fx.Node:
        before = node.args[0]
        if isinstance(module, zennit.types.BatchNorm) and isinstance(before, fx.Node):
            placed = self.nodes[before]
            feeds = self.modules.get(str(placed.target)) if placed.op == "call_module" else None
            if len(before.users) == 1 and isinstance(feeds, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
                fuse = fuse_linear_bn_eval if isinstance(feeds, nn.Linear) else fuse_conv_bn_eval
                self.modules[str(placed.target)] = fuse(cast(Any, feeds), cast(Any, _bare_copy(module)))
                self.folded[str(node.target)] = str(placed.target)
                return placed
        inputs = [self.nodes[arg] for arg in node.args if isinstance(arg, fx.Node)]
        return self._call(str(node.target), _bare_copy(module), inputs)

    def _call(self, name: str, module: nn.Module, inputs: list[fx.Node]) -> fx.Node:
        unique, n = name, 1
        while unique in self.modules:
            unique, n = f"{name}_{n}", n + 1
        self.modules[unique] = module
        return self.graph.call_module(unique, tuple(inputs))

    def _input(self, node: fx.Node) -> fx.Node:
        return self.nodes[node.all_input_nodes[0]]


def _bare_copy(module: nn.Module) -> nn.Module:
    """Deep copy of a layer without its hooks, in evaluation mode and not in place."""
    hooks = {key: type(value)() for key, value in vars(module).items() if key.endswith("_hooks") and value}
    shell = copy.copy(module)
    vars(shell).update(hooks)
    clone = copy.deepcopy(shell).eval()
    if getattr(clone, "inplace", False):
        clone.inplace = False  # type: ignore[assignment]
    return clone


def pair(value: Any) -> tuple[int, int]:
    """Expand a layer parameter to (rows, columns); a scalar holds for both."""
    return tuple(value) if isinstance(value, tuple | list) else (value, value)  # type: ignore[return-value]
