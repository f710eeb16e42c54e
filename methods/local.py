"""Incremental forward passes for patches: only the cells whose receptive field meets the changed patch are recomputed.

The unchanged clip is evaluated once. For a changed patch each layer then recomputes a *box*, the cells reached by the
change, from the previous layer: changed values inside that layer's box, cached values around it. Outside the boxes
nothing differs, so the result equals a full pass up to rounding. A global mean is updated by the box's difference.

All boxes of a batch have the same size, each with its own origin. Maps have the layout (rows, columns, channels), boxes
(n, rows, columns, channels).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from .canonical import Canonical, Mean, Stack, pair

from zennit.layer import Sum  # isort: skip
from zennit.types import Activation  # isort: skip

_ELEMENTWISE = (Activation, nn.Identity, nn.Dropout, nn.Dropout2d)


@dataclass(frozen=True)
class Box:
    """Changed cells of a layer's map, one box per patch.

    Attributes
    ----------
    values : Tensor, shape (n, rows, columns, channels)
    origin : Tensor of int, shape (2, n)
        First row and first column.
    """

    values: torch.Tensor
    origin: torch.Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.values.shape[1], self.values.shape[2]

    def within(
        self, clean: torch.Tensor, origin: torch.Tensor, size: tuple[int, int], padding: tuple[int, int], outside: float
    ) -> torch.Tensor:
        """Cut another region out of the map, with this box's changes inserted; shape (n, *size, channels).

        Parameters
        ----------
        clean : Tensor, shape (rows, columns, channels)
            The unchanged map.
        origin : Tensor of int, shape (2, n)
            First cell of the region; may lie in the padding.
        size, padding : tuple of int
        outside : float
            Value of the padding.
        """
        rows, columns = padding
        padded = nn.functional.pad(clean, (0, 0, columns, columns, rows, rows), value=outside)
        places = [start[:, None] + torch.arange(n, device=start.device) for start, n in zip(origin, size, strict=True)]
        around = padded[(places[0] + rows)[:, :, None], (places[1] + columns)[:, None, :]]
        inner = [place - start[:, None] for place, start in zip(places, self.origin, strict=True)]
        changed = [(place >= 0) & (place < n) for place, n in zip(inner, self.size, strict=True)]
        row, column = (place.clamp(0, n - 1) for place, n in zip(inner, self.size, strict=True))
        n = torch.arange(len(self.values), device=clean.device)[:, None, None]
        mine = self.values[n, row[:, :, None], column[:, None, :]]
        return torch.where((changed[0][:, :, None] & changed[1][:, None, :])[..., None], mine, around)


class LocalPass:
    """Incremental evaluation of clips that differ from one clean clip in a patch of the features.

    Parameters
    ----------
    form : Canonical
        Must satisfy `follows`.
    features : Tensor, shape (1, 1, n_freq, n_frames)
        Of the clean clip.

    Attributes
    ----------
    logits : Tensor, shape (1, n_classes)
        Of the clean clip.
    share : float
        Size of the largest box so far over that of the largest map.
    """

    def __init__(self, form: Canonical, features: torch.Tensor) -> None:
        self.form = form
        self.share = 0.0
        self.clean: dict[fx.Node, torch.Tensor] = {}
        self._interpreter = _Recorder(form.network, self.clean)
        with torch.no_grad():
            self.logits = self._interpreter.run(features)
        self._largest = max(value.numel() for value in self.clean.values())

    @staticmethod
    def follows(form: Canonical) -> bool:
        """Whether boxes can be propagated through every layer of a network."""
        maps: set[fx.Node] = set()
        for node in form.network.graph.nodes:
            if node.op == "placeholder":
                maps.add(node)
                continue
            if not any(n in maps for n in node.all_input_nodes):
                continue
            module = form.network.get_submodule(str(node.target)) if node.op == "call_module" else None
            if module is None:
                return False
            if isinstance(module, (*_ELEMENTWISE, Stack, Sum)) or _slides(module):
                maps.add(node)
            elif not _is_global_mean(module):
                return False
        return True

    def run(self, patches: torch.Tensor, origin: torch.Tensor) -> torch.Tensor:
        """Compute the logits of the changed clips, shape (n, n_classes).

        Parameters
        ----------
        patches : Tensor, shape (n, rows, columns, 1)
            Features of each patch.
        origin : Tensor of int, shape (2, n)
            First row and frame of each patch, which lies inside the map.
        """
        boxes: dict[fx.Node, Box] = {}
        values: dict[fx.Node, Any] = {}
        with torch.no_grad():
            for node in self.form.network.graph.nodes:
                before = [boxes[n] for n in node.all_input_nodes if n in boxes]
                if node.op == "placeholder":
                    boxes[node] = Box(patches, origin)
                elif node.op == "output":
                    return values[node.args[0]]
                elif before:
                    module = self.form.network.get_submodule(str(node.target))
                    if _is_global_mean(module):
                        values[node] = self._mean(node, before[0])
                    else:
                        boxes[node] = self._layer(node, module, before)
                else:  # after the global mean there are vectors only
                    self._interpreter.env = values
                    values[node] = fx.Interpreter.run_node(self._interpreter, node)
        raise AssertionError("a graph ends with its output")

    def _layer(self, node: fx.Node, module: nn.Module, before: list[Box]) -> Box:
        source = self.clean[node.all_input_nodes[0]]
        if isinstance(module, Stack):
            return self._side_by_side(node, before)
        if isinstance(module, Sum):
            return Box(before[0].values.sum(dim=-1), before[0].origin)
        if isinstance(module, _ELEMENTWISE):
            return Box(module(before[0].values), before[0].origin)
        kernel, stride, padding = pair(module.kernel_size), pair(module.stride), pair(module.padding)
        (box,) = before
        shape, size, origin = self.clean[node].shape, [], []
        for i in (0, 1):
            n = min((box.size[i] + kernel[i] - 2) // stride[i] + 1, shape[i])
            first = -((kernel[i] - 1 - padding[i] - box.origin[i]) // stride[i])  # rounded up
            size.append(n)
            origin.append(first.clamp(0, shape[i] - n))
        place = torch.stack(origin)
        steps = torch.tensor(stride, device=place.device)[:, None]
        seen = ((size[0] - 1) * stride[0] + kernel[0], (size[1] - 1) * stride[1] + kernel[1])
        pads = torch.tensor(padding, device=place.device)[:, None]
        outside = 0.0 if isinstance(module, nn.Conv2d) else -torch.inf
        stretch = box.within(source, place * steps - pads, seen, padding, outside).permute(0, 3, 1, 2)
        if isinstance(module, nn.Conv2d):
            out = nn.functional.conv2d(stretch, module.weight, module.bias, stride, 0, 1, module.groups)
        else:
            out = nn.functional.max_pool2d(stretch, kernel, stride)
        self.share = max(self.share, stretch[0].numel() / self._largest, out[0].numel() / self._largest)
        return Box(out.permute(0, 2, 3, 1), place)

    def _side_by_side(self, node: fx.Node, before: list[Box]) -> Box:
        """Stack both branches over the smallest region that holds the boxes of both."""
        sources = [self.clean[n] for n in node.args]  # type: ignore[index]
        ends = [box.origin + torch.tensor(box.size, device=box.origin.device)[:, None] for box in before]
        origin = torch.stack([box.origin for box in before]).amin(dim=0)
        reach = (torch.stack(ends).amax(dim=0) - origin).amax(dim=1)
        limit = torch.tensor(sources[0].shape[:2], device=origin.device)
        origin = torch.minimum(origin, (limit - reach)[:, None])
        size = (int(reach[0]), int(reach[1]))
        parts = [box.within(source, origin, size, (0, 0), 0.0) for box, source in zip(before, sources, strict=True)]
        return Box(torch.stack(parts, dim=-1), origin)

    def _mean(self, node: fx.Node, box: Box) -> torch.Tensor:
        source, mean = self.clean[node.all_input_nodes[0]], self.clean[node]
        rows, columns = (
            start[:, None] + torch.arange(n, device=start.device) for start, n in zip(box.origin, box.size, strict=True)
        )
        change = (box.values - source[rows[:, :, None], columns[:, None, :]]).sum(dim=(1, 2))
        return mean + change.reshape(len(change), *mean.shape[1:]) / (source.shape[0] * source.shape[1])


class _Recorder(fx.Interpreter):
    """Interpreter that stores the output of each node; maps as (rows, columns, channels)."""

    def __init__(self, network: fx.GraphModule, outputs: dict[fx.Node, torch.Tensor]) -> None:
        super().__init__(network, garbage_collect_values=False)
        self.outputs = outputs

    def run_node(self, n: fx.Node) -> Any:
        """See `fx.Interpreter`."""
        value = super().run_node(n)
        if isinstance(value, torch.Tensor):
            is_map = value.ndim >= 4 and not (n.op == "call_module" and _is_global_mean(self.fetch_attr(str(n.target))))
            self.outputs[n] = value[0].movedim(0, 2).contiguous() if is_map else value
        return value


def _is_global_mean(module: Any) -> bool:
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return pair(module.output_size) == (1, 1)
    return isinstance(module, Mean) and module.dim in ((2, 3), (-2, -1), [2, 3], [-2, -1])


def _slides(module: Any) -> bool:
    if isinstance(module, nn.Conv2d):
        return (
            not isinstance(module.padding, str) and module.padding_mode == "zeros" and pair(module.dilation) == (1, 1)
        )
    return isinstance(module, nn.MaxPool2d) and not module.ceil_mode and pair(module.dilation) == (1, 1)
