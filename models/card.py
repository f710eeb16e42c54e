"""Model card: the schema of ``model.json``, which describes a folder of trained models. Reading it imports no torch.

A card is data that somebody else may have written: every field has a type and bounds, and damage is told by file and
field. Fields that nothing but people read (scores, libraries) are not checked further.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ..errors import InputError
from ..schema_faults import field_faults
from .records import MODELS

CARD = "model.json"
REFIT, ENSEMBLE = "refit", "ensemble"  # names, beside the folds', of the model of all speakers and the folds' mean
CARD_BYTES = 64_000_000  # digests of half a million clips
PICKLE_SUFFIXES = {".pt", ".pth", ".pkl", ".pickle", ".joblib", ".bin", ".ckpt"}
MAX_PARAMETERS, MAX_TEXT, MAX_NUMBER = 200, 4096, 2**31


def _bounded(parameters: dict[str, Any]) -> dict[str, Any]:
    """Refuse parameters of a constructor that are no plain values of moderate size; they are not converted."""
    if len(parameters) > MAX_PARAMETERS:
        raise ValueError(f"{len(parameters)} parameters, at most {MAX_PARAMETERS} are allowed")
    for name, value in parameters.items():
        # a mapping holds a value for each fold, such as the hidden state that was chosen there
        held = [*value, *value.values()] if isinstance(value, dict) else value
        values = held if isinstance(held, list | tuple) else [held]
        if len(values) > MAX_PARAMETERS:
            raise ValueError(f"parameter {name!r} holds {len(values)} values, at most {MAX_PARAMETERS} are allowed")
        for each in values:
            if not _plain(each):
                raise ValueError(f"parameter {name!r} is no number, text, list or mapping of them within bounds")
    return parameters


def _plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < MAX_NUMBER
    return value is None


Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
FoldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]  # it becomes a file name
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]
Parameters = Annotated[dict[str, Any], AfterValidator(_bounded)]
Speakers = tuple[Text, ...]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(_Part):
    """Training corpus of a model."""

    name: Text
    version: Text
    digest: Digest


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
    digests: dict[Text, tuple[Digest, ...]]


class FoldOrigin(_Part):
    """Published folds of a training, and how many speakers their test and training parts share.

    Attributes
    ----------
    name, source, commit, licence, note : str
        See `datasets.schemes.FoldScheme`.
    digest : str
        Of the assignment of clips.
    speakers, shared_speakers : int
        Of the test parts, and how many of them are in the training part of the same fold.
    tested : dict of str to tuple of str
        Test clips of each fold; empty where no speaker is shared, since `Card.folds` then says it.
    """

    name: Text
    source: Text = ""
    commit: Text = ""
    licence: Text = ""
    note: Text = ""
    digest: Digest
    speakers: Annotated[int, Field(ge=0, lt=MAX_NUMBER)]
    shared_speakers: Annotated[int, Field(ge=0, lt=MAX_NUMBER)]
    tested: dict[FoldName, tuple[Text, ...]] = {}


class Card(_Part):
    """Model card: provenance, parameters, folds, hashes and scores of a trained model.

    Attributes
    ----------
    format : int
        Version of the folder's format.
    recogniser, version : str
        Name and version in the model registry.
    classes : tuple of str
        At least two; of a regression, the dimensions that it predicts.
    regression : True or None
        Whether the models predict numbers (`models.dimensional`).
    corpus : Origin
    front_end, network : dict
        Parameters of `LogMel` and of the network, or of the extractor and of the head.
    folds : dict of str to tuple of str
        Held-out speakers of each fold.
    folds_digest : str
    scheme : FoldOrigin or None
        Published folds; None for speaker-grouped folds made here.
    weights : dict of str to str
        SHA-256 of each fold's file.
    refit : str or None
        SHA-256 of the file of the model trained on all speakers; None in folders written before there was one.
    clips : TrainingClips or None
        None in such folders.
    encoder : str or None
        Identity of the Hugging Face encoder that a shipped head belongs to, wherever it lies (`models.hf.Backbone`).
    scores : dict
        Held-out UAR and accuracy of each fold and pooled, with speaker-clustered intervals, and the confusion matrix;
        ``schemes``, the pooled ones of each division into folds, where there were several.
    training : dict
        Settings, seed, version of the procedure, clips left out.
    libraries : dict of str to str
    """

    format: Literal[1] = 1
    recogniser: Text
    version: Text
    classes: Annotated[tuple[ClassName, ...], Field(min_length=1, max_length=1000)]
    regression: Literal[True] | None = None
    corpus: Origin
    front_end: Parameters
    network: Parameters
    folds: Annotated[dict[FoldName, Speakers], Field(min_length=1, max_length=10_000)]
    folds_digest: Digest
    scheme: FoldOrigin | None = None
    weights: dict[FoldName, Sha256]
    refit: Sha256 | None = None
    clips: TrainingClips | None = None
    encoder: Digest | None = None
    scores: dict[str, Any]
    training: dict[str, Any]
    libraries: dict[Text, Text]

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        if self.weights.keys() != self.folds.keys():
            raise ValueError(
                f"weights are listed for folds {sorted(self.weights)}, held-out speakers for {sorted(self.folds)}"
            )
        if self.scheme is not None and self.scheme.tested and self.scheme.tested.keys() != self.folds.keys():
            raise ValueError(f"test clips are listed for folds {sorted(self.scheme.tested)}, not {sorted(self.folds)}")
        if {REFIT, ENSEMBLE} & self.folds.keys():
            raise ValueError(f"a fold cannot be called {REFIT!r} or {ENSEMBLE!r}")
        if len(self.classes) < 2 and not self.regression:
            raise ValueError("classes: a classifier needs at least 2")
        if bool(self.regression) != ("regression" in self.network):
            raise ValueError("the card and its network do not agree on whether numbers are predicted")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"a class is listed twice: {', '.join(self.classes)}")
        if self.network.get("n_classes") != len(self.classes):
            raise ValueError(
                f"{len(self.classes)} classes, but the network has n_classes={self.network.get('n_classes')}"
            )
        return self


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
        if is_pickle(folder):
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
        card = Card.model_validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: damaged or not a model card ({field_faults(error)}). Train it again.") from None
    # the loader of a foreign model is not a constructor of networks or extractors: the card gives no arguments
    if MODELS.get(card.recogniser).kind == "foreign":
        raise InputError(f"{path}: recogniser {card.recogniser!r} is none that `serxai train` trains; train it again.")
    return card


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, by suffix or first bytes (pickle protocol mark, or torch.save's zip archive)."""
    with path.open("rb") as file:
        head = file.read(9)
    marked = head[:1] == b"\x80" or head[:4] == b"PK\x03\x04"
    # safetensors opens with the length of a JSON header, whose first byte may be 0x80 too
    return path.suffix in PICKLE_SUFFIXES or (marked and head[8:] != b"{")
