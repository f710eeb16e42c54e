"""`serxai validate results/`: an intact record passes; each forgery is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from serxai.benchmark.cli.main import main
from serxai.benchmark.results.check import Checked, check_results
from serxai.benchmark.results.piece import config_digest
from serxai.benchmark.storage.derived import pack_record_scores
from serxai.benchmark.storage.store import Store
from serxai.benchmark.validation.check_result import FAIL, NOT_CHECKED, PASS


def failed(found: list[Checked]) -> dict[str, tuple[str, ...]]:
    return {check.name: check.found for one in found for check in one.checks if check.result == FAIL}


def change_info(piece: Path, change: Callable[[dict], None]) -> None:
    info = json.loads((piece / "run.json").read_text())
    change(info)
    info["record"]["config"] = config_digest(info["config"])
    (piece / "run.json").write_text(json.dumps(info))


def change_rows(piece: Path, change: Callable[[pd.DataFrame], None]) -> None:
    """Rewrite score rows as serxai would, seal included."""
    frame = Store(piece).scores()
    change(frame)
    next((piece / "scores").glob("*.parquet")).write_bytes(pack_record_scores(frame))


@pytest.mark.long
def test_an_intact_record_passes_and_is_scored_again_bit_for_bit(results: Path, data: Path):
    found = check_results(results, rescore=1, data_root=data)
    results_of = {check.name: check for one in found for check in one.checks}
    assert {check.result for check in results_of.values()} == {PASS}, [
        c for c in results_of.values() if c.result != PASS
    ]
    assert "bit for bit" in results_of["scored again"].summary
    assert "largest difference 0" in results_of["scored again"].summary


def test_without_the_corpus_nothing_is_scored_again(results: Path, capsys):
    assert main(["validate", str(results), "--rescore", "1", "--data-root", str(results / "none"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["valid"] and {c["name"]: c["result"] for c in told["folders"][1]["checks"]}["scored again"] == (
        NOT_CHECKED
    )


def test_a_forged_number_is_found_by_scoring_again_alone(results: Path, piece: Path, data: Path):
    change_rows(piece, lambda f: f.__setitem__("value", f["value"].where(f["metric"] != "abpc", f["value"] + 0.001)))
    assert not failed(check_results(results, data_root=data))
    wrong = failed(check_results(results, rescore=1, data_root=data))
    assert set(wrong) == {"scored again"} and all("abpc" in line for line in wrong["scored again"])


def test_forged_versions_are_refused(results: Path, piece: Path):
    for version, told in (("99", "version 99, registered are 1 to 1"), ("0", "version 0, registered are 1 to 1")):
        change_rows(piece, lambda f, v=version: f.__setitem__("metric_version", v))
        change_info(piece, lambda info, v=version: [m.__setitem__("version", v) for m in info["metrics"].values()])
        assert any(told in line for line in failed(check_results(results))["identity"])
    change_info(piece, lambda info: [m.__setitem__("version", "1") for m in info["metrics"].values()])
    assert any("rows of version 0, run.json says 1" in line for line in failed(check_results(results))["identity"])


@pytest.mark.long
def test_forged_identity_is_refused(results: Path, piece: Path, data: Path):
    other = piece.with_name("second")
    for path in piece.rglob("*"):
        if path.is_file():
            target = other / path.relative_to(piece)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    change_info(other, lambda info: info["fingerprints"].update(dict.fromkeys(info["fingerprints"], "0" * 32)))
    assert "weights are not those of the other pieces" in failed(check_results(results))["identities"][0]
    change_info(other, lambda info: info["corpora"]["emodb"].__setitem__("digest", "1" * 32))
    wrong = failed(check_results(results))["identities"]
    assert any("corpus 'emodb' has digest" in line for line in wrong)
    assert "1" * 32 in failed(check_results(other, data_root=data))["corpora"][0]
    info = json.loads((piece / "run.json").read_text())
    info["config"]["seed"] = 7
    (piece / "run.json").write_text(json.dumps(info))
    assert any("configuration is not the one" in line for line in failed(check_results(piece))["identity"])


@pytest.mark.parametrize(
    ("change", "name", "told"),
    [
        (lambda i: i["corpora"]["emodb"].__setitem__("licence", "MIT"), "licence", "'MIT'"),
        (lambda i: i["corpora"]["emodb"].__setitem__("derivatives_allowed", False), "licence", "derivatives"),
        (lambda i: i["execution"].__setitem__("data_root", "/home/me/data"), "identity", "a path of one machine"),
        (lambda i: i.__setitem__("fingerprints", {}), "identity", "no fingerprint"),
        (lambda i: i["config"].__setitem__("methods", ["random", "energy"]), "coverage", "not planned"),
        (lambda i: i["methods"]["emolime"]["parameters"].__setitem__("alpha", 9), "identity", "other parameters"),
        (lambda i: i["config"].__setitem__("parameters", {"emolime": {"alpha": 9}}), "identity", "other parameters"),
        (lambda i: i["config"].__setitem__("parameters", {"emolime": {"odd": 9}}), "identity", "odd"),
    ],
)
def test_what_run_json_says_is_held_to_the_rows(results: Path, piece: Path, change, name: str, told: str):
    change_info(piece, change)
    assert any(told in line for line in failed(check_results(results))[name])


def test_values_beyond_the_bounds_and_hostile_texts_are_refused(results: Path, piece: Path):
    def change(frame: pd.DataFrame) -> None:
        frame.loc[frame["metric"] == "gini", "value"] = 1.5
        frame["speaker"] = "\x1b[2J"

    change_rows(piece, change)
    wrong = failed(check_results(results))
    assert "beyond the bound 1" in wrong["bounds"][0] and "speaker" in wrong["texts"][0]


def test_other_files_and_links_are_refused_before_anything_is_read(results: Path, piece: Path, monkeypatch):
    (piece / "explanations").mkdir()
    (piece / "explanations" / "maps.npz").write_bytes(b"")
    (piece / "clip.wav").write_bytes(b"RIFF")
    (results / "emodb" / "notes.md").write_text("")
    (results / "README.md").write_text("allowed")
    (results / "link").symlink_to(piece)
    (piece / "scores" / "x.parquet").symlink_to("/etc/hostname")
    found = check_results(results)
    assert len(found) == 1
    wrong = " ".join(failed(found)["files"])
    for named in ("maps.npz", "clip.wav", "notes.md", "link: a symbolic link", "x.parquet: not a plain file"):
        assert named in wrong
    assert "README.md" not in wrong


def test_results_that_are_too_large_are_refused(results: Path, monkeypatch):
    monkeypatch.setattr("serxai.benchmark.results.check.MAX_TREE_BYTES", 1000)
    assert "at most 0 MB" in failed(check_results(results))["files"][0]


def test_a_run_is_no_record_and_a_damaged_piece_is_named(results: Path, piece: Path):
    info = json.loads((piece / "run.json").read_text())
    del info["record"]
    (piece / "run.json").write_text(json.dumps(info))
    assert "record" in failed(check_results(results))
    (piece / "run.json").write_text("{")
    assert "readable" in failed(check_results(results))


def test_validate_and_status_of_a_folder_end_with_one_line_for_all(results: Path, piece: Path, capsys):
    assert main(["validate", str(results), "--data-root", str(results / "none")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 piece, all pass"
    assert main(["status", str(results)]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{piece}: done; 1 of 1 shards; scores: ") and last.startswith("1 runs, 1 done; scores: ")
    assert main(["status", str(results), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["runs"]
    assert told["run"] == str(piece) and told["rows"]["failed"] == 0
    (piece / "clips.csv").write_text("corpus,clip,sentence,sex\nemodb,nobody,a,female\n")
    assert main(["validate", str(results), "--data-root", str(results / "none")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 1 piece fail"
