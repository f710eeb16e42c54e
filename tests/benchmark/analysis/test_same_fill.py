"""Several runs explained one clip against several fills: what is compared is against one."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serxai.audio import scoring_grid
from serxai.benchmark.analysis.axis_rows import axis_tables
from serxai.benchmark.analysis.band_table import AGAINST, BANDS
from serxai.benchmark.analysis.band_table import COLUMNS as BAND_COLUMNS
from serxai.benchmark.analysis.claim_tables import derive_and_join
from serxai.benchmark.analysis.claims import across_models_and_corpora
from serxai.benchmark.analysis.profile_maps import profile_map
from serxai.benchmark.analysis.same_fill import against_one_fill, fill_order, of_other_fills, rows_against_one_fill
from serxai.benchmark.analysis.stored_maps import found_maps
from serxai.benchmark.storage.clip_facts import write_clip_facts
from serxai.benchmark.storage.store import Explanation, Store
from serxai.keys import digest, rng
from serxai.methods.attribution import Attribution

METHOD = "occlusion"
FILLS = ("attenuate", "noise", "spectral-mean")


def by_hand(settings: list[tuple[str, str, str, str]]) -> set[tuple[str, str, str, str]]:
    """The rule word by word: of each setting the fill that most settings of the method have."""
    distinct = set(settings)
    kept = set()
    for corpus, recogniser, method, against in distinct:
        own = {s[3] for s in distinct if s[:3] == (corpus, recogniser, method)}
        shared = {fill: sum(s[2:] == (method, fill) for s in distinct) for fill in own}
        most = max(shared.values())
        if against == next(fill for fill in (*FILLS, "none") if shared.get(fill) == most):
            kept.add((corpus, recogniser, method, against))
    return kept


@pytest.mark.parametrize("seed", range(40))
def test_each_setting_is_shown_by_the_fill_that_most_settings_share(seed: int):
    draw = np.random.default_rng(seed)
    settings = [
        (corpus, recogniser, method, str(fill))
        for corpus, recogniser, method in itertools.product(("emodb", "nemo"), ("cnn", "embedding"), ("a", "b"))
        for fill in draw.choice([*FILLS, "none"], draw.integers(1, 4), replace=False)
        for _ in range(draw.integers(1, 3))
    ]
    table = pd.DataFrame(settings, columns=["corpus", "model", "method", AGAINST]).assign(trained_on="")
    expected = by_hand(settings)
    for shuffled in (table, table.sample(frac=1, random_state=seed)):  # the order of the runs decides nothing
        kept = rows_against_one_fill(shuffled)
        assert set(kept[["corpus", "model", "method", AGAINST]].itertuples(index=False, name=None)) == expected
        counts = Counter(settings)
        assert len(kept) == sum(counts[place] for place in expected)
    order = fill_order(settings)
    others = of_other_fills(table)
    assert others.tolist() == [order[method, fill] > 0 for _, _, method, fill in settings]


# -- runs --------------------------------------------------------------------------------------------------------------


def write_run(path: Path, make_scores: Callable, make_run: Callable, corpus: str, model: str, fill: str) -> Store:
    """A run of one method whose maps are of the corpus, the clip and the fill, and not of the recogniser."""
    scores = make_scores(speakers=7, clips=4, conditions=("clean",))
    scores = scores[(scores["method"] == scores["method"].iloc[0]) & (scores["metric"] == "abpc")]
    scores = scores.assign(
        corpus=corpus, model=model, trained_on=corpus, method=METHOD, fill=fill, explained_against=fill
    )
    title = f"{model} trained on {corpus}"
    store = make_run(
        path, scores, 1, models={title: {"recogniser": model}}, fingerprints={f"{title}, fold 0": digest(corpus, model)}
    )
    grid, found = scoring_grid(1.6), {}
    for row in scores.drop_duplicates(["clip"]).to_dict("records"):
        values = rng(corpus, row["clip"], fill).normal(size=grid.shape)
        attribution = Attribution(values, grid, row["emotion"], METHOD)
        place = digest(corpus, model, row["clip"], fill)
        found[place] = Explanation(attribution, corpus, model, row["clip"], "clean", 0, fill, duration_s=1.6)
    timing = {"model_calls": 3, "attempts": 1, "clips": {}, "explanations": {}}
    store.write_shard(store.info["shards"][0], scores.to_dict("records"), found, {}, timing)
    write_clip_facts(path, [(corpus, clip, f"t{clip[-1]}", "f") for clip in scores["clip"].unique()])
    return store


@pytest.fixture(scope="module")
def runs(tmp_path_factory, make_scores: Callable, make_run: Callable) -> dict[tuple[str, str, str], Store]:
    """Two corpora by two recognisers; the embedding is explained against another fill, on emodb against both."""
    folder = tmp_path_factory.mktemp("fills")
    places = [
        ("emodb", "cnn", "noise"), ("nemo", "cnn", "noise"), ("emodb", "embedding", "attenuate"),
        ("nemo", "embedding", "attenuate"), ("emodb", "embedding", "noise"),
    ]  # fmt: skip
    return {place: write_run(folder / "-".join(place), make_scores, make_run, *place) for place in places}


def test_recognisers_are_compared_against_one_fill_only(runs: dict[tuple[str, str, str], Store]):
    apart = [runs["emodb", "cnn", "noise"], runs["emodb", "embedding", "attenuate"]]
    assert axis_tables(found_maps(apart)).rows.empty
    for stores in ([*apart, runs["emodb", "embedding", "noise"]], [runs["emodb", "embedding", "noise"], *apart]):
        rows = axis_tables(found_maps(stores)).rows
        assert set(rows["axis"]) == {"model"} and len(rows) == 28
        assert (rows["similarity"] > 0.999).all()  # maps against two fills of one clip are not alike
    every = found_maps(list(runs.values()))
    assert len(every) == 5 * 28
    kept = against_one_fill(every)
    assert Counter((one.corpus, one.model, one.against) for one in kept) == {
        ("emodb", "cnn", "noise"): 28, ("nemo", "cnn", "noise"): 28, ("emodb", "embedding", "noise"): 28,
        ("nemo", "embedding", "attenuate"): 28,
    }  # fmt: skip


def test_tables_of_claims_hold_one_fill_a_setting_whatever_the_order(runs: dict[tuple[str, str, str], Store]):
    for stores in (list(runs.values()), list(runs.values())[::-1]):
        bands = derive_and_join(stores).bands
        assert bands.groupby(["corpus", "model", AGAINST]).size().to_dict() == {
            ("emodb", "cnn", "noise"): 28, ("emodb", "embedding", "noise"): 28, ("nemo", "cnn", "noise"): 28,
            ("nemo", "embedding", "attenuate"): 28,
        }  # fmt: skip


# -- profiles ----------------------------------------------------------------------------------------------------------


def bands(corpus: str, model: str, fill: str) -> pd.DataFrame:
    """Profiles of the emotion and the fill; a recogniser that is explained against another fill looks unlike."""
    draw = np.random.default_rng(7)
    of_fill = {e: np.random.default_rng([len(fill), len(e)]).standard_normal(8) for e in ("anger", "sadness", "fear")}
    rows = [
        dict.fromkeys(BAND_COLUMNS, "")
        | {"corpus": corpus, "model": model, "trained_on": corpus, "method": METHOD, "clip": f"{corpus}-{s}-{e}",
           "target": e, "speaker": f"s{s}", "emotion": e, "predicted": e, AGAINST: fill}
        | dict(zip(BANDS, profile + 0.1 * draw.standard_normal(8), strict=True))
        for s in range(8)
        for e, profile in of_fill.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.usefixtures("few_draws")
def test_claim_1_and_heat_maps_leave_another_fill_out():
    same = pd.concat([bands(c, m, "noise") for c in ("emodb", "nemo") for m in ("cnn", "embedding")])
    other = bands("emodb", "opensmile-svc", "attenuate")
    alone, beside = (
        next(iter(across_models_and_corpora(table.reset_index(drop=True), METHOD)))
        for table in (same, pd.concat([same, other]))
    )
    assert (alone.estimate, alone.n_explanations) == (beside.estimate, beside.n_explanations)
    assert "explained against noise" in alone.note and "left out" not in alone.note
    assert "left out: opensmile-svc on emodb (explained against another fill)" in beside.note
    table = profile_map(pd.concat([same, other], ignore_index=True), METHOD)
    table = table[(table["axis"] == "recognisers") & (table["bands"] == "8 bands")].set_index(["one", "other"])
    assert table.loc[("cnn", "embedding"), "correlation"] > 0.9
    apart = table.loc[("cnn", "opensmile-svc")]
    assert np.isnan(apart["correlation"]) and apart["n_pairs"] == 0
    assert table.loc[("opensmile-svc", "opensmile-svc"), "correlation"] > 0.9
