"""Trained models on disk: the round trip, and every way in which a folder can be wrong."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file

from serxai.datasets.folds import Folds
from serxai.errors import InputError, SerxaiError, UnknownNameError
from serxai.models.card import Card, is_pickle, load_card, save_card
from serxai.models.checkpoint import load_recogniser, save_weights, weights_file
from serxai.models.cnn import ResidualCNN
from serxai.models.foldmodels import load_fold_models
from serxai.models.front_end import LogMel

FOLDS = Folds({"0": ("a", "b"), "1": ("c",)})
CLASSES = ("anger", "neutral", "sadness")


def network(seed: int) -> ResidualCNN:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ResidualCNN(3, width=4).eval()


def write(folder: Path) -> Card:
    folder.mkdir()
    weights = {fold: save_weights(network(int(fold)), weights_file(folder, fold)) for fold in ("0", "1")}
    card = Card(
        recogniser="cnn", version="1", classes=CLASSES, corpus={"name": "tiny", "version": "1", "digest": "d"},
        front_end=LogMel().params, network={"n_classes": 3, "width": 4, "dropout": 0.5},
        folds=FOLDS.speakers, folds_digest=FOLDS.digest, weights=weights, scores={}, training={}, libraries={},
    )  # fmt: skip
    save_card(card, folder)
    return card


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, **changes) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rehash(folder: Path, fold: str = "0") -> None:
    """Make the card vouch for whatever lies there, so that the checks behind the hash are reached."""
    weights = json.loads((folder / "model.json").read_text())["weights"]
    edit(folder, weights=weights | {fold: hashlib.sha256(weights_file(folder, fold).read_bytes()).hexdigest()})


def load(folder: Path, fold: str = "0"):
    return load_recogniser(folder, load_card(folder), fold)


def test_round_trip(folder: Path) -> None:
    waveforms = (0.1 * np.random.default_rng(0).standard_normal((3, 4000))).astype(np.float32)
    for fold in ("0", "1"):
        model = load(folder, fold)
        expected = network(int(fold)).state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in model.network.state_dict().items())
        with torch.no_grad():
            logits = network(int(fold))(LogMel()(torch.from_numpy(waveforms)))
        p = torch.softmax(logits.double(), dim=1).numpy()
        np.testing.assert_allclose(model.predict_proba(waveforms), p, atol=1e-6)
        assert (model.name, model.classes, model.trained_on) == ("cnn", CLASSES, "tiny")


def test_card_round_trip_and_same_bytes(folder: Path, tmp_path: Path) -> None:
    card = write(tmp_path / "again")
    assert load_card(folder) == card == load_card(folder / "model.json")
    for file in sorted(folder.iterdir()):
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_fingerprint_names_weights_front_end_and_classes(folder: Path) -> None:
    first = load(folder, "0").fingerprint
    assert first == load(folder, "0").fingerprint
    seen = {first, load(folder, "1").fingerprint}
    edit(folder, front_end=LogMel(centre_db=-30).params)
    seen.add(load(folder, "0").fingerprint)
    edit(folder, front_end=LogMel().params, classes=["anger", "sadness", "neutral"])
    seen.add(load(folder, "0").fingerprint)
    assert len(seen) == 4


def test_fold_models_give_each_speaker_the_model_that_has_not_heard_them(folder: Path) -> None:
    models = load_fold_models(folder)
    assert models.trained_on == "tiny" and models.info["classes"] == list(CLASSES)
    by_fold = {fold: models.recogniser(fold).fingerprint for fold in ("0", "1")}
    assert [models.recogniser(models.folds.fold_of(s)).fingerprint for s in "abc"] == [
        by_fold["0"],
        by_fold["0"],
        by_fold["1"],
    ]
    with pytest.raises(SerxaiError, match="nobody"):
        models.folds.fold_of("nobody")
    with pytest.raises(InputError, match="it has 0, 1"):
        models.recogniser("7")


# -- refusals ----------------------------------------------------------------------------------------------------------


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the checkpoint was unpickled",))


def test_missing_folder_and_missing_card(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder.*serxai train"):
        load_fold_models(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"holds no model\.json"):
        load_fold_models(tmp_path)


@pytest.mark.parametrize("name", ["model.pth", "model.joblib", "model", "model.safetensors"])
def test_pickles_are_refused_unread(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="never unpickles"):
        load_fold_models(path)


def test_torch_archives_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model"
    torch.save(network(0).state_dict(), path)
    with pytest.raises(InputError, match="never unpickles"):
        load_fold_models(path)


def test_pickle_in_place_of_weights(folder: Path) -> None:
    weights_file(folder, "0").write_bytes(pickle.dumps(Bomb()))
    rehash(folder)
    with pytest.raises(InputError, match="never unpickles"):
        load(folder)


def test_safetensors_whose_header_length_looks_like_a_pickle_is_read(tmp_path: Path) -> None:
    # the first byte of safetensors is the low byte of its header's length, 0x80 among others
    for n in range(1, 200):
        data = save({"a" * n: torch.zeros(1)})
        if data[0] == 0x80:
            break
    assert data[0] == 0x80
    (tmp_path / "fold-0.safetensors").write_bytes(data)
    assert not is_pickle(tmp_path / "fold-0.safetensors")


def test_some_other_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="a checkpoint is a folder"):
        load_fold_models(tmp_path / "notes.txt")


def test_missing_weights(folder: Path) -> None:
    weights_file(folder, "1").unlink()
    load(folder, "0")
    with pytest.raises(InputError, match=r"fold-1\.safetensors: no such file"):
        load(folder, "1")


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "swap"])
def test_damaged_weights(folder: Path, damage: str) -> None:
    path = weights_file(folder, "0")
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-5] ^= 1
    path.write_bytes(
        {"cut": data[:-9], "flip": data, "empty": b"", "swap": weights_file(folder, "1").read_bytes()}[damage]
    )
    with pytest.raises(InputError, match="SHA-256"):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"not tensors at all", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_not_safetensors(folder: Path, content: bytes) -> None:
    weights_file(folder, "0").write_bytes(content)
    rehash(folder)
    with pytest.raises(InputError, match=r"not a safetensors file|absent"):
        load(folder)


@pytest.mark.parametrize("change", ["shape", "dtype", "missing", "extra", "nan"])
def test_tensors_that_do_not_fit(folder: Path, change: str) -> None:
    path = weights_file(folder, "0")
    state = load_file(path)
    if change == "shape":
        state["linear.weight"] = torch.zeros(3, 8)
    elif change == "dtype":
        state["linear.weight"] = state["linear.weight"].double()
    elif change == "missing":
        del state["bn.weight"]
    elif change == "extra":
        state["surprise"] = torch.zeros(1)
    else:
        state["linear.bias"] = torch.full((3,), torch.nan)
    save_file(state, path)
    rehash(folder)
    wanted = {"shape": r"of shape \(3, 8\).*\(3, 16\)", "missing": "absent", "extra": "'surprise'", "nan": "NaN"}
    with pytest.raises(InputError, match=wanted.get(change, "float64")):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format"),
        ({"classes": ["anger"]}, "classes"),
        ({"classes": ["anger", "anger", "sadness"]}, "listed twice"),
        ({"classes": ["anger", "neutral"]}, "2 classes, but the network has n_classes=3"),
        ({"folds": {"0": ["a"]}}, "weights are listed for folds"),
        ({"folds": {}}, "folds"),
        ({"folds": {"../0": ["a"]}, "weights": {"../0": "0" * 64}}, "folds"),
        ({"weights": {"0": "abc", "1": "def"}}, "weights"),
        ({"surprise": 1}, "surprise"),
        ({"corpus": {"name": "tiny"}}, r"field 'corpus\.version': field required"),
        ({"corpus": {"name": "t", "version": "1", "digest": "../x"}}, r"field 'corpus\.digest'"),
        ({"version": 3}, "field 'version': input should be a valid string, got 3"),
        ({"classes": ["", "b", "c"]}, r"field 'classes\.0'"),
        ({"network": {"n_classes": 3, "width": 10**12}}, "field 'network': parameter 'width'"),
        ({"front_end": {"hop": [[1]]}}, "field 'front_end': parameter 'hop'"),
        ({"front_end": {"path": "x" * 5000}}, "field 'front_end': parameter 'path'"),
        ({"folds": {"0": ["a", 3], "1": ["c"]}}, r"field 'folds\.0\.1'"),
        ({"version": 1, "format": 3, "recogniser": [], "classes": 1, "scores": 2}, "and 2 more"),
    ],
)
def test_cards_that_contradict_themselves(folder: Path, changes: dict, message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(InputError, match=message):
        load_card(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00\x01", "[" * 100_000])
def test_cards_that_are_no_cards(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text)
    with pytest.raises(InputError, match="not a model card"):
        load_card(folder)


def test_edited_folds(folder: Path) -> None:
    edit(folder, folds={"0": ["a"], "1": ["b", "c"]})
    with pytest.raises(InputError, match="edited"):
        load_fold_models(folder)
    edit(folder, folds={"0": ["a", "b"], "1": ["b"]})
    with pytest.raises(InputError, match="exactly once"):
        load_fold_models(folder)


def test_unknown_recogniser_and_parameters(folder: Path) -> None:
    edit(folder, front_end={"colour": 3})
    with pytest.raises(InputError, match="colour"):
        load(folder)
    edit(folder, front_end=LogMel().params, network={"n_classes": 3, "depth": 9})
    with pytest.raises(InputError, match="depth"):
        load(folder)
    edit(folder, recogniser="cnm")
    with pytest.raises(UnknownNameError, match="'cnn'"):
        load_card(folder)
