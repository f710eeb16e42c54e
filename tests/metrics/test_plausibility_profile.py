"""Cue profiles: closed forms, a slow twin, chance, and clips whose excited part fits one emotion."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from serxai.audio import SAMPLE_RATE, Grid
from serxai.cues.expert import directions
from serxai.cues.records import REGION_CUES
from serxai.cues.windows import WindowCues, window_edges
from serxai.datasets.clip import Clip
from serxai.datasets.corpora import load_corpus
from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.methods.attribution import Attribution
from serxai.methods.baselines import Random
from serxai.methods.explainer import Request
from serxai.metrics.case import Case, Explained
from serxai.metrics.cue_profile import CueProfile, expected_profile, other_profiles, specificity, standardised
from serxai.metrics.plausibility import DirectionAgreement

CLASSES = ("anger", "happiness", "neutral", "sadness")


def knows(*classes):
    """All that the metric asks of a recogniser: its classes."""
    return SimpleNamespace(classes=classes, target_named=lambda target: (target, None), regression=False)


FOUR = knows(*CLASSES)


def voiced(draw, parts):
    """Windows of 150 ms, each (f0, level, tilt, regularity)."""
    f0, level, tilt = (np.repeat(np.array(column), 2400) for column in zip(*parts, strict=True))
    phase = 2 * np.pi * np.cumsum(f0) / SAMPLE_RATE
    x = level * sum(np.cos(h * phase) * h**-tilt for h in range(1, 15))
    return Clip("c", (x + 2e-4 * draw.standard_normal(x.size)).astype(np.float32), "anger", speaker="s")


def calm_and_excited(draw):
    calm = [(draw.uniform(100, 115), 0.01, draw.uniform(1.8, 2.2)) for _ in range(20)]
    for i, f0 in zip(range(4, 9), (180, 260, 200, 280, 170), strict=True):
        calm[i] = (f0, draw.uniform(0.03, 0.09), 0.6)
    return voiced(draw, calm)


def map_of(clip, windows, target="anger"):
    values = np.full((1, 20), -1.0)
    values[0, list(windows)] = 1.0 + 0.01 * np.arange(len(list(windows)))
    return Explained(Attribution(values, Grid(np.array([0, 8000.0]), 0.15 * np.arange(21)), target, "test"))


def score(clip, windows, target="anger", seed=()):
    case = Case(FOUR, clip, target, seed=seed)
    return CueProfile().score(case, map_of(clip, windows, target)).value


def test_expected_profile_is_the_mean_over_sources():
    for emotion in ("anger", "sadness", "fear"):
        profile = expected_profile(emotion)
        by_source = directions(emotion, checked=True)
        for cue, value in zip(REGION_CUES, profile, strict=True):
            assert value == pytest.approx(sum(d.get(cue, 0) for d in by_source.values()) / len(by_source))
    assert not expected_profile("boredom").any()
    assert other_profiles("anger", CLASSES).shape == (2, len(REGION_CUES))
    assert other_profiles("anger", ("anger", "neutral", "boredom")).shape == (0, len(REGION_CUES))


def test_specificity_by_spearman():
    draw = np.random.default_rng(0)
    for _ in range(100):
        profile, own = draw.standard_normal(8), draw.integers(-2, 3, 8) / 2
        others = draw.integers(-2, 3, (3, 8)) / 2
        profile[draw.random(8) < 0.2] = np.nan
        used = np.isfinite(profile) & (np.ptp(np.vstack([own, others]), axis=0) > 0)
        found = specificity(profile, own, others)
        if used.sum() < 4 or any(np.ptp(x[used]) == 0 for x in (own, *others)):
            assert np.isnan(found)
            continue
        rho = [stats.spearmanr(profile[used], x[used]).statistic for x in (own, *others)]
        assert found == pytest.approx(rho[0] - np.mean(rho[1:]))


def test_standardised_by_root_mean_square_of_random_windows():
    contrasts = np.array([[4.0, 1.0, np.nan], [3.0, 0.0, 1.0], [-4.0, 0.0, 1.0], [np.nan, 0.0, 1.0]])
    found = standardised(contrasts)
    assert found[0, 0] == pytest.approx(4 / np.sqrt((9 + 16) / 2))
    assert np.isnan(found[:, 1]).all()  # never varies from 0
    assert np.isnan(found[0, 2])


def test_score_by_slow_twin():
    clip = calm_and_excited(np.random.default_rng(1))
    salient = np.isin(np.arange(20), [1, 5, 6, 12, 18])
    cues = WindowCues(clip.cue_tracks, window_edges(clip.duration_s))
    controls = cues.matched_sets(salient, rng("cue-profile", "random windows"), 2000, 50)
    random = cues.contrasts(controls)
    size = np.sqrt(np.nanmean(random**2, axis=0))
    own, others = expected_profile("anger"), other_profiles("anger", CLASSES)
    chance = np.nanmean([specificity(row / size, own, others) for row in random])
    slow = specificity(cues.contrasts(salient[None])[0] / size, own, others) - chance
    assert score(clip, [1, 5, 6, 12, 18]) == pytest.approx(slow)


def test_the_excited_part_fits_anger_and_not_sadness():
    for seed in range(3):
        clip = calm_and_excited(np.random.default_rng(seed))
        assert score(clip, range(4, 9)) > 0.1
        assert score(clip, range(4, 9), "sadness") < -0.1


def test_random_windows_score_zero_on_average():
    draw = np.random.default_rng(2)
    means = []
    for i in range(10):
        parts = [(draw.uniform(100, 250), 10 ** draw.uniform(-2.5, -1), draw.uniform(0.5, 2)) for _ in range(20)]
        clip = voiced(draw, parts)
        means.append(np.mean([score(clip, draw.permutation(20)[:5], seed=(i, k)) for k in range(6)]))
    assert abs(np.mean(means)) < 2.8 * np.std(means, ddof=1) / np.sqrt(10)
    assert np.std(means, ddof=1) < 0.5


@pytest.mark.long
def test_random_maps_are_at_chance_on_many_real_sentences():
    """480 maps of noise on 120 clips; few clips say nothing here, single scores spread by about .5 (profile)."""
    corpus = load_corpus("planted")
    names = [name for name in corpus.select(limit=160) if not name.endswith("neutral")]
    corpus.prepare(names)
    rows = []
    for name in names:
        clip = corpus.clip(name)
        memo = Case(FOUR, clip, clip.emotion)
        for k in range(4):
            case = Case(FOUR, clip, clip.emotion, seed=("null", name, k), _memo=memo._memo)
            found = Explained(Random().attribute(Request(None, clip, clip.emotion, ("null", name, k))))
            for metric in (CueProfile(), DirectionAgreement()):
                try:
                    rows.append((metric.name, clip.emotion, clip.speaker, name, metric.score(case, found).value))
                except NotApplicable:
                    continue
    table = pd.DataFrame(rows, columns=["metric", "emotion", "speaker", "clip", "value"])
    assert table["clip"].nunique() >= 110
    by_clip = table.groupby(["metric", "emotion", "clip"])["value"].mean().reset_index()
    for part in (*by_clip.groupby("metric"), *by_clip.groupby(["metric", "emotion"])):
        values = part[1]["value"]
        assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values)), part[0]
    widths = by_clip.groupby("metric")["value"].sem()
    assert widths["cue-profile"] < 0.04 and widths["direction-agreement"] < 0.02


@pytest.mark.parametrize(
    ("target", "classes", "message"),
    [
        ("neutral", CLASSES, "no source gives a cue profile for 'neutral'"),
        ("boredom", CLASSES, "no source gives a cue profile for 'boredom'"),
        ("anger", ("anger", "neutral"), "knows no other emotion"),
    ],
)
def test_undefined_scores_say_why(target, classes, message):
    clip = calm_and_excited(np.random.default_rng(0))
    case = Case(knows(*classes), clip, target)
    with pytest.raises(NotApplicable, match=message):
        CueProfile().score(case, map_of(clip, [1, 2], target))


def test_silence_has_too_few_cues():
    clip = calm_and_excited(np.random.default_rng(0)).with_samples(np.zeros(48000, np.float32))
    with pytest.raises(NotApplicable, match="fewer than 4 cues"):
        score(clip, [1, 2, 3])
