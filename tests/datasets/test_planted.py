"""The planted corpus as rendered: a handful of clips here, all of them in the long test."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from serxai.audio import SAMPLE_RATE
from serxai.cues.regions import REGION_RECORDS
from serxai.datasets import planted
from serxai.datasets.planted_files import MANIFEST, damaged, read_manifest, render_into
from serxai.datasets.planted_record import RECORD
from serxai.datasets.planted_render import measure_words
from serxai.datasets.planted_truth import CROSSFADE_S
from serxai.datasets.planted_voices import EMOTIONS
from serxai.errors import InputError, SerxaiError
from serxai.keys import rng

SOME = [f"{voice}-s2-{emotion}" for voice in ("Female2", "Denis") for emotion in EMOTIONS]
# the direction of each cue that a recipe plants on purpose
DIRECTIONS = {
    "anger": {"f0_level": 1, "loudness": 1, "high_frequency_energy": 1, "jitter": 1, "hnr": -1},
    "happiness": {"f0_level": 1, "f0_variability": 1, "loudness": 1, "high_frequency_energy": 1},
    "sadness": {"f0_level": -1, "f0_variability": -1, "loudness": -1, "high_frequency_energy": -1, "hnr": -1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    steps = []
    made = planted.render(
        tmp_path_factory.mktemp("cache") / "planted-1",
        clips=SOME,
        workers=2,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(i + 1, len(SOME)) for i in range(len(SOME))]
    return made


@pytest.fixture(scope="module")
def corpus(folder):
    return planted.PlantedCorpus(RECORD, read_manifest(folder), folder)


def _checksums(folder, names=SOME):
    table = read_manifest(folder).loc[sorted(names)]
    return table[["file_sha256", "twin_sha256", "words", "planted", "cues"]].to_dict("index")


def _outside(clip) -> np.ndarray:
    """Samples beyond the planted words and their crossfades."""
    times = np.arange(clip.samples.size) / SAMPLE_RATE
    margin = CROSSFADE_S + 1e-6
    near = [(times > w.start_s - margin) & (times < w.end_s + margin) for w in clip.plant.words]
    return ~np.any([np.zeros(times.shape, bool), *near], axis=0)


def _measured(samples: np.ndarray, words) -> dict[str, float]:
    return measure_words((samples * 32768).astype(np.int16), words)


def test_samples_do_not_depend_on_order_subset_or_workers(folder, tmp_path):
    few = [SOME[5], SOME[0], SOME[2]]
    other = planted.render(tmp_path / "planted-1", clips=few, workers=1)
    assert _checksums(other, few) == _checksums(folder, few)


def test_clip_and_twin_are_the_same_samples_outside_the_planted_words(corpus):
    for name in SOME:
        clip = corpus.clip(name)
        outside = _outside(clip)
        assert np.array_equal(clip.samples[outside], clip.plant.twin[outside])
        if clip.emotion == "neutral":
            assert np.array_equal(clip.samples, clip.plant.twin) and not clip.plant.words and not clip.plant.cues
        else:
            assert 1 <= len(clip.plant.words) <= 3 and set(clip.plant.words) <= set(clip.words)
            assert np.mean(np.abs(clip.samples[~outside] - clip.plant.twin[~outside])) > 1e-3


def test_cues_are_planted_in_their_direction_and_recorded_as_measured(corpus):
    units = {record.name for record in REGION_RECORDS}
    for name in SOME:
        clip = corpus.clip(name)
        assert set(clip.plant.cues) <= units
        if not clip.plant.words:
            continue
        after, before = (_measured(x, clip.plant.words) for x in (clip.samples, clip.plant.twin))
        for cue, change in clip.plant.cues.items():
            assert change == pytest.approx(after[cue] - before[cue], abs=1e-5)
        for cue in ("f0_level", "loudness"):
            assert np.sign(clip.plant.cues[cue]) == DIRECTIONS[clip.emotion][cue]


def test_clips_know_their_words_speaker_and_sentence(corpus):
    clip = corpus.clip("Female2-s2-anger")
    assert (clip.speaker, clip.sex, clip.emotion, clip.corpus) == ("Female2", "female", "anger", "planted")
    assert clip.sentence == "We left the brown dog in the garden."
    assert " ".join(w.label for w in clip.words) == clip.sentence[:-1].lower()
    edges = np.array([(w.start_s, w.end_s) for w in clip.words])
    assert (edges[:, 0] < edges[:, 1]).all() and (edges[:-1, 1] <= edges[1:, 0] + 1e-6).all()
    assert edges.min() > 0 and edges.max() < clip.duration_s
    power = [np.mean(clip.samples[int(a * SAMPLE_RATE) : int(b * SAMPLE_RATE)] ** 2) for a, b in edges]
    assert min(power) > 4 * np.mean(clip.samples[: int(0.03 * SAMPLE_RATE)] ** 2)


def test_no_clip_is_clipped_or_digitally_silent_anywhere(corpus):
    for name in SOME:
        samples = corpus.clip(name).samples
        frames = samples[: samples.size // 320 * 320].reshape(-1, 320)
        assert 0.05 < np.abs(samples).max() < 0.999 and frames.std(axis=1).min() > 1e-4


def test_a_damaged_or_missing_file_is_rendered_again_alone(folder, tmp_path):
    expected = _checksums(folder)
    whole = folder / read_manifest(folder).at[SOME[0], "file"]
    gone = folder / read_manifest(folder).at[SOME[3], "twin"]
    whole.write_bytes(whole.read_bytes()[:-2] + b"\x01\x01")
    gone.unlink()
    assert sorted(damaged(folder, SOME)) == sorted([SOME[0], SOME[3]])
    totals = []
    planted.render(folder, clips=SOME, workers=2, progress=lambda done, total: totals.append(total))
    assert totals == [2, 2] and not damaged(folder, SOME) and _checksums(folder) == expected
    planted.render(folder, clips=SOME, progress=lambda done, total: totals.append(total))
    assert totals == [2, 2]  # nothing to do


def test_without_a_readable_manifest_everything_is_rendered_again(tmp_path):
    folder = planted.render(tmp_path / "planted-1", clips=SOME[:1], workers=1)
    expected = _checksums(folder, SOME[:1])
    (folder / MANIFEST).write_bytes(b"not parquet")
    assert damaged(folder, SOME[:1]) == SOME[:1]
    planted.render(folder, clips=SOME[:1], workers=1)
    assert _checksums(folder, SOME[:1]) == expected


def test_two_that_render_at_once_leave_one_whole_folder(tmp_path):
    folder = tmp_path / "deep" / "planted-1"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: render_into(folder, SOME[:2], 1), range(2)))
    assert not damaged(folder, SOME[:2])
    assert [path.name for path in folder.parent.iterdir()] == ["planted-1"]
    assert sorted(path.name for path in folder.iterdir()) == ["clips", MANIFEST, "twins"]


def test_a_renderer_that_dies_is_reported_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SerxaiError, match="exit status 1"):
        planted.render(tmp_path / "planted-1", clips=SOME[:1])
    assert not list(tmp_path.iterdir())


def test_an_interrupted_rendering_leaves_nothing(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        planted.render(tmp_path / "planted-1", clips=SOME[:2], workers=1, progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_unknown_clips_are_refused(tmp_path, corpus):
    with pytest.raises(InputError, match="Nobody-s0-anger"):
        planted.render(tmp_path / "planted-1", clips=["Nobody-s0-anger"])
    with pytest.raises(InputError, match="ids look like"):
        corpus.clip("Nobody-s0-anger")


def test_load_uses_the_cache_and_never_the_data_root(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SERXAI_CACHE", str(folder.parent))
    monkeypatch.setattr(planted, "CLIP_IDS", tuple(SOME))
    loaded = planted.load(RECORD, tmp_path)
    assert list(loaded.table.index) == sorted(SOME) and not list(tmp_path.iterdir())
    assert loaded.select(limit=4) == loaded.select()[:4]
    assert {loaded.clip(i).emotion for i in loaded.select(limit=4)} == set(EMOTIONS)


def test_digest_covers_clips_twins_and_truth(corpus):
    seen = {corpus.digest}
    for column in ("file_sha256", "twin_sha256", "cues", "planted"):
        table = corpus.table.copy()
        table.loc[SOME[0], column] = "changed"
        seen.add(planted.PlantedCorpus(RECORD, table, corpus.root).digest)
    assert len(seen) == 5
    assert planted.PlantedCorpus(RECORD, corpus.table.iloc[::-1], corpus.root).digest == corpus.digest


def _features(samples: np.ndarray) -> np.ndarray:
    """Mean, spread and extremes of 40 log-mel bands, and the duration."""
    import librosa

    mel = np.log(librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE, n_fft=512, hop_length=160, n_mels=40) + 1e-6)
    return np.r_[mel.mean(1), mel.std(1), np.percentile(mel, [25, 95], axis=1).ravel(), samples.size / SAMPLE_RATE]


def _grouped_accuracy(features: np.ndarray, labels: np.ndarray, speakers: np.ndarray) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    return float(np.mean(cross_val_predict(model, features, labels, groups=speakers, cv=GroupKFold(8)) == labels))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All 512 clips; rendered into the user's cache where it does not hold them yet."""
    return planted.load(RECORD)


@pytest.mark.long
def test_nothing_but_the_cues_tells_emotions_apart(whole):
    clips = [whole.clip(name) for name in whole.table.index]
    labels = np.array([c.emotion for c in clips])
    speakers = np.array([c.speaker for c in clips])
    chance = 0.25 + 3 * np.sqrt(0.25 * 0.75 / len(clips))
    assert _grouped_accuracy(np.array([_features(c.plant.twin) for c in clips]), labels, speakers) < chance
    assert _grouped_accuracy(np.array([_features(c.samples) for c in clips]), labels, speakers) > chance + 0.2
    # number of planted words apart, every voice and sentence has each emotion once
    counts = whole.table.groupby(["speaker", "sentence", "emotion"]).size()
    assert len(counts) == 512 and (counts == 1).all()


@pytest.mark.long
def test_distractors_do_not_depend_on_the_emotion(whole):
    twins = {name: whole.clip(name).plant.twin for name in whole.table.index}
    facts = pd.DataFrame({"level": {n: 20 * np.log10(x.std()) for n, x in twins.items()},
                          "duration": {n: x.size for n, x in twins.items()}})  # fmt: skip
    for fact in facts:
        groups = [facts.loc[whole.table["emotion"] == e, fact].to_numpy() for e in EMOTIONS]
        spread = np.var([g.mean() for g in groups])
        draw = rng("permutation", fact)
        pool = np.concatenate(groups)
        by_chance = [np.var(draw.permutation(pool).reshape(4, -1).mean(axis=1)) for _ in range(2000)]
        assert np.mean(np.array(by_chance) >= spread) > 0.01


@pytest.mark.long
def test_every_planted_cue_is_found_in_its_direction(whole):
    changes = {}
    for name in whole.table.index[whole.table["emotion"] != "neutral"]:
        clip = whole.clip(name)
        after, before = (_measured(x, clip.plant.words) for x in (clip.samples, clip.plant.twin))
        changes[name] = {cue: after[cue] - before[cue] for cue in after}
    measured = pd.DataFrame(changes).T
    for emotion, directions in DIRECTIONS.items():
        for cue, direction in directions.items():
            found = measured.loc[whole.table["emotion"].reindex(measured.index) == emotion, cue].dropna()
            assert len(found) >= 115 and np.mean(np.sign(found) == direction) >= 0.95, (emotion, cue, len(found))


@pytest.mark.long
def test_voices_differ_and_levels_are_sensible(whole):
    medians: dict[tuple[str, str], list[float]] = {}
    levels, durations = [], []
    for name in whole.table.index[whole.table["emotion"] == "neutral"]:
        clip = whole.clip(name)
        value = _measured(clip.samples, clip.words)["f0_level"]
        medians.setdefault((clip.sex, clip.speaker), []).append(value)
    for name in whole.table.index:
        clip = whole.clip(name)
        levels.append(20 * np.log10(clip.samples.std()))
        durations.append(clip.duration_s)
        assert np.abs(clip.samples).max() < 0.999
    centres = {key: np.median(values) for key, values in medians.items()}
    female, male = ([v for (sex, _), v in centres.items() if sex == s] for s in ("female", "male"))
    assert len(female) == len(male) == 8 and min(female) > max(male)
    assert np.ptp(female) > 4 and np.ptp(male) > 4  # semitones
    assert min(levels) > -40 and max(levels) < -15 and min(durations) > 1.3 and max(durations) < 2.4
