"""Options that commands share: checked values of ``--workers``, ``--memory``, ``--device`` and ``--checkpoint``."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from ...models.records import MODELS
from ...models.trust import Permission
from .execution import default_workers


def workers_option(given: int | None) -> int:
    """Number of processes; default all cores.

    Raises
    ------
    InputError
    """
    if given is not None and given < 1:
        raise InputError(f"--workers must be at least 1, got {given}.")
    return given or default_workers()


def memory_option(flag: str, given: float | None) -> float | None:
    """GB above 0, or None.

    Raises
    ------
    InputError
    """
    if given is not None and not given > 0:
        raise InputError(f"{flag} must be a number of GB above 0, got {given:g}.")
    return given


def check_permission(permission: Permission, models: list[str]) -> None:
    """Refuse models that would run code which only a file names, before any library is imported.

    Raises
    ------
    InputError
    """
    for name in models:
        permission.admit(MODELS.get(name))


def checkpoints_option(given: list[str], models: list[str]) -> dict[str, Path]:
    """Path of each model's checkpoint, from values ``[MODEL=]PATH``.

    Raises
    ------
    InputError
        Where the model is ambiguous or has two checkpoints.
    """
    paths: dict[str, Path] = {}
    for text in given:
        model, _, path = text.rpartition("=")
        if model not in models:
            model, path = "", text  # a path may hold an equals sign
        wanting = [name for name in models if MODELS.get(name).checkpoint] or models
        if not model and len(wanting) > 1:
            raise InputError(
                f"--checkpoint {text}: of which model, {' or '.join(wanting)}? Write --checkpoint {wanting[0]}={text}."
            )
        model = model or wanting[0]
        if model in paths:
            raise InputError(f"--checkpoint: two for model {model!r}, {paths[model]} and {path}; give one.")
        if not Path(path).exists():
            raise InputError(
                f"--checkpoint {text}: no such file or folder; give a folder written by `serxai train {model}`, or the "
                "file of a foreign model."
            )
        paths[model] = Path(path)
    return paths


def device_option(name: str) -> str:
    """A device that torch can use.

    Raises
    ------
    InputError
    """
    if name == "cpu":
        return name
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name}: torch cannot use it here ({reason}). Use --device cpu.") from None
    return name
