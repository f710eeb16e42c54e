"""Recognisers that are at hand as objects, not by name: ``object:NAME`` in the tables of a run.

The identity of such an object is what it holds, not what it says: weights of torch modules, else its outputs on fixed
sounds, are part of its fingerprint while it is used. A changed object is another recogniser, and is computed anew.
"""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from torch import nn

from ..audio import SAMPLE_RATE
from ..errors import ClipError, InputError
from ..keys import digest
from .custom import recogniser_of
from .probe_clips import probe_clips
from .recogniser import Recogniser
from .record import ModelRecord

PREFIX = "object:"


def load(record: ModelRecord, checkpoint: Path | None, trust: bool, device: str) -> NoReturn:
    """Refuse a name without its object."""
    raise InputError(
        f"model {record.name!r} was given to serxai.run as an object, which no file holds; give it again: "
        f"serxai.run(model={{{record.argument!r}: OBJECT}}, out=RUN, resume=True)."
    )


def as_recogniser(model: Any, device: str = "cpu") -> Recogniser:
    """Recogniser of an object.

    Parameters
    ----------
    model : Recogniser, torch.nn.Module, scikit-learn estimator or callable
        A recogniser is used as it is. Of the others, waveforms, float32 (n, n_samples) at 16 kHz, to logits (torch
        modules) or probabilities; the attribute ``classes`` names the columns. A module is copied.
    device : str
        Where a module runs.

    Raises
    ------
    InputError
        If it is none of these, names no classes, or scores copies of a clip in ways that cannot be repeated.
    """
    if isinstance(model, Recogniser):
        return model
    name = getattr(model, "__name__", type(model).__name__)  # of a function, its own
    if isinstance(model, type):
        raise InputError(f"model: {model.__name__} is a class; give an object of it, as in {model.__name__}().")
    if not (callable(model) or hasattr(model, "predict_proba") or hasattr(model, "predict")):
        raise InputError(
            f"model: is of type {type(model).__name__}; give a name of `serxai ls models`, a Recogniser, "
            "a torch module, an estimator of scikit-learn, or a function of waveforms."
        )
    used = copy.deepcopy(model) if isinstance(model, nn.Module) else model  # it is frozen
    own = getattr(model, "fingerprint", "")
    return recogniser_of(used, name, ("object", name, str(own)), device, "is of type")


def named_objects(given: Mapping[str, Any] | list[Any], device: str = "cpu") -> dict[str, Recogniser]:
    """Recognisers of objects by the name that a run has for them.

    Raises
    ------
    InputError
        For what `as_recogniser` refuses, and where two have one name.
    """
    found: dict[str, Recogniser] = {}
    pairs = given.items() if isinstance(given, Mapping) else ((None, model) for model in given)
    for called, model in pairs:
        recogniser = as_recogniser(model, device)
        name = PREFIX + re.sub(r"[^\w.-]+", "-", called or recogniser.name.removeprefix(PREFIX)).strip("-")
        if name in found:
            raise InputError(
                f"model: two objects are called {name!r}; name them: model={{'first': ..., 'second': ...}}."
            )
        found[name] = recogniser
    return found


def content_of(recogniser: Recogniser) -> str:
    """Digest of the weights of a recogniser's torch modules; without modules, of its outputs on fixed sounds."""
    modules = [(name, part) for name, part in sorted(vars(recogniser).items()) if isinstance(part, nn.Module)]
    if modules:
        return digest(*((name, key, _array(value)) for name, part in modules for key, value in _state(part)))
    calls, seconds = recogniser.calls, recogniser.seconds
    n_samples = max(SAMPLE_RATE, recogniser.min_samples, getattr(recogniser, "n_samples", None) or 0)
    try:
        scores = recogniser.log_odds(probe_clips(n_samples))
    except ClipError:  # no output where it was asked: what it says of itself must do
        return ""
    finally:
        recogniser.calls, recogniser.seconds = calls, seconds
    return digest(np.round(scores, 4) + 0.0)


def _state(module: nn.Module) -> Iterator[tuple[str, Any]]:
    yield from module.state_dict().items()


def _array(value: Any) -> Any:
    detach = getattr(value, "detach", None)
    if detach is None:
        return str(value)
    tensor = detach().cpu()
    return (tensor.dequantize() if tensor.is_quantized else tensor).float().numpy()


@contextmanager
def identified(recognisers: Mapping[str, Recogniser]) -> Iterator[None]:
    """Let fingerprints tell the content of recognisers in this block; afterwards they are as before."""
    before = {name: recogniser.fingerprint for name, recogniser in recognisers.items()}
    try:
        for recogniser in recognisers.values():
            recogniser.fingerprint = digest("object", recogniser.fingerprint, content_of(recogniser))
        yield
    finally:
        for name, recogniser in recognisers.items():
            recogniser.fingerprint = before[name]


def refuse_unsendable(recognisers: Mapping[str, Recogniser], why: str) -> None:
    """Refuse recognisers that other processes cannot get.

    Parameters
    ----------
    recognisers : mapping of str to Recogniser
    why : str
        What asks for other processes, for the message.

    Raises
    ------
    InputError
    """
    for name, recogniser in recognisers.items():
        local = sorted(_types_of_main(recogniser))
        try:
            pickle.loads(pickle.dumps(recogniser))  # noqa: S301  (what this line has just written)
            reason = f"{', '.join(local)} is defined in the script or notebook itself" if local else ""
        except Exception as error:  # whatever the user's object raises
            reason = f"{type(error).__name__}: {error}"
        if reason:
            raise InputError(
                f"{why}: recogniser {name!r} cannot be sent to other processes ({reason}). Leave it out, so that this "
                "process computes the run (workers=1), or name a module: model='python:MODULE:FACTORY'."
            )


def _types_of_main(recogniser: Recogniser) -> set[str]:
    """Classes of a recogniser and its torch modules that no other process can import."""
    parts = [recogniser, *(value for value in vars(recogniser).values() if isinstance(value, nn.Module))]
    every = [type(inner) for part in parts for inner in (part.modules() if isinstance(part, nn.Module) else [part])]
    return {found.__qualname__ for found in every if found.__module__ == "__main__"}
