"""Maps that were made elsewhere: the same scores as the method that made them, and nothing for free."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.benchmark.analysis.external_ranks import NOTE, without_unfaithful
from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.cli.main import main
from serxai.benchmark.run.config import RunConfig, config_of_run, load_config
from serxai.benchmark.run.runner import Execution, run
from serxai.benchmark.storage.map_folder import read_map_folder, write_maps
from serxai.benchmark.storage.store import Store
from serxai.errors import InputError
from serxai.maps import ExternalMap
from serxai.metrics.records import METRICS as RECORDS

GOOD = ("03a01Wa", "08a01Wa", "09a02Wa", "10a02Wa")
METRICS = ["abpc", "gini", "consistency", "explanation-calls", "random-logit"]
ROW = ["method", "metric", "condition", "clip", "repeat", "fill"]


def a_voice(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    t = np.arange(16000) / 16000
    phase = 2 * np.pi * np.cumsum(120 + 10 * seed + 20 * np.sin(4 * np.pi * t)) / 16000
    x = sum(np.sin(h * phase) / h for h in range(1, 25)) * (1.2 + np.sin(2 * np.pi * 3 * t))
    return (0.05 * x + 1e-3 * generator.standard_normal(t.size)).astype(np.float32)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("external")
    wav = folder / "data" / "emodb" / "wav"
    wav.mkdir(parents=True)
    for seed, name in enumerate(GOOD):
        soundfile.write(wav / f"{name}.wav", a_voice(seed), 16000)
    return folder


def config(methods: list[str], **changes: object) -> RunConfig:
    settings: dict[str, object] = {
        "corpora": ["emodb"], "trained_on": "planted", "emotions": ["anger"], "limit": None,
        "conditions": ["clean", "noise-20db"], "methods": methods, "metrics": METRICS, "fills": ["attenuate"],
    }  # fmt: skip
    return load_config(**settings | changes).model_copy(update={"limit": 0})


def scored(place: Path, maps: Path, out: Path, **changes: object) -> Store:
    methods = read_map_folder(maps).of("emodb", "cnn").methods()
    clips = read_map_folder(maps).clips
    settings = config([*methods, "random", "energy"], parameters=methods, clips=clips, **changes)
    return run(settings, out, Execution(data_root=place / "data", maps=maps))


@pytest.fixture(scope="module")
def exported(place: Path) -> Path:
    """A run of four clips, and its maps as a folder."""
    methods = ["random", "emolime-sampled", "input-x-gradient"]
    run(config(methods), place / "run", Execution(data_root=place / "data"))
    assert main(["export", str(place / "run"), "--maps", "--out", str(place / "maps")]) == 0
    return place / "maps"


def of_maps(store: Store) -> pd.DataFrame:
    rows = store.scores()
    rows = rows[rows["method"].str.startswith("maps:")]
    return rows.assign(method=rows["method"].str.removeprefix("maps:"))


def test_scored_like_the_method_that_made_them(place: Path, exported: Path):
    store = scored(place, exported, place / "scored")
    rows = Store(place / "run").scores().merge(of_maps(store), on=ROW, suffixes=("", "_maps"))
    assert len(rows) == len(Store(place / "run").scores()) == 3 * 4 * (4 + 3 + 1)
    ok = rows[(rows["status"] == "ok") & (rows["metric"] != "random-logit")]
    assert (ok["status_maps"] == "ok").all() and set(ok["metric"]) == set(METRICS[:4])
    np.testing.assert_allclose(ok["value_maps"], ok["value"], atol=1e-6)
    assert (ok["explained_against_maps"] == ok["explained_against"]).all()
    assert (rows["key_maps"] != rows["key"]).all()
    again = rows[rows["metric"] == "random-logit"]
    assert (again["status"] == "ok").any() and (again["status_maps"] == "skipped").all()
    assert again["reason_maps"].str.contains("cannot be made again").all()


def test_a_changed_map_is_scored_again_and_no_other(place: Path, exported: Path, tmp_path: Path):
    folder = read_map_folder(exported)
    kept = [row for row in folder.rows if (row.method, row.condition, row.repeat) == ("emolime-sampled", "clean", 0)]
    maps = []
    for row in kept:
        told = folder.attribution(row, 1.0, row.target)
        maps.append(ExternalMap(row.clip, row.target, told.values, told.grid, "mine", against=row.against))
    write_maps(tmp_path / "maps", maps)
    before = scored(place, tmp_path / "maps", tmp_path / "run", metrics=["abpc"], conditions=["clean"])
    keys = of_maps(before).set_index("clip")["key"]
    calls = before.info["computed"]["model_calls"]
    write_maps(tmp_path / "maps", [replace(maps[0], values=-maps[0].values), *maps[1:]])
    after = scored(place, tmp_path / "maps", tmp_path / "run", metrics=["abpc"], conditions=["clean"])
    changed = of_maps(after).set_index("clip")["key"] != keys
    assert changed.sum() == 1 and changed[maps[0].clip]
    assert 0 < after.info["computed"]["model_calls"] < calls / 2
    with pytest.raises(InputError, match=r"give it: serxai score FOLDER"):
        run(RunConfig(**after.info["config"]), tmp_path / "run", Execution(data_root=place / "data"))


def cheating(place: Path, folder: Path, noise: float, stochastic: str) -> pd.DataFrame:
    """Random maps drawn by the clip's name, the same under every condition up to `noise`, scored."""
    maps = []
    for clip in GOOD:
        drawn = np.random.default_rng(GOOD.index(clip)).standard_normal((16, 13))
        for condition in ("clean", "noise-20db"):
            changed = drawn + noise * np.random.default_rng(len(condition)).standard_normal(drawn.shape)
            for target in ("anger", "happiness", "sadness", "neutral"):
                maps.append(ExternalMap(clip, target, changed, "scoring", "fake", condition, stochastic=stochastic))
    write_maps(folder, maps)
    return scored(place, folder, folder.with_name(f"{folder.name}-run"), metrics=["abpc", "consistency"]).scores()


def test_random_maps_cannot_win_consistency(place: Path, tmp_path: Path):
    told = cheating(place, tmp_path / "silent", 1e-9, "unknown")
    told = told[(told["metric"] == "consistency") & (told["method"] == "maps:fake")]
    assert (told["status"] == "skipped").all() and told["reason"].str.contains("stochastic no").all()
    copied = cheating(place, tmp_path / "copied", 0.0, "no")
    copied = copied[(copied["metric"] == "consistency") & (copied["method"] == "maps:fake")]
    assert (copied["status"] == "skipped").all() and copied["reason"].str.contains("bit by bit").all()
    # whoever lies in the manifest and adds a little noise gets the score, and no rank for it
    lying = cheating(place, tmp_path / "lying", 1e-3, "no")
    stable = lying[(lying["metric"] == "consistency") & (lying["method"] == "maps:fake")]
    assert stable["value"].mean() > 0.95
    board = leaderboard(lying)
    board = board[board["metric"] == "consistency"].set_index("method")
    assert pd.isna(board.loc["maps:fake", "rank"]) and NOTE in board.loc["maps:fake", "note"]
    assert board.loc["maps:fake", "beats_random"] == "no claim" and board.loc["maps:fake", "group"] == ""


@pytest.mark.parametrize("passes", ["yes", "no", "no claim"])
@pytest.mark.parametrize("metric", ["consistency", "truth-auc", "neutral-agreement"])
def test_rank_by_what_the_clip_tells_needs_faithfulness(passes: str, metric: str):
    names = ["maps:fake", "saliency", "energy"]
    setting = {"corpus": "c", "model": "m", "trained_on": "c", "seen_in_training": "no", "space": "audio",
               "target_rule": "predicted", "fill": ""}  # fmt: skip
    stable = {"metric": metric, "family": RECORDS.get(metric).family, "condition": "noise-20db", "passes_bar": ""}
    rows = [setting | stable | {"method": name, "rank": rank, "group": "a", "beats_random": "yes", "note": ""}
            for rank, name in enumerate(names, 1)]  # fmt: skip
    faithful = {"metric": "abpc", "family": "faithfulness", "condition": "clean", "passes_bar": passes}
    rows.append(rows[0] | faithful)
    board = pd.DataFrame(rows).astype({"rank": "Int64"})
    ranked = without_unfaithful(board)
    expected = [1, 2, 3] if passes == "yes" else [None, 1, 2]
    assert [None if pd.isna(rank) else int(rank) for rank in ranked["rank"][:3]] == expected
    assert (ranked["group"][0] == "a") == (passes == "yes") and ranked["rank"][3] == 1
    inside = board[board["method"] != "maps:fake"]
    pd.testing.assert_frame_equal(without_unfaithful(inside), inside)


def test_independent_random_maps_are_not_consistent(place: Path, tmp_path: Path):
    maps = []
    for number, (clip, condition) in enumerate((c, k) for c in GOOD for k in ("clean", "noise-20db")):
        drawn = np.random.default_rng(number).standard_normal((16, 13))
        maps.append(ExternalMap(clip, "anger", drawn, "scoring", "noise", condition, stochastic="no"))
    write_maps(tmp_path / "maps", maps)
    rows = scored(place, tmp_path / "maps", tmp_path / "run", metrics=["consistency"], target="anger").scores()
    values = rows.loc[(rows["method"] == "maps:noise") & (rows["status"] == "ok"), "value"]
    assert len(values) == 4 and abs(values.mean()) < 0.25


def test_the_command(place: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    line = [
        "score", str(exported), "--data-root", str(place / "data"), "--trained-on", "planted", "--workers", "1",
        "--emotion", "anger", "--metric", "gini", "--condition", "clean", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    assert main(line) == 0
    assert "maps:emolime-sampled" in capsys.readouterr().out
    assert main([*line, "--corpus", "tess"]) == 2
    assert main(["score", str(tmp_path / "none"), "--corpus", "emodb"]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", [{"methods": 5}, {"model_settings": {"cnn": {"layer": 1}}}, {"no-such": 1}, {"methods": [[1]]}]
)
def test_a_damaged_configuration_is_named(change: dict):
    stored = config(["random"]).model_dump()
    assert config_of_run(stored) == config(["random"])
    with pytest.raises(InputError, match=r"run\.json: config: damaged"):
        config_of_run(stored | change)
