"""Recognisers that the command which validates a run gives for it.

A run's files are data: neither a checkpoint nor a model of a path that run.json names is loaded, because a reviewer
does not know its writer (docs/security.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import InputError
from ...models.trust import NO_PERMISSION, Permission


@dataclass(frozen=True)
class GivenModels:
    """Models and checkpoints of ``--model`` and ``--checkpoint``.

    Attributes
    ----------
    checkpoints : dict of str to Path
    permission : Permission
        Its names are those of ``--model``.
    """

    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    permission: Permission = NO_PERMISSION

    def admit(self, name: str, from_checkpoint: bool) -> None:
        """Refuse a model that is neither registered under its name nor given.

        Parameters
        ----------
        name : str
        from_checkpoint : bool
            Whether the run used a checkpoint for it.

        Raises
        ------
        InputError
        """
        if from_checkpoint and name not in self.checkpoints:
            raise InputError(
                f"the run used a checkpoint, which is not read from where its files say; give --checkpoint {name}=PATH"
            )
        if ":" in name and name not in self.permission.named and name not in self.checkpoints:
            raise InputError(f"its name says where it lies, and is not followed; give --model {name} if you trust it")


NO_MODELS = GivenModels()
