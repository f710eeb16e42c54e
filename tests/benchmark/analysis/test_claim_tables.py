"""Claims are decided from tables alone; explanations are read once, and only where they are needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.audio import scoring_grid
from serxai.benchmark.analysis.axis_rows import axis_tables
from serxai.benchmark.analysis.band_table import BANDS
from serxai.benchmark.analysis.band_table import COLUMNS as BAND_COLUMNS
from serxai.benchmark.analysis.claim_tables import (
    ClaimTables,
    decide,
    derive_and_join,
    derive_tables,
    joined_tables,
)
from serxai.benchmark.analysis.salient_cues import COLUMNS as CUE_COLUMNS
from serxai.benchmark.analysis.salient_cues import Voices
from serxai.benchmark.analysis.stored_maps import found_maps
from serxai.benchmark.cli.main import main
from serxai.benchmark.run import neutral
from serxai.benchmark.storage import explanations
from serxai.benchmark.storage.clip_facts import write_clip_facts
from serxai.benchmark.storage.store import Explanation, Store
from serxai.cues.records import REGION_CUES
from serxai.datasets.corpora import load_corpus
from serxai.keys import digest, rng
from serxai.methods.attribution import Attribution
from serxai.metrics.similarity import band_profile

pytestmark = pytest.mark.usefixtures("few_draws")

DURATION_S = 1.6
METHODS = ("saliency", "energy", "random")


def write_run(
    path: Path,
    make_scores: Callable,
    make_run: Callable,
    corpus: str,
    model: str,
    conditions: tuple[str, ...] = ("clean",),
) -> Store:
    """A run of three methods; `random` is repeated where a condition is shifted."""
    scores = make_scores(speakers=7, clips=4, conditions=conditions)
    scores = scores[scores["method"].isin(METHODS) & scores["metric"].isin(["abpc", "consistency"])]
    scores = scores.assign(corpus=corpus, model=model, trained_on=corpus)
    title = f"{model} trained on {corpus}"
    store = make_run(
        path, scores, 1, models={title: {"recogniser": model}},
        fingerprints={f"{title}, fold 0": digest(corpus, model)},
    )  # fmt: skip
    grid, found = scoring_grid(DURATION_S), {}
    for row in scores.drop_duplicates(["method", "condition", "clip"]).to_dict("records"):
        again = row["method"] == "random" and row["condition"] == "clean" and len(conditions) > 1
        for repeat in range(1 + again):
            place = corpus, model, row["method"], row["condition"], row["clip"], repeat
            attribution = Attribution(rng(*place).normal(size=grid.shape), grid, row["emotion"], row["method"])
            found[digest(*place)] = Explanation(
                attribution, corpus, model, row["clip"], row["condition"], repeat, duration_s=DURATION_S
            )
    timing = {"model_calls": 3, "attempts": 1, "clips": {}, "explanations": {}}
    store.write_shard(store.info["shards"][0], scores.to_dict("records"), found, {}, timing)
    write_clip_facts(path, [(corpus, clip, f"t{clip[-1]}", "f") for clip in scores["clip"].unique()])
    return store


@pytest.fixture(scope="module")
def stores(tmp_path_factory, make_scores: Callable, make_run: Callable) -> list[Store]:
    """Three corpora by two recognisers each."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        write_run(folder / f"{corpus}-{model}", make_scores, make_run, corpus, model)
        for corpus in ("emodb", "ravdess", "nemo")
        for model in ("cnn", "embedding")
    ]


@pytest.fixture
def read(monkeypatch) -> Counter:
    """How often the values of each explanation were read, by file and key."""
    counts: Counter = Counter()
    own = explanations._explanation

    def counting(archive, key, meta):
        counts[archive.filename, key] += 1
        return own(archive, key, meta)

    monkeypatch.setattr(explanations, "_explanation", counting)
    return counts


def cues_like(bands: pd.DataFrame) -> pd.DataFrame:
    """A table of cues for the explanations of a table of bands, as if their audio had been measured."""
    draw = np.random.default_rng(len(bands))
    table = bands.drop(columns=BANDS).assign(n_windows=5)
    for name in CUE_COLUMNS[table.shape[1] :]:
        table[name] = np.where(draw.random(len(table)) < 0.05, np.nan, draw.normal(size=len(table)))
    return table[CUE_COLUMNS]


def findings(tables: ClaimTables) -> pd.DataFrame:
    return pd.DataFrame([asdict(one) for one in decide(tables)])


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Findings are equal, but for the order in which numbers are summed."""
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)


# -- derive, then decide -----------------------------------------------------------------------------------------------


def test_bands_of_each_explanation_by_hand(stores: list[Store], tmp_path: Path):
    tables = derive_tables(stores[0], ["saliency"], Voices(tmp_path))
    maps = {one.clip: one.read() for one in found_maps(stores[:1], ["saliency"])}
    assert len(tables.bands) == len(maps) == 28 and list(tables.bands) == BAND_COLUMNS
    for row in tables.bands.to_dict("records"):
        profile = band_profile(maps[row["clip"]].values)
        assert [row[name] for name in BANDS] == pytest.approx((profile / np.abs(profile).sum()).tolist())
        assert (row["speaker"], row["sentence"]) == (row["clip"][:3], f"t{row['clip'][-1]}")
    assert tables.cues.empty and "emodb" in tables.lacking  # no audio there


def test_a_run_given_twice_counts_once(stores: list[Store], tmp_path: Path):
    given = stores[:2], [*stores[:2], stores[0]]
    once, twice = (derive_and_join(runs, ["saliency"], Voices(tmp_path)) for runs in given)
    by = ["model", "clip"]
    same(*(t.bands.sort_values(by).reset_index(drop=True) for t in (once, twice)))


def test_one_more_corpus_grows_the_table_and_without_it_all_is_as_before(stores: list[Store], tmp_path: Path):
    """Claims can be retracted: nothing is kept but what the runs at hold say."""
    voices = Voices(tmp_path)
    tables = [derive_tables(store, ["saliency"], voices) for store in stores]
    tables = [t._replace(cues=cues_like(t.bands), lacking="") for t in tables]
    infos = [store.info for store in stores]
    two, three, again = (findings(joined_tables(infos[:n], tables[:n])) for n in (4, 6, 4))
    pd.testing.assert_frame_equal(two, again)
    assert len(three) > len(two)
    first = [t[(t["claim"] == "EmoLIME 1") & (t["method"] == "saliency")] for t in (two, three)]
    assert [set(t["setting"]) for t in first] == [
        {"emodb, ravdess; cnn, embedding"}, {"emodb, nemo, ravdess; cnn, embedding"},
    ]  # fmt: skip
    assert [set(t["n_clips"]) for t in first] == [{56}, {84}]
    assert [set(t["n_explanations"]) for t in first] == [{112}, {168}]
    # what is said of one corpus and recogniser does not depend on the others
    single = two[~two["setting"].str.startswith("all: ") & ~two["setting"].str.contains("; cnn, ")]
    place = ["claim", "setting", "effect"]
    assert len(single) > 20
    after = single[place].merge(three, "left", place)
    same(single.reset_index(drop=True)[list(after)], after)


# -- reads -------------------------------------------------------------------------------------------------------------


def test_claims_read_each_explanation_once(tmp_path: Path, make_scores, make_run, read: Counter):
    store = write_run(tmp_path / "run", make_scores, make_run, "emodb", "cnn", ("clean", "noise-10db"))
    derive_tables(store, ["saliency", "random"], Voices(tmp_path))
    assert len(read) == 2 * 28 and set(read.values()) == {1}  # neither energy, nor noise, nor repeats


def test_axes_read_nothing_where_nothing_can_be_compared(stores: list[Store], read: Counter):
    tables = axis_tables(found_maps(stores[:1]))
    assert not read and tables.rows.empty and tables.bands.empty
    one_kind = axis_tables(found_maps([stores[0], stores[2]]))
    assert len(read) == 2 * 3 * 28 == len(one_kind.bands) and one_kind.rows.empty  # corpora alone


def test_axes_read_what_they_compare_once(tmp_path: Path, make_scores, make_run, read: Counter):
    store = write_run(tmp_path / "run", make_scores, make_run, "emodb", "cnn", ("clean", "noise-10db"))
    found = found_maps([store])
    assert len(found) == 7 * 28 and not read
    rows = axis_tables(found).rows
    assert len(read) == 7 * 28 and set(read.values()) == {1} and set(rows["axis"]) == {"shift", "seed"}
    read.clear()
    rows = axis_tables(found, axes=["seed"]).rows
    assert len(read) == 2 * 28 and set(rows["axis"]) == {"seed"}  # random and its repeats


@pytest.mark.long
def test_a_board_of_one_recogniser_reads_the_clips_that_it_shows(stores: list[Store], tmp_path: Path, read: Counter):
    assert main(["leaderboard", str(stores[0].path), "--clips", "2", "--out", str(tmp_path / "board")]) == 0
    assert len(read) == 2 * len(METHODS) and set(read.values()) == {1}


# -- figures and claims ------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_figure_and_claim_show_the_same_numbers(tmp_path: Path, make_scores, make_run, monkeypatch):
    monkeypatch.setattr(neutral, "MAX_CLIPS", 3)
    corpus = load_corpus("planted")
    angry = corpus.table[corpus.table["emotion"] == "anger"]
    speaker = angry["speaker"].iloc[0]
    clips = angry.index[angry["speaker"] == speaker][:2].tolist()
    scores = make_scores(speakers=1, clips=2, conditions=("clean",))
    scores = scores[scores["method"].eq("saliency") & scores["metric"].eq("abpc")]
    names = dict(zip(sorted(scores["clip"].unique()), clips, strict=True))
    told = {"emotion": "anger", "predicted": "anger", "target": "anger", "speaker": speaker}
    scores = scores.assign(clip=scores["clip"].map(names), **told)
    store = make_run(tmp_path / "run", scores, 1)
    found = {}
    for clip in clips:
        duration = corpus.clip(clip).duration_s
        grid = scoring_grid(duration)
        attribution = Attribution(rng("map", clip).normal(size=grid.shape), grid, "anger", "saliency")
        found[digest(clip)] = Explanation(attribution, "planted", "cnn", clip, "clean", 0, duration_s=duration)
    timing = {"model_calls": 3, "attempts": 1, "clips": {}, "explanations": {}}
    store.write_shard(store.info["shards"][0], scores.to_dict("records"), found, {}, timing)
    run, out = str(store.path), tmp_path / "out"
    assert main(["claims", run, "--out", str(out / "claims")]) == 0
    for name in ("beyond-saliency-cues", "beyond-saliency-corpus", "beyond-saliency-windows"):
        assert main(["figures", name, "--run", run, "--method", "saliency", "--out", str(out)]) == 0
    claimed = pd.read_csv(out / "claims" / "salient_cues.csv")
    assert len(claimed) == 2
    figures = {name: pd.read_csv(out / f"beyond-saliency-{name}.csv") for name in ("cues", "corpus", "windows")}
    for name, group, where in (
        ("cues", "correct prediction", "salient"), ("cues", "random windows", "random"),
        ("corpus", "salient windows", "salient"), ("corpus", "rest of the clip", "rest"),
    ):  # fmt: skip
        drawn = figures[name].loc[figures[name]["group"] == group].set_index("cue")["z"]
        expected = claimed[[f"{where} {cue}" for cue in REGION_CUES]].mean().to_numpy()
        assert np.isfinite(expected).sum() > 5
        np.testing.assert_allclose(drawn.reindex(REGION_CUES), expected, rtol=1e-6)
    windows = figures["windows"].query("rank > 0").groupby("clip").size()
    assert windows.to_dict() == claimed[claimed["clip"].isin(windows.index)].set_index("clip")["n_windows"].to_dict()
