"""The planted corpora as rendered: a handful of clips here, all of them in the long tests."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from shutil import copytree

import numpy as np
import pytest

from serxai.audio import SAMPLE_RATE, Grid, Plane, band_edges_hz
from serxai.cues.regions import REGION_RECORDS
from serxai.datasets.corpora import CORPORA
from serxai.datasets.planted.check import outside_words
from serxai.datasets.planted.corpus import PlantedCorpus, load, planted_folder
from serxai.datasets.planted.edits import measure_words
from serxai.datasets.planted.files import KINDS, damaged, render_into, truth_path, wav_path
from serxai.datasets.planted.record import RECORD, RECORDS
from serxai.datasets.planted.truth import truth_map
from serxai.datasets.planted.voices import BAND_RECIPES, CLIP_IDS, EMOTIONS, VARIANTS
from serxai.errors import InputError, SerxaiError

SOME = [f"{voice}-s2-{emotion}" for voice in ("Female2", "Denis") for emotion in EMOTIONS]
# mean power in dB of eight mel bands of the corpus' first rendering, clip and twin
FIRST_RENDERED = {
    "Female2-s2-anger": [
        [2.39, 6.47, 6.11, 7.36, -5.42, -3.28, -2.08, -19.73],
        [0.21, 2.63, 1.25, -1.44, -12.13, -12.9, -12.31, -27.85],
    ],
    "Denis-s2-happiness": [
        [2.35, 3.88, -3.05, -0.21, -9.31, -17.28, -23.03, -23.71],
        [0.46, 0.34, -8.84, -5.02, -15.82, -22.99, -30.46, -31.67],
    ],
    "Denis-s2-sadness": [
        [-4.86, -4.44, -14.44, -10.8, -22.47, -27.47, -38.02, -40.36],
        [-1.29, -0.99, -10.3, -7.18, -17.93, -25.92, -32.98, -34.19],
    ],
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    steps = []
    made = PlantedCorpus(
        RECORD,
        tmp_path_factory.mktemp("cache") / "planted-1",
        progress=lambda done, total: steps.append((done, total)),
        workers=2,
    )
    made.prepare(SOME)
    assert steps == [(i + 1, len(SOME)) for i in range(len(SOME))]
    return made


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    """The easy corpus' siblings, with one clip of each emotion."""
    root = tmp_path_factory.mktemp("variants")
    made = [PlantedCorpus(record, root / record.name, workers=2) for record in RECORDS[1:]]
    with ThreadPoolExecutor(len(made)) as pool:  # starting a renderer is most of the work
        list(pool.map(lambda one: one.prepare([f"Denis-s2-{emotion}" for emotion in EMOTIONS]), made))
    return {one.name: one for one in made}


def _files(folder, names=SOME) -> dict[str, list[bytes]]:
    paths = {n: [*(wav_path(folder, kind, n) for kind in KINDS), truth_path(folder, n)] for n in names}
    return {name: [path.read_bytes() for path in found] for name, found in paths.items()}


def _measured(samples: np.ndarray, words) -> dict[str, float]:
    return measure_words((samples * 32768).astype(np.int16), words)


def _bands_db(samples: np.ndarray) -> list[float]:
    plane = Plane(samples)
    power = plane.spectrum.abs().square().mean(dim=1).double().numpy()
    rows = np.searchsorted(band_edges_hz(8), plane.freqs_hz, side="right").clip(1, 8) - 1
    return [float(10 * np.log10(power[rows == row].mean())) for row in range(8)]


@pytest.mark.parametrize("name", FIRST_RENDERED)
def test_another_processor_may_differ_by_a_tolerance_only(corpus, name):
    clip = corpus.clip(name)
    found = [_bands_db(clip.samples), _bands_db(clip.plant.twin)]
    np.testing.assert_allclose(found, FIRST_RENDERED[name], atol=0.25)


@pytest.mark.long
def test_samples_do_not_depend_on_order_subset_or_workers(corpus, tmp_path):
    few = [SOME[5], SOME[0], SOME[2]]
    other = PlantedCorpus(RECORD, tmp_path / "planted-1", workers=1)
    other.prepare(few)
    assert _files(other.root, few) == _files(corpus.root, few)
    assert damaged(other.root, SOME) == [name for name in SOME if name not in few]


def test_clip_and_twin_are_the_same_samples_outside_the_planted_words(corpus):
    for name in SOME:
        clip = corpus.clip(name)
        outside = outside_words(clip)
        assert np.array_equal(clip.samples[outside], clip.plant.twin[outside])
        if clip.emotion == "neutral":
            assert np.array_equal(clip.samples, clip.plant.twin) and not clip.plant.words and not clip.plant.cues
        else:
            assert 1 <= len(clip.plant.words) <= 3 and set(clip.plant.words) <= set(clip.words)
            assert np.mean(np.abs(clip.samples[~outside] - clip.plant.twin[~outside])) > 1e-3


def test_cues_are_recorded_as_measured(corpus):
    units = {record.name for record in REGION_RECORDS}
    for name in SOME:
        clip = corpus.clip(name)
        assert set(clip.plant.cues) <= units
        if not clip.plant.words:
            continue
        assert {"f0_level", "loudness"} <= set(clip.plant.cues)
        after, before = (_measured(x, clip.plant.words) for x in (clip.samples, clip.plant.twin))
        for cue, change in clip.plant.cues.items():
            assert change == pytest.approx(after[cue] - before[cue], abs=1e-5)


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


def test_a_damaged_or_missing_file_is_rendered_again_alone(corpus):
    expected = _files(corpus.root)
    broken = wav_path(corpus.root, "clips", SOME[0])
    broken.write_bytes(broken.read_bytes()[:-2] + b"\x01\x01")
    wav_path(corpus.root, "twins", SOME[3]).unlink()
    truth_path(corpus.root, SOME[4]).write_text("{", "utf-8")
    assert sorted(damaged(corpus.root, SOME)) == sorted([SOME[0], SOME[3], SOME[4]])
    totals = []
    again = PlantedCorpus(RECORD, corpus.root, progress=lambda done, total: totals.append(total), workers=2)
    again.prepare(SOME)
    assert totals == [3, 3, 3] and not damaged(corpus.root, SOME) and _files(corpus.root) == expected
    again.prepare(SOME)
    assert totals == [3, 3, 3]  # nothing to do


def test_a_clip_that_was_not_prepared_is_rendered_with_its_voice(corpus, tmp_path, monkeypatch):
    asked = []

    def render(name, folder, names, workers, progress):
        asked.append(list(names))
        copytree(corpus.root, folder)

    monkeypatch.setattr("serxai.datasets.planted.corpus.render_into", render)
    lazy = PlantedCorpus(RECORD, tmp_path / "planted-1")
    assert not lazy.root.exists()
    assert lazy.clip(SOME[0]).sha256 == lazy.clip(SOME[0]).sha256 == corpus.clip(SOME[0]).sha256
    assert asked == [[name for name in sorted(CLIP_IDS) if name.startswith("Female2-")]]


@pytest.mark.long
def test_two_that_render_at_once_leave_whole_clips(tmp_path):
    folder = tmp_path / "deep" / "planted-1"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: render_into("planted", folder, SOME[:1], 1), range(2)))
    assert not damaged(folder, SOME[:1])
    assert [path.name for path in folder.parent.iterdir()] == ["planted-1"]
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == sorted(
        [f"{name}.{kind}" for name in SOME[:1] for kind in ("wav", "wav", "json")]
    )


def test_a_renderer_that_dies_is_reported_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SerxaiError, match="'planted' failed with exit status 1"):
        PlantedCorpus(RECORD, tmp_path / "planted-1").prepare(SOME[:1])
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_an_interrupted_rendering_keeps_what_is_finished_and_no_scratch(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PlantedCorpus(RECORD, tmp_path / "planted-1", progress=interrupt, workers=1).prepare(SOME[:2])
    assert [path.name for path in tmp_path.iterdir()] == ["planted-1"]
    assert damaged(tmp_path / "planted-1", SOME[:2]) == SOME[1:2]


def test_unknown_clips_are_refused(tmp_path, corpus):
    for ask in (corpus.clip, lambda name: corpus.prepare([name])):
        with pytest.raises(InputError, match="no clip 'Nobody-s0-anger'; ids look like"):
            ask("Nobody-s0-anger")


def test_loading_renders_nothing_and_never_looks_at_the_data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("SERXAI_CACHE", str(tmp_path / "cache"))
    for record in RECORDS:
        loaded = load(record, tmp_path / "data")
        assert list(loaded.table.index) == sorted(CLIP_IDS) and loaded.root == planted_folder(record)
        assert loaded.select(limit=4) == loaded.select()[:4]
        assert set(loaded.table.loc[loaded.select(limit=4), "emotion"]) == set(EMOTIONS)
    assert not list(tmp_path.iterdir())


def test_records_are_true():
    for record in RECORDS:
        table = load(record).table
        assert CORPORA.get(record.name) is record and record.twinned and record.voices == "planted"
        assert len(table) == record.clips and table["speaker"].nunique() == record.speakers
        assert table["emotion"].value_counts().to_dict() == dict(record.label_counts)
        for name in SOME[:1]:
            assert wav_path(planted_folder(record), "clips", name) == planted_folder(record) / table.at[name, "file"]
    assert [record.name for record in RECORDS] == list(VARIANTS)


def test_digest_follows_name_and_version():
    digests = [load(record).digest for record in (*RECORDS, replace(RECORD, version="0"))]
    assert len(set(digests)) == len(digests) and load(RECORD).digest == digests[0]


@pytest.mark.long
def test_variants_differ_from_each_other_and_keep_the_rules(variants, corpus):
    seen = {corpus.clip("Denis-s2-anger").sha256}
    for name, variant in variants.items():
        for emotion in EMOTIONS:
            clip = variant.clip(f"Denis-s2-{emotion}")
            outside = outside_words(clip)
            assert np.array_equal(clip.samples[outside], clip.plant.twin[outside])
            assert bool(clip.plant.words) == (emotion != "neutral") and clip.corpus == name
            assert len(clip.plant.words) <= np.flatnonzero(VARIANTS[name].words)[-1] + 1
            assert not clip.plant.words or np.abs(clip.samples - clip.plant.twin).max() > 1e-3
            seen.add(clip.sha256)
    assert len(seen) == 17
    german = variants["planted-de"].clip("Denis-s2-anger")
    assert [w.label for w in german.words] == ["wir", "liessen", "den", "braunen", "hund", "im", "garten"]


@pytest.mark.long
def test_harder_levels_have_smaller_cues(corpus, variants):
    for emotion, cue in (("anger", "loudness"), ("happiness", "f0_level"), ("sadness", "loudness")):
        name = f"Denis-s2-{emotion}"
        sizes = [
            abs(c.clip(name).plant.cues[cue]) for c in (corpus, variants["planted-medium"], variants["planted-hard"])
        ]
        assert sizes == sorted(sizes, reverse=True) and sizes[2] < 0.7 * sizes[0]


@pytest.mark.parametrize("emotion", BAND_RECIPES)
def test_the_band_variant_changes_its_band_alone(variants, emotion):
    clip, recipe = variants["planted-band"].clip(f"Denis-s2-{emotion}"), BAND_RECIPES[emotion]
    plane, twin = Plane(clip.samples), Plane(clip.plant.twin)
    grid = Grid(np.array([0.0, recipe.low_hz - 32, recipe.high_hz + 32, 8000.0]), np.array([0.0, clip.duration_s + 1]))
    truth = truth_map(clip, plane, twin, grid)[:, 0]
    assert truth[1] / truth.sum() > 0.95


@pytest.mark.long
def test_asking_for_few_clips_renders_few(tmp_path):
    script = (
        "from serxai.datasets.corpora import load_corpus; c = load_corpus('planted'); c.prepare(c.select(limit=8));"
        "print(len(list(c.root.rglob('*.wav'))))"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script], env={"SERXAI_CACHE": str(tmp_path), "PATH": ""}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "16", done.stderr
    assert time.perf_counter() - start < 60


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
def whole():
    """All 512 clips; rendered into the user's cache where it does not hold them yet."""
    corpus = load(RECORD)
    corpus.prepare(corpus.table.index)
    return corpus


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
