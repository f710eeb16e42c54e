"""Folds: no speaker twice, none left out, whatever the order of the rows, and as even as speakers allow."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serxai.datasets.folds import Folds, speaker_folds
from serxai.errors import InputError

EMOTIONS = ["anger", "happiness", "neutral", "sadness"]


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Two to fourteen speakers, each of one sex, with any number of clips of any emotions (at least one)."""
    rows = []
    for i in range(draw(st.integers(2, 14))):
        sex = draw(st.sampled_from(["female", "male"]))
        spoken = draw(st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=12))
        rows += [{"speaker": f"s{i}", "sex": sex, "emotion": emotion} for emotion in spoken]
    return pd.DataFrame(rows)


def balanced_table(speakers: int, clips: int = 2) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"speaker": f"s{i:02d}", "sex": ("female", "male")[i % 2], "emotion": emotion}
            for i in range(speakers)
            for emotion in EMOTIONS
            for _ in range(clips)
        ]
    )


def unevenness(table: pd.DataFrame, fold_of: dict[str, int], n: int) -> float:
    """Squared deviations over expectation of clips, emotions and sexes, as shares; counted one by one."""
    clips = list(zip(table["speaker"], table["emotion"], strict=True))
    people = list({(speaker, sex) for speaker, sex in zip(table["speaker"], table["sex"], strict=True)})
    kinds = [(len(clips), [speaker for speaker, _ in clips])]
    kinds += [(len(clips), [speaker for speaker, e in clips if e == emotion]) for emotion in set(table["emotion"])]
    kinds += [(len(people), [speaker for speaker, s in people if s == sex]) for sex in set(table["sex"])]
    total = 0.0
    for population, speakers in kinds:
        held_out = Counter(fold_of[speaker] for speaker in speakers)
        expected = len(speakers) / n
        total += sum((held_out[k] - expected) ** 2 for k in range(n)) / expected / population
    return total


@settings(deadline=None)
@given(tables(), st.integers(2, 7), st.randoms(use_true_random=False))
def test_folds_are_disjoint_cover_all_and_ignore_the_order_of_rows(table, n, random) -> None:
    folds = speaker_folds(table, n)
    held_out = [speaker for names in folds.speakers.values() for speaker in names]
    assert sorted(held_out) == sorted(set(table["speaker"]))  # each exactly once
    speakers = len(held_out)
    assert list(folds.speakers) == [str(k) for k in range(min(n, speakers))]
    sizes = [len(names) for names in folds.speakers.values()]
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1
    assert all(speaker in folds.speakers[folds.fold_of(speaker)] for speaker in held_out)

    rows = list(table.index)
    random.shuffle(rows)
    shuffled = speaker_folds(table.loc[rows], n)
    assert shuffled == folds and shuffled.digest == folds.digest


@settings(max_examples=40, deadline=None)
@given(tables(), st.integers(2, 5))
def test_no_exchange_of_two_speakers_makes_folds_more_even(table, n) -> None:
    folds = speaker_folds(table, n)
    n = len(folds.speakers)
    fold_of = {speaker: int(folds.fold_of(speaker)) for speaker in set(table["speaker"])}
    least = unevenness(table, fold_of, n)
    for a, b in combinations(sorted(fold_of), 2):
        exchanged = fold_of | {a: fold_of[b], b: fold_of[a]}
        assert unevenness(table, exchanged, n) > least - 1e-6


def test_folds_are_more_even_than_random_ones() -> None:
    generator = np.random.default_rng(0)
    for trial in range(5):
        table = pd.DataFrame(
            [
                {"speaker": f"{trial}-{i}", "sex": generator.choice(["f", "m"]) if k == 0 else "", "emotion": emotion}
                for i in range(12)
                for k, emotion in enumerate(generator.choice(EMOTIONS, generator.integers(5, 40)))
            ]
        )
        table["sex"] = table.groupby("speaker")["sex"].transform("first")
        folds = speaker_folds(table, 4)
        found = unevenness(table, {s: int(folds.fold_of(s)) for s in set(table["speaker"])}, 4)
        names = sorted(set(table["speaker"]))
        chance = [
            unevenness(table, dict(zip(names, generator.permutation(np.arange(12) % 4).tolist(), strict=True)), 4)
            for _ in range(40)
        ]
        assert found < min(chance)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_a_balanced_corpus_gets_perfectly_balanced_folds(n: int) -> None:
    table = balanced_table(16)
    folds = speaker_folds(table, n)
    table["fold"] = table["speaker"].map(folds.fold_of)
    assert (pd.crosstab(table["fold"], table["emotion"]) == 2 * 16 // n).all().all()
    assert (pd.crosstab(table["fold"], table["sex"]) == 64 // n).all().all()


def test_speakers_without_anything_in_common_still_fill_all_folds() -> None:
    table = pd.DataFrame({"speaker": ["a", "b"], "sex": ["female", "male"], "emotion": ["anger", "sadness"]})
    assert sorted(speaker_folds(table, 2).speakers.values()) == [("a",), ("b",)]


@pytest.mark.parametrize("n", [5, 6, 100])
def test_more_folds_than_speakers_leave_one_speaker_out(n: int) -> None:
    folds = speaker_folds(balanced_table(5), n)
    assert sorted(folds.speakers.values()) == [(f"s{i:02d}",) for i in range(5)]


@pytest.mark.parametrize(("speakers", "n"), [(1, 5), (6, 1), (6, 0), (6, -1)])
def test_fewer_than_two_folds_or_speakers_are_refused(speakers: int, n: int) -> None:
    with pytest.raises(InputError, match=f"got {n} folds and {speakers} speakers"):
        speaker_folds(balanced_table(speakers), n)


def test_ninety_speakers_are_dealt_out_quickly_and_evenly() -> None:
    folds = speaker_folds(balanced_table(91), 5)
    assert sorted(len(names) for names in folds.speakers.values()) == [18, 18, 18, 18, 19]


def test_an_unknown_speaker_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="no fold holds out speaker 'z'; the folds cover a, b"):
        Folds({"0": ("a",), "1": ("b",)}).fold_of("z")


@pytest.mark.parametrize("bad", [{}, {"0": ("a",), "1": ()}, {"0": ("a", "a")}, {"0": ("a",), "1": ("b", "a")}])
def test_folds_hold_out_each_speaker_once(bad: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(InputError, match="exactly once"):
        Folds(bad)


def test_the_digest_tells_who_is_held_out_where() -> None:
    folds = Folds({"0": ("a", "b"), "1": ("c",)})
    assert folds.digest == Folds({"1": ("c",), "0": ("b", "a")}).digest
    assert folds.digest != Folds({"0": ("a", "c"), "1": ("b",)}).digest


def test_saved_folds_are_read_again(tmp_path: Path) -> None:
    folds = speaker_folds(balanced_table(7), 3)
    folds.save(tmp_path / "folds.json")
    assert Folds.load(str(tmp_path / "folds.json")) == folds


def test_edited_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    speaker_folds(balanced_table(6), 3).save(path)
    content = json.loads(path.read_text())
    names = content["speakers"]
    names["0"], names["1"] = names["1"], names["0"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="was edited"):
        Folds.load(path)
    for damaged in (
        '{"speakers": {"0": ["a"]',
        "[1, 2]",
        "{}",
        '{"speakers": 3, "digest": ""}',
        '{"speakers": {"0": 1}}',
    ):
        path.write_text(damaged)
        with pytest.raises(InputError, match="not a file of folds"):
            Folds.load(path)
    with pytest.raises(InputError, match="not a file of folds"):
        Folds.load(tmp_path / "missing.json")
