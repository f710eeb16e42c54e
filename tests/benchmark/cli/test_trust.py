"""Canaries: no file that a stranger wrote runs code, whichever command reads it."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from serxai.benchmark.cli.main import main
from serxai.benchmark.cli.validate import given_models
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.execution import Execution, on_cpu
from serxai.benchmark.validation.validate import validate
from serxai.datasets.corpora import load_corpus
from serxai.errors import InputError
from serxai.models import checkpoint as checkpoints
from serxai.models.card import load_card
from serxai.models.checkpoint import load_recogniser
from serxai.models.foldmodels import BUNDLED, FoldModels, ForeignModel
from serxai.models.trust import NO_PERMISSION, Permission

EVIL = "python:evil_canary:make"
MODULE = """
import pathlib
pathlib.Path({canary!r}).write_text("code ran")
def make(*given):
    model = lambda x: x[:, :2] * 0 + 0.5
    model.classes = ["anger", "sadness"]
    return model
"""


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a file as it is imported, in the current folder as in an unpacked archive."""
    path = tmp_path / "canary"
    (tmp_path / "evil_canary.py").write_text(MODULE.format(canary=str(path)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "evil_canary", raising=False)
    return path


def config(**changes) -> dict:
    chosen = load_config(methods=["random"], metrics=["gini"], conditions=["clean"], limit=2)
    return chosen.model_dump() | {"models": [EVIL]} | changes


def write_run(folder: Path, **execution) -> Path:
    folder.mkdir()
    info = {
        "status": "done", "config": config(), "shards": [], "planned_rows": 0, "corpora": {}, "versions": {},
        "execution": {"trust": True, "checkpoints": {}} | execution,
        "models": {"one": {"recogniser": EVIL}, "two": {"recogniser": "python:os:system"}},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(info))
    return folder


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_settings_name_code(canary: Path, capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    Path("a.toml").write_text(f'models = ["{EVIL}"]\n')
    assert main(["run", "a.toml", "--out", "out", *more]) == 2
    assert "--trust" in capsys.readouterr().err
    assert not canary.exists() and not Path("out").exists()
    Path("b.toml").write_text(f'models = ["{EVIL}"]\ntrust = true\n')
    assert main(["run", "b.toml", "--out", "out", *more]) == 2
    assert main(["qualify", "a.toml", "--out", "out", *more]) == 2
    assert not canary.exists()


def test_a_resumed_run_names_code(canary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("runs"))
    assert main(["run", "--resume", "--out", "runs"]) == 2
    assert "a file names it, not this command" in capsys.readouterr().err
    assert not canary.exists()


def test_validation_names_code(canary: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", checkpoints={EVIL: "echo", "python:os:system": "touch canary"})
    assert main(["validate", str(run)]) == 0 or not canary.exists()
    models = next(check for check in validate(run) if check.name == "models")
    assert models.result == "not checked" and len(models.found) == 2
    assert not canary.exists()
    # a checkpoint is read only where this command says it lies
    here = given_models([EVIL], [f"{EVIL}={run}"], trust=False)
    checked = next(check for check in validate(run, given=here) if check.name == "models")
    assert canary.exists() and len(checked.found) == 1


def test_the_name_typed_is_the_permission(canary: Path) -> None:
    for permission in (NO_PERMISSION, Permission.of(["python:other:make", "cnn"])):
        with pytest.raises(InputError, match="runs code"):
            ForeignModel(EVIL, permission=permission)
        assert not canary.exists()
    assert ForeignModel(EVIL, permission=Permission.of([EVIL])).info["classes"] == ["anger", "sadness"]
    assert canary.exists()
    assert ForeignModel(EVIL, permission=Permission(trust=True))


def test_workers_get_the_permission_of_their_parent() -> None:
    execution = Execution(permission=Permission.of([EVIL], trust=True))
    for copy in (pickle.loads(pickle.dumps(execution)), on_cpu(execution)):
        assert copy.permission == execution.permission
    assert hash(pickle.loads(pickle.dumps(execution))) == hash(execution)


def card(folder: Path, **changes) -> Path:
    folder.mkdir()
    content = json.loads((BUNDLED / "cnn-planted" / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(content | changes))
    return folder


def test_a_model_card_names_code(canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = card(tmp_path / "model", recogniser=EVIL, front_end={"record": EVIL, "trust": True})
    with pytest.raises(InputError, match="none that `serxai train` trains"):
        load_card(folder)
    assert not canary.exists()
    given = []
    monkeypatch.setattr(checkpoints, "make_extractor", lambda name, **params: given.append(params) or 1 / 0)
    head = load_card(card(tmp_path / "head", recogniser="praat-svc", front_end={"trust": True}))
    fold = next(iter(head.folds))
    with pytest.raises(ZeroDivisionError):
        load_recogniser(tmp_path / "head", head, fold)
    with pytest.raises(ZeroDivisionError):
        FoldModels(tmp_path / "head", head).recogniser(fold)
    assert given == [{}, {}]


def test_a_backbone_of_a_card_brings_code(canary: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    backbone = tmp_path / "backbone"
    backbone.mkdir()
    (backbone / "config.json").write_text(
        json.dumps({"model_type": "evil", "auto_map": {"AutoConfig": "evil_canary.Config"}})
    )
    (backbone / "evil_canary.py").write_text((tmp_path / "evil_canary.py").read_text())
    (backbone / "preprocessor_config.json").write_text("{}")
    front_end = {"path": str(backbone), "trust": True}
    trained = load_card(card(tmp_path / "model", recogniser=f"hf:{backbone}", front_end=front_end))
    with pytest.raises(InputError, match="--trust"):
        load_recogniser(tmp_path / "model", trained, next(iter(trained.folds)))
    (backbone / "config.json").write_text(json.dumps({"model_type": "hubert", "attn_implementation": "evil/kernel"}))
    with pytest.raises(InputError, match="names code to fetch"):
        load_recogniser(tmp_path / "model", trained, next(iter(trained.folds)))
    assert not canary.exists()


@pytest.mark.parametrize("changes", [{"width": 10**6}, {"width": 10**12}, {"n_classes": 4, "dim": 10**11}])
def test_a_card_asks_for_any_memory(tmp_path: Path, changes: dict) -> None:
    folder = card(tmp_path / "model", network={"n_classes": 4, "dropout": 0.5} | changes)
    with pytest.raises(InputError):
        load_recogniser(folder, load_card(folder), "0")


class Touch:
    """Leaves a file as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


HEADER = """
name: tiny
source: nowhere
usage: unrestricted
languages: [deu]
{more}
tables: {{emotion: {{type: filewise, columns: {{emotion: {{}}, speaker: {{}}}}}}}}
"""


def test_a_database_brings_code(canary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("audformat")
    root = tmp_path / "data"
    root.mkdir()
    for name in ("a.wav", "b.wav"):
        (root / name).touch()
    call = f"!!python/object/apply:os.mkdir ['{canary}']"
    (root / "db.yaml").write_text(HEADER.format(more=f"description: {call}"))
    (root / "db.emotion.csv").write_text("file,emotion,speaker\na.wav,anger,x\nb.wav,sadness,y\n")
    for command in (["corpus", "verify", f"folder:{root}"], ["run", "--corpus", f"folder:{root}", "--out", "out"]):
        assert main(command) == 2
        assert "tag" in capsys.readouterr().err and not canary.exists()
    (root / "db.yaml").write_text(HEADER.format(more=""))
    (root / "db.emotion.pkl").write_bytes(pickle.dumps(Touch(canary)))
    assert load_corpus(f"folder:{root}").table["emotion"].tolist() == ["anger", "sadness"]
    (root / "db.emotion.csv").unlink()
    assert main(["corpus", "verify", f"folder:{root}"]) == 2
    assert "pickle" in capsys.readouterr().err and not canary.exists()


def test_a_manifest_of_maps_names_code(canary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "maps"
    folder.mkdir()
    np.save(folder / "a.npy", np.ones((1, 2)))
    (folder / "manifest.csv").write_text(f"map,clip,target,grid,corpus,model\na.npy,03a01Fa,anger,bands,emodb,{EVIL}\n")
    assert main(["score", str(folder), "--metric", "gini", "--out", str(tmp_path / "out")]) == 2
    assert not canary.exists() and "a file names it, not this command" in capsys.readouterr().err
