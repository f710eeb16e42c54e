"""Which clips stand for a speaker's usual voice."""

import numpy as np
import pandas as pd
import pytest

from serxai.audio import SAMPLE_RATE
from serxai.benchmark.analysis import speaker_reference as module
from serxai.benchmark.analysis.speaker_reference import MAX_CLIPS, speaker_norms
from serxai.cues.records import LEVEL_CUES
from serxai.datasets.clip import Clip
from serxai.errors import InputError

HZ = {"neutral": 120.0, "anger": 240.0}


class FakeCorpus:
    """Speaker a: many neutral clips; b: two neutral and five angry ones; c: one clip."""

    def __init__(self, comparable=True):
        kinds = [("a", "neutral")] * 30 + [("a", "anger")] * 3 + [("b", "neutral")] * 2 + [("b", "anger")] * 5
        self.table = pd.DataFrame([*kinds, ("c", "anger")], columns=["speaker", "emotion"])
        self.table.index = [f"clip{i:02d}" for i in range(len(self.table))]
        self.record = type("Record", (), {"level_comparable": comparable})
        self.heard = []

    def clip(self, name):
        self.heard.append(name)
        speaker, emotion = self.table.loc[name]
        hz = HZ[emotion] * (1 + 0.01 * int(name[4:]))
        t = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
        x = 0.05 * sum(np.cos(2 * np.pi * hz * h * t) for h in range(1, 12))
        return Clip(name, x.astype(np.float32), emotion, speaker, corpus="fake")


@pytest.mark.parametrize(
    ("name", "reference", "n"), [("clip31", "speaker neutral", MAX_CLIPS), ("clip39", "speaker", 6)]
)
def test_the_nearest_clips_are_heard_and_never_the_clip_itself(monkeypatch, name, reference, n):
    corpus = FakeCorpus()
    monkeypatch.setattr(module, "load_corpus", lambda *arguments: corpus)
    clip = corpus.clip(name)
    corpus.heard.clear()
    told = []
    found = speaker_norms(clip, progress=lambda *step: told.append(step))
    assert {norm.reference for norm in found.values()} == {reference}
    assert found["f0_level"].clips == n == len(corpus.heard) == len(told)
    assert name not in corpus.heard and len(set(corpus.heard)) == n
    semitones = [12 * np.log2(HZ[corpus.table.at[c, "emotion"]] * (1 + 0.01 * int(c[4:])) / 100) for c in corpus.heard]
    assert found["f0_level"].mean == pytest.approx(np.mean(semitones), abs=0.05)
    assert found == speaker_norms(clip)


def test_lonely_speakers_are_compared_with_the_corpus(monkeypatch):
    corpus = FakeCorpus()
    monkeypatch.setattr(module, "load_corpus", lambda *arguments: corpus)
    assert {norm.reference for norm in speaker_norms(corpus.clip("clip40")).values()} == {"corpus"}


def test_levels_only_where_they_are_comparable(monkeypatch):
    for comparable in (True, False):
        corpus = FakeCorpus(comparable)
        monkeypatch.setattr(module, "load_corpus", lambda *arguments, corpus=corpus: corpus)
        assert ("loudness" in speaker_norms(corpus.clip("clip31"))) == comparable
    assert "loudness" in LEVEL_CUES


def test_unknown_corpora_have_no_norms(monkeypatch):
    def refuse(*arguments):
        raise InputError("not here")

    monkeypatch.setattr(module, "load_corpus", refuse)
    clip = FakeCorpus().clip("clip00")
    assert speaker_norms(clip) == {}
    assert speaker_norms(Clip("c", clip.samples)) == {}
