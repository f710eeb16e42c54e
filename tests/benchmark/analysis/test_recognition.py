"""Recognition of the recognisers of runs: cards, explained clips, published numbers."""

from __future__ import annotations

import pandas as pd
import pytest

from serxai.benchmark.analysis.recognition import CARD, COLUMNS, EXPLAINED, published_recognition, recognition_table

CARD_OF_CNN = {
    "classes": ["anger", "sadness"],
    "corpus": {"name": "ravdess"},
    "folds": {"0": ["a", "b"], "1": ["c"]},
    "scores": {
        "pooled": {"uar": 0.7, "uar_interval": [0.6, 0.8], "accuracy": 0.75, "n": 40, "speakers": 3},
        "schemes": [
            {"scheme": "speaker-grouped", "kept": True, "folds": 2, "shared_speakers": 0, "uar": 0.7, "accuracy": 0.75,
             "uar_interval": [0.6, 0.8], "n": 40, "speakers": 3},
            {"scheme": "emobox", "kept": False, "folds": 6, "shared_speakers": 3, "uar": 0.8, "accuracy": 0.8,
             "uar_interval": None, "n": 40, "speakers": 3},
        ],
    },
}  # fmt: skip


def _rows(corpus: str, trained_on: str, hits: dict[str, tuple[int, int]], seen: str = "no") -> pd.DataFrame:
    rows = []
    for emotion, (right, wrong) in hits.items():
        other = "sadness" if emotion == "anger" else "anger"
        for i in range(right + wrong):
            rows += [
                {"corpus": corpus, "model": "cnn", "trained_on": trained_on, "seen_in_training": seen, "condition": c,
                 "clip": f"{emotion}-{i}", "speaker": f"s{i % 3}", "emotion": emotion, "correct": i < right,
                 "predicted": emotion if i < right and c == "clean" else other, "metric": m}
                for m in ("abpc", "gini") for c in ("clean", "noise-20db")
            ]  # fmt: skip
    return pd.DataFrame(rows)


def test_uar_of_cards_and_of_explained_clips() -> None:
    scores = pd.concat(
        [
            _rows("ravdess", "ravdess", {"anger": (3, 1), "sadness": (1, 1)}),
            _rows("tess", "ravdess", {"anger": (2, 0), "sadness": (2, 2)}, "unknown"),
        ]
    )
    info = {"models": {"cnn trained on ravdess": CARD_OF_CNN}}
    found = recognition_table(scores, [info, info, {"models": {"python:x trained on ": {"classes": ["anger"]}}}])
    assert list(found) == COLUMNS
    cards = found[found["source"] == CARD].set_index("folds")
    assert cards.loc["folds of whole speakers", ["uar", "low", "high", "n_clips"]].tolist() == [0.7, 0.6, 0.8, 40]
    assert cards["n_folds"].tolist() == [2, 6] and cards["speakers_shared"].tolist() == [0, 3]  # each once
    assert pd.isna(cards["low"].iloc[1]) and set(cards["corpus"]) == {"ravdess"}
    explained = found[found["source"] == EXPLAINED].set_index("corpus")
    assert explained.loc["ravdess", "uar"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert explained.loc["tess", "uar"] == pytest.approx((1 + 1 / 2) / 2)
    assert explained.loc["ravdess", "accuracy"] == pytest.approx(4 / 6)
    assert explained["n_clips"].tolist() == [6, 6] and explained["n_speakers"].tolist() == [3, 3]
    assert explained.loc["tess", "folds"].startswith("another corpus")
    published = found[~found["source"].isin([CARD, EXPLAINED])]
    assert set(published["corpus"]) == {"ravdess"} and len(published) == 3


def test_published_numbers_name_their_source_and_division() -> None:
    table = published_recognition()
    assert table["uar"].between(0, 1).all() and table[["source", "folds", "model"]].ne("").all(axis=None)
    assert (table["low"].isna() | (table["low"].lt(table["uar"]) & table["uar"].lt(table["high"]))).all()
    assert not table.duplicated(["source", "corpus", "model", "folds"]).any()
