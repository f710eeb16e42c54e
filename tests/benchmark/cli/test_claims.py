"""``serxai robustness`` and ``claims`` on run folders whose explanations are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from serxai.audio import scoring_grid
from serxai.benchmark.analysis import corpus_axis
from serxai.benchmark.analysis.claims import Finding, beside_blind
from serxai.benchmark.analysis.robustness import AXES
from serxai.benchmark.cli import run_parsers
from serxai.benchmark.cli.main import main
from serxai.benchmark.report.claim_text import LIMITS, MEANING
from serxai.benchmark.storage.clip_facts import write_clip_facts
from serxai.benchmark.storage.store import Explanation, Store
from serxai.keys import digest, rng
from serxai.methods.attribution import Attribution
from serxai.metrics.similarity import MEASURES

METHODS = ("saliency", "emolime", "energy", "random")
DURATION_S = 1.6


def write_run(path: Path, make_scores, make_run, corpus: str, model: str, loudest_band: int) -> Store:
    """A run whose maps are a bump at a band by emotion, moved by `loudest_band`, under noise with noise added."""
    scores = make_scores(speakers=7, clips=4, conditions=("clean", "noise-10db"))
    scores = scores[scores["method"].isin(METHODS) & scores["metric"].isin(["abpc", "consistency"])]
    # saliency and emolime beat energy
    better = (scores["method"] == "saliency") & (scores["metric"] == "abpc")
    scores = scores.assign(corpus=corpus, model=model, trained_on=corpus, value=scores["value"] + better)
    info = {
        "models": {f"{model} trained on {corpus}": {"recogniser": model}},
        "fingerprints": {f"{model} trained on {corpus}, fold 0": digest(corpus, model)},
    }
    store = make_run(path, scores, 1, **info)
    grid = scoring_grid(DURATION_S)
    found = {}
    named = scores.drop_duplicates(["method", "condition", "clip"])
    for row in named.to_dict("records"):
        own = rng("map", corpus, row["method"], row["clip"]).normal(size=grid.shape)
        band = 2 * (("anger", "happiness", "neutral", "sadness").index(row["emotion"]) + loudest_band + 3)
        own[band : band + 2] += 4
        if row["condition"] != "clean":
            own = own + rng("shift", row["method"], row["clip"]).normal(size=grid.shape)
        for repeat in (0, 1) if row["method"] == "random" and row["condition"] == "clean" else (0,):
            values = own if not repeat else rng("again", row["clip"]).normal(size=grid.shape)
            attribution = Attribution(values, grid, row["emotion"], row["method"])
            key = digest(corpus, model, row["method"], row["condition"], row["clip"], repeat)
            found[key] = Explanation(
                attribution, corpus, model, row["clip"], row["condition"], repeat, duration_s=DURATION_S
            )
    timing = {"model_calls": 3, "attempts": 1, "clips": {}, "explanations": {}}
    store.write_shard(store.info["shards"][0], scores.to_dict("records"), found, {}, timing)
    clips = scores.drop_duplicates("clip")
    write_clip_facts(path, [(corpus, clip, f"t{clip[-1]}", "f") for clip in clips["clip"]])
    return store


@pytest.fixture(scope="module")
def runs(tmp_path_factory, make_scores: Callable, make_run: Callable) -> list[str]:
    """Two corpora, each explained by two recognisers; corpora move the profile by a band, recognisers do not."""
    folder = tmp_path_factory.mktemp("runs")
    written = []
    for at, corpus in enumerate(("emodb", "ravdess")):
        for model in ("opensmile-svc", "embedding"):
            path = folder / f"{corpus}-{model}"
            write_run(path, make_scores, make_run, corpus, model, at)
            written.append(str(path))
    return written


def test_the_parsers_know_all_axes_and_measures():
    assert run_parsers.AXES == AXES and tuple(MEASURES) == run_parsers.MEASURES


def test_robustness_prints_and_writes_every_axis_that_the_runs_allow(runs, tmp_path: Path, capsys):
    assert main(["robustness", *runs[:2], "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "shift: emodb, embedding (emodb) / noise-10db" in told and "model: emodb" in told
    table = pd.read_csv(tmp_path / "out" / "robustness.csv")
    assert set(table["axis"]) == {"shift", "model", "seed"}
    shift = table[(table["axis"] == "shift") & (table["corpus"] == "emodb")].set_index(["model", "method"])
    assert shift.loc["embedding (emodb)", "saliency"]["score"] == pytest.approx(
        shift.loc["embedding (emodb)", "emolime"]["score"], abs=0.15
    )
    assert shift.loc[("embedding (emodb)", "random"), "note"]  # no score, and why
    assert set(shift[shift["ranked"]].index.get_level_values("method")) == {"saliency", "emolime"}
    clips = pd.read_csv(tmp_path / "out" / "robustness_clips.csv")
    assert {"similarity", "floor", "ceiling"} <= set(clips.columns)


def test_robustness_as_json_and_with_another_measure(runs, capsys):
    assert (
        main(["robustness", runs[0], "--axis", "shift", "--measure", "cosine", "--method", "saliency", "--json"]) == 0
    )
    (row,) = json.loads(capsys.readouterr().out)
    assert row["method"] == "saliency" and 0 < row["similarity"] < 1 and row["n_speakers"] == 7


def test_claims_find_what_was_put_into_the_maps(runs, tmp_path: Path, capsys):
    without_audio = ["--data-root", str(tmp_path)]
    assert main(["claims", *runs, "--method", "emolime", "--out", str(tmp_path / "out"), "--long", *without_audio]) == 0
    told = capsys.readouterr().out
    assert "EmoLIME 1: explanations are more alike across recognisers than across corpora" in told
    assert "56 clips (112 explanations), 14 speakers" in told  # two recognisers explain the 28 clips of each corpus
    for limit in LIMITS.values():
        assert "Fixed: " in limit and "Cannot be told" in limit
    assert LIMITS["EmoLIME 1"] in " ".join(told.split())
    assert "means:" in told and "exchanged labels p" in told and "p = 0.000" not in told and "p 0.000" not in told
    table = pd.read_csv(tmp_path / "out" / "claims.csv")
    first = table[(table["claim"] == "EmoLIME 1") & (table["method"] == "emolime")]
    assert len(first) == 4 and (first["verdict"] == "supported").all() and (first["low"] > 0).all()
    # bands above 2.5 kHz: sadness and neutral have theirs higher up than anger and happiness
    assert (table[table["claim"] == "EmoLIME 3"]["verdict"] == "contradicted").all()
    beyond = table[table["claim"].str.startswith("Beyond Saliency")]
    assert beyond["verdict"].tolist() == ["not testable"] and "needs the audio" in beyond["note"].iloc[0]
    summary = pd.read_csv(tmp_path / "out" / "claims_summary.csv").set_index(["claim", "method"])
    row = summary.loc[("EmoLIME 1", "emolime")]  # four readings of the same explanations, of which one is counted
    assert (row["settings"], row["supported"], row["not_counted"], row["together"]) == (1, 1, 3, "supported")
    published = table[table["method"] == "published weights"]
    assert published["p"].round(2).tolist()[0] == 0.09  # three corpora, all bands
    assert published["p"].round(2).tolist()[1] == 0.50  # without the lowest


def test_every_claim_says_what_is_fixed_and_what_cannot_be_told():
    assert set(LIMITS) == set(MEANING)


def test_a_verdict_that_a_blind_method_gets_too_is_marked():
    found = [
        Finding("EmoLIME 2", method, "emodb; cnn", f"{method}'s emotion", verdict=verdict, note="n")
        for method, verdict in (("emolime", "supported"), ("energy", "supported"), ("random", "undecided"))
    ]
    other = Finding("EmoLIME 2", "emolime", "ravdess; cnn", "", verdict="supported")
    marked, energy, random, alone = beside_blind([*found, other])
    assert marked.note == "n; the same for energy without asking the recogniser: cannot be told from the speech"
    assert (energy, random, alone) == (*found[1:], other)
    # what holds by construction counts as shown, whichever recognisers explained the corpora
    first = [
        Finding("EmoLIME 1", "emolime", "a, b; cnn, x", effect, 0.3, 0.1, 0.5, verdict="supported") for effect in "ef"
    ]
    blind = Finding("EmoLIME 1", "loud-quiet", "a, b; cnn, y", "e", 0.2, 0.1, 0.3, verdict="by construction")
    assert ["loud-quiet" in one.note for one in beside_blind([*first, blind])] == [True, False, False]
    undecided = replace(blind, low=-0.1)
    assert not any(one.note for one in beside_blind([*first, undecided]))


def test_the_answer_is_short_unless_every_finding_is_wanted(runs, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(corpus_axis, "SPLITS", 2)
    monkeypatch.setattr(corpus_axis.label_permutation, "__defaults__", (0, 20))
    corpus_axis._halves.cache_clear()
    given = ["claims", *runs, "--method", "emolime", "--method", "energy", "--data-root", str(tmp_path)]
    assert main(given) == 0
    corpus_axis._halves.cache_clear()
    short = " ".join(capsys.readouterr().out.split())
    assert "lime methods: emolime supported" in short and "means:" not in short and "Holm" not in short
    assert "baselines that ask no recogniser: energy by construction" in short
    assert "energy in 2 corpora: " in short and "--long shows each of the" in short
    assert all(f"{claim}: {meaning}" in short for claim, meaning in MEANING.items())


@pytest.mark.long
def test_the_leaderboard_has_the_axes_as_a_family(runs, tmp_path: Path):
    assert main(["leaderboard", *runs[:2], "--out", str(tmp_path / "board")]) == 0
    axes = pd.read_csv(tmp_path / "board" / "axes.csv")
    assert set(axes["axis"]) == {"shift", "model", "seed"} and axes["passes"].any()
    for page in ("leaderboard.md", "tables.html"):
        assert "Robustness: shift, recognisers, corpora" in (tmp_path / "board" / page).read_text()


def test_compare_looks_at_the_maps_of_every_run(runs, capsys):
    assert main(["compare", *runs, "--metric", "abpc", "--method", "saliency", "--method", "energy", "--json"]) == 0
    rows = pd.DataFrame(json.loads(capsys.readouterr().out))
    assert rows[["corpus", "model"]].drop_duplicates().shape[0] == 4 and (rows["n_explained"] == 28).all()


def test_agreement_of_several_runs_is_that_of_each(runs, tmp_path: Path, capsys):
    given = ["--method", "saliency", "--method", "energy"]
    both = ["--run", runs[0], "--run", runs[3], "--model", "embedding", "--corpus", "ravdess"]
    assert main(["figures", "agreement", *both, *given, "--out", str(tmp_path / "both")]) == 0
    table = pd.read_csv(tmp_path / "both" / "agreement.csv")
    settings = table[["corpus", "model"]].drop_duplicates().to_numpy().tolist()
    assert settings == [["ravdess", "embedding"], ["emodb", "opensmile-svc"]]  # the one that is drawn first
    assert main(["figures", "agreement", "--run", runs[0], *given, "--out", str(tmp_path / "one")]) == 0
    alone = pd.read_csv(tmp_path / "one" / "agreement.csv")
    pd.testing.assert_frame_equal(table[table["corpus"] == "emodb"].reset_index(drop=True), alone)
    assert set(alone["clips"]) == {28} and len(alone) == 3
    assert main(["figures", "agreement", *both[:4], "--corpus", "nemo", "--out", str(tmp_path / "none")]) == 2
    assert "emodb, ravdess" in capsys.readouterr().err


def test_one_recogniser_decides_nothing_about_recognisers(runs, tmp_path: Path, capsys):
    assert main(["claims", runs[0], "--method", "emolime", "--json", "--data-root", str(tmp_path)]) == 0
    found = [f for f in json.loads(capsys.readouterr().out) if f["claim"] == "EmoLIME 1" and f["method"] == "emolime"]
    assert [f["verdict"] for f in found] == ["not testable"] and "two corpora" in found[0]["note"]


def test_runs_of_earlier_versions_are_refused_with_what_to_do(tmp_path: Path, make_scores, make_run, capsys):
    make_run(tmp_path / "old", make_scores(speakers=6, clips=4).replace({"clip": {"s00c0": "clip-0"}}), 1)
    assert main(["robustness", str(tmp_path / "old"), "--partial"]) == 2
    assert "another folder" in capsys.readouterr().err


def test_an_unknown_method_is_refused_before_anything_is_read(runs, capsys):
    assert main(["claims", runs[0], "--method", "emolme"]) == 2
    assert "emolime" in capsys.readouterr().err
