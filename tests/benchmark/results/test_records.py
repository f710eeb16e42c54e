"""Records of runs: what reads them finds what it finds in the run, and nothing else is in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.axis_board import axis_board
from serxai.benchmark.analysis.axis_rows import axis_tables
from serxai.benchmark.analysis.band_table import AGAINST
from serxai.benchmark.analysis.band_table import COLUMNS as BAND_COLUMNS
from serxai.benchmark.analysis.claim_tables import decide, derive_and_join
from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.analysis.merge import merged
from serxai.benchmark.analysis.record_tables import AXES_KINDS, BAND_KINDS
from serxai.benchmark.analysis.robustness import ROWS
from serxai.benchmark.analysis.salient_cues import Voices, cues_of_maps
from serxai.benchmark.analysis.stored_maps import found_maps
from serxai.benchmark.cli.main import main
from serxai.benchmark.results.add import add_runs
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.runner import Execution, run
from serxai.benchmark.storage.derived import (
    COUNT,
    FLAG,
    NUMBER,
    TEXT,
    derived_file,
    pack_table,
    read_derived,
    responses,
)
from serxai.benchmark.storage.portable import local_paths, localised, portable
from serxai.benchmark.storage.result_tree import run_folders
from serxai.benchmark.storage.score_rows import pack_scores
from serxai.benchmark.storage.store import Store
from serxai.errors import InputError

SINGLE = {"rtol": 1e-5, "atol": 1e-6, "check_dtype": False}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table(findings: list) -> pd.DataFrame:
    return pd.DataFrame([vars(one) for one in findings])


def test_board_and_axes_are_those_of_the_run(run_folder: Path, results_folder: Path):
    of_run, record = [Store(run_folder)], [Store(path) for path in run_folders([results_folder])]
    boards = [leaderboard(merged(stores).scores) for stores in (of_run, record)]
    assert len(boards[0]) and boards[0]["fill"].nunique() == 3  # none, and both fills, the first of the run first
    pd.testing.assert_frame_equal(*boards, **SINGLE)
    tables = [axis_tables(found_maps(stores)) for stores in (of_run, record)]
    assert set(tables[0].rows["axis"]) == {"shift"}
    rows = (each.rows.sort_values(["method", "clip"], ignore_index=True) for each in tables)
    pd.testing.assert_frame_equal(*rows, **SINGLE)
    pd.testing.assert_frame_equal(
        *(axis_board(each).sort_values("method", ignore_index=True) for each in tables), **SINGLE
    )
    assert list(AXES_KINDS) == ROWS and list(BAND_KINDS) == [name for name in BAND_COLUMNS if name != AGAINST]
    with pytest.raises(InputError, match="similarities by spearman alone"):
        axis_tables(found_maps(record), "cosine")


def test_two_pieces_of_one_recogniser_count_a_comparison_once(results: Path, run_folder: Path):
    once = axis_tables(found_maps([Store(path) for path in run_folders([results])])).rows
    add_runs([Store(run_folder)], results, cues=False, name="second")
    both = [Store(path) for path in run_folders([results])]
    assert len(both) == 2 and len(once)
    pd.testing.assert_frame_equal(axis_tables(found_maps(both)).rows, once)


@pytest.mark.long
def test_a_run_beside_is_compared_and_gets_no_record(run_folder: Path, data: Path, tmp_path: Path):
    config = load_config(
        corpora=["emodb"], trained_on="emodb", emotions=["anger", "happiness"], conditions=["clean"],
        methods=["random", "energy", "emolime"], metrics=["gini"], fills=["spectral-mean"], limit=4,
    )  # fmt: skip
    other = run(config, tmp_path / "other", Execution(data_root=data)).path
    (added,) = add_runs([Store(run_folder)], tmp_path / "results", cues=False, beside=[Store(other)])
    rows = axis_tables(found_maps([Store(added.folder)])).rows
    assert set(rows["axis"]) == {"shift", "model"} and list(run_folders([tmp_path / "results"])) == [added.folder]
    across = rows[rows["axis"] == "model"]
    assert set(across["method"]) == {"random", "energy", "emolime"} and across["clip"].nunique() == 4
    assert (across.loc[across["method"] == "energy", "similarity"] > 0.999).all()  # it asks neither


def test_claims_read_stored_tables_instead_of_maps_and_sound(run_folder: Path, results_folder: Path, data: Path):
    of_run, record = [Store(run_folder)], [Store(path) for path in run_folders([results_folder])]
    tables = [derive_and_join(of_run, (), Voices(data)), derive_and_join(record, (), Voices("/nowhere"))]
    assert len(tables[0].cues) == 8 and np.isfinite(tables[0].cues["salient f0_level"]).all()  # emolime: bands alone
    order = ["method", "clip"]
    for name in ("bands", "cues"):
        pd.testing.assert_frame_equal(
            *(getattr(each, name).sort_values(order, ignore_index=True) for each in tables), **SINGLE
        )
    pd.testing.assert_frame_equal(*(table(decide(each)) for each in tables), rtol=1e-4, atol=1e-5)
    found = [found_maps(stores, condition="clean", repeat=0) for stores in (of_run, record)]
    assert {(one.method, one.clip) for one in found[0]} == {(one.method, one.clip) for one in found[1]}
    cues = [cues_of_maps(maps, root) for maps, root in zip(found, (data, "/nowhere"), strict=True)]
    pd.testing.assert_frame_equal(*(each.sort_values(order, ignore_index=True) for each in cues), **SINGLE)
    masks = [{(one.method, one.clip): one.read().table for one in maps if one.has_table} for maps in found]
    assert masks[0].keys() == masks[1].keys() and len(masks[0]) == 4
    assert all(np.allclose(masks[0][place], masks[1][place], rtol=1e-6) for place in masks[0])


def test_a_record_holds_no_map_no_sound_no_path_and_is_made_alike(
    run_folder: Path, results_folder: Path, data: Path, tmp_path: Path
):
    add_runs([Store(run_folder)], tmp_path, data)
    assert bytes_of(tmp_path) == bytes_of(results_folder)
    names = {path.split("/", 3)[3] for path in bytes_of(results_folder)}
    tables = {f"derived/{name}.parquet" for name in ("bands", "mask_tables", "axes", "cues")}
    assert {name for name in names if not name.startswith("scores/")} == {"run.json", "clips.csv", *tables}
    text = next(results_folder.rglob("run.json")).read_text()
    assert str(run_folder) not in text and str(data) not in text and not local_paths(json.loads(text))
    with pytest.raises(InputError, match="record of results, which holds scores and derived tables but no maps"):
        list(Store(run_folders([results_folder])[0]).explanations())


@pytest.mark.long
def test_commands_read_a_folder_of_results_as_runs(results_folder: Path, tmp_path: Path, capsys):
    (results_folder / "README.md").write_text("not a run\n")
    given = [str(path) for path in sorted(results_folder.iterdir())]  # as a shell gives results/*
    assert main(["leaderboard", *given, "--clips", "0", "--out", str(tmp_path / "board")]) == 0
    assert (tmp_path / "board" / "index.html").is_file() and len(pd.read_csv(tmp_path / "board" / "leaderboard.csv"))
    assert main(["claims", str(results_folder)]) == 0
    assert "Beyond Saliency 1" in capsys.readouterr().out
    assert main(["export", str(run_folders([results_folder])[0]), "--out", str(tmp_path / "x")]) == 2
    assert "give the run that it was made of" in capsys.readouterr().err
    (results_folder / "README.md").unlink()


def test_a_newer_version_replaces_its_own_rows_only(run_folder: Path, data: Path, tmp_path: Path):
    old = Path(shutil.copytree(run_folder, tmp_path / "old"))
    info = json.loads((old / "run.json").read_text())
    info["metrics"]["gini"]["version"] = "0"
    (old / "run.json").write_text(json.dumps(info))
    for file in (old / "scores").glob("*.parquet"):
        frame = pd.read_parquet(file)
        frame.loc[frame["metric"] == "gini", "metric_version"] = "0"
        file.write_bytes(pack_scores(frame))
    to = tmp_path / "results"
    add_runs([Store(old)], to, cues=False)
    (new,) = add_runs([Store(run_folder)], to, cues=False)
    assert any("older versions in old" in note for note in new.notes)
    left = Store(new.folder.parent / "old").scores()
    assert set(left["metric"]) == {"abpc"} and set(Store(new.folder).scores()["metric"]) == {"abpc", "gini"}
    scores = merged([Store(path) for path in run_folders([to])]).scores
    assert len(scores) == len(Store(run_folder).scores()) and "0" not in set(scores["metric_version"])
    with pytest.raises(InputError, match="'gini' of version 1, and this run scored version 0, which is older"):
        add_runs([Store(old)], to, cues=False)


def test_boards_leave_out_older_records_of_other_recognisers(run_folder: Path, tmp_path: Path):
    (new,) = add_runs([Store(run_folder)], tmp_path, cues=False)
    (other,) = add_runs([Store(run_folder)], tmp_path, recogniser="cnn-other", cues=False)
    info = json.loads((other.folder / "run.json").read_text())
    info["methods"]["emolime"]["version"] = "1"
    (other.folder / "run.json").write_text(json.dumps(info))
    stores = [Store(new.folder), Store(other.folder)]
    scores, _, notes = merged(stores)
    assert any("'emolime' of version 1 left out" in note for note in notes)
    assert len(scores) == len(stores[0].scores())
    assert [sum(one.method == "emolime" for one in found_maps(stores[:n], condition="clean")) for n in (1, 2)] == [4, 4]


def test_two_scores_of_one_row_are_refused(run_folder: Path, tmp_path: Path):
    other = Path(shutil.copytree(run_folder, tmp_path / "other"))
    file = sorted((other / "scores").glob("*.parquet"))[0]
    frame = pd.read_parquet(file)
    frame["value"] += 0.01
    file.write_bytes(pack_scores(frame))
    add_runs([Store(run_folder)], tmp_path / "results", cues=False)
    with pytest.raises(InputError, match="has another score of metric"):
        add_runs([Store(other)], tmp_path / "results", cues=False)


def test_tables_are_read_strictly(tmp_path: Path):
    kinds = {"method": TEXT, "n": COUNT, "x": NUMBER, "same": FLAG, "r": responses(4)}
    rows = pd.DataFrame(
        {"method": ["a", "b"], "n": [1, 2], "x": [0.5, np.nan], "same": [True, None], "r": [np.arange(4.0)] * 2}
    )
    file = derived_file(tmp_path, "t")
    file.parent.mkdir()
    file.write_bytes(pack_table(rows, kinds))
    found = read_derived(tmp_path, "t", kinds)
    assert found["method"].tolist() == ["a", "b"] and found["n"].tolist() == [1, 2]
    assert found["x"][0] == 0.5 and np.isnan(found["x"][1]) and found["same"].tolist() == [True, None]
    assert np.array_equal(np.stack(found["r"]), [np.arange(4.0)] * 2)
    assert pack_table(found, kinds) == file.read_bytes()
    for wrong, message in (
        ({"n": [-1, 2]}, "negative"),
        ({"x": [np.inf, 0]}, "infinite"),
        ({"r": [np.array([0, 1, 2, np.nan])] * 2}, "finite"),
    ):
        file.write_bytes(pack_table(rows.assign(**wrong), kinds))
        with pytest.raises(ValueError, match=message):
            read_derived(tmp_path, "t", kinds)
    for other, message in (
        ({**kinds, "n": NUMBER}, "n is int64"),
        ({"method": TEXT}, "has columns"),
        ({**kinds, "r": responses(8)}, "no 8 finite numbers"),
    ):
        file.write_bytes(pack_table(rows, kinds))
        with pytest.raises(ValueError, match=message):
            read_derived(tmp_path, "t", other)
    file.write_bytes(file.read_bytes()[:-40] + b"x" * 40)
    with pytest.raises(ValueError, match="damaged"):
        read_derived(tmp_path, "t", kinds)


def test_names_without_the_folders_of_a_machine():
    assert portable("hf:/models/whisper-tiny") == "hf:whisper-tiny" and portable("hf:org/model") == "hf:org/model"
    assert portable("onnx:C:\\models\\net.onnx") == "onnx:net.onnx" and portable("cnn") == "cnn"
    info = {"hf:/m/w trained on emodb": ["/home/me/x.wav", "a/b", 3], "n": "1/2"}
    assert localised(info, {"hf:/m/w": "hf:w"}) == {"hf:w trained on emodb": ["x.wav", "a/b", 3], "n": "1/2"}
    assert set(local_paths(info)) == {"/home/me/x.wav", "hf:/m/w trained on emodb"} and local_paths(
        {"x": "hf:~/m"}
    ) == ["hf:~/m"]


@pytest.mark.long
def test_a_record_compares_its_own_clips_alone(tmp_path: Path, capsys):
    """Two runs of one recogniser, of two and of four clips, are compared together; each record names its own clips."""
    for name, limit in (("two", 2), ("four", 4)):
        config = load_config(
            corpora=["planted"], models=["cnn"], methods=["energy", "random"], metrics=["gini"], limit=limit,
            conditions=["clean", "noise-20db"], fills=["attenuate"],
        )  # fmt: skip
        run(config, tmp_path / name)
    to = tmp_path / "results"
    assert main(["results", "add", str(tmp_path / "two"), str(tmp_path / "four"), "--to", str(to)]) == 0
    assert main(["validate", str(to)]) == 0
    pieces = {path.parent.name: Store(path.parent) for path in to.rglob("run.json")}
    clips = {name: {one.clip for one in found_maps([piece])} for name, piece in pieces.items()}
    assert (len(clips["two"]), len(clips["four"])) == (2, 4) and clips["two"] < clips["four"]
