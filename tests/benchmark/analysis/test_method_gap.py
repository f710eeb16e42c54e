"""How far two methods lie apart: against twins that loop, on maps whose noise, slope and ranks are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from serxai.audio import Grid, scoring_grid
from serxai.benchmark.analysis.method_gap import (
    _relative_noise,
    method_gap,
    on_common_grid,
    pooled_slope,
    rank_correlations,
)
from serxai.benchmark.cli.main import main
from serxai.benchmark.report.catalogue import draw_figure
from serxai.benchmark.stats.clustered import clustered_mean, compare_pairwise
from serxai.benchmark.storage.store import Explanation, Store
from serxai.errors import InputError, UnknownNameError
from serxai.keys import digest
from serxai.methods.attribution import Attribution
from serxai.metrics.verdict import board_grade

BANDS = Grid(np.linspace(0, 8000, 9), [0.0, 1.5])
SPEAKERS, CLIPS, REPEATS = 8, 2, 10
NOISE, SHRINKAGE, SLOPE = 0.05, 0.876, 0.5


def attribution(
    values: np.ndarray, method: str, calls: int, shrinkage: float | None, grid: Grid = BANDS
) -> Attribution:
    details = {} if shrinkage is None else {"shrinkage": shrinkage}
    return Attribution(values.reshape(grid.shape), grid, "anger", method, details, model_calls=calls)


def row(clip: str, speaker: str, method: str, repeat: int, value: float, **changes: object) -> dict:
    return {
        "corpus": "emodb",
        "fold": "0",
        "model": "cnn",
        "trained_on": "emodb",
        "seen_in_training": "no",
        "method": method,
        "condition": "clean",
        "strength": np.nan,
        "metric": "deletion",
        "family": "faithfulness",
        "direction": "lower",
        "space": "audio",
        "fill": "attenuate",
        "explained_against": "attenuate",
        "clip": clip,
        "speaker": speaker,
        "emotion": "anger",
        "predicted": "anger",
        "correct": True,
        "target": "anger",
        "target_rule": "predicted",
        "seed": 0,
        "repeat": repeat,
        "value": value,
        "status": "ok",
        "reason": "",
        "model_calls": 32,
        "metric_version": "1",
        "method_version": "1",
        "key": f"{clip}/{method}/{repeat}",
    } | changes


@pytest.fixture(scope="module")
def truth() -> dict[str, np.ndarray]:
    """Weights of each clip, shape (8,)."""
    draw = np.random.default_rng(0)
    return {f"s{s}c{c}": draw.standard_normal(8) / 5 for s in range(SPEAKERS) for c in range(CLIPS)}


SHARD = "0123456789abcdef" * 2


def an_info(planned: int) -> dict[str, object]:
    """What run.json must hold at least, of a run of one shard."""
    methods = ["emolime", "emolime-paper", "emolime-paper-unshrunk", "energy"]
    config = {"corpora": ["emodb"], "models": ["cnn"], "methods": methods, "metrics": ["deletion"]}
    info = {"config": config, "status": "done", "shards": [SHARD], "planned_rows": planned}
    return info | {"corpora": {}, "models": {}, "execution": {}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, truth: dict[str, np.ndarray]) -> Store:
    """`emolime` tells the truth; `emolime-paper` half of it, shrunk, with noise; `energy` lies on another grid."""
    draw, rows, explanations, seconds = np.random.default_rng(1), [], {}, {}
    for clip, weights in truth.items():
        half = SHRINKAGE * (SLOPE * weights[None] + NOISE * draw.standard_normal((REPEATS, 8)))
        maps = {
            "emolime": [attribution(weights, "emolime", 256, 1.0)],
            "emolime-paper": [attribution(w, "emolime-paper", 66, SHRINKAGE) for w in half],
            "emolime-paper-unshrunk": [attribution(w / SHRINKAGE, "emolime-paper-unshrunk", 66, 1.0) for w in half],
            "energy": [attribution(draw.random(scoring_grid(1.5).shape), "energy", 0, None, scoring_grid(1.5))],
        }
        for method, found in maps.items():
            for repeat, map_ in enumerate(found):
                key = digest(clip, method, repeat)
                explanations[key] = Explanation(map_, "emodb", "cnn", clip, "clean", repeat)
                seconds[key] = {"emolime": 2.0, "emolime-paper": 100.0 if repeat == 0 else 40.0}.get(method, 0.5)
                rows.append(row(clip, clip[:2], method, repeat, 1.0 + 0.1 * (method == "emolime") + draw.normal() / 50))
        # explanations that no row reads
        other = attribution(weights, "emolime", 256, 1.0)
        explanations[digest(clip, "noisy")] = Explanation(other, "emodb", "cnn", clip, "noise-10db", 0)
    found = Store(tmp_path_factory.mktemp("run"))
    found.write_shard(SHARD, rows, explanations, {}, {"explanations": seconds, "scores": {}})
    found.write_info(an_info(len(rows)))
    return found


def gap(store: Store, *methods: str) -> pd.Series:
    found = method_gap(store, store.scores(), "deletion", methods)
    assert len(found) == 1
    return found.iloc[0]


def test_known_noise_and_slope_are_found(store: Store):
    found = gap(store, "emolime-paper", "emolime")
    assert (found["method_a"], found["method_b"]) == ("emolime-paper", "emolime")
    assert found["slope_low"] < SLOPE * SHRINKAGE < found["slope_high"]
    assert found["slope_at_equal_shrinkage_low"] < SLOPE < found["slope_at_equal_shrinkage_high"]
    assert found["noise_a"] == pytest.approx(NOISE * SHRINKAGE, rel=0.1)
    assert found["noise_at_equal_shrinkage_a"] == pytest.approx(NOISE, rel=0.1)
    assert found["noise_at_equal_shrinkage_a"] == pytest.approx(found["noise_a"] / SHRINKAGE, rel=1e-6)
    assert (found["noise_b"], found["relative_noise_b"], found["rank_correlation_of_repeats_b"]) == (0, 0, 1)
    assert (found["repeats_a"], found["repeats_b"], found["calls_a"], found["calls_b"]) == (10, 1, 66, 256)
    assert (found["seconds_a"], found["seconds_b"]) == (100, 2), "the first explanation's, which shares nothing yet"
    assert found["shrinkage_a"] == pytest.approx(SHRINKAGE) and found["shrinkage_b"] == 1
    assert found["rank_correlation"] < found["rank_correlation_of_means"] < 1


def test_a_method_with_a_base_costs_its_base_as_well(store: Store):
    assert gap(store, "emolime-paper-unshrunk", "emolime")["seconds_a"] == 100.5


def test_unshrunk_equals_equal_shrinkage(store: Store):
    """Where the penalty shrinks every weight alike, taking it out or levelling it is the same."""
    plain, unshrunk = (gap(store, name, "emolime") for name in ("emolime-paper", "emolime-paper-unshrunk"))
    assert plain["slope_at_equal_shrinkage"] == pytest.approx(unshrunk["slope"], rel=1e-6)
    assert plain["noise_at_equal_shrinkage_a"] == pytest.approx(unshrunk["noise_a"], rel=1e-6)
    assert plain["relative_noise_a"] == pytest.approx(unshrunk["relative_noise_a"], rel=1e-6)


def test_equals_the_definitions_written_out(store: Store, truth: dict[str, np.ndarray]):
    found = gap(store, "emolime-paper", "emolime")
    maps: dict[str, list[np.ndarray]] = {}
    for e in store.explanations(method="emolime-paper"):
        maps.setdefault(e.clip, []).append(e.attribution.values.ravel().astype(float))
    clips = sorted(maps)
    speakers = [clip[:2] for clip in clips]
    single = [np.mean([spearmanr(m, truth[c]).statistic for m in maps[c]]) for c in clips]
    means = [np.mean(maps[c], axis=0) for c in clips]
    noise = [np.sqrt(np.mean(np.std(maps[c], axis=0, ddof=1) ** 2)) for c in clips]
    alike = [
        np.mean([spearmanr(maps[c][i], maps[c][j]).statistic for i in range(REPEATS) for j in range(i)]) for c in clips
    ]
    ranks = clustered_mean(single, speakers)
    for name, value in (("", ranks.mean), ("_low", ranks.low), ("_high", ranks.high)):
        assert found[f"rank_correlation{name}"] == pytest.approx(value, abs=1e-9)
    of_means = np.mean([spearmanr(m, truth[c]).statistic for m, c in zip(means, clips, strict=True)])
    assert found["rank_correlation_of_means"] == pytest.approx(of_means, abs=1e-9)
    x = np.concatenate([truth[c] - truth[c].mean() for c in clips])
    y = np.concatenate([m - m.mean() for m in means])
    assert found["slope"] == pytest.approx(np.linalg.lstsq(x[:, None], y, rcond=None)[0][0], abs=1e-6)
    assert found["noise_a"] == pytest.approx(np.mean(noise), abs=1e-9)
    spread = np.sqrt(np.mean(np.square(noise)) / np.mean([m.std() ** 2 for m in means]))
    assert found["relative_noise_a"] == pytest.approx(spread, abs=1e-9)
    assert found["rank_correlation_of_repeats_a"] == pytest.approx(np.mean(alike), abs=1e-9)


def test_scores_are_compared_clip_by_clip_with_repeats_averaged(store: Store):
    scores = store.scores()
    found = gap(store, "emolime-paper", "emolime")
    usual = compare_pairwise(scores[scores["method"].isin(["emolime", "emolime-paper"])], "deletion").iloc[0]
    assert (usual["method_a"], usual["method_b"]) == ("emolime", "emolime-paper")
    assert found["difference"] == pytest.approx(-usual["difference"]) and found["n_clips"] == 16
    mean = scores.groupby(["method", "clip"])["value"].mean().unstack(0)
    assert found["difference"] == pytest.approx((mean["emolime"] - mean["emolime-paper"]).mean())
    assert found["mean_b"] - found["mean_a"] == pytest.approx(found["difference"])


@pytest.mark.parametrize("seed", range(20))
def test_the_slopes_interval_is_that_of_clustered_residuals(seed: int):
    """Linearised: mean influence is the slope, and their spread that of slopes without one clip (jackknife)."""
    draw = np.random.default_rng(seed)
    maps = [(0.7 * y + 0.1 * draw.standard_normal(8) + draw.normal(), y) for y in draw.standard_normal((30, 8))]
    slope, influence = pooled_slope(maps)
    x, y = (np.concatenate([pair[i] - pair[i].mean() for pair in maps]) for i in (0, 1))
    assert slope == pytest.approx(np.linalg.lstsq(y[:, None], x, rcond=None)[0][0], abs=1e-12)
    assert influence.mean() == pytest.approx(slope, abs=1e-12)
    without = np.array([pooled_slope(maps[:i] + maps[i + 1 :])[0] for i in range(30)])
    jackknife = np.sqrt(29 / 30 * np.sum((without - without.mean()) ** 2))
    assert influence.std(ddof=1) / np.sqrt(30) == pytest.approx(jackknife, rel=0.1)


@pytest.mark.parametrize("seed", range(10))
def test_rank_correlations_are_scipys(seed: int):
    draw = np.random.default_rng(seed)
    a, b = draw.integers(0, 4, (3, 9)).astype(float), draw.standard_normal((2, 9))
    b[1] = 1.0
    found = rank_correlations(a, b)
    assert found[:, 0] == pytest.approx([spearmanr(x, b[0]).statistic for x in a], abs=1e-12)
    assert np.isnan(found[:, 1]).all()


def test_maps_on_other_grids_meet_on_the_scoring_grid(store: Store):
    a, b = ([next(store.explanations(method=name)).attribution] for name in ("energy", "emolime"))
    x, y = on_common_grid(a, b)
    assert x.shape == y.shape == (1, scoring_grid(1.5).shape[0] * scoring_grid(1.5).shape[1])
    assert x.sum() == pytest.approx(a[0].values.sum(), rel=1e-5) and y.sum() == pytest.approx(b[0].values.sum())
    found = gap(store, "energy", "emolime")
    assert np.isnan(found["slope_at_equal_shrinkage"]) and np.isfinite(found["slope"])


def test_few_speakers_get_no_interval_and_one_repeat_no_noise(store: Store):
    scores = store.scores()
    few = scores[scores["speaker"].isin(["s0", "s1"])]
    found = method_gap(store, few, "deletion", ["emolime-paper", "emolime"]).iloc[0]
    assert np.isnan(found["slope_low"]) and np.isfinite(found["slope"]) and found["n_speakers"] == 2
    once = Store(store.path.parent / "once")
    kept = {digest(e.clip, e.attribution.method): e for e in store.explanations(condition="clean") if e.repeat == 0}
    once.write_shard(SHARD, scores[scores["repeat"] == 0].to_dict("records"), kept, {}, {"explanations": {}})
    once.write_info(an_info(10_000))
    found = method_gap(once, once.scores(), "deletion", ["emolime-paper", "emolime"]).iloc[0]
    assert np.isnan(found["noise_a"]) and found["noise_b"] == 0 and np.isnan(found["seconds_a"])


def test_bad_questions_are_refused(store: Store, tmp_path: Path):
    scores = store.scores()
    with pytest.raises(InputError, match="two or more, got emolime"):
        method_gap(store, scores, "deletion", ["emolime", "emolime"])
    with pytest.raises(UnknownNameError, match="method of this run 'emolim'"):
        method_gap(store, scores, "deletion", ["emolim", "energy"])
    with pytest.raises(InputError, match=r"no metric 'abpc'. They hold: deletion"):
        method_gap(store, scores, "abpc", ["emolime", "energy"])
    empty = Store(tmp_path)
    empty.write_shard(SHARD, scores.to_dict("records"), {}, {}, {"explanations": {}})
    empty.write_info(an_info(10_000))
    with pytest.raises(InputError, match="has scores but no explanations"):
        method_gap(empty, scores, "deletion", ["emolime", "energy"])


def test_the_figure_shows_the_weights_and_their_noise(store: Store, tmp_path: Path, truth: dict[str, np.ndarray]):
    (picture, *_) = draw_figure("emolime-gap", store, tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    numbers = pd.read_csv(tmp_path / "emolime-gap.csv").set_index(["clip", "low_hz"]).sort_index()
    assert len(numbers) == len(truth) * 8 and set(numbers["repeats"]) == {REPEATS}
    for clip, weights in truth.items():
        np.testing.assert_allclose(numbers.loc[clip, "exact"], weights, atol=1e-6)
    assert np.sqrt(np.mean(numbers["sd"] ** 2)) == pytest.approx(NOISE, rel=0.1), "without the penalty"
    without = store.scores().query("method == 'energy'")
    other = Store(tmp_path / "other")
    other.write_shard(SHARD, without.to_dict("records"), {}, {}, {})
    other.write_info(an_info(10_000))
    with pytest.raises(InputError, match="serxai run --preset paper-emolime"):
        draw_figure("emolime-gap", other, tmp_path)


def test_scores_are_of_the_clips_of_the_paired_difference(store: Store):
    """Means of each method's own clips would not differ by the difference that is tested; misses count as the worst."""
    scores, lost = store.scores(), ["s0c0", "s1c1"]
    scores.loc[(scores["method"] == "emolime") & scores["clip"].isin(lost), ["value", "status"]] = [np.nan, "failed"]
    scores.loc[(scores["method"] == "emolime-paper") & scores["clip"].isin(lost), "value"] += 1000
    found = method_gap(store, scores, "deletion", ["emolime-paper", "emolime"]).iloc[0]
    assert (found["n_clips"], found["n_planned"], found["n_speakers"]) == (16, 16, 8)
    assert found["mean_b"] - found["mean_a"] == pytest.approx(found["difference"])
    table = scores.groupby(["method", "clip"])["value"].mean().unstack(0)[["emolime-paper", "emolime"]]
    worst = scores.groupby("clip")["value"].max()  # of deletion, which has no bound
    assert table["emolime"].isna().sum() == 2
    table["emolime"] = table["emolime"].fillna(worst)
    for side, method in (("a", "emolime-paper"), ("b", "emolime")):
        expected = clustered_mean(table[method].to_numpy(), [clip[:2] for clip in table.index])
        bounds = found[[f"mean_{side}", f"mean_{side}_low", f"mean_{side}_high"]].tolist()
        assert bounds == pytest.approx([expected.mean, expected.low, expected.high])
    few = scores[scores["speaker"].isin(["s2", "s3"])]
    found = method_gap(store, few, "deletion", ["emolime-paper", "emolime"]).iloc[0]
    assert np.isnan(found["mean_a_low"]) and np.isfinite(found["mean_a"]) and "2 speakers" in found["note"]


@pytest.mark.parametrize("seed", range(5))
def test_relative_noise_is_linearised(seed: int):
    """Its mean is the ratio of root mean squares, its spread that of ratios without one clip (jackknife)."""
    draw = np.random.default_rng(seed)
    noise, signal = draw.uniform(0.5, 1, 40), draw.uniform(1, 2, 40)
    influence = _relative_noise(noise, signal)
    assert influence.mean() == pytest.approx(np.sqrt(np.mean(noise**2) / np.mean(signal**2)))
    kept = [np.arange(40) != i for i in range(40)]
    without = np.array([np.sqrt(np.mean(noise[k] ** 2) / np.mean(signal[k] ** 2)) for k in kept])
    jackknife = np.sqrt(39 / 40 * np.sum((without - without.mean()) ** 2))
    assert influence.std(ddof=1) / np.sqrt(40) == pytest.approx(jackknife, rel=0.1)
    assert (_relative_noise(np.zeros(3), np.ones(3)) == 0).all()
    assert np.isnan(_relative_noise(np.full(3, np.nan), np.ones(3))).all()


def test_on_the_command_line(store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")  # narrower ones leave columns out, and name them
    asked = ["compare", str(store.path), "--metric", "deletion", "--method", "emolime-paper", "--method", "emolime"]
    assert main(asked) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = gap(store, "emolime-paper", "emolime")
    pair = [line for line in lines if line.split()[:2] == ["emolime-paper", "emolime"]][-1]
    assert f"{expected['rank_correlation']:.3f}" in pair and f"{expected['slope_at_equal_shrinkage']:.3f}" in pair
    paper, exact = (next(n for n in lines[::-1] if n.startswith(f"{name} ")) for name in ("emolime-paper", "emolime"))
    assert paper.split()[1:6] == ["16", "of", "16", "10", f"{expected['noise_a']:.3f}"]
    assert "±" in paper and {"0.876", "66", "100"} <= set(paper.split())
    assert "256 ±0" in exact and "2 ±0" in exact
    score = f"{expected['mean_a']:.3f} [{expected['mean_a_low']:.3f}, {expected['mean_a_high']:.3f}]"
    assert any(score in line and line.endswith("16 of 16 8") for line in (" ".join(n.split()) for n in lines))
    assert main([*asked, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["metric_qualified"] == board_grade("deletion")
    assert told["noise_a"] == pytest.approx(expected["noise_a"])
    assert told["p_holm"] == pytest.approx(expected["p_holm"], abs=1e-9)
    assert main(["compare", str(store.path), "--metric", "deletion"]) == 0
    assert "explanations of the same clips" not in capsys.readouterr().out
    assert main([*asked[:4], "--method", "emolime"]) == 2
    assert "must name two or more" in capsys.readouterr().err
