"""Which model explains speakers that no fold holds out, and whether it was trained on them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serxai.datasets.authentic import authentic_clips, publisher_of
from serxai.datasets.corpora import load_corpus
from serxai.errors import InputError
from serxai.models import network_training
from serxai.models.card import ENSEMBLE, REFIT
from serxai.models.exposure import TrainingExposure, samples_digest, share_speakers
from serxai.models.foldmodels import FoldModels, load_fold_models
from serxai.models.network_training import SETTINGS, Settings
from serxai.models.obtain import load_model, obtain_models
from serxai.models.training import add_refit, plan_training, train, train_fold_models
from serxai.models.transfer import transfer_row

FAST = Settings(width=4, steps=3, batch=8, crop_frames=40, learning_rate=1e-2, averaging=0.9)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, make_tiny_corpus) -> Path:
    """A folder with two folds and the refit."""
    patch = pytest.MonkeyPatch()
    patch.setitem(SETTINGS, "tiny", FAST)
    out = tmp_path_factory.mktemp("trained") / "model"
    train_fold_models("cnn", make_tiny_corpus(), out, folds=2, workers=1)
    patch.undo()
    return out


@pytest.fixture
def old(trained: Path, tmp_path: Path) -> Path:
    """The same folder as it was written before there were refits."""
    folder = tmp_path / "old"
    shutil.copytree(trained, folder)
    (folder / "refit.safetensors").unlink()
    card = json.loads((folder / "model.json").read_text())
    del card["refit"], card["clips"]
    (folder / "model.json").write_text(json.dumps(card))
    return folder


# -- the refit ---------------------------------------------------------------------------------------------------------


def test_speakers_that_no_fold_holds_out_get_the_refit_and_never_a_fold(trained: Path) -> None:
    models = load_fold_models(trained)
    assert [models.fold_for("tiny", f"s{k}") for k in range(4)] == ["0", "1", "0", "1"]
    assert models.fold_for("tiny", "newcomer") == models.fold_for("emodb", "s0") == REFIT == models.default_fold
    assert load_model("cnn", checkpoint=trained).fingerprint == models.recogniser(REFIT).fingerprint
    models.averaged = True
    assert models.fold_for("tiny", "newcomer") == models.fold_for("emodb", "s0") == ENSEMBLE
    assert models.fold_for("tiny", "s0") == "0"


def test_refit_and_ensemble_have_identities_of_their_own(trained: Path) -> None:
    models = load_fold_models(trained)
    prints = {name: models.recogniser(name).fingerprint for name in ("0", "1", REFIT, ENSEMBLE)}
    assert len(set(prints.values())) == 4
    assert models.info["refit"] == models.card.refit and "digests" not in models.info["clips"]


def test_the_refit_learns_from_every_speaker(make_tiny_corpus, tmp_path: Path) -> None:
    class Spoilt(make_tiny_corpus):
        def clip(self, clip_id):
            clip = super().clip(clip_id)
            return clip.with_samples(clip.samples[::-1] * 0.01) if clip.speaker == self.spoilt else clip

    weights = set()
    for spoilt in ("", "s0", "s1", "s5"):
        corpus = Spoilt()
        corpus.spoilt = spoilt
        task = replace(plan_training("cnn", corpus, folds=2), settings=replace(FAST, steps=6, batch=24))
        weights.add(train(task, tmp_path / f"m{spoilt}", workers=1).card.refit)
    assert len(weights) == 4


# -- folders without one -----------------------------------------------------------------------------------------------


def test_an_old_folder_loads_and_says_what_to_do_where_the_corpus_is_not_here(old: Path) -> None:
    models = load_fold_models(old)
    assert models.recogniser("0").classes and models.recogniser(ENSEMBLE).classes
    with pytest.raises(InputError, match=r"serxai train cnn --corpus tiny.*--ensemble"):
        models.recogniser(REFIT)


def test_an_old_folder_gets_its_refit_on_demand_and_keeps_it(old: Path, trained: Path, make_tiny_corpus) -> None:
    models = obtain_models("cnn", make_tiny_corpus, checkpoint=old)
    assert isinstance(models, FoldModels) and models.card.refit is None
    fingerprint = models.recogniser(REFIT).fingerprint
    assert fingerprint == load_fold_models(trained).recogniser(REFIT).fingerprint
    assert load_fold_models(old).recogniser(REFIT).fingerprint == fingerprint
    assert {p.name: p.read_bytes() for p in old.iterdir()} == {p.name: p.read_bytes() for p in trained.iterdir()}


def test_the_folds_of_an_old_folder_need_no_refit(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_training, "train_network", lambda *args, **kwargs: pytest.fail("trained"))
    models = obtain_models("cnn", lambda: pytest.fail("asked for the corpus"), checkpoint=old)
    assert models is not None and models.recogniser("1").classes


def test_no_refit_is_trained_on_other_data(old: Path, make_tiny_corpus) -> None:
    with pytest.raises(InputError, match="not what its folds were trained on"):
        add_refit(load_fold_models(old), make_tiny_corpus(takes=3))
    with pytest.raises(InputError, match="not what its folds were trained on"):
        add_refit(load_fold_models(old), make_tiny_corpus(name="other"))


def test_no_refit_is_trained_for_a_damaged_folder(old: Path, make_tiny_corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_training, "train_network", lambda *args, **kwargs: pytest.fail("trained"))
    card = json.loads((old / "model.json").read_text())
    training = card["training"]
    for changed, said in (
        ({"seed": -1}, "field 'seed'"),
        ({"settings": []}, "field 'settings'"),
        ({"settings": training["settings"] | {"steps": 10**9}}, "field 'steps': above"),
        ({"settings": training["settings"] | {"steps": "many"}}, "field 'steps'"),
        ({"settings": training["settings"] | {"augmentation": 1}}, "field 'augmentation'"),
    ):
        (old / "model.json").write_text(json.dumps(card | {"training": training | changed}))
        with pytest.raises(InputError, match=rf"model\.json: damaged, in 'training.*{said}"):
            add_refit(load_fold_models(old), make_tiny_corpus())
    (old / "model.json").write_text(json.dumps(card))
    (old / "fold-1.safetensors").unlink()
    with pytest.raises(InputError, match="the folder is incomplete"):
        add_refit(load_fold_models(old), make_tiny_corpus())
    assert not (old / "refit.safetensors").exists()


def test_a_foreign_model_has_nothing_to_average() -> None:
    with pytest.raises(InputError, match="--ensemble"):
        obtain_models("planted-rule", lambda: pytest.fail("asked for a corpus"), ensemble=True)


# -- what it was trained on --------------------------------------------------------------------------------------------


def seen(models: FoldModels, corpus, fold: str) -> dict[str, set[str]]:
    """Answers by speaker."""
    answers: dict[str, set[str]] = {}
    for clip, answer in models.seen_in_training(corpus, list(corpus.table.index), fold).items():
        answers.setdefault(corpus.table.at[clip, "speaker"], set()).add(answer)
    return answers


def test_a_fold_has_not_heard_its_held_out_speakers_and_the_refit_has_heard_all(trained: Path, make_tiny_corpus):
    models, corpus = load_fold_models(trained), make_tiny_corpus(speakers=7)
    held_out = models.folds.speakers["0"]
    assert seen(models, corpus, "0") == {f"s{k}": {"no" if f"s{k}" in held_out else "yes"} for k in range(6)} | {
        "s6": {"unknown"}
    }  # nobody vouches for the new speaker's files
    assert set.union(*seen(models, make_tiny_corpus(), REFIT).values()) == {"yes"}
    assert set.union(*seen(models, make_tiny_corpus(), ENSEMBLE).values()) == {"yes"}


def test_copies_under_other_names_are_found_by_content(trained: Path, make_tiny_corpus) -> None:
    class Copy(make_tiny_corpus):
        """Clips of `tiny` under another corpus' and other speakers' names; one is the copy's own."""

        def clip(self, clip_id):
            clip = make_tiny_corpus().clip(clip_id)
            return clip.with_samples(clip.samples * 0.5) if clip_id == "3-anger-1" else clip

    models, copy = load_fold_models(trained), Copy(name="copy")
    copy.table["speaker"] = "x" + copy.table["speaker"]
    answers = models.seen_in_training(copy, list(copy.table.index), REFIT)
    assert {clip for clip, answer in answers.items() if answer != "yes"} == {"3-anger-1"}
    assert answers["3-anger-1"] == "unknown"
    # each fold knows the clips of its own training alone
    of_fold = models.seen_in_training(copy, list(copy.table.index), "0")
    assert {copy.table.at[c, "speaker"][1:] for c, a in of_fold.items() if a == "yes"} == set(
        models.folds.speakers["1"]
    )
    sound = copy.clip("2-anger-0").samples
    assert models.fold_for_samples(sound) == models.folds.fold_of("s2") and models.fold_for_samples(-sound) == REFIT


def test_speakers_of_another_corpus_are_others_whatever_their_names(make_tiny_corpus) -> None:
    corpus = make_tiny_corpus(name="elsewhere")
    corpus.record = replace(corpus.record, twinned=True)  # authentic
    clips = list(corpus.table.index)
    for verified, answer in ((True, "no"), (False, "unknown")):
        exposure = TrainingExposure("tiny", {"s0", "s1"}, digests={"s0": ["0" * 32]}, verified=verified)
        assert set(exposure.seen(corpus, clips).values()) == {answer}
    shared = {"s0": [samples_digest(corpus.clip(clips[0]).samples)]}
    answers = TrainingExposure("tiny", {"s0"}, digests=shared, verified=True).seen(corpus, clips)
    assert [clip for clip, answer in answers.items() if answer == "yes"] == clips[:1]
    assert share_speakers("planted", "planted-hard") and not share_speakers("emodb", "ravdess")


def test_clips_that_cannot_be_read_are_not_shared(trained: Path, make_tiny_corpus) -> None:
    corpus = make_tiny_corpus(name="copy", damaged=("0-anger-0",))
    answers = load_fold_models(trained).seen_in_training(corpus, ["0-anger-0", "0-anger-1"], REFIT)
    assert answers == {"0-anger-0": "unknown", "0-anger-1": "yes"}


# -- real corpora ------------------------------------------------------------------------------------------------------


def part_of(data_root: Path, into: Path, corpus: str, keep: Callable[[str], bool]) -> Path:
    """A data root with some files of a corpus, as links, and their manifest."""
    source, target = data_root / corpus, into / corpus
    header, *lines = (source / "manifest.csv").read_text("utf-8").splitlines(keepends=True)
    lines = [line for line in lines if keep(line.split(",", 1)[0])]
    for line in lines:
        file = target / line.split(",", 1)[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(source / line.split(",", 1)[0])
    (target / "manifest.csv").write_text("".join([header, *lines]), "utf-8")
    return into


@pytest.mark.real_data
def test_original_and_derived_files_are_authentic_and_changed_ones_are_not(data_root: Path, tmp_path: Path) -> None:
    root = part_of(data_root, tmp_path, "ravdess", lambda file: file.startswith("Actor_01/03-01-0"))
    corpus = load_corpus("ravdess", root)
    clips = list(corpus.table.index)
    assert authentic_clips(corpus, clips) == set(clips)  # at 16 kHz, from the publisher's files at 48 kHz
    emodb = load_corpus("emodb", data_root)
    assert authentic_clips(emodb, emodb.table.index[:5]) == set(emodb.table.index[:5])
    record = publisher_of(emodb.root / str(emodb.table["file"].iloc[0]))
    assert record is not None and record.name == "emodb"
    file = corpus.root / str(corpus.table.at[clips[0], "file"])
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content + b"\0")
    assert authentic_clips(corpus, clips) == set(clips[1:]) and publisher_of(file) is None
    (corpus.root / "manifest.csv").unlink()
    assert authentic_clips(corpus, clips) == set()


@pytest.mark.real_data
def test_a_folder_of_copies_was_seen_and_another_corpus_was_not(data_root: Path, tmp_path: Path) -> None:
    emodb = load_corpus("emodb", data_root)
    clips = list(emodb.table.index[::40])
    digests: dict[str, list[str]] = {}
    for clip in clips:
        digests.setdefault(str(emodb.table.at[clip, "speaker"]), []).append(samples_digest(emodb.clip(clip).samples))
    exposure = TrainingExposure("emodb", set(digests), digests=digests, verified=True)
    rows = ["file,emotion,speaker"]
    for n, clip in enumerate(clips):
        shutil.copyfile(emodb.root / str(emodb.table.at[clip, "file"]), tmp_path / f"copy{n}.wav")
        rows.append(f"copy{n}.wav,{emodb.table.at[clip, 'emotion']},someone{n}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    copies = load_corpus(f"folder:{tmp_path}")
    assert set(exposure.seen(copies, list(copies.table.index)).values()) == {"yes"}
    ravdess = load_corpus("ravdess", data_root)  # speakers 03, 08, ... are others there
    of_03 = list(ravdess.table.index[ravdess.table["speaker"] == "03"][:3])
    assert set(exposure.seen(ravdess, of_03).values()) == {"no"}


@pytest.mark.long
@pytest.mark.real_data
def test_ravdess_split_by_actor(data_root: Path, tmp_path: Path) -> None:
    """Train on actors 1 to 6, test on 7 to 12: new speakers of a known corpus, recognised by the refit."""
    first, second = (
        load_corpus(
            "ravdess", part_of(data_root, tmp_path / name, "ravdess", lambda file, part=part: file[6:8] in part)
        )
        for name, part in (("first", {f"{k:02d}" for k in range(1, 7)}), ("second", {f"{k:02d}" for k in range(7, 13)}))
    )
    models = train_fold_models("praat-svc", first, tmp_path / "model")
    row = transfer_row(models, second)
    assert {models.fold_for("ravdess", f"{k:02d}") for k in range(7, 13)} == {REFIT}
    assert row["seen_counts"] == {"no": row["n"]} and row["speakers"] == 6
    assert row["fold_range"] == [min(row["folds"].values()), max(row["folds"].values())] and len(row["folds"]) == 5
    # the refit has heard all six speakers; a fold's model, fewer: what is gained must not be lost
    assert row["uar"] > 0.25 and row["uar"] >= np.median(list(row["folds"].values())) - 0.03
    # the ensemble's figure is that of the recogniser that explains
    models.averaged = True
    averaged = transfer_row(models, second)
    assert "folds" not in averaged and averaged["uar"] == pytest.approx(row[ENSEMBLE]["uar"])
