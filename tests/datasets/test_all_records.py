"""Properties that hold for every registered corpus and condition, third-party ones included."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serxai.datasets.clip import Clip
from serxai.datasets.corpora import CORPORA, corpus_forbidding_derivatives, layout_of
from serxai.datasets.corpus import TAXONOMY, CorpusRecord, FileNameParser
from serxai.datasets.manifest import publisher_checksums
from serxai.datasets.planted.corpus import PlantedCorpus
from serxai.datasets.planted.voices import VARIANTS
from serxai.datasets.shifts.conditions import CONDITIONS, ConditionRecord, apply_condition
from serxai.errors import InputError

from .shifts.strengths import each

corpora = pytest.mark.parametrize("record", list(CORPORA), ids=lambda record: record.name)
conditions = pytest.mark.parametrize("record", each(CONDITIONS))
OTHERS = [np.random.default_rng(s).standard_normal(5000).astype(np.float32) for s in range(6)]


@corpora
def test_corpus_metadata_is_complete_and_consistent(record: CorpusRecord) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*:?", record.name)
    assert all(text.strip() and "\n" not in text for text in (record.summary, record.licence, record.citation))
    assert re.fullmatch(r"[a-z]{2,3}(-[A-Z]{2})?", record.language)
    assert set(record.emotions) <= set(TAXONOMY) and len(set(record.emotions)) == len(record.emotions) >= 2
    assert set(record.label_map.values()) == set(record.emotions)  # each emotion has a label, each label an emotion
    if record.name.endswith(":"):
        return
    assert record.speakers >= 2 and record.clips > record.speakers and record.hours > 0 and record.url
    assert sum(record.label_counts.values()) == record.clips
    assert 8000 <= record.sample_rate <= 48_000
    assert 0.5 < 3600 * record.hours / record.clips < 10  # seconds per utterance


@corpora
def test_corpus_target_loads_and_reports_missing_data(record: CorpusRecord, tmp_path: Path) -> None:
    load = record.load()
    assert callable(load)
    if record.twinned and not record.rendered_from:  # rendered on demand, so never missing
        assert len(load(record, tmp_path).table) == record.clips
        return
    with pytest.raises(InputError, match=re.escape(record.name)):
        load(record, tmp_path)


@corpora
def test_corpus_layout_covers_its_speakers_and_example(record: CorpusRecord) -> None:
    layout = layout_of(record)
    if layout is None:
        assert record.twinned or record.name.endswith(":")
        return
    assert len(layout.sexes) == record.speakers and set(layout.sexes.values()) <= {"female", "male"}
    assert not set(layout.left_out) & set(record.label_map) or record.name == "iemocap-excited"
    example = layout.example.split(" ")[0]
    if layout.labels is None:
        parsed = FileNameParser(record, layout, Path("nowhere")).parse(example)
        assert parsed is not None and parsed["emotion"] in record.emotions and parsed["speaker"] in layout.sexes


@corpora
def test_corpus_checksums_are_of_its_clips(record: CorpusRecord) -> None:
    checksums = publisher_checksums(record)
    layout = layout_of(record)
    if not checksums:
        return
    assert layout is not None and len(checksums) == record.clips
    names = FileNameParser(record, layout, Path("nowhere"))
    rows = [names.parse(file) for file in checksums]
    counts = {
        emotion: sum(row is not None and row["emotion"] == emotion for row in rows) for emotion in record.emotions
    }
    assert counts == dict(record.label_counts)
    assert {row["speaker"] for row in rows if row is not None} == set(layout.sexes)


@corpora
def test_corpora_without_derivatives_are_recognised_by_folder(record: CorpusRecord, tmp_path: Path) -> None:
    if record.name.endswith(":"):
        return
    file = record.root(tmp_path) / "any.wav"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"")
    owner = corpus_forbidding_derivatives(file, tmp_path)
    assert (owner is None) == record.derivatives_allowed
    assert owner is None or owner.root(tmp_path) == record.root(tmp_path)


@corpora
def test_planted_corpora_have_balanced_tables(record: CorpusRecord, tmp_path: Path) -> None:
    if not record.twinned or record.rendered_from:
        return
    table = PlantedCorpus(record, tmp_path).table
    assert set(VARIANTS[record.name].recipes) == set(record.emotions) - {"neutral"}
    assert table["speaker"].nunique() == record.speakers
    assert table["emotion"].value_counts().to_dict() == dict(record.label_counts)
    assert table.groupby(["speaker", "emotion"]).size().nunique() == 1


def test_corpora_that_share_voices_are_marked() -> None:
    groups: dict[str, set[str]] = {}
    for record in CORPORA:
        groups.setdefault(record.voices or record.folder or record.name, set()).add(record.name)
    synthetic = {record.name for record in CORPORA if record.twinned and not record.rendered_from}
    assert groups["planted"] == synthetic
    assert groups["emodb"] == {"emodb", *(record.name for record in CORPORA if record.rendered_from == "emodb")}
    assert all(len(names) == 1 or key in ("planted", "iemocap", "emodb") for key, names in groups.items())


@conditions
def test_condition_metadata_is_complete(record: ConditionRecord) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", record.name) and callable(record.load())
    assert record.summary.strip() and record.licence.strip() and record.citation.strip()
    assert (record.kind == "none") == math.isnan(record.strength) == (record.unit == "") == (record.name == "clean")
    assert record.moves_time == (record.kind == "tempo") and record.others >= 0


@conditions
def test_condition_is_deterministic_and_blind_to_labels(record: ConditionRecord, speak: Callable[..., Clip]) -> None:
    clip = speak(seconds=0.9, planted=True)
    relabelled = replace(clip, emotion="sadness", speaker="s9", sex="male", sentence="b")
    shifted, again = (apply_condition(record.name, c, others=OTHERS[: record.others]) for c in (clip, relabelled))
    assert clip.plant is not None and shifted.plant is not None and again.plant is not None
    assert np.array_equal(shifted.samples, again.samples) and shifted.sha256 == again.sha256
    assert np.array_equal(shifted.plant.twin, again.plant.twin) and shifted.time_map == again.time_map
    assert shifted.samples.dtype == np.float32 and np.all(np.isfinite(shifted.samples))
    assert (shifted.samples.size == clip.samples.size) != record.moves_time
    assert [word.label for word in shifted.words] == [word.label for word in clip.words]
    assert all(0 <= word.start_s < word.end_s <= shifted.duration_s for word in shifted.words)
    assert (shifted.sha256 == clip.sha256) == (record.kind == "none")
    assert (
        np.isnan(shifted.strength)
        if record.kind == "none"
        else np.isfinite(shifted.strength) and np.sign(round(shifted.strength, 3)) == np.sign(record.strength)
    )
