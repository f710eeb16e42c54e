"""Method registry: complete metadata of every record, refusal of wrong ones, nothing heavy imported."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import replace
from itertools import groupby

import pytest

from serxai.errors import InputError, NotApplicable, UnknownNameError
from serxai.methods.explainer import Explainer
from serxai.methods.records import FAMILIES, METHODS, NEEDS, MethodRecord, baselines, make_method

# all records; a prefix such as `beyond-saliency:` is completed by the name of another method
NAMES = [name + "saliency" if name.endswith(":") else name for name in METHODS.names()]


def test_records_of_a_family_stand_together_and_baselines_last():
    """The order of tables: of a family's records none is left behind among those of others, variants aside."""
    families = [family for family, _ in groupby(METHODS.get(name).family for name in NAMES)]
    assert families[0] == "gradient" and families[-1] == "baseline"
    assert set(families) == set(FAMILIES)
    assert families.count("baseline") == families.count("gradient") == families.count("relevance") == 1


@pytest.mark.parametrize("name", NAMES)
def test_record_leads_to_the_method(name):
    record, method = METHODS.get(name), make_method(name)
    assert isinstance(method, Explainer)
    assert method.name == name
    assert record.family in FAMILIES and record.needs in NEEDS
    assert not record.summary.endswith(".") and "\n" not in record.summary
    assert isinstance(method.stochastic, bool)
    assert method.base is None or METHODS.get(method.base).name != name


@pytest.mark.parametrize("name", NAMES)
def test_parameters_have_defaults_and_are_json(name):
    """Parameters enter keys and files: plain data that rebuilds the same method."""
    method = make_method(name)
    params = method.get_params()
    signature = inspect.signature(type(method))
    assert list(params) == list(signature.parameters)
    assert all(p.default is not inspect.Parameter.empty for p in signature.parameters.values())
    stored = json.loads(json.dumps(params))
    rebuilt = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    assert type(method)(**rebuilt).get_params() == params


@pytest.mark.parametrize("name", [name for name in NAMES if METHODS.get(name).needs == "truth"])
def test_reference_explanations_need_planted_clips_and_nothing_else(name, tiny_cnn, voice, ask):
    method = make_method(name)
    assert name in baselines() and not method.stochastic
    with pytest.raises(NotApplicable):
        method.attribute(ask(tiny_cnn(), voice()))


def test_baselines_are_those_of_the_family():
    assert baselines() == tuple(name for name in NAMES if METHODS.get(name).family == "baseline")
    assert {"random", "energy", "oracle", "rule-truth"} <= set(baselines())


def test_a_new_baseline_is_treated_as_one(monkeypatch):
    added = replace(METHODS.get("random"), name="uniform")
    monkeypatch.setattr(type(METHODS), "__iter__", lambda self: iter([METHODS.get("random"), added]))
    assert baselines() == ("random", "uniform")


def test_parameters_reach_the_method():
    method = make_method("emolime", alpha=1.0, fill="noise")
    expected = {"fill": "noise", "response": "probability", "alpha": 1.0, "match_level": False, "partition": "mel:8"}
    assert method.get_params() == expected
    assert repr(method) == f"EmoLime({', '.join(f'{name}={value!r}' for name, value in expected.items())})"


def test_unknown_names_and_parameters_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'emolime'"):
        make_method("emolimes")
    with pytest.raises(InputError, match="has no parameter 'steps'; allowed: n_steps, baseline"):
        make_method("integrated-gradients", steps=3)
    with pytest.raises(InputError, match="has no parameter 'fill'; allowed: none"):
        make_method("random", fill="noise")


@pytest.mark.parametrize(
    "field, value",
    [("family", "magic"), ("needs", "luck"), ("cost", " "), ("resolution", ""), ("reference", "silence")],
)
def test_incomplete_records_are_refused(field, value):
    fields = dict.fromkeys(("summary", "version", "licence", "citation", "cost", "resolution"), "x")
    fields |= {"name": "mine", "target": "a:b", "family": "lime", "needs": "none"}
    fields |= {"reference": "none", "signed": True}
    assert MethodRecord(**fields).name == "mine"
    with pytest.raises(InputError, match=f"'mine': .*{field}"):
        MethodRecord(**fields | {field: value})


def test_listing_methods_imports_nothing_heavy():
    code = "import sys; from serxai.methods.records import METHODS; METHODS.names(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "serxai.methods.records" in loaded
    assert not {"torch", "captum", "librosa", "pandas", "scipy"} & set(loaded)
