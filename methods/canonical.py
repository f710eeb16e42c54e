"""A network rewritten into the form that relevance rules need, as a copy; the network itself is never touched.

torch.fx records how data flow through the network. In the copy

* a batch norm is folded into the convolution or linear layer that feeds it (not into the one declared before it),
* a sum of two branches, a mean and each functional activation or pooling is a module, so that a rule can be hooked on,
* each use of a module is a module of its own, and nothing works in place.

The copy computes what the network computes, up to rounding; `check_logits` makes sure of it on every clip.
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

import zennit.layer  # isort: skip
import zennit.types  # isort: skip

TOLERANCE = 1e-5  # of the copy's logits against the network's, relative where logits are above 1

_SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
_ACTIVATIONS: dict[Any, Callable[..., nn.Module]] = {
    torch.relu: nn.ReLU, torch.nn.functional.relu: nn.ReLU, "relu": nn.ReLU, "relu_": nn.ReLU,
    torch.sigmoid: nn.Sigmoid, "sigmoid": nn.Sigmoid, torch.tanh: nn.Tanh, "tanh": nn.Tanh,
    torch.nn.functional.gelu: nn.GELU, torch.nn.functional.silu: nn.SiLU,
    torch.nn.functional.leaky_relu: nn.LeakyReLU, torch.nn.functional.elu: nn.ELU,
}  # fmt: skip
_POOLS: dict[Any, Callable[..., nn.Module]] = {
    torch.nn.functional.max_pool2d: nn.MaxPool2d, torch.nn.functional.avg_pool2d: nn.AvgPool2d,
    torch.nn.functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    torch.nn.functional.adaptive_max_pool2d: nn.AdaptiveMaxPool2d,
}  # fmt: skip
_RESHAPES = (
    torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze, torch.permute, torch.transpose, getattr,
    operator.getitem, "flatten", "reshape", "view", "squeeze", "unsqueeze", "permute", "transpose", "contiguous",
    "size", torch.nn.functional.dropout, "float", "to",
)  # fmt: skip
_TRANSPARENT = (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)


class Mean(nn.Module):
    """Mean over some dimensions, as a module."""

    def __init__(self, dim: Any, keepdim: bool = False) -> None:
        super().__init__()
        self.dim, self.keepdim = dim, keepdim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reduce."""
        return x.mean(dim=self.dim, keepdim=self.keepdim)


class Stack(nn.Module):
    """Two branches of one shape side by side, to be summed by `zennit.layer.Sum`."""

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Stacked in a last dimension; broadcast first."""
        return torch.stack(torch.broadcast_tensors(one, other), dim=-1)


@dataclass(frozen=True)
class Spacing:
    """Where the cells of a layer's map lie among those of the network's input.

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
        """Spacing of a layer's output; None if it has no map."""
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
        """Edges in Hz and seconds of a map of this shape.

        Parameters
        ----------
        shape : tuple of int
            (rows, columns) of the layer's map.
        cells : Grid
            Of the network's input.

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
    """A network in canonical form.

    Attributes
    ----------
    network : fx.GraphModule
        Feature maps to logits. Modules keep the network's names; modules are declared in the order of data flow.
    first : frozenset of str
        Layers that the features reach unchanged.
    maps : dict of str to Spacing
        Layers whose output is a map over the features, in the order of data flow.
    folded : dict of str to str
        Each batch norm that is no layer any more, and the layer that it was folded into.
    """

    network: fx.GraphModule
    first: frozenset[str]
    maps: dict[str, Spacing]
    folded: dict[str, str]

    def layer(self, name: str | None) -> str:
        """Name of a layer with a map; default the last one, which is the last convolutional.

        Raises
        ------
        InputError
            If no layer with a map has this name.
        NotApplicable
            If no layer of the network has a map.
        """
        if not self.maps:
            raise NotApplicable("no layer of the network is a map over time and frequency")
        found = list(self.maps)[-1] if name is None else self.folded.get(name, name)
        if found not in self.maps:
            raise InputError(f"no layer {name!r} with a map; the network has {', '.join(self.maps)}.")
        return found

    def unsupported(self, *kinds: Any) -> list[str]:
        """Kinds of layer that are neither of these nor reshape only, each once."""
        leaves = (module for name, module in self.network.named_modules() if name and not list(module.children()))
        others = {type(m).__name__ for m in leaves if not isinstance(m, (*kinds, *_TRANSPARENT, Stack))}
        return sorted(others)


def canonical(recogniser: TorchRecogniser, method: str) -> Canonical:
    """Canonical form of a recogniser's network, in evaluation mode; passes through it count as calls.

    Raises
    ------
    NotApplicable
        If torch.fx cannot follow the network, or a step in it has no counterpart as a module.
    """
    network = recogniser.network
    try:
        graph = fx.Tracer().trace(network)
    except Exception as error:  # whatever a foreign forward raises when it meets a stand-in for its data
        why = " ".join(str(error).split())[:120]
        raise NotApplicable(f"{method}: the network of {recogniser.name!r} cannot be followed ({why})") from None
    try:
        form = _Rewriter(network, graph).form()
    except NotApplicable as error:
        raise NotApplicable(f"{method}: the network of {recogniser.name!r} {error}") from None

    def count(module: nn.Module, args: tuple[Any, ...]) -> None:
        recogniser.calls += len(args[0])

    form.network.register_forward_pre_hook(count)
    return form


def check_logits(found: torch.Tensor, recogniser: TorchRecogniser, features: torch.Tensor) -> None:
    """Compare a canonical form's logits for one feature map, shape (1, n_classes), with the network's.

    Raises
    ------
    NotApplicable
        If they differ.
    """
    with torch.no_grad():
        logits = recogniser.network(features)
        error = float((found - logits).abs().max() / logits.abs().max().clamp_min(1.0))
    if error > TOLERANCE:  # NaN passes, and is found in the relevance
        raise NotApplicable(
            f"the canonical form of the network of {recogniser.name!r} is off by {error:.1e} on this clip, more than "
            f"{TOLERANCE:.0e}; it would explain another network"
        )


class _Rewriter:
    """Builds the canonical form, node by node."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        self.source, self.traced = network, graph
        self.graph = fx.Graph()
        self.modules: dict[str, nn.Module] = {}
        self.nodes: dict[fx.Node, fx.Node] = {}
        self.spacing: dict[fx.Node, Spacing] = {}  # of traced nodes
        self.folded: dict[str, str] = {}

    def form(self) -> Canonical:
        """See `Canonical`."""
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
            # a folded batch norm stands for the layer before it, which has been counted
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
            # what follows the input of a functional activation are its own parameters, except relu's ``inplace``
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
    """A copy of a layer without its hooks, in evaluation mode, not in place."""
    hooks = {key: type(value)() for key, value in vars(module).items() if key.endswith("_hooks") and value}
    shell = copy.copy(module)
    vars(shell).update(hooks)
    clone = copy.deepcopy(shell).eval()
    if getattr(clone, "inplace", False):
        clone.inplace = False  # type: ignore[assignment]
    return clone


def pair(value: Any) -> tuple[int, int]:
    """A layer's parameter for rows and columns, which may be given once for both."""
    return tuple(value) if isinstance(value, tuple | list) else (value, value)  # type: ignore[return-value]
