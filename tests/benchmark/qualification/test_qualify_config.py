"""Settings of the qualification: defaults, files, flags, and what is refused with the key or flag named."""

from __future__ import annotations

from pathlib import Path

import pytest

from serxai.benchmark.cli.main import main
from serxai.benchmark.qualification.config import default_settings, load_qualify_config
from serxai.benchmark.run.settings import expand_words
from serxai.errors import InputError
from serxai.metrics.records import METRICS


def test_a_file_overrides_the_defaults_and_flags_override_the_file(tmp_path: Path):
    path = tmp_path / "settings.toml"
    path.write_text('metrics = ["gini", "entropy"]\nlimit = 6\nseed = 3\n')
    config = load_qualify_config(path, limit=4, models=[], trained_on=None)
    assert config.metrics == ["gini", "entropy"] and (config.limit, config.seed) == (4, 3)
    assert config.models == default_settings()["models"] and config.trained_on is None


def test_all_stands_for_every_metric_that_needs_no_argument():
    known = [name for name in METRICS.names() if not name.endswith(":")]
    assert load_qualify_config(metrics=["all"]).metrics == known
    assert load_qualify_config(metrics=["quantus:ROAD", "all"]).metrics == ["quantus:ROAD", *known]


def test_words_leave_out_what_is_named_beside_them():
    groups = {"all": ["a", "b", "c"], "some": ["b"]}
    assert expand_words(["some", "all"], groups) == ["b", "a", "c"]
    assert expand_words(["all", "b"], groups) == ["a", "c", "b"] and expand_words("all", groups) == ["a", "b", "c"]
    assert expand_words([1, "all"], groups) == [1, "all"] and expand_words(3, groups) == 3


def test_settings_of_an_earlier_version_are_read():
    earlier = {**load_qualify_config(metrics=["gini"], limit=2).model_dump(), "methods": ["random"], "target": "true"}
    config = load_qualify_config(earlier=earlier, seed=1)
    assert config.metrics == ["gini"] and (config.limit, config.seed) == (2, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('metrcs = ["gini"]', "unknown key 'metrcs'; did you mean 'metrics'"),
        ('methods = ["random"]', "unknown key 'methods'"),
        ('metrics = ["ginni"]', "key 'metrics': unknown metric 'ginni'. Did you mean 'gini'"),
        ('metrics = ["quantus:"]', "key 'metrics': 'quantus:' is a family"),
        ('metrics = ["gini", "gini"]', "key 'metrics': gini given more than once"),
        ("metrics = []", "key 'metrics'"),
        ("metrics = 3", "key 'metrics'"),
        ('fills = ["atenuate"]', "key 'fills': unknown fill 'atenuate'. Did you mean 'attenuate'"),
        ('emotions = ["joy"]', "key 'emotions'"),
        ('models = ["cn"]', "key 'models'"),
        ('trained_on = "emodbb"', "key 'trained_on'"),
        ("limit = -1", "key 'limit'"),
        ("limit = 3.0", "key 'limit'"),
        ("seed = true", "key 'seed'"),
        ("limit = = 3", "not valid TOML"),
    ],
)  # fmt: skip
def test_bad_files_name_the_key(tmp_path: Path, text: str, expected: str, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    assert main(["qualify", str(path), "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"serxai: config {path}: ") and expected in message and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--metric", "ginni"], "--metric: unknown metric 'ginni'"),
        (["--fill", "noize"], "--fill: unknown fill 'noize'"),
        (["--limit", "-1"], "--limit: "),
        (["--resume"], "--resume needs --out"),
        (["--workers", "0"], "--workers must be at least 1, got 0"),
    ],
)
def test_bad_flags_are_named(flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]):
    assert main(["qualify", *flags]) == 2
    assert capsys.readouterr().err.startswith(f"serxai: {expected}")


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(InputError, match="no such file"):
        load_qualify_config(tmp_path / "none.toml")
