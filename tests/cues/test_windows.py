"""Window selection against plain loops, its limits, and the matched random sets."""

import numpy as np
import pytest

from serxai.audio import SAMPLE_RATE
from serxai.cues.regions import region_cues, window_mask
from serxai.cues.tracks import cue_tracks
from serxai.cues.windows import THRESHOLDS, WindowCues, salient_windows, thresholded, window_edges, window_relevance
from serxai.errors import InputError, NotApplicable


def clip(seed=0, duration=3.07):
    draw = np.random.default_rng(seed)
    t = np.arange(int(duration * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(150 + 40 * np.sin(5 * t)) / SAMPLE_RATE
    level = 10 ** (np.repeat(draw.uniform(-20, 0, 50), 1000)[: t.size] / 20) * (np.sin(9 * t) > -0.5)
    return 0.1 * level * sum(np.cos(h * phase) / h for h in range(1, 15)) + 1e-4 * draw.normal(size=t.size)


@pytest.mark.parametrize(("duration", "n"), [(0.3, 2), (0.449, 2), (0.45, 3), (2.1, 14), (3.0, 20), (3.149, 20)])
def test_whole_windows_only(duration, n):
    edges = window_edges(duration)
    np.testing.assert_allclose(edges, 0.15 * np.arange(n + 1))
    assert edges[-1] <= duration + 1e-9


def test_clip_shorter_than_two_windows():
    with pytest.raises(NotApplicable, match="at least two windows"):
        window_edges(0.299)


def test_window_relevance_equals_loops_over_small_slices():
    draw = np.random.default_rng(0)
    for _ in range(5):
        values = draw.normal(size=(6, 40))
        cells = -0.05 + np.cumsum(np.r_[0, draw.uniform(0.01, 0.06, 40)])
        edges = window_edges(1.0)
        slow = np.zeros(len(edges) - 1)
        for f in range(6):
            for j in range(40):
                if values[f, j] > 0:
                    for part in range(len(slow)):
                        overlap = min(cells[j + 1], edges[part + 1]) - max(cells[j], edges[part])
                        if overlap > 0:
                            slow[part] += values[f, j] * overlap / (cells[j + 1] - cells[j])
        np.testing.assert_allclose(window_relevance(values, cells, edges), slow, rtol=1e-12)


def slow_threshold(values, threshold, share):
    positive = sorted((v for v in values.ravel() if v > 0), reverse=True)
    if threshold == "mean":
        least = values.mean()
    elif threshold == "quantile":
        least = np.percentile(values, 100 * (1 - share))
    elif threshold == "mass":
        held, least = 0.0, np.inf
        for v in positive:
            if held < share * sum(positive) - 1e-9:
                held, least = held + v, v
    else:
        least = 0.0
    return np.array([[v if v > 0 and v >= least else 0.0 for v in row] for row in values])


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 1.0])
def test_thresholds_equal_loops(threshold, share):
    for seed in range(8):
        values = np.random.default_rng(seed).normal(0.1, 1, (6, 15)).round(1)  # with ties
        np.testing.assert_array_equal(thresholded(values, threshold, share), slow_threshold(values, threshold, share))


def test_thresholds_by_hand():
    values = np.array([[8.0, 4.0, 2.0, 2.0, 0.0, -9.0, -1.0, -6.0]])
    assert thresholded(values, "mass", 0.5).tolist() == [[8, 0, 0, 0, 0, 0, 0, 0]]
    assert thresholded(values, "mass", 0.8).tolist() == [[8, 4, 2, 2, 0, 0, 0, 0]]  # equal cells stay together
    assert thresholded(values, "quantile", 0.25).tolist() == [[8, 4, 0, 0, 0, 0, 0, 0]]
    assert thresholded(values - 3, "mean").tolist() == [[5, 1, 0, 0, 0, 0, 0, 0]]
    assert not thresholded(-np.abs(values), "mass", 0.5).any()


@pytest.mark.parametrize(
    ("threshold", "share", "message"), [("top", 0.2, "'top' is not known"), ("mass", 0, "0..1"), ("mean", 1.1, "0..1")]
)
def test_refused_thresholds(threshold, share, message):
    with pytest.raises(InputError, match=message):
        thresholded(np.ones((2, 2)), threshold, share)


def test_relevance_outside_the_clip_is_dropped_not_moved():
    cells = np.array([-0.3, -0.15, 0.0, 0.15, 0.3, 0.45, 0.6])
    values = np.array([[9.0, 9.0, 1.0, 2.0, -5.0, 9.0]])
    np.testing.assert_allclose(window_relevance(values, cells, window_edges(0.45)), [1, 2, 0])


@pytest.mark.parametrize(("n", "k"), [(2, 1), (3, 1), (5, 2), (7, 3), (9, 4), (10, 5), (14, 5), (40, 5)])
def test_never_more_than_half_nor_than_five(n, k):
    scores = np.random.default_rng(n).uniform(1, 2, n)
    salient = salient_windows(scores, np.random.default_rng(0))
    assert salient.sum() == k
    assert scores[salient].min() > scores[~salient].max()


def test_only_positive_windows_are_salient():
    scores = np.array([0, 0, 3.0, 0, 1.0, 0, 0, 0, 0, 0, 0, 0])
    assert np.flatnonzero(salient_windows(scores, np.random.default_rng(0))).tolist() == [2, 4]
    with pytest.raises(NotApplicable, match="no positive relevance"):
        salient_windows(np.zeros(12), np.random.default_rng(0))


def test_ties_are_drawn_evenly_even_when_unequal_in_the_last_digits():
    scores = 0.1 * (1 + 1e-15 * np.arange(12))
    picks = np.mean([salient_windows(scores, np.random.default_rng(i)) for i in range(2000)], axis=0)
    np.testing.assert_allclose(picks, 5 / 12, atol=5 * np.sqrt(5 / 12 * 7 / 12 / 2000))


def test_window_cues_equal_region_cues():
    x = clip()
    tracks = cue_tracks(x)
    edges = window_edges(tracks.duration_s)
    pairs = np.stack([edges[:-1], edges[1:]], axis=1)
    sets = np.random.default_rng(0).random((30, len(pairs))) < 0.25
    inside, rest = WindowCues(tracks, edges).values(sets)
    for row, (chosen, got_in, got_rest) in enumerate(zip(sets, inside, rest, strict=True)):
        mask = window_mask(tracks, pairs[chosen])
        for got, where in ((got_in, mask), (got_rest, ~mask)):
            np.testing.assert_allclose(
                got, [cue.value for cue in region_cues(tracks, where).values()], rtol=1e-9, err_msg=str(row)
            )


def test_contrasts_are_inside_minus_rest():
    cues = WindowCues(cue_tracks(clip()), window_edges(3.07))
    sets = np.eye(20, dtype=bool)[[3, 7]] | np.eye(20, dtype=bool)[[4, 12]]
    inside, rest = cues.values(sets)
    np.testing.assert_array_equal(cues.contrasts(sets), inside - rest)


def test_matched_sets_are_nearer_than_unmatched_and_of_the_same_size():
    cues = WindowCues(cue_tracks(clip(3)), window_edges(3.07))
    energy = cues.voiced_and_energy(np.eye(20, dtype=bool))[:, 1]
    salient = salient_windows(energy - energy.min() + 1, np.random.default_rng(0))
    generator = np.random.default_rng(0)
    matched = cues.matched_sets(salient, generator)
    assert matched.shape == (50, 20) and (matched.sum(axis=1) == 5).all()
    assert not (matched == salient).all(axis=1).any()
    everything = cues.matched_sets(salient, np.random.default_rng(0), draws=2000, keep=2000)
    gap = [
        abs(cues.voiced_and_energy(s) - cues.voiced_and_energy(salient[None])).mean(axis=0)
        for s in (matched, everything)
    ]
    assert (gap[0] < 0.5 * gap[1]).all()


def test_matched_sets_of_the_shortest_clip():
    cues = WindowCues(cue_tracks(clip()[:4800]), window_edges(0.3))
    sets = cues.matched_sets(np.array([True, False]), np.random.default_rng(0))
    assert sets.tolist() == [[False, True]]


@pytest.mark.parametrize("windows", [4, 9, 10, 11, 20])
def test_matched_sets_differ_from_each_other_and_from_the_salient_one(windows: int):
    """Sets nearest in energy would else be the salient one but for a window or two, counted many times over."""
    cues = WindowCues(cue_tracks(clip()), np.arange(windows + 1) * 0.15)
    for seed in range(10):
        generator = np.random.default_rng(seed)
        salient = np.zeros(windows, dtype=bool)
        salient[generator.choice(windows, min(5, windows // 2), replace=False)] = True
        sets = cues.matched_sets(salient, generator)
        assert len(np.unique(sets, axis=0)) == len(sets) > 0
        assert (sets.sum(axis=1) == salient.sum()).all()
        assert ((sets & salient).sum(axis=1) <= salient.sum() // 2).all()


def test_same_seed_same_sets():
    cues = WindowCues(cue_tracks(clip()), window_edges(3.07))
    salient = np.arange(20) < 5
    draws = [cues.matched_sets(salient, np.random.default_rng(s)) for s in (1, 1, 2)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])
