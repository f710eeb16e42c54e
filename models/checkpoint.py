"""Storage of trained models: a folder with a card, ``model.json``, and one safetensors file per model.

``fold-<name>.safetensors`` holds the model trained without the fold's held-out speakers, ``refit.safetensors`` the one
trained on all speakers.

Nothing is unpickled. Weights are read only after their SHA-256 has been compared with the card's, and must have the
names, shapes and types of the network that the card describes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from ..errors import InputError
from ..keys import digest
from .factory import make_extractor, model_kind
from .front_end import LogMel
from .head import make_head
from .recogniser import Recogniser, TorchRecogniser
from .records import MODELS

CARD = "model.json"
REFIT, ENSEMBLE = "refit", "ensemble"  # names, beside the folds', of the model of all speakers and the folds' mean
CARD_BYTES = 64_000_000  # digests of half a million clips
PICKLE_SUFFIXES = {".pt", ".pth", ".pkl", ".pickle", ".joblib", ".bin", ".ckpt"}

FoldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # it becomes a file name


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(_Part):
    """Training corpus of a model."""

    name: str
    version: str
    digest: str


class TrainingClips(_Part):
    """Identity of the training clips.

    Attributes
    ----------
    verified : bool
        Whether all of them were authentic by checksum (`datasets.authentic`).
    digests : dict of str to tuple of str
        `models.exposure.samples_digest` of each clip, by speaker.
    """

    verified: bool
    digests: dict[str, tuple[str, ...]]


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Card(_Part):
    """Model card: provenance, parameters, folds, hashes and scores of a trained model.

    Attributes
    ----------
    format : int
        Version of the folder's format.
    recogniser, version : str
        Name and version in the model registry.
    classes : tuple of str
    corpus : Origin
    front_end, network : dict
        Parameters of `LogMel` and of the network, or of the extractor and of the head.
    folds : dict of str to tuple of str
        Held-out speakers of each fold.
    folds_digest : str
    weights : dict of str to str
        SHA-256 of each fold's file.
    refit : str or None
        SHA-256 of the file of the model trained on all speakers; None in folders written before there was one.
    clips : TrainingClips or None
        None in such folders.
    scores : dict
        Held-out UAR and accuracy of each fold and pooled, with speaker-clustered intervals, and the confusion matrix.
    training : dict
        Settings, seed, version of the procedure, clips left out.
    libraries : dict of str to str
    """

    format: Literal[1] = 1
    recogniser: str
    version: str
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    corpus: Origin
    front_end: dict[str, Any]
    network: dict[str, Any]
    folds: Annotated[dict[FoldName, tuple[str, ...]], Field(min_length=1)]
    folds_digest: str
    weights: dict[FoldName, Sha256]
    refit: Sha256 | None = None
    clips: TrainingClips | None = None
    scores: dict[str, Any]
    training: dict[str, Any]
    libraries: dict[str, str]

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        if self.weights.keys() != self.folds.keys():
            raise ValueError(
                f"weights are listed for folds {sorted(self.weights)}, held-out speakers for {sorted(self.folds)}"
            )
        if {REFIT, ENSEMBLE} & self.folds.keys():
            raise ValueError(f"a fold cannot be called {REFIT!r} or {ENSEMBLE!r}")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"a class is listed twice: {', '.join(self.classes)}")
        if self.network.get("n_classes") != len(self.classes):
            raise ValueError(
                f"{len(self.classes)} classes, but the network has n_classes={self.network.get('n_classes')}"
            )
        return self


def weights_file(folder: Path, fold: str) -> Path:
    """Path of the weights of a fold's model, or of the refit."""
    return folder / (f"{REFIT}.safetensors" if fold == REFIT else f"fold-{fold}.safetensors")


def save_weights(network: nn.Module, path: Path) -> str:
    """Write a network's state; returns the SHA-256 of the file."""
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()})
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def save_card(card: Card, folder: Path) -> None:
    """Write ``model.json``; a card that lies there is replaced atomically."""
    content = {key: value for key, value in card.model_dump(mode="json").items() if value is not None}
    text = json.dumps(content, indent=1) + "\n"
    temporary = folder / f".{CARD}-{os.getpid()}"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / CARD)


def load_card(folder: str | Path) -> Card:
    """Read and check ``model.json``.

    Parameters
    ----------
    folder : path
        The folder, or the card inside it.

    Raises
    ------
    InputError
        If there is no such folder, it is a pickled checkpoint, or the card is damaged.
    """
    folder = Path(folder)
    path = folder if folder.name == CARD else folder / CARD
    if folder.is_file() and folder.name != CARD:
        if _is_pickle(folder):
            raise InputError(
                f"{folder}: is a pickled checkpoint. serxai never unpickles, since that can run any code; "
                "give a folder written by `serxai train`."
            )
        raise InputError(f"{folder}: a checkpoint is a folder with a {CARD}, got a file; give the folder.")
    if not path.is_file():
        problem = "no such folder" if not folder.exists() else f"holds no {CARD}"
        raise InputError(f"{folder}: {problem}; give a folder written by `serxai train`.")
    try:
        if path.stat().st_size > CARD_BYTES:
            raise InputError(f"{path}: {path.stat().st_size / 1e6:.0f} MB, too large for a model card. Train it again.")
        card = Card.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path}: damaged or not a model card, {where}: {first['msg']}. Train it again.") from None
    record = MODELS.get(card.recogniser)
    if (
        record.kind == "foreign"
    ):  # its loader is not a constructor of networks or extractors: the card gives no arguments
        raise InputError(f"{path}: recogniser {card.recogniser!r} is none that `serxai train` trains; train it again.")
    return card


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
    state = _load_weights(path, sha256, partial(architecture, **card.network))
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
    state = _load_weights(path, sha256, partial(make_head, **card.network))
    head = make_head(**card.network)
    head.load_state_dict(state)
    fingerprint = digest("head", sha256, card.recogniser, extractor.fingerprint, card.network, card.classes)
    return extractor.recogniser(card.recogniser, card.classes, head, fingerprint, card.corpus.name, device)


def _load_weights(path: Path, sha256: str, build: Callable[[], nn.Module]) -> dict[str, torch.Tensor]:
    """Weights of a file, compared with the network that the card describes before memory is taken for it."""
    again = "fetch or train the model again"
    if not path.is_file():
        raise InputError(f"{path}: no such file; the card lists it, so the folder is incomplete. To repair, {again}.")
    if _is_pickle(path):
        raise InputError(f"{path}: is a pickle, not safetensors. serxai never unpickles; {again}.")
    data = path.read_bytes()
    actual = hashlib.sha256(data).hexdigest()
    if actual != sha256:
        raise InputError(
            f"{path}: damaged or replaced, SHA-256 is {actual[:12]}..., the card has {sha256[:12]}...; {again}."
        )
    try:
        state = load(data)
    except SafetensorError as error:
        raise InputError(f"{path}: not a safetensors file ({error}); {again}.") from None
    try:
        with torch.device("meta"):  # shapes alone: a card may ask for any width
            described = build().state_dict()
    except (RuntimeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: the network of the card cannot be built ({reason}); {again}.") from None
    wanted = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in described.items()}
    given = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}
    for name in wanted.keys() | given.keys():
        if wanted.get(name) != given.get(name):
            raise InputError(
                f"{path}: tensor {name!r} is {_describe(given.get(name))}, the network of the card needs "
                f"{_describe(wanted.get(name))}; {again}."
            )
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: tensor {name!r} holds NaN or infinite weights; {again}.")
    return state


def _describe(entry: tuple[tuple[int, ...], torch.dtype] | None) -> str:
    return "absent" if entry is None else f"{str(entry[1]).removeprefix('torch.')} of shape {entry[0]}"


def _is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, by suffix or first bytes (pickle protocol mark, or torch.save's zip archive)."""
    with path.open("rb") as file:
        head = file.read(9)
    marked = head[:1] == b"\x80" or head[:4] == b"PK\x03\x04"
    # safetensors opens with the length of a JSON header, whose first byte may be 0x80 too
    return path.suffix in PICKLE_SUFFIXES or (marked and head[8:] != b"{")
