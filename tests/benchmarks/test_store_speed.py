"""Reading a large run: its score rows, its board, and what a resume asks of it.

Speed is asserted as a ratio to the plain way of doing the same (pandas, file by file), the large case in seconds and
bytes of a process of its own (processor seconds: all of it runs on one core).
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.storage.store import SCORE_COLUMNS, Store, pack_scores

CLIPS, METHODS, METRICS, CONDITIONS = 4, 20, 10, ("clean", "noise-20db")
SHARD_ROWS = CLIPS * METHODS * METRICS * len(CONDITIONS)


def build_store(path: Path, shards: int) -> Store:
    """A run of 20 methods, 10 metrics and 2 conditions in shards of 4 clips."""
    store = Store(path)
    draw = np.random.default_rng(0)
    cells = pd.DataFrame(
        list(product(range(CLIPS), CONDITIONS, range(METHODS), range(METRICS))),
        columns=["clip", "condition", "method", "metric"],
    )
    metric = cells["metric"]
    fixed = cells.assign(
        corpus="planted", model="cnn", trained_on="planted", seen_in_training="no", space="audio", reason="",
        method=cells["method"].map(lambda m: f"method-{m:02}" if m else "random"), metric=metric.map("m-{}".format),
        strength=cells["condition"].map({"clean": np.nan, "noise-20db": 20.0}), seed=0, repeat=0, status="ok",
        family=metric.map(lambda m: ("faithfulness", "robustness", "complexity")[m % 3]), direction="higher",
        fill=metric.map(lambda m: "twin" if m < 4 else ""), explained_against="none", predicted="anger", correct=True,
        target="anger", target_rule="predicted", model_calls=32, metric_version="1", method_version="1",
    )  # fmt: skip
    keys = [f"{shard:032x}" for shard in range(shards)]
    (path / "scores").mkdir(parents=True)
    for shard, key in enumerate(keys):
        speaker = f"s{shard % 24:02}"
        digits = draw.bytes(16 * SHARD_ROWS).hex()
        frame = fixed.assign(
            clip=f"{speaker}-{shard:04}-" + fixed["clip"].astype(str), speaker=speaker, fold=str(shard % 5),
            emotion=("anger", "happiness", "sadness", "neutral")[shard % 4],
            value=draw.normal(cells["method"] / METHODS), key=[digits[i * 32 : i * 32 + 32] for i in range(SHARD_ROWS)],
        )  # fmt: skip
        store.score_file(key).write_bytes(pack_scores(frame[SCORE_COLUMNS]))
    store.write_info(
        {
            "config": {"corpora": ["planted"], "models": ["cnn"], "methods": ["random"], "metrics": ["m-0"]},
            "status": "done",
            "shards": keys,
            "planned_rows": shards * SHARD_ROWS,
            "corpora": {},
            "models": {},
            "fingerprints": {},
            "execution": {},
            "versions": {},
            "clips": shards * CLIPS,
        }
    )
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """10^5 rows."""
    return build_store(tmp_path_factory.mktemp("large"), 63)


def pandas_file_by_file(store: Store) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(store.score_file(key)) for key in store.info["shards"]], ignore_index=True)


def test_reading_all_rows(benchmark, speed, store: Store):
    frame = benchmark.pedantic(store.scores, rounds=speed.rounds(3))
    assert len(frame) == 63 * SHARD_ROWS
    pd.testing.assert_frame_equal(frame, pandas_file_by_file(store))
    jobs = (lambda: pandas_file_by_file(store), store.scores, lambda: store.scores(["status", "reason"]))
    by_file, whole, two = speed.best(*jobs, rounds=3)
    ratio, few = by_file / whole, whole / two
    benchmark.extra_info |= {"gain": ratio, "gain_of_two_columns": few}
    speed.goal(ratio > 1.1, f"all rows {ratio:.2f} x as fast as file by file; goal 1.1")
    speed.goal(few > 1.5, f"two columns {few:.2f} x as fast as all; goal 1.5")


def test_a_finished_run_is_recognised(benchmark, speed, store: Store):
    """What resume asks of every shard: whole or not."""
    keys = store.info["shards"]
    assert all(benchmark.pedantic(lambda: [store.has_shard(key) for key in keys], rounds=speed.rounds(3)))
    reading, asking = speed.best(
        lambda: pandas_file_by_file(store), lambda: [store.has_shard(key) for key in keys], rounds=3
    )
    benchmark.extra_info["gain"] = ratio = reading / asking
    speed.goal(ratio > 10, f"asking for shards {ratio:.0f} x as fast as reading them; goal 10")


def test_rows_by_key(benchmark, speed, store: Store):
    """All keys of two shards, the index included, beside a dictionary of all rows."""
    wanted = store.scores(["key"])["key"].tolist()[: 2 * SHARD_ROWS]

    def look_up() -> int:
        fresh = Store(store.path)
        return sum(fresh.row(key) is not None for key in wanted)

    def dictionary() -> int:
        rows = {row["key"]: row for row in pandas_file_by_file(store).to_dict("records")}
        return sum(rows.get(key) is not None for key in wanted)

    assert benchmark.pedantic(look_up, rounds=speed.rounds(2)) == 2 * SHARD_ROWS
    plain, ours = speed.best(dictionary, look_up, rounds=2)
    benchmark.extra_info["gain"] = ratio = plain / ours
    speed.goal(ratio > 3, f"rows by key {ratio:.1f} x as fast as a dictionary of all; goal 3")


def test_board(benchmark, speed, store: Store):
    """Time grows far slower than the rows: most of it is spent on cells and their tests."""
    scores = store.scores()
    board = benchmark.pedantic(leaderboard, (scores,), rounds=1)
    assert len(board) == METHODS * METRICS * len(CONDITIONS) and (board["n_ok"] == 63 * CLIPS).all()
    few = scores[scores["clip"].isin(scores["clip"].unique()[::10])]
    many_s, few_s = speed.best(lambda: leaderboard(scores), lambda: leaderboard(few), rounds=3)
    benchmark.extra_info["ten_times_the_rows"] = ratio = many_s / few_s
    speed.goal(ratio < 4, f"ten times the rows take {ratio:.1f} x the time; goal 4")


MEASURED = """
import json, resource, sys, time
from serxai.benchmark.analysis.leaderboard import leaderboard
from serxai.benchmark.storage.store import Store
start = time.process_time()
store = Store(sys.argv[1])
scores = store.scores()
board = leaderboard(scores)
spent = time.process_time() - start
start = time.process_time()
whole = sum(map(store.has_shard, store.info["shards"]))
bytes_held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([len(scores), len(board), spent, bytes_held, whole, time.process_time() - start]))
"""


@pytest.mark.long
def test_a_million_rows_take_under_10_seconds_and_1500_megabytes(tmp_path: Path):
    build_store(tmp_path / "run", 625)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path / "run")], capture_output=True, text=True, check=True
    )
    rows, cells, spent, held, whole, checked = json.loads(done.stdout)
    assert (rows, cells, whole) == (10**6, METHODS * METRICS * len(CONDITIONS), 625)
    assert spent < 10 and held < 1.5e9 and checked < 1
