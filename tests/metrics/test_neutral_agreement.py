"""Neutral agreement: closed forms, a slow twin, rivals at most 0, rules without a model exactly 0, and its limits."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from serxai.audio import Grid
from serxai.benchmark.run.neutral import neutral_reference
from serxai.cues.expert import directions
from serxai.cues.neutral import SETS, NeutralReference
from serxai.cues.records import REGION_CUES
from serxai.cues.regions import region_cues, window_mask
from serxai.cues.windows import WindowCues, window_edges
from serxai.datasets.corpora import load_corpus
from serxai.errors import NotApplicable
from serxai.keys import rng
from serxai.methods.attribution import Attribution
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.metrics.case import Case, Explained
from serxai.metrics.neutral_agreement import (
    RIVALS,
    NeutralAgreement,
    TrainedAgreement,
    WindowAgreement,
    agreement,
    case_agreement,
    chosen_windows,
)
from serxai.metrics.plausibility import expected_directions
from serxai.metrics.records import METRICS, make_metric

from .test_plausibility import voiced_clip, windows_map

DEAF = SimpleNamespace(
    target_named=lambda target: (target, None), classes=("anger", "sadness", "neutral"), regression=False
)


def utterance(seed, pitch=110.0, level=-1.7):
    """A clip of 16 windows that differ in pitch, level and tilt about the given means."""
    draw = np.random.default_rng(seed)
    parts = [
        (0.15, pitch * draw.uniform(0.85, 1.2), 10 ** (level + draw.uniform(-0.4, 0.4)), draw.uniform(0.7, 1.6))
        for _ in range(16)
    ]
    return voiced_clip(parts, seed=seed)


def cues_of(clip):
    return WindowCues(clip.cue_tracks, window_edges(clip.duration_s))


@pytest.fixture(scope="module")
def reference():
    return NeutralReference({f"n{seed}": cues_of(utterance(seed)) for seed in range(4)}, "a")


@pytest.fixture(scope="module")
def loud():
    return utterance(9, pitch=170.0, level=-1.2)


def case_of(clip, reference, target="anger", recogniser=DEAF):
    return Case(recogniser, clip, target, seed=("s",), neutral=lambda: reference)


def explained_by(name, case):
    attribution = make_method(name).attribute(Request(case.recogniser, case.clip, case.target, ("m",)))
    return Explained(attribution, explain=lambda clip, *seed, recogniser=None, target=None: attribution)


def test_agreement_in_closed_form():
    expected = np.array([[1, 1, -1, 0], [0, -1, 0, 0], [0, 0, 0, 0]])
    first = (3 / 4 - 1 / 2 + 0) / 3  # the third cue is missing and counts 0
    assert agreement([3.0, -1.0, np.nan, 9.0], expected) == pytest.approx((first + 1 / 2) / 2)
    assert agreement([np.nan] * 4, expected) == 0 and agreement([1.0] * 4, expected[2:]) == 0
    assert agreement([1e9, 1e9, -1e9, 0], expected[:1]) == pytest.approx(1)


def test_agreement_against_a_slow_twin(loud, reference):
    """Cue by cue, source by source, with the reference measured set by set from masks of frames."""
    windows = WindowAgreement(cues_of(loud), reference, expected_directions("anger"))
    chosen = np.zeros(16, dtype=bool)
    chosen[[1, 4, 5, 9]] = True
    values = {cue: [] for cue in REGION_CUES}
    for seed in range(4):
        clip = utterance(seed)
        edges = window_edges(clip.duration_s)
        bounds = np.stack([edges[:-1], edges[1:]], axis=1)
        draws = rng("neutral windows", "a", f"n{seed}", 4).random((SETS, 16))
        for draw in draws:
            mask = window_mask(clip.cue_tracks, bounds[np.argsort(draw)[:4]])
            for cue, value in region_cues(clip.cue_tracks, mask).items():
                values[cue].append(value.value)
    edges = window_edges(loud.duration_s)
    own = region_cues(loud.cue_tracks, window_mask(loud.cue_tracks, np.stack([edges[:-1], edges[1:]], 1)[chosen]))
    shares = []
    for cues in directions("anger", checked=True).values():
        terms = []
        for cue, direction in cues.items():
            if direction == 0 or cue not in REGION_CUES:
                continue
            known = [v for v in values[cue] if math.isfinite(v)]
            z = (own[cue].value - np.mean(known)) / np.std(known, ddof=1)
            terms.append(0.0 if math.isnan(z) else direction * z / (1 + abs(z)))
        if terms:
            shares.append(sum(terms) / len(terms))
    assert windows.of(chosen[None])[0] == pytest.approx(sum(shares) / len(shares), abs=1e-9)


def test_recalled_rows_do_not_count():
    table = {source: set(cues) for source, cues in directions("anger", checked=True).items()}
    assert "S03" not in table and "JL" not in table and len(table) >= 4
    assert len(expected_directions("anger", "S03")) == 1  # named by itself, a source counts with all its rows


def test_an_unusual_voice_is_measured_against_itself(loud, reference):
    """A speaker whose neutral is as high and loud as this clip: nothing is unusual about any window."""
    same = NeutralReference({f"n{s}": cues_of(utterance(s, pitch=170.0, level=-1.2)) for s in range(4)}, "b")
    windows = [WindowAgreement(cues_of(loud), r, expected_directions("anger")) for r in (reference, same)]
    sets = np.array([rng("sets", i).permutation(16) < 5 for i in range(40)])
    apart, alike = (w.of(sets).mean() for w in windows)
    assert apart > alike + 0.2 and abs(alike) < 0.2  # one clip differs a little from the mean of four


def test_levels_are_left_out_where_they_are_not_comparable(loud, reference):
    """Without level cues, the agreement does not move when the clip is made louder."""
    no_level = NeutralReference(reference.clips, "a", ("loudness",))
    louder = type(loud)("c", (4 * loud.samples).astype(np.float32), "anger")
    chosen = (np.arange(16) < 5)[None]
    scores = {
        name: [WindowAgreement(cues_of(c), r, expected_directions("anger")).of(chosen)[0] for c in (loud, louder)]
        for name, r in (("with", reference), ("without", no_level))
    }
    assert scores["without"][0] == pytest.approx(scores["without"][1], abs=1e-3)
    assert scores["with"][1] > scores["with"][0] + 0.01


@pytest.mark.parametrize("target", ["anger", "sadness"])
def test_listed_rivals_score_at_most_zero(loud, reference, target):
    case = case_of(loud, reference, target)
    for name in RIVALS[1:]:
        assert NeutralAgreement().score(case, explained_by(name, case)).value <= 0
    random = []
    for draw in range(40):
        explained = Explained(make_method("random").attribute(Request(DEAF, loud, target, (draw,))))
        random.append(NeutralAgreement().score(case, explained).value)
    assert np.mean(random) < 0  # matched windows do as well on average, and the best rival better


def test_best_windows_are_the_largest_of_all_sets(reference):
    pitch, tilt = [100, 200, 150, 120, 180, 140, 210, 90], [1.2, 0.8, 1.0, 1.4, 0.7, 1.1, 1.5, 0.9]
    clip = voiced_clip([(0.15, f, 0.05, t) for f, t in zip(pitch, tilt, strict=True)])
    windows = WindowAgreement(cues_of(clip), reference, expected_directions("anger"))
    sets = np.array([np.isin(np.arange(8), chosen) for chosen in itertools.combinations(range(8), 4)])
    best = windows.best_windows(4)
    assert best.sum() == 4
    assert windows.of(best[None])[0] >= np.quantile(windows.of(sets), 0.98)


def test_windows_chosen_to_agree_win_which_is_why_it_only_describes(loud, reference):
    case = case_of(loud, reference)
    best = case_agreement(case).best_windows(5)
    assert NeutralAgreement().score(case, Explained(windows_map(loud, np.flatnonzero(best)))).value > 0.05
    record = METRICS.get("neutral-agreement")
    assert not record.ranked and record.described and not record.core


@pytest.mark.real_data
@pytest.mark.long
def test_windows_chosen_without_a_model_win_on_real_voices_which_is_why_it_only_describes(cnn):
    """On 12 clips of EMODB; beyond permuted weights the same windows score exactly 0."""
    corpus = load_corpus("emodb")
    found = []
    for name in corpus.select(["anger", "happiness", "sadness"])[:12]:
        clip = corpus.clip(name)
        case = case_of(clip, neutral_reference(corpus, name), clip.emotion, cnn)
        best = case_agreement(case).best_windows(min(5, case.window_cues.n_windows // 2))
        edges = window_edges(clip.duration_s)
        attribution = Attribution(best[None].astype(float), Grid(np.array([0.0, 8000]), edges), clip.emotion, "best")
        explained = Explained(attribution, explain=lambda clip, *seed, a=attribution, recogniser=None, target=None: a)
        found.append(NeutralAgreement().score(case, explained).value)
        assert TrainedAgreement().score(case, explained).value == 0
    assert np.mean(found) > 0.1 and not METRICS.get("neutral-agreement").ranked


def test_rules_without_a_model_score_exactly_zero_beyond_permuted_weights(cnn, loud, reference):
    """Whatever they know of clip, cues and target: the ranked metric needs the recogniser."""
    case = case_of(loud, reference, recogniser=cnn)
    best = case_agreement(case).best_windows(5)
    for attribution in (windows_map(loud, np.flatnonzero(best)), windows_map(loud, [0, 2, 4])):
        explained = Explained(attribution, explain=lambda clip, *seed, a=attribution, recogniser=None, target=None: a)
        assert TrainedAgreement().score(case, explained).value == 0
    for name in ("energy", "loud-quiet", "random"):
        assert TrainedAgreement().score(case, explained_by(name, case)).value == 0
    assert METRICS.get("neutral-agreement-trained").ranked


def test_beyond_permuted_weights_by_hand(cnn, loud, reference):
    case = case_of(loud, reference, recogniser=cnn)
    own, other = windows_map(loud, [1, 2, 3, 4, 5]), windows_map(loud, [8, 9, 10, 11, 12])
    calls = []

    def explain(clip, *seed, recogniser=None, target=None):
        calls.append(recogniser.fingerprint)
        return other

    found = TrainedAgreement().score(case, Explained(own, explain=explain))
    windows = case_agreement(case)
    a, b = (windows.of(chosen_windows(case, attribution)[None])[0] for attribution in (own, other))
    assert found.value == pytest.approx(a - b, abs=1e-12) and a != b
    assert len(set(calls)) == 2 and cnn.fingerprint not in calls


def test_where_it_is_undefined(loud, reference, cnn):
    explained = Explained(windows_map(loud, [1, 2]))
    with pytest.raises(NotApplicable, match="neutral has no expected direction"):
        NeutralAgreement().score(case_of(loud, reference, "neutral"), explained)
    with pytest.raises(NotApplicable, match="no neutral clips of the speaker are known"):
        NeutralAgreement().score(Case(DEAF, loud, "anger"), explained)
    few = NeutralReference(dict(list(reference.clips.items())[:2]))
    with pytest.raises(NotApplicable, match="2 other neutral clips of the speaker, at least 3"):
        NeutralAgreement().score(case_of(loud, few), explained)
    nothing = NeutralReference(reference.clips, left_out=REGION_CUES)
    with pytest.raises(NotApplicable, match="no expected cue can be compared"):
        NeutralAgreement().score(case_of(loud, nothing), explained)
    with pytest.raises(NotApplicable, match="explain again"):
        TrainedAgreement().score(case_of(loud, reference, recogniser=cnn), explained)


@pytest.mark.parametrize("name", ["direction-agreement", "salience-contrast", "cue-profile", "neutral-agreement"])
def test_maps_without_time_are_skipped(loud, reference, name):
    """A band map would be scored on windows that the tie-break draws."""
    bands = Attribution(np.arange(1.0, 9.0)[:, None], Grid(np.linspace(0, 8000, 9), np.array([0, 2.4])), "anger", "b")
    frames = np.repeat(np.arange(1.0, 9.0)[:, None], 240, axis=1)
    on_frames = Attribution(frames, Grid(np.linspace(0, 8000, 9), np.linspace(0, 2.4, 241)), "anger", "b")
    for attribution in (bands, on_frames):
        with pytest.raises(NotApplicable, match="says nothing about time"):
            make_metric(name).score(case_of(loud, reference), Explained(attribution))
