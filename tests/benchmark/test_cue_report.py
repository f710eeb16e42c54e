"""Effects measured on voices: arithmetic, and on TESS the signs that were measured with openSMILE before."""

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.cue_report import DEFAULT_CUES, clip_table, cohens_d, effects, main, markdown
from serxai.datasets.corpora import load_corpus

# Cohen's d against the same actress' neutral clips (older, younger), about 60 clips a cell, eGeMAPSv02 functionals:
# seed-papers.md, section 2.2
MEASURED_BEFORE = {
    "f0_level": {
        "anger": (6.3, 3.5), "fear": (12.0, 8.8), "happiness": (5.8, 6.7), "sadness": (0.1, 0.7),
        "disgust": (-0.9, -0.1), "surprise": (3.8, 9.1),
    },
    "loudness": {
        "anger": (5.6, 2.5), "fear": (3.8, 2.8), "happiness": (2.8, 3.9), "sadness": (-1.2, -0.7),
        "disgust": (2.1, -0.9), "surprise": (3.3, 0.6),
    },
    "high_frequency_energy": {
        "anger": (3.2, 2.3), "fear": (1.4, 2.2), "happiness": (0.4, 1.8), "sadness": (-1.5, -2.5),
        "disgust": (0.5, 0.9), "surprise": (1.0, 1.9),
    },
}  # fmt: skip
# energy-averaged intensity follows the loudest frames (+0.4); openSMILE's loudness, a mean over all frames, gives -1.1
KNOWN_DIFFERENCES = {("loudness", "sadness", "OAF")}


def test_cohens_d_by_hand():
    assert cohens_d(np.array([3.0, 4, 5]), np.array([1.0, 2, 3])) == pytest.approx(2.0)
    assert cohens_d(np.array([1.0, 2, 3, np.nan]), np.array([3.0, 4, 5])) == pytest.approx(-2.0)
    assert np.isnan(cohens_d(np.array([1.0, 2, np.nan]), np.array([3.0, 4, 5])))
    assert np.isnan(cohens_d(np.ones(5), np.ones(5)))


def test_effects_are_within_speakers():
    draw = np.random.default_rng(0)
    table = pd.DataFrame(
        [(s, e, 100 * (s == "b") + 3 * (e == "fear") + draw.normal()) for s in "ab" for e in ("neutral", "fear") * 200],
        columns=["speaker", "emotion", "f0_level"],
    )
    found = effects(table, ["f0_level"])
    assert found[["emotion", "speaker", "n"]].to_numpy().tolist() == [["fear", "a", 200], ["fear", "b", 200]]
    np.testing.assert_allclose(found["d"], 3.0, atol=0.4)
    text = markdown(found, "a note")
    assert text.startswith("**pitch level** (f0_level)\n\n| emotion | a | b |") and text.endswith("a note")


@pytest.mark.real_data
def test_report_of_a_few_clips(data_root, monkeypatch, capsys):
    corpus = load_corpus("emodb", data_root)
    few = corpus.table[corpus.table.speaker == corpus.table.speaker.iloc[0]].groupby("emotion").head(3)
    corpus.table = few
    monkeypatch.setattr("serxai.benchmark.cue_report.load_corpus", lambda name, root: corpus)
    assert main(["emodb", "--cue", "f0_level", "--cue", "f1"]) == 0
    text = capsys.readouterr().out
    assert "(f1)" in text and "| anger |" in text and "say nothing here" in text


@pytest.mark.real_data
@pytest.mark.long
def test_tess_keeps_the_signs_measured_before(data_root):
    corpus = load_corpus("tess", data_root)
    found = effects(clip_table(corpus, list(corpus.table.index)), DEFAULT_CUES).set_index(["cue", "emotion", "speaker"])
    compared, differ = 0, set()
    for cue, emotions in MEASURED_BEFORE.items():
        for emotion, before in emotions.items():
            for speaker, d in zip(("OAF", "YAF"), before, strict=True):
                if abs(d) > 0.8:
                    compared += 1
                    if np.sign(found.at[(cue, emotion, speaker), "d"]) != np.sign(d):
                        differ.add((cue, emotion, speaker))
    assert compared == 29
    assert differ == KNOWN_DIFFERENCES
