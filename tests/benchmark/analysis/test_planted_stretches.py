"""Reliance on the planted stretch: recognisers of which it is known what they listen to."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from serxai.audio import SAMPLE_RATE
from serxai.benchmark.analysis.planted_stretches import chosen_stretches, fall_table, falls, replaced, shortcuts
from serxai.benchmark.cli.corpus_planted import (
    CORPUS,
    ENOUGH_UAR,
    FOUND,
    Reliance,
    corpus_requirements,
    markdown,
    recogniser_requirements,
)
from serxai.benchmark.cli.main import main
from serxai.datasets.clip import Clip, Plant, Word
from serxai.datasets.planted.edits import crossfade_weight
from serxai.datasets.planted.truth import CROSSFADE_S

TARGETS = (Word("anger", 0.2, 0.35), Word("anger", 0.5, 0.75))
SHAMS = (Word("sham", 0.9, 1.0), Word("sham", 1.1, 1.33))
DISTRACTOR = (Word("gain", 1.5, 1.7),)
SECONDS = 2.0


class _Corpus:
    """Noise of 8 speakers, louder in an emotional clip's targets and in every distractor; shams have other noise."""

    name = "planted-emodb"

    def __init__(self, sentences: int = 6) -> None:
        rows = {
            f"{speaker}-{sentence}-{emotion}": ("x", emotion, str(speaker), "male", f"a{sentence}")
            for speaker in range(8)
            for sentence in range(sentences)
            for emotion in ("anger", "neutral")
        }
        columns = ["file", "emotion", "speaker", "sex", "sentence"]
        self.table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    def prepare(self, names: list[str]) -> None:
        """Nothing is rendered."""

    def recording(self, name: str) -> np.ndarray:
        generator = np.random.default_rng([int(number) for number in name.split("-")[:2]])  # whatever the emotion
        return 0.05 * generator.standard_normal(round(SECONDS * SAMPLE_RATE)).astype(np.float32)

    def clip(self, name: str) -> Clip:
        row = self.table.loc[name]
        twin = self.recording(name)
        twin += crossfade_weight(twin.size, DISTRACTOR) * twin
        sham = 0.05 * np.random.default_rng(1).standard_normal(twin.size)
        twin = (twin + crossfade_weight(twin.size, SHAMS) * (sham - twin)).astype(np.float32)
        samples = (twin + crossfade_weight(twin.size, TARGETS) * twin).astype(np.float32)
        plant = Plant(twin, TARGETS if row["emotion"] == "anger" else ())
        return Clip(name, samples if plant.words else twin, row["emotion"], row["speaker"], "male", row["sentence"],
                    plant=plant)  # fmt: skip

    def stretches(self, name: str) -> dict[str, tuple[Word, ...]]:
        return {"target": TARGETS, "sham": SHAMS, "distractor": DISTRACTOR}


class _Models:
    """One model, whose log-odds of anger are 10 times the mean level in dB of some stretches."""

    folds = SimpleNamespace(speakers={"0": ("0",)})

    def __init__(self, heard: tuple[Word, ...]) -> None:
        self._heard = heard

    def fold_for(self, corpus: str, speaker: str) -> str:
        return "0"

    def recogniser(self, fold: str) -> SimpleNamespace:
        def log_odds(waveforms: np.ndarray) -> np.ndarray:
            inside = crossfade_weight(waveforms.shape[1], self._heard) if self._heard else np.zeros(waveforms.shape[1])
            levels = 10 * np.log10(np.sum((waveforms * inside) ** 2, axis=1) + 1e-9)
            return np.stack([10 * levels, -10 * levels], axis=1)

        return SimpleNamespace(classes=("anger", "neutral"), log_odds=log_odds)


def test_one_stretch_alone_is_replaced():
    generator = np.random.default_rng(0)
    samples, other = generator.standard_normal((2, 16000)).astype(np.float32)
    made = replaced(samples, other, Word("", 0.3, 0.5))
    times = np.arange(16000) / SAMPLE_RATE
    inside, outside = (times >= 0.3) & (times <= 0.5), (times < 0.3 - CROSSFADE_S) | (times > 0.5 + CROSSFADE_S)
    assert np.array_equal(made[outside], samples[outside]) and np.allclose(made[inside], other[inside], atol=1e-6)


def test_stretches_of_one_length_are_compared():
    chosen = chosen_stretches({"target": TARGETS, "sham": SHAMS, "distractor": ()})
    assert chosen == {"target": TARGETS[1], "sham": SHAMS[1]}


@pytest.mark.parametrize(
    ("heard", "relied_on"), [(TARGETS, "target"), (SHAMS, "sham"), (DISTRACTOR, "distractor"), ((), None)]
)
def test_the_fall_is_that_of_the_stretch_a_recogniser_listens_to(heard, relied_on):
    corpus = _Corpus()
    rows = falls(corpus, _Models(heard), list(corpus.table.index))
    assert set(rows["emotion"]) == {"anger"} and len(rows) == 3 * 48
    table = fall_table(rows)
    assert table["n"].eq(48).all() and table.loc["target", "duration_s"] == pytest.approx(0.25)
    for kind in ("target", "sham", "distractor"):
        fall = rows[rows["kind"] == kind]["fall"]
        assert fall.abs().mean() > 0.1 if kind == relied_on else fall.abs().max() < 1e-6
    if relied_on == "target":
        # the louder half of the target's energy is gone: 0.15 s at 6 dB and 0.25 s at 0 dB of 0.4 s at 6 dB
        expected = 10 * 10 * np.log10(0.4 * 4 / (0.15 * 4 + 0.25))
        assert table.loc["target", "mean"] == pytest.approx(expected, rel=0.1)
        assert table.loc["target - sham", "low"] > 0 and table.loc["target - sham", "share"] == 1
    elif relied_on == "distractor":
        assert table.loc["distractor", "low"] > 0
    if relied_on != "target":
        assert not table.loc["target", "low"] > 0


def test_falls_that_differ_by_chance_are_no_reliance():
    """Type-I error of the requirement on simulated falls with a speaker effect common to both stretches."""
    rejected = 0
    for i in range(80):
        generator = np.random.default_rng(i)
        speakers, sentences = np.repeat(np.arange(8), 12), np.tile(np.arange(6), 16)
        own = generator.standard_normal(8)[speakers]
        rows = [
            pd.DataFrame(
                {"clip": np.arange(96), "speaker": speakers, "sentence": sentences, "emotion": "anger", "kind": kind,
                 "duration_s": 0.2, "fall": own + generator.standard_normal(96)}
            )
            for kind in ("target", "sham")
        ]  # fmt: skip
        rejected += fall_table(pd.concat(rows)).loc["target - sham", "low"] > 0
    assert rejected <= 80 * 0.025 + 2 * np.sqrt(80 * 0.025 * 0.975)


def test_level_is_no_shortcut_in_twins():
    corpus = _Corpus()
    table = shortcuts(corpus, list(corpus.table.index), permutations=199).set_index(["signal", "probe"])
    assert table.loc[("clip", "RMS level"), "p_holm"] < 0.05
    assert table.loc["twin", "p_holm"].min() > 0.05


def _tables(
    share: float = 0.9,
    uar: float = 0.9,
    twin_p: float = 0.5,
    low: float = 1.0,
    target: float = 1.0,
    probe_p: float = 0.5,
):
    cues = pd.DataFrame(
        [("anger", "intensity (Praat)", 1, share, 8.0, 10), ("anger", "level", 0, 1.0, 0.0, 10)],
        columns=["emotion", "measure", "direction", "share", "median", "n"],
    )
    recalls = pd.DataFrame(
        {"uar": [uar, 0.25], "low": [uar - 0.05, 0.2], "high": [uar + 0.05, 0.3], "p": [0.0005, twin_p],
         "n": [10, 10], "anger": [uar, 0.25], "neutral": [uar, 0.25]},
        index=["clip", "twin"],
    )  # fmt: skip
    fall = pd.DataFrame(
        {"mean": 2.0, "low": [target, low], "high": 3.0, "share": 0.9, "duration_s": [0.2, np.nan], "n": 10},
        index=["target", "target - sham"],
    )
    probes = pd.DataFrame(
        {"signal": ["clip", "twin"], "probe": "level", "uar": 0.3, "low": 0.2, "high": 0.4, "chance": 0.25,
         "p_holm": [0.001, probe_p]}
    )  # fmt: skip
    return {"cues": cues, "shortcuts": probes}, Reliance(recalls, fall)


@pytest.mark.parametrize(
    ("change", "outside", "broken"),
    [
        ({}, 0.0, None),
        ({}, 1e-5, "identical outside"),
        ({"share": FOUND - 0.01}, 0.0, "found in its direction"),
        ({"uar": ENOUGH_UAR - 0.01}, 0.0, "UAR on new speakers"),
        ({"twin_p": 0.01}, 0.0, "twins are answered by chance"),
        ({"low": -0.1}, 0.0, "log-odds fall"),
        ({"low": np.nan}, 0.0, "log-odds fall"),
        ({"target": -0.1}, 0.0, "log-odds fall"),
        ({"probe_p": 0.01}, 0.0, "no fact but the voice"),
    ],
)
def test_each_requirement_can_fail(change, outside, broken):
    tables, found = _tables(**change)
    asked = {"good": _tables()[1], "tried": found}
    checks = corpus_requirements(tables, outside)
    for name, one in asked.items():
        checks += recogniser_requirements(name, one)
    failed = [check for check in checks if not check.holds]
    assert len(checks) == 9 and len(failed) == (broken is not None)
    assert broken is None or broken in failed[0].name
    text = "\n".join(markdown(tables, asked, checks))
    assert text.count("| no |") == len(failed) and "| anger | level | 0 | 1.000 |" in text
    assert "good: can be used." in text and "| heard by tried |" in text
    unusable = broken is not None and failed[0].of == "tried"
    assert (
        f"tried: not used for qualification here ({failed[0].name})." if unusable else "tried: can be used."
    ) in text
    assert unusable or not failed or failed[0].of == CORPUS
    assert json.loads(json.dumps([check._asdict() for check in checks]))


def test_a_corpus_without_plants_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SERXAI_CACHE", str(tmp_path))
    assert main(["corpus", "planted", "planted-emodb", "--data-root", str(tmp_path)]) == 2
    assert "03a01Fa.wav" in capsys.readouterr().err
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "labels.csv").write_text("file,emotion,speaker,sex\na.wav,anger,1,f\nb.wav,neutral,2,m\n")
    for name in "ab":
        (tmp_path / "own" / f"{name}.wav").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert main(["corpus", "planted", "folder:own"]) == 2
    assert "is not planted; take planted" in capsys.readouterr().err
