"""Weights of trained models: a folder with a card, ``model.json``, and one safetensors file per model.

``fold-<name>.safetensors`` holds the model trained without the fold's held-out speakers, ``refit.safetensors`` the one
trained on all speakers.

Nothing is unpickled. Weights are read only after their SHA-256 has been compared with the card's, and must have the
names, shapes and types of the network that the card describes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from ..errors import InputError
from ..keys import digest
from .card import CARD, REFIT, Card, is_pickle
from .factory import make_extractor, model_kind
from .front_end import LogMel
from .head import LinearHead, make_head
from .recogniser import Recogniser, TorchRecogniser
from .records import MODELS

_AGAIN = "fetch or train the model again"


def weights_file(folder: Path, fold: str) -> Path:
    """Path of the weights of a fold's model, or of the refit."""
    return folder / (f"{REFIT}.safetensors" if fold == REFIT else f"fold-{fold}.safetensors")


def save_weights(network: nn.Module, path: Path) -> str:
    """Write a network's state; returns the SHA-256 of the file."""
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()})
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def load_recogniser(
    folder: str | Path, card: Card, fold: str, device: str | torch.device = "cpu", *, trust: bool = False
) -> Recogniser:
    """Build the recogniser of one fold, or the refit: a network, or a linear head on an extractor.

    Parameters
    ----------
    folder : path
    card : Card
    fold : str
    device : str or torch.device
    trust : bool
        Whether code of a Hugging Face backbone may run; what the card says about that counts for nothing.

    Raises
    ------
    InputError
        For an unknown fold; if the weights are missing, damaged, pickled, or do not fit the network.
    """
    folder = Path(folder)
    weights = card.weights | ({} if card.refit is None else {REFIT: card.refit})
    if fold not in weights:
        raise InputError(f"{folder}: no fold {fold!r}; it has {', '.join(weights)}.")
    try:
        path, sha256 = weights_file(folder, fold), weights[fold]
        if model_kind(card.recogniser) == "network":
            return _build_network(card, path, sha256, device)
        return _build_head(card, fold, path, sha256, device, trust)
    except TypeError as error:
        raise InputError(f"{folder / CARD}: the front end's or network's parameters do not fit: {error}.") from None


def _build_network(card: Card, path: Path, sha256: str, device: str | torch.device) -> Recogniser:
    front_end = LogMel(**card.front_end)
    architecture = MODELS.get(card.recogniser).load()
    state = load_weights(path, sha256, partial(architecture, **card.network))
    network = architecture(**card.network)
    network.load_state_dict(state)
    fingerprint = digest("torch", sha256, card.recogniser, card.front_end, card.network, card.classes)
    # with channels last a small network is about a third faster on a CPU
    network = network.to(memory_format=torch.channels_last)
    return TorchRecogniser(card.recogniser, card.classes, front_end, network, fingerprint, card.corpus.name, device)


def _build_head(card: Card, fold: str, path: Path, sha256: str, device: str | torch.device, trust: bool) -> Recogniser:
    given = {name: value for name, value in card.front_end.items() if name not in ("trust", "layers")}
    if "layers" in card.front_end:  # chosen fold by fold
        given["layer"] = dict(card.front_end["layers"]).get(fold, given.get("layer"))
    extractor = make_extractor(
        card.recogniser, **given, **({"trust": True} if trust and MODELS.get(card.recogniser).kind == "hf" else {})
    )
    state = load_weights(path, sha256, partial(make_head, **card.network))
    head = cast(LinearHead, make_head(**card.network))
    head.load_state_dict(state)
    fingerprint = digest("head", sha256, card.recogniser, extractor.fingerprint, card.network, card.classes)
    return extractor.recogniser(card.recogniser, card.classes, head, fingerprint, card.corpus.name, device)


def check_folds(folder: Path, card: Card) -> None:
    """Refuse a folder in which the weights of a fold are missing, or are not those of the card.

    Raises
    ------
    InputError
    """
    for fold, sha256 in card.weights.items():
        _read_weights(weights_file(folder, fold), sha256)


def _read_weights(path: Path, sha256: str) -> bytes:
    """Content of a file of weights, compared with its hash."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; the card lists it, so the folder is incomplete. To repair, {_AGAIN}.")
    if is_pickle(path):
        raise InputError(f"{path}: is a pickle, not safetensors. serxai never unpickles; {_AGAIN}.")
    data = path.read_bytes()
    actual = hashlib.sha256(data).hexdigest()
    if actual != sha256:
        raise InputError(
            f"{path}: damaged or replaced, SHA-256 is {actual[:12]}..., the card has {sha256[:12]}...; {_AGAIN}."
        )
    return data


def load_weights(path: Path, sha256: str, build: Callable[[], nn.Module]) -> dict[str, torch.Tensor]:
    """Weights of a file, compared with the network that the card describes before memory is taken for it."""
    data = _read_weights(path, sha256)
    try:
        state = load(data)
    except SafetensorError as error:
        raise InputError(f"{path}: not a safetensors file ({error}); {_AGAIN}.") from None
    try:
        with torch.device("meta"):  # shapes alone: a card may ask for any width
            described = build().state_dict()
    except (RuntimeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: the network of the card cannot be built ({reason}); {_AGAIN}.") from None
    wanted = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in described.items()}
    given = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}
    for name in wanted.keys() | given.keys():
        if wanted.get(name) != given.get(name):
            raise InputError(
                f"{path}: tensor {name!r} is {_describe(given.get(name))}, the network of the card needs "
                f"{_describe(wanted.get(name))}; {_AGAIN}."
            )
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: tensor {name!r} holds NaN or infinite weights; {_AGAIN}.")
    return state


def _describe(entry: tuple[tuple[int, ...], torch.dtype] | None) -> str:
    return "absent" if entry is None else f"{str(entry[1]).removeprefix('torch.')} of shape {entry[0]}"
