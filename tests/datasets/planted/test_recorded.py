"""Corpora rendered from recordings: a synthetic miniature of EMODB, some real clips, and all in the long tests."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from shutil import copytree

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.audio import SAMPLE_RATE, Plane, scoring_grid
from serxai.datasets.authentic import authentic_clips
from serxai.datasets.clip import Clip, Plant, Word
from serxai.datasets.corpora import load_corpus
from serxai.datasets.planted import from_emodb, recorded, spliced
from serxai.datasets.planted.check import cue_table, measured_changes, outside_words
from serxai.datasets.planted.edits import crossfade_weight
from serxai.datasets.planted.files import KINDS, render_into, truth_path, wav_path
from serxai.datasets.planted.from_emodb import DRAWS, RecordedPlants, RecordingRenderer, load, plan
from serxai.datasets.planted.record import EMOTIONS, FROM_EMODB, SPLICED
from serxai.datasets.planted.recorded import scaled
from serxai.datasets.planted.stretches import SHORTEST_S, STRETCH_S, Syllables, nuclei, stretches, syllables
from serxai.datasets.planted.truth import CROSSFADE_S, truth_map
from serxai.datasets.planted.worker import render_all, render_to
from serxai.errors import InputError
from serxai.keys import rng
from serxai.models.exposure import share_speakers

from .conftest import ANNOTATED, CLIPS, STRESSES, SYLLABLES, write_emodb

RECORDS = (FROM_EMODB, SPLICED)


@pytest.fixture(scope="module", params=RECORDS, ids=lambda record: record.name)
def renderer(request, mini):
    return RecordingRenderer(request.param.name, mini)


def _clip(rendering, base: Clip) -> Clip:
    samples, twin = (x.astype(np.float32) / 32768 for x in (rendering.samples, rendering.twin))
    return replace(base, samples=samples, plant=Plant(twin, rendering.planted, rendering.cues))


def _inside(n: int, words) -> np.ndarray:
    """Samples in a stretch or its crossfade."""
    return crossfade_weight(n, tuple(words)) > 0 if words else np.zeros(n, dtype=bool)


# --- syllables and stretches ---------------------------------------------------------------------------------------


def test_annotated_syllables_and_their_stress_are_used(mini):
    clip = load_corpus("emodb", mini).clip(ANNOTATED)
    found = syllables(clip)
    assert found.origin == "annotated" and [w.label for w in found.words] == [f"syl{i}" for i in range(7)]
    assert found.stressed == tuple(stress >= 1 for stress in STRESSES)


def test_without_annotation_syllables_are_found_at_peaks_of_intensity(mini):
    clip = load_corpus("emodb", mini).clip("08a02Na")
    found = syllables(clip)
    assert found.origin == "nuclei" and len(found.words) == len(SYLLABLES)
    for word, (start, end) in zip(found.words, SYLLABLES, strict=True):
        assert abs(word.start_s - start) < 0.08 and abs(word.end_s - end) < 0.08
    # the most prominent are those that were made loudest and longest
    assert [i for i, stressed in enumerate(found.stressed) if stressed] == [1, 3, 5]
    assert nuclei(np.zeros(16000), "male") == () and nuclei(np.zeros(10), "female") == ()


def test_syllables_without_ratings_have_measured_stress(mini):
    clip = replace(load_corpus("emodb", mini).clip(ANNOTATED), marks={})
    found = syllables(clip)
    assert found.origin == "annotated syllables" and found.words == clip.words
    assert [i for i, stressed in enumerate(found.stressed) if stressed] == [1, 3, 5]


def test_two_syllables_are_stressed_even_if_all_ratings_are_low(mini):
    clip = load_corpus("emodb", mini).clip(ANNOTATED)
    low = tuple(Word(f"{float(mark.label) / 4}", mark.start_s, mark.end_s) for mark in clip.marks["stress"])
    assert sum(syllables(replace(clip, marks={"stress": low})).stressed) == 2


def test_stretches_do_not_overlap_and_are_of_one_kind():
    generator = np.random.default_rng(0)
    for _ in range(200):
        n = int(generator.integers(1, 15))
        edges = np.cumsum(generator.uniform(0.03, 0.3, n + 1))
        gaps = generator.choice([0.0, 0.1], n, p=[0.8, 0.2])
        words = tuple(Word(str(i), edges[i], edges[i + 1] - min(gaps[i], 0.02)) for i in range(n))
        stressed = tuple((generator.random(n) < 0.4).tolist())
        made = stretches(Syllables(words, stressed, "annotated"))
        for stretch in made:
            members = stressed[stretch.first : stretch.last + 1]
            assert stretch.stressed == members[0] and not any(members[1:])
            assert stretch.duration_s >= SHORTEST_S
            # no longer than it needs to be
            assert words[stretch.last - 1].end_s - stretch.start_s < STRETCH_S or stretch.first == stretch.last
        assert all(a.last < b.first for a, b in pairwise(made))


def test_stretches_are_stressed_targets_and_unstressed_distractors():
    words = tuple(Word(str(i), i * 0.2, i * 0.2 + 0.2) for i in range(10))
    found = Syllables(words, (False, True) * 5, "annotated")
    numbers = []
    for i in range(200):
        chosen = recorded.choose(found, np.random.default_rng(i))
        everything = [stretch for part in chosen.values() for stretch in part]
        assert len({stretch.first for stretch in everything}) == len(everything)
        assert all(stretch.stressed for stretch in chosen["target"])
        assert not any(stretch.stressed for stretch in chosen["distractor"])
        assert sorted(stretch.stressed for stretch in chosen["sham"]) == [False, True]
        numbers.append((len(chosen["target"]), len(chosen["distractor"])))
    assert {n for n, _ in numbers} == {1, 2, 3} and {m for _, m in numbers} == {1, 2}
    with pytest.raises(InputError, match="no syllable"):
        recorded.choose(Syllables((), (), "nuclei"), np.random.default_rng(0))


def test_a_distractor_edits_one_cue_up_or_down():
    drawn = [recorded.distractor(np.random.default_rng(i)) for i in range(300)]
    assert len({label for label, _ in drawn}) == 6 and min(Counter(label for label, _ in drawn).values()) > 25
    for label, recipe in drawn:
        changed = {
            "pitch level": recipe.pitch_st != 0,
            "pitch range": recipe.pitch_range != 1,
            "gain": recipe.level_db != 0,
            "tilt": recipe.shelf_db != 0,
            "jitter": recipe.jitter > 0,
            "breath": np.isfinite(recipe.breath_db),
        }
        assert [name for name, is_changed in changed.items() if is_changed] == [label]
    rises = [recipe.level_db > 0 for label, recipe in drawn if label == "gain"]
    assert 0.2 < np.mean(rises) < 0.8


# --- rendering -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [ANNOTATED, "08a02Na"])
@pytest.mark.parametrize("emotion", EMOTIONS)
def test_clip_and_twin_differ_in_the_targets_only(renderer, base, emotion):
    recording = renderer.source.clip(base)
    made = renderer(f"{base}-0-{emotion}")
    n = made.samples.size
    assert made.samples.dtype == made.twin.dtype == np.int16 and n == made.twin.size == recording.samples.size
    targets, shams = made.stretches["target"], made.stretches["sham"]
    clip = _clip(made, recording)
    assert targets and shams
    if emotion == "neutral":
        assert np.array_equal(made.samples, made.twin) and not made.planted and not made.cues
    else:
        changed = np.abs(made.samples.astype(int) - made.twin) > 0
        assert not changed[outside_words(clip)].any() and not changed[~_inside(n, targets)].any()
        for stretch in targets:
            assert changed[_inside(n, [stretch])].mean() > 0.5
        assert {(w.start_s, w.end_s) for w in targets} == {
            (min(w.start_s for w in group), max(w.end_s for w in group)) for group in _groups(made.planted, targets)
        }
    # outside all stretches both are the recording, and every stretch is processed in the twin as well
    plain = np.round(scaled(recording.samples) * 32767).astype(int)
    every = [word for part in made.stretches.values() for word in part]
    assert np.array_equal(made.twin[~_inside(n, every)], plain[~_inside(n, every)])
    for stretch in every:
        assert np.abs(made.twin - plain)[_inside(n, [stretch])].any()


def _groups(words, targets):
    return [[w for w in words if t.start_s - 1e-9 <= w.start_s < t.end_s] for t in targets]


def test_the_same_bytes_whatever_was_rendered_before(renderer):
    ids = [f"{base}-1-{emotion}" for base in (ANNOTATED, "08a02Na") for emotion in ("anger", "sadness")]
    first = {name: renderer(name) for name in ids}
    again = RecordingRenderer(renderer.corpus, renderer.source.root.parent)
    for name in reversed(ids):
        made = again(name)
        assert made.samples.tobytes() == first[name].samples.tobytes()
        assert made.twin.tobytes() == first[name].twin.tobytes() and made.cues == first[name].cues
    assert len({first[name].samples.tobytes() for name in ids}) == len(ids)
    assert renderer(ids[0].replace("-1-", "-2-")).stretches != first[ids[0]].stretches


def test_planted_cues_go_in_the_direction_of_the_recipe(mini):
    render = RecordingRenderer("planted-emodb", mini)
    cues = {emotion: render(f"{ANNOTATED}-0-{emotion}").cues for emotion in EMOTIONS}
    assert cues["anger"]["loudness"] > 4 and cues["happiness"]["f0_level"] > 5 and cues["sadness"]["loudness"] < -6
    assert cues["anger"]["high_frequency_energy"] > 3 and cues["sadness"]["high_frequency_energy"] < -3


def test_a_splice_is_speech_of_the_emotion_at_the_level_of_what_it_replaces(mini):
    render = RecordingRenderer("spliced", mini)
    for emotion, letter in (("anger", "W"), ("happiness", "F"), ("sadness", "T"), ("neutral", "N")):
        name = f"08a02Na-0-{emotion}"
        made, base = render(name), render.source.clip("08a02Na")
        for stretch in made.stretches["target"]:
            assert stretch.label[:2] == "08" and stretch.label[5] == letter and stretch.label != "08a02Na"
            a, b = round((stretch.start_s + 0.02) * SAMPLE_RATE), round((stretch.end_s - 0.02) * SAMPLE_RATE)
            piece, donor = made.samples[a:b].astype(float), render.source.clip(stretch.label).samples.astype(float)
            assert _best_match(piece, donor) > 0.999  # the donor's own samples, scaled
            weight = crossfade_weight(base.samples.size, (stretch,))
            powers = [
                np.sum((weight * x) ** 2) for x in (made.samples / 32767, made.twin / 32767, scaled(base.samples))
            ]
            assert np.ptp(10 * np.log10(powers)) < 0.2
        for stretch in made.stretches["sham"]:
            assert stretch.label[:2] == "08" and stretch.label[5] == "N" and stretch.label != "08a02Na"


def _best_match(piece: np.ndarray, donor: np.ndarray) -> float:
    """Largest normalised correlation of a piece with any part of a donor."""
    from scipy.signal import correlate

    products = correlate(donor, piece, "valid")
    powers = np.convolve(donor**2, np.ones(piece.size), "valid")
    return float((products / np.sqrt(np.maximum(powers, 1e-12) * np.sum(piece**2))).max())


def test_splices_are_apart_and_leave_half_of_the_speech():
    words = tuple(Word(str(i), i * 0.15, i * 0.15 + 0.15) for i in range(20))
    found = Syllables(words, (True, False) * 10, "annotated")
    for i in range(100):
        chosen = spliced.choose(found, np.random.default_rng(i))
        spans = sorted((s.start_s, s.end_s) for part in chosen.values() for s in part)
        assert all(b[0] - a[1] >= 2 * CROSSFADE_S for a, b in pairwise(spans))
        assert 1 <= len(chosen["target"]) <= 2 and 1 <= len(chosen["sham"]) <= 2
        assert sum(s.duration_s for s in chosen["target"]) <= 1.5
    with pytest.raises(InputError, match="no syllables"):
        spliced.choose(Syllables((), (), "nuclei"), np.random.default_rng(0))


# --- corpora -------------------------------------------------------------------------------------------------------


def test_each_speaker_has_each_emotion_equally_often(mini):
    table = load_corpus("emodb", mini).table
    for record in RECORDS:
        planned = plan(record.name, table)
        counts = planned.groupby(["speaker", "emotion"]).size()
        assert set(counts) == {DRAWS} and len(counts) == 2 * len(EMOTIONS)
        # a recording is drawn as often in each emotion, so no sentence tells one
        drawn = planned.groupby(["recording", "emotion"]).size().unstack()
        assert (drawn.nunique(axis=1) == 1).all() and np.ptp(drawn["anger"]) == 0
        assert all(table.at[base, "emotion"] == "neutral" for base in planned["recording"])


def test_what_cannot_be_spliced_is_left_out(mini):
    table = load_corpus("emodb", mini).table
    few = table.drop(index=["03a02Nb", "08a01Ta"])
    planned = plan("spliced", few)
    assert set(planned["speaker"]) == {"08"} and set(planned["emotion"]) == set(EMOTIONS) - {"sadness"}
    assert set(plan("planted-emodb", few)["speaker"]) == {"03", "08"}
    with pytest.raises(InputError, match="needs a speaker with 2 neutral"):
        plan("spliced", table.drop(index=["03a02Nb", "08a02Na"]))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_missing_recordings_are_named(record, tmp_path):
    with pytest.raises(InputError, match=f"'{record.name}' is rendered from your copy of emodb.*03a01Fa.wav"):
        load(record, tmp_path)
    (tmp_path / "emodb").mkdir()
    soundfile.write(tmp_path / "emodb" / "03a01Wa.wav", np.zeros(16000), 16000)
    with pytest.raises(InputError, match=r"neutral clips, but .* has none"):
        load(record, tmp_path)


def test_the_cache_folder_and_digest_follow_recordings_and_annotation(mini, tmp_path, monkeypatch):
    monkeypatch.setenv("SERXAI_CACHE", str(tmp_path / "cache"))
    made = load(FROM_EMODB, mini)
    assert made.root.parent == tmp_path / "cache" and made.root.name.startswith("planted-emodb-1-")
    copytree(mini, tmp_path / "copy")
    copy = load(FROM_EMODB, tmp_path / "copy")
    assert copy.digest == made.digest and copy.root == made.root and not made.root.exists()
    wav = tmp_path / "copy" / "emodb" / "wav" / "03a02Nb.wav"
    soundfile.write(wav, 0.9 * soundfile.read(wav)[0], SAMPLE_RATE, subtype="PCM_16")
    altered = load(FROM_EMODB, tmp_path / "copy")
    copytree(mini, tmp_path / "bare")
    (tmp_path / "bare" / "emodb" / f"{ANNOTATED}.labsilb").unlink()
    bare = load(FROM_EMODB, tmp_path / "bare")
    assert len({c.digest for c in (made, altered, bare)}) == len({c.root for c in (made, altered, bare)}) == 3
    # an emotional recording matters to splices alone
    copytree(mini, tmp_path / "angry")
    wav = tmp_path / "angry" / "emodb" / "wav" / "03a01Wa.wav"
    soundfile.write(wav, 0.9 * soundfile.read(wav)[0], SAMPLE_RATE, subtype="PCM_16")
    assert load(FROM_EMODB, tmp_path / "angry").digest == made.digest
    assert load(SPLICED, tmp_path / "angry").digest != load(SPLICED, mini).digest


@pytest.mark.long
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_a_corpus_renders_on_demand_and_resumes(record, mini, tmp_path):
    steps = []
    source = from_emodb.load_recordings(record, mini)
    corpus = RecordedPlants(record, source, tmp_path / "made", lambda *step: steps.append(step), workers=2)
    ids = [f"{base}-0-{emotion}" for base in (ANNOTATED, "08a02Na") for emotion in ("happiness", "neutral")]
    corpus.prepare(ids)
    assert steps == [(i + 1, 4) for i in range(4)]
    files = {path: path.read_bytes() for path in corpus.root.rglob("*.*")}
    assert len(files) == 12
    clip = corpus.clip(ids[0])
    direct = RecordingRenderer(record.name, mini)(ids[0])
    assert np.array_equal(np.round(clip.samples * 32768), direct.samples)
    assert np.array_equal(np.round(clip.plant.twin * 32768), direct.twin)
    assert (clip.emotion, clip.speaker, clip.sex, clip.sentence) == ("happiness", "03", "male", "a01")
    assert set(clip.plant.words) <= set(clip.words) and len(clip.words) == len(SYLLABLES)
    assert corpus.segmentation(ids[0]) == "annotated" and corpus.segmentation(ids[2]) == "nuclei"
    assert corpus.stretches(ids[0])["target"][0].label == direct.stretches["target"][0].label
    # one process that renders all in another order writes the same bytes
    alone, render = tmp_path / "alone", RecordingRenderer(record.name, mini)
    for name in reversed(ids):
        render_to(render, alone, name)
    assert {path.relative_to(alone): path.read_bytes() for path in alone.rglob("*.*")} == {
        path.relative_to(corpus.root): content for path, content in files.items()
    }
    # the truth lies in the targets
    grid = scoring_grid(clip.duration_s)
    truth = truth_map(clip, Plane(clip.samples), Plane(clip.plant.twin), grid)
    middle = (grid.time_edges_s[1:] + grid.time_edges_s[:-1]) / 2
    near = np.any([(middle > w.start_s - 0.1) & (middle < w.end_s + 0.1) for w in clip.plant.words], axis=0)
    assert truth[:, near].sum() == pytest.approx(truth.sum()) and truth.sum() > 0
    # the recording is what the clip is outside all stretches
    every = [word for part in corpus.stretches(ids[0]).values() for word in part]
    away = ~_inside(clip.samples.size, every)
    assert np.array_equal(corpus.recording(ids[0])[away], clip.samples[away])
    # a lost file is rendered again alone, to the same bytes
    wav_path(corpus.root, KINDS[0], ids[1]).unlink()
    truth_path(corpus.root, ids[2]).write_text("{")
    corpus.prepare(ids)
    assert steps[4:] == [(1, 2), (2, 2)]
    assert {path: path.read_bytes() for path in corpus.root.rglob("*.*")} == files
    assert authentic_clips(corpus, ids) == set()  # the miniature is not the publisher's
    with pytest.raises(InputError, match="no clip"):
        corpus.prepare(["03a01Na-0-fear"])


def test_the_clip_whose_process_fails_is_named(mini, tmp_path):
    with pytest.raises(RuntimeError, match="rendering planted-emodb clip '99a01Na-0-anger' failed with exit status 1"):
        list(render_all("planted-emodb", tmp_path, ["99a01Na-0-anger"], 2, str(mini)))


def test_a_renderer_keeps_a_bounded_number_of_recordings(mini, monkeypatch):
    monkeypatch.setattr(from_emodb, "KEPT", 2)
    render = RecordingRenderer("planted-emodb", mini)
    for name in CLIPS:
        assert render.recording(name) is render.recording(name) and len(render._kept) <= 2


def test_speakers_are_those_of_emodb():
    assert share_speakers("emodb", "planted-emodb") and share_speakers("spliced", "planted-emodb")
    assert not share_speakers("planted", "planted-emodb")


def test_recordings_of_a_clip(mini):
    made, cut = (RecordedPlants(r, from_emodb.load_recordings(r, mini), "unused") for r in RECORDS)
    assert made.recordings(f"{ANNOTATED}-0-anger") == {ANNOTATED}
    assert cut.recordings(f"{ANNOTATED}-0-anger") == {ANNOTATED, "03a02Nb", "03a01Wa"}
    assert len(CLIPS) == 10


# --- EMODB itself --------------------------------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_records_are_true(record, data_root):
    corpus = load(record, data_root)
    table = corpus.table
    assert len(table) == record.clips and table["speaker"].nunique() == record.speakers
    assert table["emotion"].value_counts().to_dict() == dict(record.label_counts)
    ids = corpus.select(limit=8)
    assert authentic_clips(corpus, ids) == set(ids)


@pytest.mark.real_data
def test_planted_cues_are_found_in_real_clips(data_root):
    render = RecordingRenderer("planted-emodb", data_root)
    corpus = load(FROM_EMODB, data_root)
    ids = [name for name in corpus.select(limit=8) if not name.endswith("neutral")]
    made = {name: render(name) for name in ids}
    assert len(made) == 6 and all(rendering.segmentation == "annotated" for rendering in made.values())
    corpus.prepare = lambda names: None
    corpus.clip = lambda name: replace(
        _clip(made[name], render.source.clip(name.split("-")[0])), emotion=name.rsplit("-", 1)[1]
    )
    changes = measured_changes(corpus, ids)
    known = changes.dropna(subset="change")
    assert changes["outside"].max() == 0 and len(known) >= 0.9 * len(changes)
    assert np.mean(np.sign(known["change"]) == known["direction"]) >= 0.85


@pytest.mark.real_data
def test_real_clips_are_spliced_at_their_level(data_root):
    render = RecordingRenderer("spliced", data_root)
    for name in ("03a01Nc-0-anger", "16b10Nb-0-sadness"):
        if name not in load(SPLICED, data_root).table.index:
            continue
        made, base = render(name), render.source.clip(name.split("-")[0])
        clip = _clip(made, base)
        assert np.array_equal(clip.samples[outside_words(clip)], clip.plant.twin[outside_words(clip)])
        for stretch in made.stretches["target"]:
            assert render.source.table.at[stretch.label, "emotion"] == name.rsplit("-", 1)[1]


@pytest.mark.real_data
@pytest.mark.long
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_real_files_are_the_same_with_any_number_of_processes(record, data_root, tmp_path):
    ids, made = load(record, data_root).select(limit=32), []
    for workers, order in ((1, ids), (3, ids[::-1])):
        render_into(record.name, tmp_path / str(workers), order, workers, source=str(data_root))
        folder = tmp_path / str(workers)
        made.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")})
    assert len(made[0]) == 3 * len(ids) and made[0] == made[1]


@pytest.mark.real_data
@pytest.mark.long
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_the_whole_corpus_is_as_planted(record, data_root):
    """Every clip: exact outside the targets, cues found; the sham table is that of the corpus."""
    corpus = load(record, data_root)
    corpus.prepare(corpus.table.index)
    changes = measured_changes(corpus, corpus.table.index)
    table = cue_table(changes)
    assert changes["outside"].max() == 0 and changes["clip"].nunique() == 480
    assert (table["share"] >= 0.8).all(), table
    kinds = {name: corpus.stretches(name) for name in corpus.table.index}
    assert all(parts["target"] and parts["sham"] for parts in kinds.values())
    assert np.mean([corpus.segmentation(name) == "annotated" for name in corpus.table.index]) > 0.95


@pytest.mark.real_data
@pytest.mark.long
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_the_number_of_edits_does_not_tell_the_emotion(record, data_root):
    corpus = load(record, data_root)
    facts = pd.DataFrame(
        {name: {kind: len(parts) for kind, parts in corpus.stretches(name).items()} for name in corpus.table.index}
    ).T
    facts["seconds"] = [sum(w.end_s - w.start_s for w in corpus.stretches(n)["target"]) for n in corpus.table.index]
    blocks = corpus.table.sort_values(["recording", "emotion"]).index
    for fact in facts:
        values = facts.loc[blocks, fact].astype(float)
        groups = corpus.table.loc[blocks, "recording"]
        centred = (values - values.groupby(groups).transform("mean")).to_numpy()
        emotions = corpus.table.loc[blocks, "emotion"].to_numpy()
        draw = rng("edits", fact)
        order = np.argsort(groups.to_numpy(), kind="stable")

        def spread(labels: np.ndarray, centred: np.ndarray = centred) -> float:
            return float(np.var([centred[labels == emotion].mean() for emotion in EMOTIONS]))

        null = []
        for _ in range(500):
            shuffled = emotions.copy()
            for part in np.split(order, np.flatnonzero(np.diff(pd.factorize(groups)[0][order])) + 1):
                shuffled[part] = draw.permutation(shuffled[part])
            null.append(spread(shuffled))
        assert (1 + np.sum(np.array(null) >= spread(emotions))) / 501 > 0.01, fact


def test_the_miniature_is_written_as_the_publisher_names_it(tmp_path):
    root: Path = write_emodb(tmp_path)
    assert Counter(load_corpus("emodb", root).table["emotion"]) == {
        "neutral": 4,
        "anger": 2,
        "happiness": 2,
        "sadness": 2,
    }
