"""Settings of a Hugging Face backbone: which hidden state the head reads, and how it is pooled. Imports no torch.

They are given by flags of ``serxai train hf:PATH`` (``--layer``, ``--pooling``) or in a configuration:

    [models."hf:PATH"]
    layer = 2            # or "auto", "weighted", "last"
    pooling = "mean+sd"  # or "mean"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from ..errors import InputError

AUTO, WEIGHTED, LAST = "auto", "weighted", "last"
LAYERS = (AUTO, WEIGHTED, LAST)  # words for a layer, beside the numbers of hidden states
POOLINGS = ("mean", "mean+sd")
BACKBONE: dict[str, Any] = {"layer": AUTO, "pooling": "mean+sd"}  # defaults in training
EARLIER: dict[str, Any] = {"layer": LAST, "pooling": "mean"}  # what a front end is that names neither


class BackboneSettings(BaseModel):
    """Settings of one backbone; those that are None keep their defaults (`BACKBONE`).

    Attributes
    ----------
    layer : int, str or None
        Number of a hidden state, ``auto``, ``weighted`` or ``last``.
    pooling : {'mean', 'mean+sd'} or None
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: int | str | None = None
    pooling: Literal["mean", "mean+sd"] | None = None

    @field_validator("layer", mode="plain")
    @classmethod
    def _known_layer(cls, layer: Any) -> Any:
        whole = isinstance(layer, int) and not isinstance(layer, bool) and layer >= 0
        if layer is not None and not whole and layer not in LAYERS:
            raise InputError(f"give a number of a hidden state, 0 to its layers, or one of {', '.join(LAYERS)}")
        return layer

    @property
    def given(self) -> dict[str, Any]:
        """Those that are set."""
        return self.model_dump(exclude_none=True)


def check_trained(
    model: str, corpus: str, given: Mapping[str, Any], front_end: Mapping[str, Any], folder: object
) -> None:
    """Refuse settings that contradict those a stored head was trained with.

    Parameters
    ----------
    model, corpus : str
        Of the stored head.
    given : mapping
        ``layer`` and ``pooling`` as configured; absent: any.
    front_end : mapping
        Of its card.
    folder : path
        That holds it, for the message.

    Raises
    ------
    InputError
    """
    trained = {name: front_end.get(name, value) for name, value in EARLIER.items()}
    wrong = [name for name, value in given.items() if trained[name] != value]
    if wrong:
        asked = ", ".join(f"{name} = {given[name]!r}" for name in wrong)
        found = ", ".join(f"{name} = {trained[name]!r}" for name in wrong)
        flags = " ".join(f"--{name} {value}" for name, value in given.items())
        raise InputError(
            f'[models."{model}"] {asked}: the head in {folder} was trained with {found}. Take {" and ".join(wrong)} '
            f"out of the settings, or train one with `serxai train {model} --corpus {corpus} {flags} --out DIR` and "
            "give that folder with --checkpoint."
        )
