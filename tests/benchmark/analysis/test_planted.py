"""The bundled recogniser hears the planted cues and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.planted import TREATMENTS, independence, reliance, treated_predictions, treated_waveforms
from serxai.benchmark.cli.main import main
from serxai.datasets.planted.corpus import load
from serxai.datasets.planted.record import RECORD, RECORDS
from serxai.datasets.planted.voices import EMOTIONS
from serxai.keys import rng
from serxai.models.foldmodels import find_bundled


@pytest.fixture(scope="module")
def bundled():
    models = find_bundled("cnn", "planted", RECORD.version)
    assert models is not None
    return models


def _rows(right: float, n: int = 40) -> pd.DataFrame:
    """Answers that name the emotion in a share of the clips, and else any."""
    draw = rng("answers", right)
    rows = []
    for i in range(n):
        for emotion in EMOTIONS:
            said = emotion if draw.random() < right else str(draw.choice(EMOTIONS))
            rows.append((f"{i}-{emotion}", f"voice {i % 8}", f"sentence {i // 8}", emotion, "clip", said, 0.0))
    return pd.DataFrame(rows, columns=["clip", "speaker", "sentence", "emotion", "treatment", "predicted", "log_odds"])


def test_the_permutation_test_tells_chance_from_knowledge():
    assert independence(_rows(0.3), 400) < 0.01
    by_chance = [independence(_rows(0.0, n), 200) for n in range(20, 60)]
    assert np.mean(np.array(by_chance) < 0.05) < 0.2 and 0.3 < np.mean(by_chance) < 0.7
    constant = _rows(0.0).assign(predicted="neutral")
    assert independence(constant, 100) == 1.0


def test_reliance_is_the_mean_recall():
    rows = _rows(0.5)
    table = reliance(rows)
    recalls = [np.mean(part["predicted"] == emotion) for emotion, part in rows.groupby("emotion")]
    assert table.loc["clip", "uar"] == pytest.approx(np.mean(recalls))
    assert table.loc["clip", sorted(EMOTIONS)].tolist() == pytest.approx(recalls)
    assert table.loc["clip", "low"] < table.loc["clip", "uar"] < table.loc["clip", "high"]


def test_treatments_are_what_they_say():
    corpus = load(RECORD)
    names = corpus.select(limit=4)
    corpus.prepare(names)
    for name in names:
        clip = corpus.clip(name)
        made = dict(zip(TREATMENTS, treated_waveforms(clip), strict=True))
        assert np.array_equal(made["clip"], clip.samples) and np.array_equal(made["twin"], clip.plant.twin)
        if clip.emotion == "neutral":
            assert all(np.abs(signal - clip.samples).max() < 1e-6 for signal in made.values())
            continue
        whole = np.square(clip.samples - clip.plant.twin).sum()
        assert np.square(made["remove: twin"] - clip.plant.twin).sum() < 0.1 * whole
        assert np.square(made["keep: twin"] - clip.samples).sum() < 0.1 * whole
        # what the mask takes away and what it keeps make up the whole change
        np.testing.assert_allclose(made["remove: twin"] + made["keep: twin"], clip.samples + clip.plant.twin, atol=1e-5)


def test_a_sample_of_clips_is_told_by_its_cues_alone(bundled):
    corpus = load(RECORD)
    told = reliance(treated_predictions(corpus, bundled, corpus.select(limit=32)))
    assert told.loc["clip", "uar"] >= 0.8 and told.loc["keep: twin", "uar"] >= 0.7
    for treatment in ("twin", "remove: twin"):
        assert told.loc[treatment, "uar"] <= 0.25 + 2 * np.sqrt(0.25 * 0.75 / 32)


def test_voices_are_heard_by_the_model_that_does_not_know_them(bundled):
    for record in RECORDS:
        for voice in load(record).table["speaker"].unique():
            fold = bundled.fold_for(record.name, voice)
            assert voice in bundled.folds.speakers[fold]
    assert bundled.fold_for("emodb", "03") == bundled.default_fold


@pytest.mark.long
def test_the_bundled_model_relies_on_the_cues_and_on_nothing_else(bundled):
    told = reliance(treated_predictions(load(RECORD), bundled))
    assert told.loc["clip", "low"] >= 0.85
    for treatment in ("twin", "remove: twin"):
        # at chance: the interval holds 1/4, and answers do not follow the emotion
        assert told.loc[treatment, "low"] <= 0.25 and told.loc[treatment, "uar"] < 0.3
        assert told.loc[treatment, "p"] > 0.05
    assert told.loc["keep: twin", "low"] >= 0.8
    for fill in ("attenuate", "noise", "spectral-mean"):
        # they bring down what was added to the voice, but cannot bring back the energy that sadness lacks
        assert told.loc[f"remove: {fill}", "anger"] < 0.5 < told.loc[f"remove: {fill}", "sadness"]


@pytest.mark.long
def test_the_command_prints_both_tables(capsys):
    assert main(["corpus", "planted", "planted", "--limit", "4"]) == 0
    out = capsys.readouterr().out
    assert "| happiness | pitch level (Praat) | + | 1.000 |" in out and "| remove: twin |" in out
    assert "| clip and twin are identical outside the planted words | corpus | yes | largest 0 |" in out
