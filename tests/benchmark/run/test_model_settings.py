"""Table ``[models."hf:PATH"]``: hidden state and pooling of a backbone in a run and in ``serxai train --config``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soundfile

pytest.importorskip("transformers")

from serxai.benchmark.cli.main import main
from serxai.benchmark.run.config import RunConfig, load_config, settings_of_run
from serxai.benchmark.run.plan import Plan, make_plan
from serxai.benchmark.storage.store import Store
from serxai.errors import InputError
from serxai.models.obtain import obtain_models
from tests.models.tiny_checkpoints import speech_like, write_whisper, write_whisper_classifier

TABLE = """
corpora = ["{corpus}"]
emotions = ["anger", "sadness"]
methods = ["random"]
metrics = ["gini"]
fills = ["attenuate"]
conditions = ["clean"]
limit = 2

[models."{model}"]
layer = {layer}
pooling = "mean"
"""


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A backbone, and a corpus of two emotions and three speakers."""
    root = tmp_path_factory.mktemp("settings")
    rows = ["file,emotion,speaker"]
    (root / "corpus").mkdir()
    for number in range(12):
        soundfile.write(root / f"corpus/{number}.wav", speech_like(8000, seed=number), 16_000)
        rows.append(f"{number}.wav,{('anger', 'sadness')[number % 2]},s{number // 4}")
    (root / "corpus/labels.csv").write_text("\n".join(rows) + "\n")
    return f"hf:{write_whisper(root / 'whisper')}", f"folder:{root / 'corpus'}"


@pytest.fixture
def write(tmp_path: Path, names: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SERXAI_CACHE", str(tmp_path / "cache"))

    def config(layer: str, name: str = "run.toml") -> Path:
        path = tmp_path / name
        path.write_text(TABLE.format(model=names[0], corpus=names[1], layer=layer))
        return path

    return config


def front_end(plan: Plan) -> dict[str, Any]:
    (models,) = plan.models.values()
    return {key: models.info["front_end"][key] for key in ("layer", "pooling")}


def test_a_run_trains_and_takes_what_its_file_says(write: Any, names: tuple[str, str]) -> None:
    plans = {layer: make_plan(load_config(write(layer))) for layer in ("1", '"auto"')}
    assert front_end(plans["1"]) == {"layer": 1, "pooling": "mean"}
    assert front_end(plans['"auto"']) == {"layer": "auto", "pooling": "mean"}
    (one,), (other,) = (plan.models.values() for plan in plans.values())
    assert one.recogniser("0").fingerprint != other.recogniser("0").fingerprint
    again = make_plan(RunConfig(**settings_of_run(plans["1"].config.model_dump(mode="json"))), train=False)
    assert [shard.key for shard in again.shards] == [shard.key for shard in plans["1"].shards]


def test_train_config_trains_what_the_run_takes(write: Any) -> None:
    path = write("2")
    with pytest.raises(InputError, match="has not been trained"):
        make_plan(load_config(path), train=False)
    assert main(["train", "--config", str(path), "--workers", "1"]) == 0
    assert front_end(make_plan(load_config(path), train=False)) == {"layer": 2, "pooling": "mean"}


@pytest.mark.long
def test_runs_keep_their_settings_and_are_validated_with_them(
    write: Any, names: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("2")
    capsys.readouterr()
    assert main(["run", str(path), "--workers", "1", "--out", str(tmp_path / "run"), "--json"]) == 0
    assert Store(tmp_path / "run").info["config"]["model_settings"] == {names[0]: {"layer": 2, "pooling": "mean"}}
    capsys.readouterr()
    assert main(["validate", str(tmp_path / "run")]) == 0, capsys.readouterr().out
    flags = ["train", "--config", str(path), "--layer", "0", "--out", str(tmp_path / "models"), "--workers", "1"]
    assert main(flags) == 0
    stored = obtain_models(names[0], lambda: pytest.fail("trained"), checkpoint=tmp_path / "models")
    assert stored is not None and stored.info["front_end"]["layer"] == 0


def test_a_stored_head_of_other_settings_is_refused(
    write: Any, names: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"
    assert main(["train", names[0], "--corpus", names[1], "--layer", "last", "--out", str(out), "--workers", "1"]) == 0
    given = ["--checkpoint", str(out), "--dry-run"]
    assert main(["run", str(write('"last"')), *given]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "pooling = 'mean': the head in" in told and "was trained with pooling = 'mean+sd'" in told
    assert f"serxai train {names[0]} --corpus {names[1]} --layer last --pooling mean --out DIR" in told
    options = {"layer": "last", "pooling": "mean+sd"}
    assert obtain_models(names[0], lambda: pytest.fail("trained"), checkpoint=out, options=options) is not None
    with pytest.raises(InputError, match="layer = 1: the head in"):
        obtain_models(names[0], lambda: pytest.fail("trained"), checkpoint=out, options={"layer": 1})


def test_a_checkpoint_with_a_classifier_has_no_settings(tmp_path: Path) -> None:
    folder = write_whisper_classifier(tmp_path / "classifier")
    with pytest.raises(InputError, match="layer: this checkpoint has a head of its own"):
        obtain_models(f"hf:{folder}", lambda: pytest.fail("trained"), options={"layer": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[models."hf:a"]\nlayer = -1',
            r"'models.hf:a.layer': give a number of a hidden state, .* auto, weighted",
        ),
        ('[models."hf:a"]\nlayer = true', "'models.hf:a.layer'.*got True"),
        ('[models."hf:a"]\nlayer = "first"', "'models.hf:a.layer'.*got 'first'"),
        ('[models."hf:a"]\npooling = "max"', "'models.hf:a.pooling'.*'mean' or 'mean\\+sd'"),
        ('[models."hf:a"]\nlayr = 1', "'models.hf:a.layr'; did you mean 'layer'"),
        ("[models.cnn]\nlayer = 1", "layer of 'cnn': settings of Hugging Face backbones"),
        ("[models.cn]\n", "Did you mean 'cnn'"),
        ('[model_settings."hf:a"]\nlayer = 1', "'hf:a', which is not a recogniser of the run"),
    ],
)
def test_settings_are_checked_by_the_schema(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_config(path)


def test_flags_add_and_replace_models(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[models."hf:a"]\nlayer = 2\n[models.cnn]\n')
    config = load_config(path)
    assert config.models == ["hf:a", "cnn"] and config.model_settings["hf:a"].given == {"layer": 2}
    assert load_config(path, models=["cnn"]).model_settings == {}
    assert load_config(path, models=["hf:a"]).model_settings == {"hf:a": config.model_settings["hf:a"]}
    earlier = config.model_dump(mode="json")
    assert load_config(earlier=earlier, models=["praat-svc"]).model_settings == config.model_settings


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ('models = ["cnn", "praat-svc"]', [], "MODEL: the configuration has 2 (cnn, praat-svc)"),
        ('models = ["planted-rule"]', [], "MODEL: the configuration has none (planted-rule are used as they come)"),
        ('models = ["cnn"]', ["praat-svc"], "MODEL 'praat-svc': --config"),
        ('corpora = ["emodb", "ravdess"]', [], "--corpus: the configuration has 2 (emodb, ravdess)"),
    ],
)
def test_a_configuration_that_leaves_open_what_to_train_is_refused(
    tmp_path: Path, text: str, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    assert main(["train", *more, "--config", str(path)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert main(["train", "cnn"]) == 2 and "--corpus: name the training corpus" in capsys.readouterr().err
