"""Names of corpora, recognisers and methods that stand apart over several runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.claim_tables import derive_and_join
from serxai.benchmark.analysis.leaderboard import leaderboard, ordered
from serxai.benchmark.analysis.merge import merge_runs
from serxai.benchmark.analysis.robustness import draws
from serxai.benchmark.analysis.shown_names import configured_settings, is_chosen, plain_name, settings_of, shown_names
from serxai.benchmark.analysis.stored_maps import found_maps
from serxai.benchmark.cli.main import main
from serxai.benchmark.run.config import RunConfig, load_config
from serxai.benchmark.run.method_spec import described_method, resolve_methods
from serxai.benchmark.run.runner import run
from serxai.benchmark.storage.store import Store
from serxai.methods.records import METHODS

COARSE = {"occlusion": {"bands": 4}}


def info(
    parameters: dict[str, dict[str, Any]] | None = None, methods: tuple[str, ...] = ("occlusion",)
) -> dict[str, Any]:
    config = RunConfig(
        corpora=["planted"], models=["cnn"], methods=list(methods), metrics=["abpc"], parameters=parameters or {}
    )
    described = {name: described_method(spec) for name, spec in resolve_methods(config).items()}
    return {"corpora": {}, "models": {}, "methods": json.loads(json.dumps(described, default=str))}


def labels(*infos: dict[str, Any]) -> list[dict[str, str]]:
    return [dict(names.methods) for names in shown_names(infos)]


def test_runs_that_agree_keep_the_plain_names():
    assert labels(info(), info()) == [{}, {}]
    assert labels(info(COARSE), info(COARSE)) == [{}, {}]


def test_what_is_not_default_stands_apart():
    finer = {"occlusion": {"bands": 4, "cell_s": 0.1}}
    assert labels(info(), info(COARSE), info(finer)) == [
        {},
        {"occlusion": "occlusion@bands=4"},
        {"occlusion": "occlusion@bands=4,cell_s=0.1"},
    ]


def test_the_method_that_another_starts_from_counts():
    both = ("beyond-saliency", "occlusion")
    assert labels(info(methods=both), info(COARSE, both))[1] == {
        "beyond-saliency": "beyond-saliency@occlusion.bands=4",
        "occlusion": "occlusion@bands=4",
    }


def test_a_method_that_starts_from_another_than_usual_is_described_as_configured():
    parameters = {"beyond-saliency": {"base": "emolime"}, "emolime": {"alpha": 0.5}}
    told = info(parameters, ("beyond-saliency",))["methods"]["beyond-saliency"]
    assert settings_of(told) == configured_settings("beyond-saliency", parameters)
    assert settings_of(told)["emolime.alpha"] == 0.5


def test_every_method_as_it_comes_is_the_default():
    every = tuple(name for name in METHODS.names() if not name.endswith(":"))
    strange = {"methods": {name: {"parameters": {"other": 1}} for name in every}, "corpora": {}, "models": {}}
    default, other = labels(info(methods=every), strange)
    assert default == {} and set(other) == set(every)


def test_a_method_that_is_not_installed_and_long_or_odd_settings_get_a_digest():
    runs = [{"corpora": {}, "models": {}, "methods": {"theirs": {"parameters": {"a": a}}}} for a in (1, "<b>" * 50)]
    found = [of_run["theirs"] for of_run in labels(*runs)]
    assert len(set(found)) == 2 and all(len(name) == len("theirs@") + 6 for name in found)
    odd = info() | {"methods": {"occlusion": {"parameters": {"bands": "\x1b[31m"}}}}
    assert len(labels(info(), odd)[1]["occlusion"]) == len("occlusion@") + 6


def test_choosing_and_ordering_go_by_either_name():
    assert plain_name("occlusion@bands=4") == "occlusion"
    assert is_chosen("occlusion@bands=4", ["occlusion"]) and is_chosen("occlusion@bands=4", ["occlusion@bands=4"])
    assert not is_chosen("occlusion", ["occlusion@bands=4"]) and is_chosen("occlusion", [])
    assert draws("emolime-sampled@masks=32") and not draws("occlusion@bands=4")
    names = ["saliency", "occlusion@bands=4", "occlusion", "unknown@x"]
    assert ordered(names, METHODS.names()) == ["saliency", "occlusion", "occlusion@bands=4", "unknown@x"]


def test_boards_rank_two_settings_apart(make_scores: Callable[..., pd.DataFrame], make_run, tmp_path: Path):
    scores = make_scores(conditions=("clean",))
    scores = scores[scores["metric"] == "abpc"].reset_index(drop=True)
    other = scores[scores["method"] == "emolime"]
    other = other.assign(value=other["value"] + 1, key=other["key"] + "b")
    default, penalised = info(methods=("emolime",)), info({"emolime": {"alpha": 0.5}}, ("emolime",))
    one = make_run(tmp_path / "a", scores, methods=default["methods"])
    two = make_run(tmp_path / "b", other, methods=penalised["methods"])
    merged = merge_runs([one, two])
    assert merged.notes == ["One name, several identities, which stand apart: emolime@alpha=0.5."]
    board = leaderboard(merged.scores).set_index("method")
    alone = leaderboard(merge_runs([one]).scores).set_index("method")
    assert board.loc["emolime@alpha=0.5", "mean"] == pytest.approx(alone.loc["emolime", "mean"] + 1)
    assert board.loc["emolime", "mean"] == pytest.approx(alone.loc["emolime", "mean"])
    assert board.loc["emolime@alpha=0.5", "signed"] == board.loc["emolime", "signed"] != ""


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Store]:
    folder = tmp_path_factory.mktemp("settings")
    for bands in (2, 4):
        config = load_config(
            corpora=["planted"], models=["cnn"], methods=["occlusion", "energy"], metrics=["gini"], limit=2,
            conditions=["clean"], fills=["attenuate"], parameters={"occlusion": {"bands": bands}},
        )  # fmt: skip
        run(config, folder / str(bands))
    return [Store(folder / "2"), Store(folder / "4")]


def test_explanations_are_found_under_the_names_of_the_board(two_runs: list[Store], capsys):
    shown = {"occlusion@bands=2", "occlusion@bands=4", "energy"}
    assert set(merge_runs(two_runs).scores["method"]) == shown
    assert {one.method for one in found_maps(two_runs)} == shown
    assert {one.method for one in found_maps(two_runs, ["occlusion@bands=4", "energy"])} == shown - {
        "occlusion@bands=2"
    }
    assert {one.method for one in found_maps(two_runs, ["occlusion"])} == shown - {"energy"}
    assert set(derive_and_join(two_runs).bands["method"]) == shown
    assert set(derive_and_join(two_runs, ["occlusion@bands=2"]).bands["method"]) == {"occlusion@bands=2"}
    compare = ["compare", *(str(store.path) for store in two_runs), "--metric", "gini", "--method", "occlusion@bands=2"]
    assert main([*compare, "--method", "occlusion@bands=4"]) == 0
    told = capsys.readouterr().out
    assert "occlusion@bands=2" in told and "occlusion@bands=4" in told
    assert main([*compare, "--method", "occlusion@bands=3"]) == 2
    assert "occlusion@bands=4" in capsys.readouterr().err


def test_records_of_two_settings_lie_side_by_side(two_runs: list[Store], tmp_path: Path):
    """Each record says ``occlusion``; beside the other it stands apart again, with its own numbers."""
    for store in two_runs:
        assert main(["results", "add", str(store.path), "--to", str(tmp_path)]) == 0
    records = [Store(path.parent) for path in sorted(tmp_path.rglob("run.json"))]
    assert [set(record.scores()["method"]) for record in records] == [{"occlusion", "energy"}] * 2
    profiles = {(one.method, one.clip): one.read().profile for one in found_maps(records)}
    own = found_maps(two_runs)
    assert len(profiles) == len(own) == 6
    for one in own:
        whole = one.read().profile
        np.testing.assert_allclose(profiles[one.method, one.clip], whole / np.abs(whole).sum(), atol=1e-6)
