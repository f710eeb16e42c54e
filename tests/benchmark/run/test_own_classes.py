"""Classes of a corpus' or a recogniser's own name as ``--emotion`` and ``--target``; remarks on tables once."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from serxai.benchmark.cli.main import main
from serxai.benchmark.run import plan as planning
from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.execution import Execution
from serxai.benchmark.run.plan import make_plan
from serxai.benchmark.run.shard_worker import ShardWorker
from serxai.errors import InputError, TableWarning

SETTINGS = {"models": ["planted-rule"], "methods": ["random"], "metrics": ["gini"], "conditions": ["clean"],
            "fills": ["attenuate"]}  # fmt: skip


@pytest.fixture
def name(tmp_path: Path) -> str:
    """A corpus with the taxonomy's anger and a class of its own name; two speakers' names are nearly equal."""
    rows = ["file,emotion,speaker"]
    for number in range(6):
        samples = np.random.default_rng(number).normal(0, 0.1, 8000)
        soundfile.write(tmp_path / f"{number}.wav", samples, 16_000)
        rows.append(f"{number}.wav,{'contempt' if number % 2 else 'anger'},{'Anna' if number < 3 else 'anna'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "corpus.toml").write_text("[labels]\ncontempt = 'contempt'\n")
    return f"folder:{tmp_path}"


@pytest.mark.filterwarnings("ignore::serxai.errors.TableWarning")
def test_an_own_emotion_is_explained(name: str) -> None:
    plan = make_plan(load_config(corpora=[name], emotions=["contempt"], **SETTINGS))
    assert sorted(clip for shard in plan.shards for clip in shard.clips) == ["1", "3", "5"]
    with pytest.raises(InputError, match="has no clips of contemt; it has anger, contempt"):
        make_plan(load_config(corpora=[name], emotions=["contemt"], **SETTINGS))


def test_an_own_target_must_be_a_class_of_a_recogniser(name: str) -> None:
    models = [SimpleNamespace(info={"classes": ["anger", "contempt"]}), SimpleNamespace(info={"classes": ["a", "b"]})]
    for target in ("contempt", "anger-contempt", "contempt-runner-up", "predicted-contempt", "true"):
        planning._refuse_unknown_targets(load_config(corpora=[name], target=target, **SETTINGS), models)
    for target in ("awe", "anger-awe", "awe-runner-up"):
        with pytest.raises(InputError, match=r"target: unknown class of these recognisers 'awe'.*anger, b, contempt"):
            planning._refuse_unknown_targets(load_config(corpora=[name], target=target, **SETTINGS), models)


@pytest.mark.parametrize("key", ["emotions", "target"])
def test_registered_corpora_and_recognisers_have_no_classes_of_their_own(key: str, tmp_path: Path, capsys) -> None:
    value = "contempt" if key == "target" else ["contempt"]
    with pytest.raises(InputError, match=f"--{key.removesuffix('s')}: unknown {key.removesuffix('s')} 'contempt'"):
        load_config(**SETTINGS, **{key: value})
    assert load_config(**SETTINGS, **{key: value}, own_classes=True).own_classes[key] == ["contempt"]
    (tmp_path / "a.toml").write_text(f"{key} = {value!r}\n")
    assert main(["run", str(tmp_path / "a.toml"), "--dry-run"]) == 2
    assert f"a.toml: key '{key}': unknown" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["", " ", "\x1b[2J", "[/x]", "-", "a" * 65, "9", "a\nb"])
def test_what_cannot_be_a_class_is_refused_at_once(wrong: str) -> None:
    for settings in ({"emotions": [wrong]}, {"target": wrong}, {"target": f"anger-{wrong}"}):
        with pytest.raises(ValueError):
            RunConfig(corpora=["planted"], models=["cnn"], methods=["random"], metrics=["gini"], **settings)


def test_remarks_on_a_table_are_made_once_not_once_a_worker(name: str, tmp_path: Path) -> None:
    config = load_config(corpora=[name], emotions=["anger"], **SETTINGS)
    with pytest.warns(TableWarning, match="differ in spelling alone"):
        make_plan(config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(ShardWorker(config, tmp_path / "run", Execution()).bench.corpus(name).table) == 6


def test_remarks_on_a_table_are_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["corpus", "verify", name])
    lines = [line for line in capsys.readouterr().err.splitlines() if "differ in spelling alone" in line]
    assert len(lines) == 1 and lines[0].startswith("serxai: corpus ")
