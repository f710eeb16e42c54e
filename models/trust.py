"""Permission to run code of recognisers; see ``docs/security.md``.

Files are data: a name in a settings file, a ``run.json`` or a ``model.json`` gives no permission, nor does a ``trust``
that stands there. Permission comes from the present command line (or the arguments of a library call) alone, and is
handed from there to every loader and worker process.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from .record import ModelRecord


@dataclass(frozen=True)
class Permission:
    """Recognisers whose own code may run.

    Attributes
    ----------
    named : frozenset of str
        Names of models that the user typed in this command; each is the permission for that very name.
    trust : bool
        The flag ``--trust``: also names that come from a file, remote code of Hugging Face checkpoints, their pickled
        weights.
    """

    named: frozenset[str] = field(default_factory=frozenset)
    trust: bool = False

    @classmethod
    def of(cls, names: Iterable[str], trust: bool = False) -> Permission:
        """Permission for names that were typed."""
        return cls(frozenset(names), trust)

    def admit(self, record: ModelRecord) -> None:
        """Refuse a model whose name runs code, unless it was typed in this command or everything is trusted.

        Raises
        ------
        InputError
        """
        if record.runs_code and record.name not in self.named and not self.trust:
            raise InputError(
                f"model {record.name!r} runs code, and a file names it, not this command. If you trust that code, give "
                f"--model {record.name} or --trust."
            )


NO_PERMISSION = Permission()
