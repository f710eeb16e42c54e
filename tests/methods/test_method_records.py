"""The table of methods says the truth about them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from serxai.errors import InputError, UnknownNameError
from serxai.methods.explainer import Explainer
from serxai.methods.records import METHODS, MethodRecord, make_method

NAMES = [
    "saliency", "input-x-gradient", "integrated-gradients", "smoothgrad", "gradient-shap", "guided-backprop",
    "deeplift", "gradcam", "layercam", "lrp-epsilon-plus", "lrp-epsilon-plus-flat", "lrp-gamma",
    "excitation-backprop", "crp", "occlusion", "feature-ablation", "occlusion-paper", "emolime", "beyond-saliency",
    "random", "energy", "oracle",
]  # fmt: skip


def test_all_methods_are_listed():
    assert [name for name in METHODS.names() if name in NAMES] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_record_leads_to_the_method(name):
    method = make_method(name)
    assert isinstance(method, Explainer)
    assert method.name == name
    assert METHODS.get(name).cheap == (name != "occlusion-paper")


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


@pytest.mark.parametrize("field, value", [("family", "magic"), ("needs", "luck"), ("cost", " "), ("resolution", "")])
def test_incomplete_records_are_refused(field, value):
    fields = dict.fromkeys(("summary", "version", "licence", "citation", "cost", "resolution"), "x")
    fields |= {"name": "mine", "target": "a:b", "family": "lime", "needs": "none", "cheap": False}
    assert MethodRecord(**fields).name == "mine"
    with pytest.raises(InputError, match=f"'mine': .*{field}"):
        MethodRecord(**fields | {field: value})


def test_listing_methods_imports_nothing_heavy():
    code = "import sys; from serxai.methods.records import METHODS; METHODS.names(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "serxai.methods.records" in loaded
    assert not {"torch", "captum", "librosa", "pandas", "scipy"} & set(loaded)
