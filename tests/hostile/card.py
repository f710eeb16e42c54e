"""Model cards and checkpoints: every field damaged, files that are no weights, names that would run code."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

from serxai.models.foldmodels import BUNDLED

from .case import EVIL, NAMES_CODE, Build, Case
from .settings import MODULE
from .sound import GOOD
from .table import PICKLE

CARD: dict[str, Any] = json.loads((BUNDLED / "cnn-planted" / "model.json").read_text("utf-8"))
VALUES: dict[str, Any] = {"null": None, "number": -1, "text": "\x1b[2J[/x]", "list": [[]], "object": {"a": {"b": 1}}}
EXPLAIN = ("explain", "a.wav", "--method", "random", "--checkpoint", "model", "--trained-on", "planted", "--out", "out")
# what nothing but people reads; a card is accepted with other content there
FREE = {"scores", "training", "libraries"}


def changed(**changes: Any) -> dict[str, str | bytes]:
    """Files of a case: a sound, a module that must not run, and a card with other fields."""
    return {"a.wav": GOOD, f"{EVIL}.py": MODULE, "model/model.json": json.dumps(CARD | changes)}


def with_weights(content: bytes) -> Build:
    """Weights of every fold with other content."""

    def build(folder: Path) -> None:
        for name in CARD["weights"]:
            (folder / "model" / f"fold-{name}.safetensors").write_bytes(content)
        (folder / "model" / "refit.safetensors").write_bytes(content)

    return build


def bundled_with(**changes: Any) -> Build:
    """The bundled models, weights and all, under a changed card."""

    def build(folder: Path) -> None:
        for file in (BUNDLED / "cnn-planted").glob("*.safetensors"):
            shutil.copy(file, folder / "model")
        (folder / "model" / "model.json").write_text(json.dumps(CARD | changes))

    return build


_NETWORK, _FRONT = CARD["network"], CARD["front_end"]
CHANGES: dict[str, dict[str, Any]] = {
    "width of a million": {"network": _NETWORK | {"width": 10**6}},
    "width of 10^15": {"network": _NETWORK | {"width": 10**15}},
    "negative width": {"network": _NETWORK | {"width": -3}},
    "width of text": {"network": _NETWORK | {"width": "wide"}},
    "more classes": {"network": _NETWORK | {"n_classes": 10**6}},
    "unknown parameter": {"network": _NETWORK | {"trust": True}},
    "n_fft of 10^9": {"front_end": _FRONT | {"n_fft": 10**9}},
    "mels of 10^9": {"front_end": _FRONT | {"mels": 10**9}},
    "hop 0": {"front_end": _FRONT | {"hop": 0}},
    "front end that trusts": {"front_end": _FRONT | {"trust": True}},
    "code": {"recogniser": NAMES_CODE, "front_end": {"trust": True}},
    "os.system": {"recogniser": "python:os:system"},
    "unknown recogniser": {"recogniser": "no-such"},
    "backbone elsewhere": {"recogniser": "hf:/no/such", "front_end": {"path": "/no/such", "trust": True}},
    "fold outside": {"folds": {"../x": ["a"]}, "weights": {"../x": "0" * 64}},
    "fold that is the refit": {"folds": {"refit": ["a"]}, "weights": {"refit": "0" * 64}},
    "edited folds": {"folds_digest": "0" * 32},
    "classes twice": {"classes": ["anger"] * 4},
    "refit of another hash": {"refit": "0" * 64},
}
WHOLE: dict[str, bytes] = {
    "empty": b"",
    "no json": b"{",
    "a list": b"[]",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "not utf-8": b'{"format": "\xff"}',
    "null bytes": b"\0" * 500,
    "infinite": b'{"format": 1e999}',
    "nan": b'{"format": NaN}',
}
WEIGHTS: dict[str, bytes] = {
    "empty": b"",
    "text": b"no weights",
    "pickle": PICKLE,
    "zip": b"PK\x03\x04" + bytes(100),
    "header of 2^63": struct.pack("<Q", 2**63) + b"{}",
    "header cut": struct.pack("<Q", 1000) + b"{",
    "tensor of 2^60": struct.pack("<Q", 66)
    + b'{"a":{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4]}}',
}
CASES = [
    Case(f"card/{key} is {kind}", EXPLAIN, changed(**{key: value}))
    for key in CARD
    if key not in FREE
    for kind, value in VALUES.items()
]
CASES += [
    Case(f"card/{name}", EXPLAIN, changed(), build=bundled_with(**changes))
    for name, changes in CHANGES.items()
    if name != "front end that trusts"
]
CASES += [
    Case("card/front end that trusts", EXPLAIN, changed(), build=bundled_with(**CHANGES["front end that trusts"]))
]
CASES += [Case(f"card/{name}", EXPLAIN, changed() | {"model/model.json": data}) for name, data in WHOLE.items()]
CASES += [Case(f"card/weights {name}", EXPLAIN, changed(), build=with_weights(data)) for name, data in WEIGHTS.items()]
CASES += [
    Case(
        f"card/checkpoint {name} of {model}",
        ("explain", "a.wav", "--model", model, "--method", "random", "--checkpoint", "file", "--out", "out"),
        {"a.wav": GOOD, "file": data},
    )
    for name, data in (WEIGHTS | {"null bytes": bytes(500)}).items()
    for model in ("cnn", "praat-svc", "beyond-saliency-tess", "planted-rule", "hf:file", "onnx:file")
    if (name, model) not in {(name, "planted-rule")}
]  # fmt: skip
CASES += [
    Case(
        f"card/config.json {name}",
        ("explain", "a.wav", "--model", "hf:model", "--method", "random", "--out", "out"),
        {"a.wav": GOOD, "model/config.json": text, f"model/{EVIL}.py": MODULE, "model/preprocessor_config.json": "{}"},
    )
    for name, text in {
        "empty": "", "a list": "[]", "nothing": "{}", "unknown type": '{"model_type": "x"}',
        "code": json.dumps({"model_type": "evil", "auto_map": {"AutoConfig": f"{EVIL}.C"}}),
        "code of a model": json.dumps({"model_type": "hubert", "architectures": ["HubertForSequenceClassification"],
                                       "auto_map": {"AutoModelForAudioClassification": f"{EVIL}.C"}}),
        "kernel": json.dumps({"model_type": "hubert", "attn_implementation": "evil/kernel"}),
        "architectures": '{"model_type": "hubert", "architectures": [[1], {"a": 1}]}',
        "layers of 10^9": json.dumps({"model_type": "hubert", "architectures": ["HubertForSequenceClassification"],
                                      "conv_kernel": [10**9], "conv_stride": [1], "conv_dim": [8]}),
        "deep": '{"a":' * 3000 + "1" + "}" * 3000,
    }.items()
]  # fmt: skip
