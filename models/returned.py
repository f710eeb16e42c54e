"""What a user's torch module returns, turned into logits (n, n_classes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..errors import InputError
from .dimensional import REGRESSION

SMALLEST = 1e-7  # a probability of 0 counts as this, the resolution of float32 at 1: log-odds stay finite
LOGITS, PROBABILITIES = "logits", "probabilities"
ENTRIES = {  # of an object or a mapping that a module returns
    LOGITS: ("logits",),
    PROBABILITIES: ("probabilities", "probs"),
    REGRESSION: ("logits", "predictions"),
}


class Returned(nn.Module):
    """A user's module behind a check of what it returns.

    Tensors are taken as they are, from objects and dicts the entry ``logits`` (or ``probabilities``, ``probs`` where
    such are declared), of tuples the one element; a single row without its axis gets it back.

    Parameters
    ----------
    name : str
        Model, for messages.
    module : nn.Module
    n_classes : int
    outputs : {'logits', 'probabilities', 'regression'}
        What the module returns. Probabilities below 1e-7 count as 1e-7; those of a row are normalised to a sum of 1.
    declared : bool
        Whether the user said so; undeclared outputs that look like probabilities are refused.
    """

    def __init__(self, name: str, module: nn.Module, n_classes: int, outputs: str, declared: bool) -> None:
        super().__init__()
        self.name, self.module, self.n_classes, self.outputs, self.declared = name, module, n_classes, outputs, declared
        self.regression = outputs == REGRESSION

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Logits of a softmax, or the outputs of a regression: (n, n_samples) -> (n, n_classes)."""
        values = self._tensor(self.module(waveforms))
        n, wanted = len(waveforms), (len(waveforms), self.n_classes)
        if n == 1 and tuple(values.shape) == (self.n_classes,):
            values = values[None]
        if self.regression and self.n_classes == 1 and tuple(values.shape) == (n,):
            values = values[:, None]
        if tuple(values.shape) != wanted:
            hint = " One logit stands for two classes: return both columns, such as (-z / 2, z / 2)." * (
                not self.regression and tuple(values.shape) in ((n,), (n, 1))
            )
            raise InputError(
                f"model {self.name!r} returned shape {tuple(values.shape)} for {n} waveforms; its {self.n_classes} "
                f"{'outputs' if self.regression else 'classes'} need {wanted}.{hint}"
            )
        if not values.is_floating_point():
            raise InputError(f"model {self.name!r} returned {values.dtype}; {self.outputs} must be floating point.")
        if self.outputs == PROBABILITIES:
            self._check_range(values.detach())
            return values.clamp_min(SMALLEST).log()
        if not self.declared:
            self._check_undeclared(values.detach())
        return values

    def _tensor(self, returned: Any) -> torch.Tensor:
        if isinstance(returned, torch.Tensor):
            return returned
        names = ENTRIES[self.outputs]
        for name in names:  # a ModelOutput of transformers is a mapping with attributes
            found = returned.get(name) if isinstance(returned, Mapping) else getattr(returned, name, None)
            if isinstance(found, torch.Tensor):
                return found
        if isinstance(returned, list | tuple) and len(returned) == 1 and isinstance(returned[0], torch.Tensor):
            return returned[0]
        entries = f" with {', '.join(map(str, returned))}" if isinstance(returned, Mapping) else ""
        entries = f" of {len(returned)}" if isinstance(returned, list | tuple) else entries
        raise InputError(
            f"model {self.name!r} returned {type(returned).__name__}{entries}; it must return a tensor (n, n_classes), "
            f"or an entry {' or '.join(map(repr, names))}."
        )

    def _check_range(self, values: torch.Tensor) -> None:
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1 + 1e-6:
            raise InputError(
                f"model {self.name!r} returned values from {low:.3g} to {high:.3g}, which are no probabilities; if "
                "they are logits, let it say outputs = 'logits'."
            )

    def _check_undeclared(self, values: torch.Tensor) -> None:
        sums = values.sum(dim=1)
        if bool(((values >= 0) & (values <= 1)).all()) and bool(((sums - 1).abs() < 1e-5).all()):
            raise InputError(
                f"model {self.name!r} returned rows between 0 and 1 that sum to 1. The outputs of a torch module are "
                "read as logits: let the module say outputs = 'probabilities', or outputs = 'logits' if they are."
            )
