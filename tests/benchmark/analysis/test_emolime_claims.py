"""Which explanations EmoLIME's first claim is decided on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.band_table import BANDS, COLUMNS
from serxai.benchmark.analysis.claims import across_models_and_corpora, deciding_explanations

pytestmark = pytest.mark.usefixtures("few_draws")

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
NUMBERS = ["estimate", "low", "high", "p", "n_clips", "n_speakers", "verdict"]


def bands(corpus: str, model: str, speakers: int = 8, trained_on: str = "", seed: int = 0) -> pd.DataFrame:
    """Explanations whose profile is of the emotion and the corpus, not of the recogniser."""
    rng = np.random.default_rng([seed, len(model)])
    of_place = {e: np.random.default_rng([sum(map(ord, corpus + e))]).standard_normal(8) for e in EMOTIONS}
    rows = [
        {name: "" for name in COLUMNS}
        | {"corpus": corpus, "model": model, "trained_on": trained_on or corpus, "method": "emolime", "target": emotion,
           "clip": f"{corpus}-{s}-{emotion}", "speaker": f"s{s}", "emotion": emotion, "predicted": emotion}
        | dict(zip(BANDS, of_place[emotion] + 0.5 * rng.standard_normal(8), strict=True))
        for s in range(speakers)
        for emotion in EMOTIONS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def decided(*parts: pd.DataFrame) -> tuple[list[tuple], str]:
    found = list(across_models_and_corpora(pd.concat(parts, ignore_index=True), "emolime"))
    return [tuple(getattr(one, name) for name in NUMBERS) for one in found], found[0].note


@pytest.fixture
def recorded() -> list[pd.DataFrame]:
    return [bands(c, m) for c in ("emodb", "ravdess") for m in ("embedding", "opensmile-svc")]


def test_two_speakers_made_speech_and_borrowed_weights_do_not_decide(recorded: list[pd.DataFrame]):
    numbers, note = decided(*recorded)
    assert [row[-1] for row in numbers] == ["supported"] * 4 and "left out" not in note
    two = [bands("tess", m, speakers=2) for m in ("embedding", "opensmile-svc")]
    made = [bands(c, m) for c in ("planted", "planted-emodb") for m in ("embedding", "opensmile-svc")]
    borrowed = [bands("ravdess", "cnn", trained_on="emodb")]
    own = bands("emodb", "cnn")
    for more, told in (
        (two, "tess (fewer than 6 speakers)"),
        (made, "planted, planted-emodb (synthesised or edited speech)"),
        ([own, *borrowed], "cnn on ravdess (trained on another corpus)"),
    ):
        without = [own] if more[0] is own else []
        expected, _ = decided(*recorded, *without)
        found, note = decided(*recorded, *more)
        assert [tuple(map(str, row)) for row in found] == [tuple(map(str, row)) for row in expected]
        assert f"left out: {told}" in note
    _, note = decided(*recorded, *two, *made, own, *borrowed)
    assert note.count("; ") >= 2 and all(name in note for name in ("tess", "planted-emodb", "cnn on ravdess"))


def test_what_alone_can_be_compared_is_kept(recorded: list[pd.DataFrame]):
    table = pd.concat([*recorded[:2], *(bands("tess", m, speakers=2) for m in ("embedding", "opensmile-svc"))])
    kept, left_out = deciding_explanations(table)
    assert len(kept) == len(table) and left_out == []
    numbers, _ = decided(table)
    assert {row[-1] for row in numbers} == {"described only"}
    planted = [bands(c, m) for c in ("planted", "planted-hard") for m in ("cnn", "embedding")]
    assert deciding_explanations(pd.concat(planted))[1] == []
