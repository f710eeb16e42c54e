"""Effects measured on voices: arithmetic, and on TESS the signs that were measured with openSMILE before."""

import numpy as np
import pandas as pd
import pytest

from serxai.benchmark.analysis.cue_effects import (
    DEFAULT_CUES,
    clip_table,
    cohens_d,
    compare_signs,
    effects,
    reference_effects,
)
from serxai.benchmark.cli.corpus_cues import markdown, sign_lines
from serxai.benchmark.cli.main import main
from serxai.datasets.corpora import load_corpus

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


def test_signs_that_differ_are_listed():
    before = reference_effects("tess")  # seed-papers.md, section 2.2
    assert len(before) == 3 * 6 * 2 and (before["d"].abs() > 0.8).sum() == 29
    found = before.assign(n=40)
    assert sign_lines(compare_signs(found, before)) == [
        "29 of 29 effects that were above 0.8 before have the same sign."
    ]
    odd = (found["cue"] == "loudness") & (found["emotion"] == "sadness")
    found.loc[odd, "d"] = 0.4  # OAF was -1.2, YAF -0.7: too small to count
    assert sign_lines(compare_signs(found, before)) == [
        "28 of 29 effects that were above 0.8 before have the same sign.",
        "- loudness, sadness, OAF: +0.4, before -1.2",
    ]
    assert reference_effects("emodb") is None


@pytest.mark.real_data
def test_report_of_a_few_clips(data_root, monkeypatch, capsys):
    corpus = load_corpus("emodb", data_root)
    few = corpus.table[corpus.table.speaker == corpus.table.speaker.iloc[0]].groupby("emotion").head(3)
    corpus.table = few
    monkeypatch.setattr("serxai.benchmark.cli.corpus_cues.load_corpus", lambda name, root, progress: corpus)
    arguments = ["corpus", "cues", "emodb", "--cue", "f0_level", "--cue", "f1", "--data-root", str(data_root)]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "(f1)" in text and "| anger |" in text and "say nothing here" in text


@pytest.mark.real_data
@pytest.mark.long
def test_tess_keeps_the_signs_of_reference_effects(data_root):
    corpus = load_corpus("tess", data_root)
    compared = compare_signs(
        effects(clip_table(corpus, list(corpus.table.index)), DEFAULT_CUES), reference_effects("tess")
    )
    assert len(compared) == 29
    differ = compared[~compared["same"]]
    assert set(differ[["cue", "emotion", "speaker"]].itertuples(index=False, name=None)) == KNOWN_DIFFERENCES
