"""Direction agreement: closed forms, a slow twin, chance level, and clips where the right windows are known."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from serxai.audio import SAMPLE_RATE, Grid, load_audio
from serxai.cues.expert import directions
from serxai.cues.records import REGION_CUES
from serxai.cues.regions import region_cues, window_mask
from serxai.cues.tracks import cue_tracks
from serxai.cues.windows import WindowCues, window_edges
from serxai.datasets.clip import Clip
from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.methods.attribution import Attribution
from serxai.methods.beyond_saliency import BeyondSaliency
from serxai.methods.explainer import Request
from serxai.metrics.case import Case, Explained
from serxai.metrics.plausibility import DirectionAgreement, direction_agreement, expected_directions

# nothing is asked but whether it is a class
DEAF = SimpleNamespace(target_named=lambda target: (target, None), regression=False)


def slow_agreement(contrasts, emotion):
    shares = []
    for cues in directions(emotion, checked=True).values():
        hits = [
            math.copysign(1, contrasts[cue]) == direction and contrasts[cue] != 0
            for cue, direction in cues.items()
            if direction != 0 and not math.isnan(contrasts.get(cue, math.nan))
        ]
        if hits:
            shares.append(sum(hits) / len(hits))
    return sum(shares) / len(shares) if shares else math.nan


def voiced_clip(parts, noise=1e-4, seed=0):
    """Parts (duration, f0, level, tilt): harmonics whose amplitude falls as h ** -tilt."""
    duration, f0, level, tilt = (np.array(column) for column in zip(*parts, strict=True))
    n = np.round(duration * SAMPLE_RATE).astype(int)
    phase = 2 * np.pi * np.cumsum(np.repeat(f0, n)) / SAMPLE_RATE
    amplitude = [h ** -np.repeat(tilt, n) for h in range(1, 16)]
    x = sum(a * np.cos((h + 1) * phase) for h, a in enumerate(amplitude))
    part = np.repeat(np.arange(len(n)), n)
    power = np.bincount(part, x**2) / n
    x *= (level / np.sqrt(power))[part]
    x += noise * np.random.default_rng(seed).standard_normal(x.size)
    return Clip("c", x.astype(np.float32), "anger")


def excited(draw):
    """A clip whose windows differ in pitch, level and tilt at random."""
    parts = [(0.15, draw.uniform(100, 250), 10 ** draw.uniform(-2.5, -1), draw.uniform(0.5, 2)) for _ in range(20)]
    return voiced_clip(parts)


def windows_map(clip, windows, target="anger"):
    """Map on 30 ms cells that is positive in the given windows only."""
    cells = round(clip.duration_s / 0.03)
    values = np.full((4, cells), -0.5)
    for window in windows:
        values[:, 5 * window : 5 * window + 5] = 1.0 + 0.01 * window
    return Attribution(values, Grid(np.linspace(0, 8000, 5), 0.03 * np.arange(cells + 1)), target, "test")


def score(clip, attribution, seed=("s",)):
    case = Case(DEAF, clip, attribution.target, seed=seed)
    return DirectionAgreement().score(case, Explained(attribution)).value


def test_agreement_in_closed_form():
    expected = np.array([[1, 1, -1, 0], [0, -1, 0, 0], [0, 0, 0, 0]])
    assert direction_agreement([2.0, 1.0, -3.0, 9.0], expected) == pytest.approx((1 + 0) / 2)
    assert direction_agreement([-1.0, -1.0, 1.0, 9.0], expected) == pytest.approx((0 + 1) / 2)
    assert direction_agreement([1.0, np.nan, np.nan, 9.0], expected) == 1.0  # second source has nothing to say
    assert direction_agreement([0.0, -1.0, -1.0, 0.0], expected) == pytest.approx((1 / 3 + 1) / 2)
    assert np.isnan(direction_agreement([np.nan, np.nan, np.nan, 9.0], expected))


def test_agreement_equals_plain_loops_and_negation_completes_it():
    draw = np.random.default_rng(0)
    for emotion in ("anger", "fear", "happiness", "sadness", "disgust", "surprise"):
        contrasts = np.where(
            draw.random((50, len(REGION_CUES))) < 0.2, np.nan, draw.normal(size=(50, len(REGION_CUES)))
        )
        fast = direction_agreement(contrasts, expected_directions(emotion))
        slow = [slow_agreement(dict(zip(REGION_CUES, row, strict=True)), emotion) for row in contrasts]
        np.testing.assert_allclose(fast, slow, rtol=1e-12)
        np.testing.assert_allclose(fast + direction_agreement(-contrasts, expected_directions(emotion)), 1, rtol=1e-12)


def test_score_is_the_gain_over_matched_sets_by_slow_twin():
    clip = excited(np.random.default_rng(3))
    tracks = cue_tracks(clip.samples)
    edges = window_edges(clip.duration_s)
    pairs = np.stack([edges[:-1], edges[1:]], axis=1)
    salient = np.isin(np.arange(20), [2, 3, 9, 10, 15])

    def agreement(chosen):
        mask = window_mask(tracks, pairs[chosen])
        inside, rest = region_cues(tracks, mask), region_cues(tracks, ~mask)
        return slow_agreement({cue: inside[cue].value - rest[cue].value for cue in inside}, "anger")

    generator = rng("s", "direction-agreement", "random windows")
    controls = WindowCues(tracks, edges).matched_sets(salient, generator)
    slow = agreement(salient) - np.mean([agreement(chosen) for chosen in controls])
    assert score(clip, windows_map(clip, [2, 3, 9, 10, 15])) == pytest.approx(slow, rel=1e-9, abs=1e-9)


# five windows whose pitch and level are high and vary, with much energy above 1 kHz
EXCITED = [(0.15, f0, level, 0.5) for f0, level in [(170, 0.06), (260, 0.16), (190, 0.09), (280, 0.14), (160, 0.05)]]


def around(calm):
    """3 s: calm voice, the excited windows 4 to 8, calm voice."""
    return voiced_clip([(0.6, *calm), *EXCITED, (1.65, *calm)])


def test_windows_on_the_louder_higher_sharper_part_score_above_chance():
    """Windows as loud hold most of the excited part too, so what is left to gain is small, but it is there."""
    for f0, level in [(90.0, 0.01), (110.0, 0.02), (120.0, 0.03)]:
        clip = around((f0, level, 2.0))
        assert score(clip, windows_map(clip, range(4, 9))) > 0.02
        assert score(clip, windows_map(clip, range(4, 9), "sadness")) < -0.02


def test_in_an_evenly_loud_clip_the_excited_part_wins_clearly():
    for f0 in (90.0, 105.0, 120.0):
        clip = around((f0, 0.1, 2.5))
        assert score(clip, windows_map(clip, range(4, 9))) > 0.1
        assert score(clip, windows_map(clip, range(13, 18))) < -0.02


def test_being_loud_alone_gains_nothing_over_matched_windows():
    clip = voiced_clip([(0.15, 150.0, level, 1.0) for level in [0.1] * 10 + [0.02] * 10])
    cues = WindowCues(cue_tracks(clip.samples), window_edges(clip.duration_s))
    louder = (np.array(REGION_CUES) == "loudness").astype(int)[None]
    salient = np.arange(20) < 5

    def gain(keep):
        controls = cues.matched_sets(salient, np.random.default_rng(0), keep=keep)
        own, *others = direction_agreement(cues.contrasts(np.concatenate([salient[None], controls])), louder)
        return own - np.mean(others)

    assert gain(keep=2000) > 0.3  # over any windows: agreement would reward being loud
    assert gain(keep=50) == 0.0


def test_random_maps_score_zero_on_average():
    draw = np.random.default_rng(0)
    means = []
    for clip in [excited(draw) for _ in range(10)]:
        case = Case(DEAF, clip, "anger", seed=("s", len(means)))
        scores = [
            DirectionAgreement().score(case, Explained(windows_map(clip, draw.choice(20, 5, replace=False)))).value
            for _ in range(30)
        ]
        means.append(np.mean(scores))
    half_width = 2.262 * np.std(means, ddof=1) / np.sqrt(10)  # t with 9 degrees of freedom; clips are the units
    assert abs(np.mean(means)) < half_width
    assert half_width < 0.06


@pytest.mark.real_data
def test_random_maps_score_zero_on_real_clips(data_root):
    emotions = {"W": "anger", "F": "happiness", "T": "sadness"}
    files = [f for f in sorted((data_root / "emodb").rglob("*.wav")) if f.stem[5] in emotions][::12]
    draw = np.random.default_rng(1)
    means = []
    for file in files:
        clip = Clip(file.stem, load_audio(file))
        case = Case(DEAF, clip, emotions[file.stem[5]], seed=(file.stem,))
        grid = Grid(np.array([0, 8000.0]), np.linspace(0, clip.duration_s, 50))
        maps = [Attribution(draw.normal(size=grid.shape), grid, case.target, "random") for _ in range(15)]
        means.append(np.mean([DirectionAgreement().score(case, Explained(m)).value for m in maps]))
    assert len(means) >= 15
    half_width = 2.2 * np.std(means, ddof=1) / np.sqrt(len(means))
    assert abs(np.mean(means)) < half_width
    assert half_width < 0.05


def test_beyond_saliency_is_scored_on_its_own_windows():
    clip = excited(np.random.default_rng(5))
    draw = np.random.default_rng(0)
    base = Attribution(draw.normal(size=(4, 100)), Grid(np.linspace(0, 8000, 5), np.linspace(0, 3, 101)), "anger", "b")
    own = BeyondSaliency().attribute(Request(None, clip, "anger", (), base))
    salient = np.flatnonzero(own.values[0])
    assert score(clip, own) == score(clip, windows_map(clip, salient))


def test_ties_are_at_chance():
    """A map that tells only a pause from speech: its windows are drawn among equals."""
    clip = excited(np.random.default_rng(8))
    values = np.ones((8, 20))
    values[:, 0] = 0
    flat = Attribution(values, Grid(np.linspace(0, 8000, 9), 0.15 * np.arange(21)), "anger", "speech")
    case = Case(DEAF, clip, "anger")
    values = [DirectionAgreement().score(replace(case, seed=(i,)), Explained(flat)).value for i in range(200)]
    assert np.std(values) > 0
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200) + 0.02


def test_same_identity_same_score_and_tracks_are_made_once(monkeypatch):
    import serxai.datasets.clip as module

    calls = []
    monkeypatch.setattr(module, "cue_tracks", lambda samples: calls.append(1) or cue_tracks(samples))
    clip = excited(np.random.default_rng(1))
    case = Case(DEAF, clip, "anger", seed=("a",))
    maps = [windows_map(clip, [1, 2, 3, 4, 5]), windows_map(clip, [7, 9, 11])]
    forward = [DirectionAgreement().score(case, Explained(m)).value for m in maps]
    assert len(calls) == 1
    fresh = Case(DEAF, clip, "anger", seed=("a",))
    backward = [DirectionAgreement().score(fresh, Explained(m)).value for m in maps[::-1]]
    assert forward == backward[::-1]
    assert DirectionAgreement().score(case, Explained(maps[0])).model_calls == 0


@pytest.mark.parametrize(
    ("target", "samples", "message"),
    [
        ("neutral", None, "neutral has no expected direction"),
        ("boredom", None, "no source gives expected cue directions for 'boredom'"),
        ("anger", np.zeros(48000, np.float32), "0 ms of voice in the clip, at least 200 ms needed"),
        ("anger", np.zeros(4000, np.float32), "at least two windows"),
    ],
)
def test_undefined_scores_say_why(target, samples, message):
    clip = excited(np.random.default_rng(0))
    clip = clip if samples is None else clip.with_samples(samples)
    with pytest.raises(NotApplicable, match=message):
        score(clip, windows_map(clip, [1, 2], target))


def test_windows_without_voice_are_scored_by_loudness_alone():
    clip = voiced_clip([(1.5, 150.0, 0.1, 1.0)])
    clip = clip.with_samples(np.concatenate([clip.samples, np.zeros(24000, np.float32)]))
    value = score(clip, windows_map(clip, [15, 16, 17]))
    assert -1 <= value <= 0  # softer than the rest, against the sources for anger


def test_no_positive_relevance():
    clip = excited(np.random.default_rng(0))
    with pytest.raises(NotApplicable, match="no positive relevance"):
        score(clip, windows_map(clip, []))
