"""The configuration schema: presets, files, overrides, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from serxai.benchmark.config import RunConfig, load_config, preset_names
from serxai.benchmark.plan import cells_of
from serxai.errors import InputError


def test_quick_preset_is_the_main_job():
    config = load_config()
    assert config.corpora == ["planted"] and config.models == ["cnn"] and config.limit == 64
    assert {"random", "energy", "oracle"} <= set(config.methods)
    assert {"clean", "noise-20db", "noise-10db"} == set(config.conditions)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid(name: str):
    assert isinstance(load_config(preset=name), RunConfig)


def test_file_overrides_preset_and_flags_override_file(tmp_path: Path):
    path = tmp_path / "c.toml"
    path.write_text('methods = ["random", "energy"]\nlimit = 8\nseed = 3\n')
    config = load_config(path, limit=4, methods=[])
    assert config.methods == ["random", "energy"] and config.limit == 4 and config.seed == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('metods = ["random"]', "did you mean 'methods'"),
        ('methods = ["salency"]', "Did you mean 'saliency'"),
        ("methods = []", "'methods'"),
        ("limit = -1", "'limit'"),
        ("limit = 'many'", "'limit'"),
        ("seed = -1", "'seed'"),
        ('fills = ["atenuate"]', "'attenuate'"),
        ('methods = ["random", "random"]', "more than once"),
        ("limit = = 3", "not valid TOML"),
    ],
)
def test_bad_files_name_the_key(tmp_path: Path, text: str, expected: str):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=expected):
        load_config(path)


def test_missing_file_and_unknown_preset(tmp_path: Path):
    with pytest.raises(InputError, match="no such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(InputError, match="quick"):
        load_config(preset="quik")


def test_default_fill_depends_on_the_corpus():
    config = load_config()
    assert config.fills_for("planted") == ["twin"] and config.fills_for("emodb") == ["attenuate"]
    assert load_config(fills=["noise"]).fills_for("planted") == ["noise"]


def test_cells_are_the_full_product_where_a_metric_is_defined():
    config = load_config(
        methods=["random", "energy"], metrics=["deletion", "consistency", "gini"], fills=["noise", "twin"]
    )
    cells = list(cells_of(config, "planted"))
    assert len(set(cells)) == len(cells)
    # deletion: 3 conditions x 2 fills, consistency: the 2 shifted ones, gini: 3 conditions; each for 2 methods
    assert len(cells) == 2 * (3 * 2 + 2 + 3)
    assert not [c for c in cells if c[2] == "consistency" and c[0] == "clean"]
