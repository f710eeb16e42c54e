"""``--param METHOD.NAME=VALUE``: typed by the signature, refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.params import parameters_option
from serxai.errors import InputError
from serxai.methods.records import METHODS, make_method


def test_values_have_the_type_of_the_parameter():
    found = parameters_option(
        [
            "beyond-saliency.base=saliency", "beyond-saliency.top=3", "beyond-saliency.share=.5",
            "beyond-saliency:crp.cues=egemaps", "emolime.match_level=true", "crp.channels=3,35", "crp.layer=none",
            "beyond-saliency-paper-crp.clock=authors", "emolime.partition=mel:4 x windows:0.3",
        ]
    )  # fmt: skip
    assert found == {
        "beyond-saliency": {"base": "saliency", "top": 3, "share": 0.5},
        "beyond-saliency:crp": {"cues": "egemaps"},
        "emolime": {"match_level": True, "partition": "mel:4 x windows:0.3"},
        "crp": {"channels": (3, 35), "layer": None},
        "beyond-saliency-paper-crp": {"clock": "authors"},
    }
    assert parameters_option(["crp.channels=all"]) == {"crp": {"channels": "all"}}
    for method, parameters in found.items():
        assert make_method(method, **parameters).get_params().items() >= parameters.items()


def test_defaults_written_out_are_the_defaults():
    """Every parameter of every method can be reached."""
    for record in METHODS:
        if record.name.endswith(":"):
            continue
        for name, value in make_method(record.name).get_params().items():
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            assert parameters_option([f"{record.name}.{name}={text}"]) == {record.name: {name: value}}, record.name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("emolime", "write METHOD.NAME=VALUE"),
        ("emolime=3", "write METHOD.NAME=VALUE"),
        ("emolim.alpha=1", "emolime"),
        ("emolime.alfa=1", "alpha"),
        ("beyond-saliency:.top=1", "base method"),
        ("beyond-saliency:crp.base=saliency", "parameter of beyond-saliency:crp"),
        ("emolime.alpha=much", "takes a number, got 'much'"),
        ("emolime.match_level=1", "takes true or false"),
        ("crp.n_top=2.5", "takes a whole number"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str):
    with pytest.raises(InputError) as error:
        parameters_option([text])
    assert str(error.value).startswith(f"--param {text}: ") and said in str(error.value)


def test_twice_or_of_a_method_that_is_not_used():
    with pytest.raises(InputError, match="given twice"):
        parameters_option(["emolime.alpha=1", "emolime.alpha=2"])
    with pytest.raises(InputError, match=r"method of this command.*saliency"):
        parameters_option(["emolime.alpha=1"], ["saliency"])


def test_a_run_adds_them_to_those_of_its_file(tmp_path: Path):
    file = tmp_path / "c.toml"
    file.write_text("[parameters.emolime]\nalpha = 2.0\nfill = 'noise'\n[parameters.crp]\nn_top = 3\n")
    config = load_config(file, parameters={"emolime": {"alpha": 1.0}, "occlusion": {"bands": 4}})
    assert config.parameters == {
        "emolime": {"alpha": 1.0, "fill": "noise"},
        "crp": {"n_top": 3},
        "occlusion": {"bands": 4},
    }
    assert load_config(file).parameters["emolime"]["alpha"] == 2.0
