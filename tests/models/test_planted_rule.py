"""The white box: its log-odds by a slow twin, its relevance in closed form, and whether it hears what is planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serxai.audio import Plane, scoring_grid
from serxai.datasets.corpora import load_corpus
from serxai.errors import NotApplicable
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.models.foldmodels import ForeignModel
from serxai.models.obtain import load_model
from serxai.models.planted_rule import CLASSES, FLOOR_DB, GROUPS, MARGIN, NEUTRAL_DB, REFERENCE, WEIGHTS, PlantedRule

EMOTIONS = ("anger", "happiness", "sadness")


@pytest.fixture(scope="module")
def rule() -> PlantedRule:
    torch.set_num_threads(1)
    return load_model("planted-rule")


@pytest.fixture(scope="module")
def clips():
    corpus = load_corpus("planted")
    names = corpus.select(limit=32)
    corpus.prepare(names)
    return [corpus.clip(name) for name in names]


def slow_log_odds(samples: np.ndarray) -> list[float]:
    """The rule as its text says it, cell by cell."""
    plane = Plane(samples)
    grid, power = scoring_grid(plane.duration_s), plane.spectrum.abs().square().double().numpy()
    rows = grid.rows_of(plane.freqs_hz)
    level = []
    for band in range(16):
        frames = [10 * np.log10(max(column[rows == band].sum() / REFERENCE, 1e-30)) for column in power.T]
        level.append(np.mean([max(x - FLOOR_DB, 0.0) for x in frames]))
    sums = [sum(part) for part in np.split(np.array(level), np.cumsum(GROUPS)[:-1])]
    y = [sum(w * (s - n) for w, s, n in zip(WEIGHTS[e], sums, NEUTRAL_DB, strict=True)) - MARGIN[e] for e in EMOTIONS]
    return [*y, 0.0]


def test_log_odds_are_what_the_rule_says(rule, clips):
    for clip in clips[:6]:
        assert rule.log_odds(clip.samples[None])[0] == pytest.approx(slow_log_odds(clip.samples), abs=2e-3)


def test_a_copy_scores_the_same_in_any_company(rule, clips):
    samples = clips[0].samples
    copies = np.stack([samples * gain for gain in (1.0, 0.5, 0.1)])
    together = rule.log_odds(copies)
    assert together == pytest.approx(np.concatenate([rule.log_odds(copy[None]) for copy in copies]), abs=1e-5)
    assert rule.log_odds(np.zeros((1, 4000), dtype=np.float32))[0, 3] == 0.0  # silence is finite, neutral always 0


def test_relevance_adds_up_and_lies_where_something_changed(rule, clips):
    for clip in clips:
        grid = scoring_grid(clip.duration_s)
        y = rule.log_odds(np.stack([clip.samples, clip.plant.twin]))
        for emotion in EMOTIONS:
            cells = rule.relevance(clip.samples, clip.plant.twin, emotion, grid)
            change = y[0] - y[1]
            assert cells.sum() == pytest.approx(change[CLASSES.index(emotion)], abs=2e-4)
            changed = (Plane(clip.samples).spectrum - Plane(clip.plant.twin).spectrum).abs()
            assert np.all(cells[Plane(clip.samples).sum_cells(changed, grid) == 0] == 0)


def test_removing_a_cell_takes_what_its_relevance_says(rule, clips):
    """By rendering the waveform without the cell; cells are not quite independent, since STFT windows overlap."""
    clip = next(c for c in clips if c.emotion == "anger")
    plane, grid = Plane(clip.samples), scoring_grid(clip.duration_s)
    told = rule.relevance(clip.samples, clip.plant.twin, "anger", grid)
    cells = np.argsort(-np.abs(told), axis=None)[:40]
    keep = np.ones((cells.size, told.size), dtype=bool)
    keep[np.arange(cells.size), cells] = False
    copies = plane.render(keep.reshape(-1, *grid.shape), grid, Plane(clip.plant.twin).spectrum)
    lost = (rule.log_odds(clip.samples[None]) - rule.log_odds(copies))[:, CLASSES.index("anger")]
    assert np.corrcoef(lost, told.ravel()[cells])[0, 1] > 0.9
    assert lost.sum() == pytest.approx(told.ravel()[cells].sum(), rel=0.15)


def test_it_hears_the_planted_emotions_and_nothing_in_their_twins(rule):
    corpus = load_corpus("planted")
    names = corpus.select(limit=128)
    corpus.prepare(names)
    truth, heard, unplanted = [], [], []
    for name in names:
        clip = corpus.clip(name)
        y = rule.log_odds(np.stack([clip.samples, clip.plant.twin])).argmax(axis=1)
        truth.append(clip.emotion)
        heard.append(CLASSES[y[0]])
        unplanted.append(CLASSES[y[1]])
    recall = np.mean([np.mean([h == e for h, t in zip(heard, truth, strict=True) if t == e]) for e in CLASSES])
    by_chance = np.mean([np.mean([h == e for h, t in zip(unplanted, truth, strict=True) if t == e]) for e in CLASSES])
    assert recall > 0.45 and abs(by_chance - 0.25) < 0.08


def test_rule_truth_is_the_relevance_against_the_twin(rule, clips):
    clip = next(c for c in clips if c.emotion == "sadness")
    calls = rule.calls
    found = make_method("rule-truth").attribute(Request(rule, clip, "sadness"))
    expected = rule.relevance(clip.samples, clip.plant.twin, "sadness", scoring_grid(clip.duration_s))
    assert np.array_equal(found.values, expected.astype(np.float32)) and np.abs(expected).max() > 0
    assert rule.calls == calls


def test_rule_truth_is_of_this_recogniser_and_of_planted_cues_alone(rule, clips):
    neutral = next(c for c in clips if c.emotion == "neutral")
    with pytest.raises(NotApplicable, match="no planted cue"):
        make_method("rule-truth").attribute(Request(rule, neutral, "anger"))
    with pytest.raises(NotApplicable, match="planted-rule"):
        make_method("rule-truth").attribute(Request(load_model("cnn", "planted"), clips[0], "anger"))


def test_gradients_flow_and_input_x_gradient_is_the_sum_over_silence(rule, clips):
    """The network is linear and its zero is silence: input x gradient adds up to the log-odds over those of silence."""
    clip = clips[0]
    found = make_method("input-x-gradient").attribute(Request(rule, clip, "anger"))
    silent = rule.log_odds(np.zeros((1, clip.samples.size), dtype=np.float32))[0, 0]
    assert found.values.sum() == pytest.approx(rule.log_odds(clip.samples[None])[0, 0] - silent, abs=1e-3)


def test_it_is_a_foreign_model_that_heard_nobody():
    models = ForeignModel("planted-rule")
    assert models.seen_in_training(load_corpus("planted"), ["x"]) == {"x": "no"} and models.recogniser().differentiable
