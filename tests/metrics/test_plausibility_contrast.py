"""Salience contrast: slow twin, p values uniform under the null, and windows that are known to stand out."""

import numpy as np
import pytest
from scipy import stats

from serxai.audio import SAMPLE_RATE, Grid, band_edges_hz
from serxai.cues.records import REGION_CUES
from serxai.cues.regions import region_cues
from serxai.cues.tracks import cue_tracks
from serxai.cues.windows import salient_windows, window_edges, window_relevance
from serxai.datasets.clip import Clip
from serxai.errors import NotApplicable
from serxai.methods.attribution import Attribution
from serxai.metrics.case import Case, Explained
from serxai.metrics.salience_contrast import (
    MIN_SHIFTS,
    SalienceContrast,
    ShiftTest,
    clip_salient_windows,
    mid_p,
    shift_test,
    window_scores,
)

LEVEL = REGION_CUES.index("loudness")


def spoken(draw, duration_s=1.5):
    """A voice whose pitch, level and tilt wander, with two breaks."""
    t = np.arange(int(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    wander = [np.interp(t, np.linspace(0, duration_s, 12), draw.standard_normal(12)) for _ in range(3)]
    phase = 2 * np.pi * np.cumsum(150 * 2 ** (wander[0] / 6)) / SAMPLE_RATE
    tone = sum(np.cos(h * phase) * h ** -(1.5 + 0.3 * wander[1]) for h in range(1, 12))
    level = 0.05 * 10 ** (wander[2] / 4)
    for start in draw.uniform(0.1, duration_s - 0.2, 2):
        level[(t > start) & (t < start + 0.1)] *= 0.01
    return Clip("c", (level * tone + 1e-4 * draw.standard_normal(t.size)).astype(np.float32), "anger")


def random_map(clip, draw):
    grid = Grid(np.array([0.0, 8000.0]), np.linspace(0, clip.duration_s, 41))
    return Attribution(draw.standard_normal(grid.shape), grid, "anger", "random")


def slow_contrasts(tracks, edges, salient):
    """Every shift by plain loops over frames."""
    windowed = [i for i, t in enumerate(tracks.times_s) if t < edges[-1]]
    inside = [
        any(a <= tracks.times_s[i] < b for a, b, s in zip(edges, edges[1:], salient, strict=False) if s)
        for i in windowed
    ]
    rows = []
    for shift in range(len(windowed)):
        mask = np.zeros(len(tracks.times_s), dtype=bool)
        for i, chosen in enumerate(inside):
            mask[(i + shift) % len(windowed)] = chosen
        here, rest = region_cues(tracks, mask), region_cues(tracks, ~mask)
        rows.append([here[cue].value - rest[cue].value for cue in REGION_CUES])
    return np.array(rows)


def test_shifts_equal_the_slow_twin():
    draw = np.random.default_rng(0)
    for duration in (0.7, 1.04, 1.33):
        clip = spoken(draw, duration)
        edges = window_edges(duration)
        salient = np.zeros(len(edges) - 1, dtype=bool)
        salient[draw.permutation(salient.size)[: salient.size // 2]] = True
        slow = slow_contrasts(clip.cue_tracks, edges, salient)
        test = shift_test(clip.cue_tracks, edges, salient)
        # shift k of the one is shift k of the other, whichever way they turn
        order = np.concatenate([[0], np.arange(len(slow) - 1, 0, -1)])
        agree = [np.allclose(test.shifted, s, rtol=1e-7, atol=1e-7, equal_nan=True) for s in (slow, slow[order])]
        assert any(agree)
        np.testing.assert_allclose(test.own, slow[0], rtol=1e-7, atol=1e-7)


def test_effect_and_p_equal_plain_definitions():
    draw = np.random.default_rng(1)
    values = draw.standard_normal((60, len(REGION_CUES)))
    values[draw.random(values.shape) < 0.1] = np.nan
    values[0] = draw.standard_normal(len(REGION_CUES))
    test = ShiftTest(values[0], values)
    for j in range(len(REGION_CUES)):
        known = values[np.isfinite(values[:, j]), j]
        effect = (known[0] - known.mean()) / known.std()
        others = abs((known - known.mean()) / known.std())
        assert test.effects[j] == pytest.approx(effect)
        assert test.p[j] == pytest.approx((sum(others > abs(effect)) + 0.5) / known.size)


def test_what_cannot_be_tested_is_missing():
    values = np.random.default_rng(2).standard_normal((40, len(REGION_CUES)))
    values[0, 0] = np.nan  # the salient windows lack the cue
    values[MIN_SHIFTS - 1 :, 1] = np.nan  # too few shifts have it
    values[:, 2] = 7.3  # always the same
    test = ShiftTest(values[0], values)
    assert np.isnan(test.p[:3]).all() and np.isnan(test.effects[:3]).all()
    assert np.isfinite(test.p[3:]).all()


def test_mid_p_counts_ties_half():
    assert mid_p(np.array([[1.0], [1.0], [1.0], [1.0]])).item() == 0.5
    assert mid_p(np.array([[2.0], [2.0], [5.0], [1.0], [np.nan]])).item() == (1 + 1) / 4


@pytest.fixture(scope="module")
def null_p():
    """P of all cues for 500 sets of windows that know nothing of their clips."""
    draw = np.random.default_rng(3)
    clips = [spoken(draw, 1.2) for _ in range(50)]
    edges = window_edges(1.2)
    sets = [draw.permutation(8) < 3 for _ in range(500)]
    return np.array([shift_test(clips[i % 50].cue_tracks, edges, salient).p for i, salient in enumerate(sets)])


def test_p_is_uniform_under_the_null(null_p):
    for cue, column in zip(REGION_CUES, null_p.T, strict=True):
        known = column[np.isfinite(column)]
        assert known.size > 400, cue
        assert stats.kstest(known, "uniform").pvalue > 0.01 / len(REGION_CUES), cue


@pytest.mark.long
def test_p_is_uniform_over_five_hundred_clips():
    """A clip each of its own, as long as a sentence, and windows by maps of noise rather than by permutation."""
    draw = np.random.default_rng(11)
    p = []
    for i in range(500):
        clip = spoken(draw, 1.2 + 0.1 * (i % 7))
        edges, found = window_edges(clip.duration_s), random_map(clip, draw)
        scores = window_relevance(found.values, found.grid.time_edges_s, edges)
        p.append(shift_test(clip.cue_tracks, edges, salient_windows(scores, draw)).p)
    for cue, column in zip(REGION_CUES, np.array(p).T, strict=True):
        known = column[np.isfinite(column)]
        assert known.size > 400, cue
        assert stats.kstest(known, "uniform").pvalue > 0.01 / len(REGION_CUES), cue


def test_random_maps_score_zero_on_average(null_p):
    scores = np.nanmean(1 - 2 * null_p, axis=1)
    half_width = 1.96 * scores.std() / np.sqrt(scores.size)
    assert abs(scores.mean()) < 1.5 * half_width
    assert half_width < 0.03


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_windows", [3, 10])
def test_what_cancels_within_a_window_points_nowhere(seed, n_windows):
    """A map on 4 x 75 ms, and the same on cells of 1/8 mel band x 5 ms with large changes that add up to nothing."""
    draw = np.random.default_rng(seed)
    clip = spoken(draw, 1.5)
    coarse = np.zeros((4, 20))  # in 1/256, so that float32 adds up exactly
    positive = np.sort(draw.choice(10, n_windows, replace=False))
    coarse[:, 2 * positive] = draw.integers(1, 64, (4, n_windows)) / 256
    changes = np.zeros((16, 8, 20, 15))  # band, its rows, column, its columns
    changes[:, 0::2], changes[:, 1::2] = 1.0, -1.0
    changes *= draw.integers(0, 2048, (16, 1, 20, 1)) / 256
    fine = changes.reshape(128, 300) + np.kron(coarse, np.ones((32, 15)))
    edges, found = window_edges(clip.duration_s), []
    for values in (coarse * 32 * 15, fine):
        grid = Grid(band_edges_hz(len(values)), np.linspace(0, 1.5, values.shape[1] + 1))
        at, scores = window_scores(Attribution(values, grid, "anger", "m"), clip.duration_s)
        np.testing.assert_array_equal(at, edges)
        found.append(scores)
    np.testing.assert_allclose(found[1], found[0], atol=1e-6 * found[0].max())
    case = Case(None, clip, "anger", seed=(seed,))
    explained = Explained(Attribution(fine, grid, "anger", "m"))
    expected = np.argsort(-coarse.sum(axis=0)[::2], kind="stable")[: min(5, n_windows)]
    np.testing.assert_array_equal(np.flatnonzero(clip_salient_windows(case, explained)[1]), np.sort(expected))


@pytest.mark.parametrize("duration_s", [1.5, 1.54, 1.649])
def test_relevance_behind_the_last_window_points_nowhere(duration_s):
    grid = Grid(np.array([0.0, 8000.0]), np.array([-0.02, 0.15, 0.3, duration_s - 0.03, duration_s + 0.02]))
    values = np.array([[1.0, -5.0, 1e-6, 8.0]])
    _, scores = window_scores(Attribution(values, grid, "anger", "m"), duration_s)
    assert scores[0] == pytest.approx(1.0) and scores[1] == 0  # what lies before the clip counts for its begin
    assert scores[-1] == pytest.approx(8.0 if duration_s == 1.5 else 0.0, abs=1e-5)


def test_score_is_the_mean_over_cues():
    draw = np.random.default_rng(7)
    for i in range(5):
        clip = spoken(draw)
        found = random_map(clip, draw)
        edges = window_edges(clip.duration_s)
        up_to = np.concatenate([[0.0], np.cumsum(found.values)])
        scores = np.diff(np.interp(edges, found.grid.time_edges_s, up_to)).clip(0)  # the map has one row
        p = shift_test(clip.cue_tracks, edges, salient_windows(scores, draw)).p
        value = SalienceContrast().score(Case(None, clip, "anger", seed=(i,)), Explained(found)).value
        assert value == pytest.approx(np.nanmean(1 - 2 * p))


def test_a_map_on_what_stands_out_scores_high_and_elsewhere_low():
    draw = np.random.default_rng(4)
    clip = spoken(draw, 3.0)
    samples = clip.samples.copy()
    samples[int(0.9 * SAMPLE_RATE) : int(1.5 * SAMPLE_RATE)] *= 8
    clip = clip.with_samples(samples)
    grid = Grid(np.array([0.0, 8000.0]), np.arange(21) * 0.15)
    values = np.full(grid.shape, -1.0)
    values[:, 6:10] = 1.0
    found = Explained(Attribution(values, grid, "anger", "test"))
    edges = window_edges(clip.duration_s)
    test = shift_test(clip.cue_tracks, edges, np.isin(np.arange(20), [6, 7, 8, 9]))
    assert test.effects[LEVEL] > 2
    assert test.p[LEVEL] < 0.05
    assert SalienceContrast().score(Case(None, clip, "anger"), found).value > 0.3


def test_identity_decides_and_silence_says_why():
    clip = spoken(np.random.default_rng(5))
    explained = Explained(random_map(clip, np.random.default_rng(6)))
    values = {SalienceContrast().score(Case(None, clip, "anger", seed=("a",)), explained).value for _ in range(2)}
    assert len(values) == 1
    silent = clip.with_samples(np.zeros(24000, np.float32))
    with pytest.raises(NotApplicable, match="no cue can be measured"):
        SalienceContrast().score(Case(None, silent, "anger"), explained)
    flat = Attribution(np.zeros((1, 1)), Grid(np.array([0.0, 8000.0]), np.array([0, 1.5])), "anger", "zero")
    with pytest.raises(NotApplicable, match="no positive relevance"):
        SalienceContrast().score(Case(None, clip, "anger"), Explained(flat))
    assert cue_tracks(silent.samples).voiced.sum() == 0
