"""Claims of cues: false discoveries held, families counted by hand, planted corpora recovered from oracle maps."""

import numpy as np
import pytest
from scipy import stats

from serxai.audio import Plane, scoring_grid
from serxai.cues.records import REGION_CUES
from serxai.cues.windows import salient_windows, window_edges, window_relevance
from serxai.datasets.corpora import load_corpus
from serxai.datasets.planted.truth import truth_map
from serxai.metrics.planted_cues import FAMILIES, claims, family_counts, p_values, planted_cues, pooled_effects
from serxai.metrics.salience_contrast import ShiftTest, shift_test

N = len(REGION_CUES)


def vector(**cues):
    return np.array([cues.get(cue, 0) for cue in REGION_CUES])


def null_test(draw, shifts=80, shift=0.0):
    values = draw.standard_normal((shifts, N))
    values[0] += shift
    return ShiftTest(values[0], values)


def test_every_cue_has_a_family():
    assert set(FAMILIES) == set(REGION_CUES)


def test_families_by_hand():
    planted = vector(f0_level=1, loudness=-1, jitter=1, hnr=-1)
    claimed = vector(f0_variability=1, loudness=-1, hnr=-1, high_frequency_energy=1)
    # pitch: claimed, but of a cue not planted; loudness and voice quality: right; spectrum: not planted
    assert family_counts(claimed, planted) == (2, 3, 4)  # right, planted, claimed
    assert family_counts(planted, planted) == (3, 3, 3) and family_counts(-planted, planted) == (0, 3, 3)
    assert family_counts(vector(), planted) == (0, 3, 0) and family_counts(planted, vector()) == (0, 0, 3)


def test_planted_cues_are_those_of_at_least_half_the_clips():
    plants = [{"f0_level": 2.0, "hnr": -3.0}, {"f0_level": 1.0, "jitter": 2.0}, {"hnr": -1.0}, {"loudness": 1.0}]
    assert np.array_equal(planted_cues(plants), vector(f0_level=1, hnr=-1))


def test_pooled_effect_is_the_mean_over_clips_that_have_the_cue():
    draw = np.random.default_rng(0)
    tests = [null_test(draw, shift=i) for i in range(3)]
    bare = tests[1].shifted.copy()
    bare[0, 2] = np.nan
    tests[1] = ShiftTest(bare[0], bare)
    own = pooled_effects(tests, draw, draws=10)[0]
    for j in range(N):
        known = [t.effects[j] for t in tests if np.isfinite(t.own[j])]
        assert len(known) == (2 if j == 2 else 3)
        assert own[j] == pytest.approx(np.mean(known))


def test_null_draws_follow_one_random_shift_a_clip():
    draw = np.random.default_rng(1)
    tests = [null_test(draw) for _ in range(4)]
    null = pooled_effects(tests, draw, draws=1500)[1:]
    slow = [np.mean([t.standardised[draw.integers(80)] for t in tests], axis=0) for _ in range(1500)]
    for column, twin in zip(null.T, np.array(slow).T, strict=True):
        assert stats.ks_2samp(column, twin).pvalue > 0.001


def test_rows_at_once_are_rows_one_by_one():
    effects = np.round(np.random.default_rng(8).standard_normal((200, N)) * 3, 1)  # with ties
    effects[:, 2] = np.nan
    effects[7] *= 4
    together = p_values(effects, slice(1, 20)), claims(effects, slice(1, 20))
    assert together[0].shape == together[1].shape == (19, N)
    for row in range(1, 20):
        size = np.abs(effects)
        slow = [np.nan if j == 2 else np.mean(size[:, j] >= size[row, j] * (1 - 1e-9)) for j in range(N)]
        np.testing.assert_allclose(p_values(effects, row), slow)
        np.testing.assert_allclose(together[0][row - 1], slow)
        assert np.array_equal(together[1][row - 1], claims(effects, row))
    assert together[1][6].any() and not together[1][:, 2].any()


def test_missing_everywhere_is_no_claim():
    values = np.random.default_rng(2).standard_normal((50, N))
    values[0, 3] = np.nan
    effects = pooled_effects([ShiftTest(values[0], values)], np.random.default_rng(3), 100)
    assert np.isnan(p_values(effects)[3])
    assert claims(effects)[3] == 0


def test_pools_without_effect_seldom_claim():
    draw = np.random.default_rng(4)
    pools = [pooled_effects([null_test(draw) for _ in range(4)], draw, 400) for _ in range(300)]
    p = np.array([p_values(effects) for effects in pools])
    assert stats.kstest(p.ravel(), "uniform").pvalue > 0.01
    any_claim = np.mean([np.any(claims(effects)) for effects in pools])
    assert any_claim < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_clear_effects_are_claimed_with_their_sign():
    draw = np.random.default_rng(5)
    shift = np.where(np.arange(N) % 2 == 0, 2.5, -2.5)
    effects = pooled_effects([null_test(draw, shift=shift) for _ in range(8)], draw)
    assert np.array_equal(claims(effects), np.sign(shift))


@pytest.mark.long
def test_oracle_maps_recover_the_planted_families_and_random_maps_do_not():
    corpus = load_corpus("planted")
    voices = list(dict.fromkeys(corpus.table["speaker"]))[:6]
    draw = np.random.default_rng(6)
    found = {"oracle": [], "random": []}
    for voice in voices:
        for emotion in ("anger", "happiness", "sadness"):
            names = corpus.table.index[(corpus.table["speaker"] == voice) & (corpus.table["emotion"] == emotion)]
            clips = [corpus.clip(name) for name in names]
            truth = planted_cues([clip.plant.cues for clip in clips])
            tests = {"oracle": [], "random": []}
            for clip in clips:
                grid, edges = scoring_grid(clip.duration_s), window_edges(clip.duration_s)
                oracle = truth_map(clip, Plane(clip.samples), Plane(clip.plant.twin), grid)
                for kind, values in (("oracle", oracle), ("random", draw.standard_normal(grid.shape))):
                    salient = salient_windows(window_relevance(values, grid.time_edges_s, edges), draw)
                    tests[kind].append(shift_test(clip.cue_tracks, edges, salient))
            for kind in tests:
                claimed = claims(pooled_effects(tests[kind], draw))
                right, planted, claimed_families = family_counts(claimed, truth)
                found[kind].append((right / planted, right / claimed_families if claimed_families else np.nan))
    assert np.all(np.nanmean(found["oracle"], axis=0) > 0.9)
    assert np.mean([recall for recall, _ in found["random"]]) < 0.1
