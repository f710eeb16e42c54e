"""Two trainings into one folder, and trainings that are interrupted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from serxai.errors import InputError
from serxai.models import network_training
from serxai.models.claim import claimed
from serxai.models.foldmodels import load_fold_models
from serxai.models.network_training import Settings
from serxai.models.training import train_fold_models


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serxai.models.training.SETTINGS", {"tiny": Settings(steps=3, width=4, batch=4)})


def test_the_second_training_into_a_folder_is_refused(tmp_path: Path, make_tiny_corpus) -> None:
    out = tmp_path / "new" / "model"
    with claimed(out, wait=False), pytest.raises(InputError, match="another training writes there"):
        train_fold_models("cnn", make_tiny_corpus(), out, folds=2, workers=1)
    assert not out.parent.exists()  # nothing was made, nothing stays


def test_who_waits_goes_on_when_the_other_has_finished(tmp_path: Path) -> None:
    out, order = tmp_path / "model", []

    def second() -> None:
        with claimed(out, wait=True):
            order.append("second")

    with claimed(out, wait=True):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"] and list(tmp_path.iterdir()) == []


def test_finished_folds_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_tiny_corpus) -> None:
    corpus = make_tiny_corpus()
    whole = train_fold_models("cnn", corpus, tmp_path / "whole", folds=3, workers=1)
    out, trained, real = tmp_path / "deep" / "model", [], network_training.train_network

    def fails_at_the_third(*arguments: object) -> object:
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(arguments[6])
        return real(*arguments)

    monkeypatch.setattr(network_training, "train_network", fails_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        train_fold_models("cnn", corpus, out, folds=3, workers=1)
    assert not out.exists() and len(list(out.parent.glob(".model.training/*/fold-*.npy"))) == 2
    seen = []
    monkeypatch.setattr(network_training, "train_network", lambda *a: seen.append(a[6]) or real(*a))
    again = train_fold_models("cnn", corpus, out, folds=3, workers=1)
    assert len(seen) == 2 and not set(seen) & set(trained)  # the third fold and the refit
    assert (again.card.weights, again.card.refit, again.card.scores) == (
        whole.card.weights, whole.card.refit, whole.card.scores,
    )  # fmt: skip
    assert load_fold_models(out).card == again.card and [path.name for path in out.parent.iterdir()] == ["model"]


def test_a_failure_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_tiny_corpus) -> None:
    monkeypatch.setattr(network_training, "train_network", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_fold_models("cnn", make_tiny_corpus(), tmp_path / "a" / "b" / "model", folds=2, workers=1)
    assert list(tmp_path.iterdir()) == []
