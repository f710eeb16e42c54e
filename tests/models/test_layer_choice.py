"""Choice of the hidden state within training parts, its weighted sum, and what a trained folder keeps of both."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serxai import _torchvision  # noqa: F401

pytest.importorskip("transformers")

from serxai.errors import InputError
from serxai.models import head_training
from serxai.models.head import fit_head
from serxai.models.head_training import HeadSettings
from serxai.models.layer_choice import CHOICES, fit_states, learn_weights, mixed, validate_states
from serxai.models.obtain import find_fold_models, obtain_fold_models
from serxai.models.training import plan_training, train_fold_models
from serxai.tests.models.tiny_checkpoints import LAYERS, WIDTH, write_hubert, write_whisper

STATES, DIM = 4, 6


def simulated(informative: int, speakers: int = 6, n: int = 20, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Features in which one state tells three classes apart, and another one the speakers."""
    generator = np.random.default_rng(seed)
    y, groups = np.tile([0, 1, 2], speakers * n // 2)[: speakers * n], np.repeat(np.arange(speakers), n).astype(str)
    X = generator.standard_normal((len(y), STATES, DIM))
    X[:, informative, :3] += 2.5 * np.eye(3)[y]
    X[:, (informative + 1) % STATES] += 5 * generator.standard_normal((speakers, DIM))[groups.astype(int)]
    X *= 10.0 ** np.arange(STATES)[:, None]  # states grow
    return X.reshape(len(y), -1), y, groups


@pytest.mark.parametrize("informative", [0, 2])
def test_the_state_that_tells_classes_apart_is_chosen(informative: int) -> None:
    X, y, groups = simulated(informative)
    fitted = fit_states(X, y, groups, 3, 0, C=None, states=STATES)
    assert fitted.layer == informative and fitted.C in CHOICES
    rows = {row["layer"]: row for row in fitted.layers}
    assert list(rows) == list(range(STATES)) and rows[informative]["uar"] > 0.85
    low, high = rows[informative]["uar_interval"]
    assert low <= rows[informative]["uar"] <= high
    assert all(row["uar"] < 0.6 for layer, row in rows.items() if layer != informative)
    part = X[:, informative * DIM : (informative + 1) * DIM]
    expected = fit_head(part, y, groups, 3, 0, C=fitted.C)
    np.testing.assert_array_equal(fitted.raw(X).numpy(), expected(np_tensor(part)).numpy())


def np_tensor(values: np.ndarray) -> Any:
    import torch

    return torch.as_tensor(values)


def test_validation_holds_speakers_out() -> None:
    """Classes that are speakers' voices validate at chance, however well a machine knows the speakers."""
    generator = np.random.default_rng(1)
    speakers, n = 12, 10
    groups = np.repeat(np.arange(speakers), n)
    y = groups % 3  # each speaker has one class only
    X = generator.standard_normal((len(y), DIM)) * 0.1 + generator.standard_normal((speakers, DIM))[groups]
    rows = validate_states(np.hstack([X, X]), y, groups.astype(str), 3, 0, 2, 1e-2)
    assert all(row["uar"] < 0.62 for row in rows) and rows[0]["uar"] == rows[1]["uar"]


def test_ties_go_to_the_lower_state() -> None:
    X, y, groups = simulated(0)
    same = np.hstack([X[:, :DIM]] * 3)
    assert fit_states(same, y, groups, 3, 0, states=3).layer == 0


def test_the_weighted_sum_finds_the_state_and_is_one() -> None:
    X, y, groups = simulated(2)
    weights, scale = learn_weights(X, y, 3, STATES)
    shares = np.exp(weights) / np.exp(weights).sum()
    assert shares.argmax() == 2 and shares[2] > 0.8
    expected = sum(shares[k] / scale[k] * X[:, k * DIM : (k + 1) * DIM] for k in range(STATES))
    np.testing.assert_allclose(mixed(X, weights, scale), expected)
    fitted = fit_states(X, y, groups, 3, 0, C=None, states=STATES, weighted=True)
    assert fitted.layer is None and sum(row["weight"] for row in fitted.layers) == pytest.approx(1)
    plain = fit_head(mixed(X, weights, scale), y, groups, 3, 0, C=fitted.C)
    np.testing.assert_allclose(fitted.raw(X).numpy(), plain(np_tensor(expected)).numpy(), atol=1e-9)
    np.testing.assert_array_equal(learn_weights(X, y, 3, STATES)[0], weights)


def test_one_speaker_is_split_by_clips_and_impossible_splits_are_refused() -> None:
    X, y, _ = simulated(1)
    assert fit_states(X, y, np.full(len(y), "a"), 3, 0, states=STATES).layer == 1
    with pytest.raises(InputError, match="--layer last --pooling mean"):
        validate_states(X[:6], np.array([0, 0, 1, 1, 2, 2]), np.array(list("aabbcc")), 3, 0, STATES, 1e-3)


# -- trained folders ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper(tmp_path_factory.mktemp("whisper"))


def test_a_folder_keeps_layer_pooling_and_the_choice_of_each_fold(
    tmp_path: Path, whisper: Path, make_tiny_corpus: Any
) -> None:
    name, corpus = f"hf:{whisper}", make_tiny_corpus()
    models = train_fold_models(name, corpus, tmp_path / "m", folds=3)
    card = json.loads((tmp_path / "m" / "model.json").read_text())
    chosen = card["front_end"].pop("layers")
    assert card["front_end"] == {"path": str(whisper), "layer": "auto", "pooling": "mean+sd"}
    assert chosen.keys() == {"0", "1", "2", "refit"} and all(layer in range(LAYERS + 1) for layer in chosen.values())
    assert card["network"] == {"n_classes": 3, "dim": 2 * WIDTH}
    assert card["training"]["settings"] == {"C": None} and card["training"]["C"].keys() == chosen.keys()
    for fold, rows in card["scores"]["layers"].items():
        assert [row["layer"] for row in rows] == list(range(LAYERS + 1))
        assert max(rows, key=lambda row: row["uar"])["uar"] == rows[chosen[fold]]["uar"]
    clip = corpus.clip(corpus.table.index[0])
    for fold in chosen:
        recogniser = models.recogniser(fold)
        assert recogniser.network.body.layers == (chosen[fold],)
        assert recogniser.differentiable and np.isfinite(recogniser.log_odds(clip.samples[None])).all()


def test_held_out_speakers_do_not_move_the_choice(
    tmp_path: Path, whisper: Path, make_tiny_corpus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []

    def spy(X: np.ndarray, y: np.ndarray, groups: np.ndarray, *args: Any, **options: Any) -> Any:
        seen.append(set(groups))
        return fit_states(X, y, groups, *args, **options)

    monkeypatch.setattr(head_training, "fit_states", spy)
    models = train_fold_models(f"hf:{whisper}", make_tiny_corpus(), tmp_path / "m", folds=2)
    everyone = {f"s{k}" for k in range(6)}
    held_out = [set(speakers) for speakers in models.folds.speakers.values()]
    assert seen == [everyone - held_out[0], everyone - held_out[1], everyone]


def test_the_ensemble_of_folds_with_different_layers_is_their_mean(
    tmp_path: Path, whisper: Path, make_tiny_corpus: Any
) -> None:
    corpus = make_tiny_corpus()
    models = train_fold_models(f"hf:{whisper}", corpus, tmp_path / "m", folds=2)
    samples = corpus.clip(corpus.table.index[1]).samples[None]
    front = models.card.front_end
    for layers in ({"0": 1, "1": 1}, {"0": 0, "1": 2}):
        models.card = models.card.model_copy(update={"front_end": front | {"layers": layers}})
        mean = np.mean([models.recogniser(fold).log_odds(samples) for fold in layers], axis=0)
        p = 1 / (1 + np.exp(-mean))
        both = models.recogniser("ensemble")
        np.testing.assert_allclose(both.predict_proba(samples), p / p.sum(), atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "mean+sd"])
def test_a_layer_by_number_and_weighted(tmp_path: Path, whisper: Path, make_tiny_corpus: Any, pooling: str) -> None:
    corpus, name = make_tiny_corpus(), f"hf:{whisper}"
    dim = WIDTH * (1 + (pooling == "mean+sd"))
    one = train_fold_models(name, corpus, tmp_path / "1", folds=2, options={"layer": 1, "pooling": pooling})
    assert one.card.front_end == {"path": str(whisper), "layer": 1, "pooling": pooling}
    assert one.card.network == {"n_classes": 3, "dim": dim} and "layers" not in one.card.scores
    every = train_fold_models(name, corpus, tmp_path / "w", folds=2, options={"layer": "weighted", "pooling": pooling})
    assert every.card.network == {"n_classes": 3, "dim": dim, "n_states": LAYERS + 1}
    samples = corpus.clip(corpus.table.index[2]).samples[None]
    for models in (one, every):
        for fold in ("0", "refit", "ensemble"):
            assert np.isfinite(models.recogniser(fold).log_odds(samples)).all()


def test_the_mean_of_the_last_state_is_trained_as_before(tmp_path: Path, make_tiny_corpus: Any) -> None:
    """The card holds the path alone and the regularisation that was, as in folders of earlier versions."""
    folder = write_hubert(tmp_path / "hubert")
    options = {"layer": "last", "pooling": "mean"}
    models = train_fold_models(f"hf:{folder}", make_tiny_corpus(), tmp_path / "m", folds=2, options=options)
    assert models.card.front_end == {"path": str(folder)} and models.card.training["settings"] == {"C": 1e-3}
    assert "C" not in models.card.training and "layers" not in models.card.scores
    assert models.recogniser("refit").min_samples == 20


def test_without_a_folder_models_are_put_where_runs_find_them(
    tmp_path: Path, whisper: Path, make_tiny_corpus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERXAI_CACHE", str(tmp_path))
    name, corpus = f"hf:{whisper}", make_tiny_corpus()
    assert find_fold_models(name, corpus) is None
    models = train_fold_models(name, corpus, None)
    monkeypatch.setattr("serxai.models.obtain.train", lambda *given, **options: pytest.fail("trained again"))
    assert obtain_fold_models(name, corpus).folder == models.folder
    assert train_fold_models(name, corpus, None).card == models.card


def test_options_are_part_of_the_task_and_only_of_backbones(whisper: Path, make_tiny_corpus: Any) -> None:
    corpus = make_tiny_corpus()
    given = [None, {"layer": 1}, {"pooling": "mean"}, {"layer": "weighted"}]
    keys = {plan_training(f"hf:{whisper}", corpus, options=options).key for options in given}
    assert len(keys) == len(given)
    nothing = {"layer": None, "pooling": None}
    plain = plan_training("praat-svc", corpus, options=nothing)
    assert plain.options == {} and plain.settings == HeadSettings()
    assert replace(plain, options={}).key == plain.key
    with pytest.raises(InputError, match="layer: settings of Hugging Face backbones"):
        plan_training("praat-svc", corpus, options={"layer": 1})
    with pytest.raises(InputError, match="layer = 7"):
        _ = plan_training(f"hf:{whisper}", corpus, options={"layer": 7}).extractor
