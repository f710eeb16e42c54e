"""Methods resolved once: what a specification says is what the explainer itself says."""

from __future__ import annotations

import pickle

import pytest

from serxai.audio.fill_records import FILL_NAMES
from serxai.benchmark.qualification.config import load_qualify_config
from serxai.benchmark.qualification.runner import TrialTask, TrialWorker
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.execution import Execution
from serxai.benchmark.run.method_spec import resolve_method, resolve_methods
from serxai.errors import SerxaiError
from serxai.methods.explainer import Explainer
from serxai.methods.records import METHODS, make_method

PLAIN = [name for name in METHODS.names() if not name.endswith(":")]


def identity_of(name: str, fill: str) -> list:
    """Written out independently of `MethodSpec`."""
    explainer = explainer_for(name, fill)
    base = [identity_of(explainer.base, fill)] if explainer.base else []
    return [name, METHODS.get(name).version, explainer.get_params(), *base]


def explainer_for(name: str, fill: str) -> Explainer:
    parameter = make_method(name).fill_parameter
    return make_method(name, **({parameter: fill} if parameter else {}))


@pytest.mark.parametrize("fill", FILL_NAMES)
def test_a_specification_says_what_the_explainer_says(fill: str):
    specs = resolve_methods(load_config(methods=PLAIN))
    for name in PLAIN:
        explainer, spec = explainer_for(name, fill), specs[name].scored_with(fill)
        base = explainer_for(explainer.base, fill) if explainer.base else explainer
        assert spec.stochastic == (explainer.stochastic or base.stochastic)
        assert spec.identity == identity_of(name, fill)
        kind = METHODS.get(name).reference
        follows = kind == "fill" or (kind == "base" and METHODS.get(explainer.base or "").reference == "fill")
        assert spec.against == ("twin" if name == "oracle" else fill if follows else kind)
        assert (spec.base.name if spec.base else None) == explainer.base
        assert repr(spec.explainer()) == repr(explainer)
    assert any(spec.base for spec in specs.values()) and any(spec.stochastic for spec in specs.values())


def test_bases_are_resolved_as_well_and_everything_can_be_sent_to_a_worker():
    config = load_config(methods=["beyond-saliency"])
    specs = resolve_methods(config)
    assert list(specs) == ["beyond-saliency", "occlusion"] and specs["beyond-saliency"].base == specs["occlusion"]
    assert pickle.loads(pickle.dumps(specs)) == specs


def test_a_fill_set_by_the_configuration_is_kept():
    config = load_config(parameters={"occlusion": {"fill": "noise"}, "emolime": {"fill": "scored", "alpha": 1.0}})
    occlusion, emolime = resolve_method("occlusion", config), resolve_method("emolime", config)
    assert not occlusion.by_fill and occlusion.scored_with("attenuate").against == "noise"
    assert resolve_method("beyond-saliency", config).scored_with("attenuate").against == "noise"
    assert emolime.against == emolime.parameters["fill"] == "scored"
    assert emolime.scored_with("twin").parameters == make_method("emolime", fill="twin", alpha=1.0).get_params()


def test_parameters_of_the_run_enter_specification_and_explainer():
    plain = resolve_method("smoothgrad", load_config())
    changed = resolve_method("smoothgrad", load_config(parameters={"smoothgrad": {"n_copies": 3}}))
    assert plain.parameters["n_copies"] != changed.parameters["n_copies"] == 3
    assert changed.explainer().get_params() == changed.parameters and changed.identity != plain.identity


def test_trials_whose_workers_died_end_the_qualification(tmp_path):
    worker = TrialWorker(load_qualify_config(), tmp_path, Execution())
    task = TrialTask("key", "planted", "cnn", "planted", "0", "a-clip", ("deletion",), ("attenuate",), False)
    with pytest.raises(SerxaiError, match="clip a-clip, recogniser cnn: worker died"):
        worker.give_up(task, "worker died", 3)
