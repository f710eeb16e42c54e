"""The axis of corpora on profiles whose similarity is known; error rates of its interval and of its contrast."""

from __future__ import annotations

import numpy as np
import pytest

from serxai.benchmark.analysis.corpora_score import CorporaScore, corpora_score, paired_means
from serxai.benchmark.analysis.corpus_axis import (
    Profiles,
    jackknife,
    left_out_matrices,
    pair_masks,
    profile_contrast,
    similarity_matrix,
)
from serxai.benchmark.stats.simulation import limit

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
SPEAKERS = {"emodb": 10, "nemo": 8, "ravdess": 12}  # of the corpora at hand
KINDS = ("cnn", "embedding", "hf:whisper-tiny-en", "opensmile-svc", "praat-svc")
HOLES = {("nemo", "cnn"), ("nemo", "praat-svc")}  # corpora that a kind of recogniser did not learn
Truth = dict[tuple[str, str, str], np.ndarray]


def unit(values: np.ndarray) -> np.ndarray:
    """Centred, of standard deviation 1."""
    centred = values - values.mean()
    scaled: np.ndarray = centred / centred.std()
    return scaled


def drawn(
    generator: np.random.Generator, truth: Truth, spread: float = 1.5, known: float = 1.0, shared: float = 0.5
) -> Profiles:
    """Profiles by speaker; `shared` of a speaker's deviation is that of the speaker's clips for all recognisers."""
    cells, values = [], []
    heard = {
        (corpus, e): generator.normal(size=(SPEAKERS[corpus], 8)) for corpus in SPEAKERS for e in (*EMOTIONS, "all")
    }
    for corpus, kind, emotion in truth:
        n = SPEAKERS[corpus]
        common = np.sqrt(0.5) * (heard[corpus, "all"] + heard[corpus, emotion])
        own = np.sqrt(shared) * common + np.sqrt(1 - shared) * generator.normal(size=(n, 8))
        of_cell = truth[corpus, kind, emotion] + spread * own
        of_cell[generator.random(n) > known] = np.nan
        cells.append((corpus, kind, emotion))
        values.append(of_cell)
    return Profiles(cells, values, 100)


def moved(generator: np.random.Generator, kept: float) -> Truth:
    """Profiles of a recogniser: of the variance of an emotion's profile, `kept` is the same in all corpora."""
    base = {e: unit(generator.normal(size=8)) for e in EMOTIONS}
    return {
        (c, "cnn", e): np.sqrt(kept) * base[e] + np.sqrt(1 - kept) * unit(generator.normal(size=8))
        for c in SPEAKERS
        for e in EMOTIONS
    }


def score_of(truth: Truth) -> float:
    """Score of the profiles themselves: their split halves correlate by 1."""

    def correlation(one: tuple[str, str], other: tuple[str, str]) -> float:
        return float(np.corrcoef(truth[one[0], "cnn", one[1]], truth[other[0], "cnn", other[1]])[0, 1])

    corpora = [correlation((a, e), (b, e)) for a in SPEAKERS for b in SPEAKERS if a < b for e in EMOTIONS]
    floor = np.mean([correlation((c, a), (c, b)) for c in SPEAKERS for a in EMOTIONS for b in EMOTIONS if a != b])
    return float((np.mean(corpora) - floor) / (1 - floor))


def test_leaving_out_a_speaker_is_computing_all_again() -> None:
    generator = np.random.default_rng(0)
    truth = moved(generator, 0.5)
    profiles = drawn(generator, truth, known=0.5)
    profiles.values[0][:] = 1.0  # a constant profile correlates with nothing
    everyone = {corpus: np.ones(n, dtype=bool) for corpus, n in SPEAKERS.items()}
    for shared in (False, True):
        for corpus, matrices in left_out_matrices(profiles, shared).items():
            assert matrices.shape == (SPEAKERS[corpus], 12, 12)
            for speaker in (0, 3, SPEAKERS[corpus] - 1):
                kept = everyone | {corpus: np.arange(SPEAKERS[corpus]) != speaker}
                slow = similarity_matrix(profiles, kept, shared)
                np.testing.assert_allclose(matrices[speaker], slow, rtol=0, atol=1e-12)


def test_the_jackknife_by_a_loop() -> None:
    generator = np.random.default_rng(1)
    left_out = {"emodb": generator.normal(size=(10, 1)), "nemo": generator.normal(size=(8, 1))}
    low, high, _ = jackknife(np.zeros(1), left_out)
    parts = [(len(x) - 1) / len(x) * sum(float(v - np.mean(x)) ** 2 for v in x[:, 0]) for x in left_out.values()]
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 9 + parts[1] ** 2 / 7)
    assert 7 < freedom < 16
    # Student's t at 9, 12 and 16 degrees of freedom
    t = np.interp(freedom, [7, 9, 12, 16], [2.364624, 2.262157, 2.178813, 2.119905])
    assert high[0] == pytest.approx(t * np.sqrt(sum(parts)), rel=2e-3) and low[0] == -high[0]
    assert np.isnan(jackknife(np.zeros(1), left_out | {"tess": np.zeros((5, 1))})[0]).all()


def test_means_are_over_the_same_pairs() -> None:
    """An emotion of one corpus, and one that a single speaker shows, have no part in any of the three means."""
    generator = np.random.default_rng(2)
    truth = moved(generator, 0.5)
    del truth["emodb", "cnn", "anger"]
    del truth["nemo", "cnn", "anger"]
    profiles = drawn(generator, truth)
    profiles.values[profiles.cells.index(("nemo", "cnn", "sadness"))][1:] = np.nan
    everyone = {corpus: np.ones(n, dtype=bool) for corpus, n in SPEAKERS.items()}
    matrix = similarity_matrix(profiles, everyone, shared=False)
    at = {cell: i for i, cell in enumerate(profiles.cells)}
    lines = []
    for emotion in EMOTIONS:
        for a in SPEAKERS:
            for b in SPEAKERS:
                one, other = at.get((a, "cnn", emotion)), at.get((b, "cnn", emotion))
                if a >= b or one is None or other is None or np.isnan([matrix[one, one], matrix[other, other]]).any():
                    continue
                floors = [
                    np.nanmean([matrix[i, at[c, "cnn", e]] for e in EMOTIONS if e != emotion and (c, "cnn", e) in at])
                    for i, c in ((one, a), (other, b))
                ]
                lines.append((matrix[one, other], np.mean(floors), (matrix[one, one] + matrix[other, other]) / 2))
    assert len(lines) == 7  # 3 of happiness, 3 of neutral, 1 of sadness
    np.testing.assert_allclose(paired_means(matrix, pair_masks(profiles.cells)), np.mean(lines, axis=0))


def test_without_noise_the_score_is_that_of_the_profiles() -> None:
    truth = moved(np.random.default_rng(3), 0.6)
    found = corpora_score(drawn(np.random.default_rng(4), truth, spread=1e-3))
    assert found.score == pytest.approx(score_of(truth), abs=1e-3) and found.split_half == pytest.approx(1, abs=1e-4)
    assert found.low < found.score < found.high and found.note == "" and found.range_low > 0.1


def scores(experiments: int, kept: float, spread: float, known: float, seed: int) -> list[tuple[CorporaScore, float]]:
    found = []
    for k in range(experiments):
        generator = np.random.default_rng((seed, k))
        truth = moved(generator, kept)
        found.append((corpora_score(drawn(generator, truth, spread, known)), score_of(truth)))
    return found


def covers(found: list[tuple[CorporaScore, float]]) -> None:
    """Assert that the truth lies in 95 % of the intervals, within three binomial standard errors."""
    told = [one.low <= truth <= one.high for one, truth in found if np.isfinite(one.low)]
    assert len(told) >= 0.75 * len(found)  # the others have hardly any range
    assert abs(np.mean(told) - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / len(told))


def test_the_interval_covers_what_was_drawn() -> None:
    covers(scores(50, 0.5, 1.5, 1.0, 5))


@pytest.mark.long
@pytest.mark.parametrize(("kept", "spread", "known"), [(0.0, 0.7, 1), (0.5, 1.5, 1), (0.5, 1.5, 0.6), (0.9, 1.5, 0.4)])
def test_the_interval_covers_with_the_speakers_at_hand(kept: float, spread: float, known: float) -> None:
    covers(scores(300, kept, spread, known, 6))


def test_maps_of_noise_get_no_score() -> None:
    nothing = {cell: np.zeros(8) for cell in moved(np.random.default_rng(0), 0.5)}
    found = [corpora_score(drawn(np.random.default_rng((7, k)), nothing)) for k in range(20)]
    assert sum(np.isfinite(one.score) for one in found) <= 1
    assert all("hardly more alike" in one.note for one in found if np.isnan(one.score))
    # a range that is there by chance alone has an interval that reaches below .1
    assert any(one.split_half - one.emotions > 0.05 for one in found)


def test_few_speakers_are_described_only() -> None:
    profiles = drawn(np.random.default_rng(8), moved(np.random.default_rng(9), 0.6), spread=0.5)
    few = Profiles(profiles.cells, [v[:5] if c[0] == "nemo" else v for c, v in zip(profiles.cells, profiles.values,
                   strict=True)], 100)  # fmt: skip
    found = corpora_score(few)
    assert np.isfinite(found.score) and np.isnan(found.low) and found.note == "described only: 5 speakers in nemo"
    one_emotion = [i for i, cell in enumerate(profiles.cells) if cell[2] == "anger"]
    alone = Profiles([profiles.cells[i] for i in one_emotion], [profiles.values[i] for i in one_emotion], 100)
    assert np.isnan(corpora_score(alone).score) and "no emotion" in corpora_score(alone).note


# -- models against corpora --------------------------------------------------------------------------------------------


def equally_moved(generator: np.random.Generator, kinds: tuple[str, ...]) -> Truth:
    """Profiles that two recognisers change as much as two corpora: all pairs of both correlate alike.

    Corpora move along the corners of a regular triangle, recognisers along those of a regular simplex, in directions
    that are orthogonal to each other and to the emotion's own; the edges of both are of one length.
    """
    frame = np.linalg.qr(np.column_stack([np.ones(8), generator.normal(size=(8, 7))]))[0].T[1:]
    shape = {n: np.linalg.svd(np.eye(n) - 1 / n)[0][:, : n - 1] / np.sqrt(2) * 2.0 for n in (len(SPEAKERS), len(kinds))}
    corpora = dict(zip(SPEAKERS, shape[len(SPEAKERS)] @ frame[1:3], strict=True))
    models = dict(zip(kinds, shape[len(kinds)] @ frame[3 : 2 + len(kinds)], strict=True))
    size = {e: s for e, s in zip(EMOTIONS, (2.0, 1.5, -1.5, -2.0), strict=True)}
    return {
        (c, m, e): size[e] * frame[0] + corpora[c] + models[m]
        for c in SPEAKERS
        for m in kinds
        for e in EMOTIONS
        if (c, m) not in HOLES
    }


def rejections(experiments: int, kinds: tuple[str, ...], seed: int) -> float:
    found = []
    for k in range(experiments):
        generator = np.random.default_rng((seed, k))
        truth = equally_moved(generator, kinds)
        correlation = np.corrcoef(list(truth.values()))
        masks = pair_masks(list(truth))
        across = correlation[masks["models"] | masks["corpora"]].reshape(-1)
        by_emotion = {round(abs(v), 6) for v in across}
        assert len(by_emotion) == 2  # one for each size of the emotion's own profile
        found.append(profile_contrast(drawn(generator, truth, spread=0.7)).p < 0.05)
    return float(np.mean(found))


def test_equal_moves_by_corpora_and_recognisers_are_seldom_told_apart() -> None:
    assert rejections(12, KINDS[:2], 10) <= limit(12)


@pytest.mark.long
@pytest.mark.parametrize("kinds", [KINDS[:2], KINDS])
def test_equal_moves_are_told_apart_no_more_often_than_said(kinds: tuple[str, ...]) -> None:
    experiments = 200
    assert rejections(experiments, kinds, 11) <= limit(experiments)
