"""Causal cue fidelity: edits that change one cue where they should, effects that are known, counted calls."""

import numpy as np
import pytest
from scipy import stats

from serxai.audio import SAMPLE_RATE, Grid, scoring_grid
from serxai.cues.records import REGION_CUES
from serxai.cues.regions import cue_values, frame_sums
from serxai.cues.tracks import cue_tracks
from serxai.datasets.clip import Clip
from serxai.datasets.corpora import load_corpus
from serxai.errors import NotApplicable, UnknownNameError
from serxai.methods.attribution import Attribution
from serxai.methods.baselines import Energy, Random
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.metrics.case import Case, Explained
from serxai.metrics.causal_cues import N_STRETCHES, CausalCueFidelity, causal_fidelity, claimed_shares, cue_effects
from serxai.metrics.cue_edits import EDITS, FADE_S, edited, faded, resynthesised, stretch_weights
from serxai.metrics.plausibility_records import CUE_EDITS
from serxai.metrics.records import METRICS, make_metric
from serxai.models.obtain import load_models
from serxai.models.recogniser import Recogniser


@pytest.fixture(scope="module")
def vowel():
    """1.6 s of a voice at 140 Hz that glides and breathes a little."""
    draw = np.random.default_rng(0)
    t = np.arange(int(1.6 * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(140 * 2 ** (np.sin(2 * np.pi * 2 * t) / 6)) / SAMPLE_RATE
    tone = sum(np.cos(h * phase) / h for h in range(1, 20))
    return Clip("v", (0.05 * tone + 0.001 * draw.standard_normal(t.size)).astype(np.float32), "anger", speaker="s")


def cues_of(samples):
    tracks = cue_tracks(samples.astype(np.float32), 100.0)
    return dict(zip(REGION_CUES, cue_values(frame_sums(tracks).sum(axis=0))[0], strict=True))


class Listener(Recogniser):
    """Log-odds of ``anger`` are a weighted sum of the level in dB of 100 ms pieces."""

    name, classes, fingerprint = "listener", ("anger", "sadness"), "0"

    def __init__(self, weights):
        self.weights = np.asarray(weights, dtype=np.float64)

    def _raw_log_odds(self, waveforms):
        import torch

        self.calls += len(waveforms)
        pieces = np.array_split(waveforms.double().numpy(), len(self.weights), axis=1)
        level = np.stack([10 * np.log10((p**2).mean(axis=1) + 1e-9) for p in pieces], axis=1)
        y = torch.from_numpy(level @ self.weights)
        return torch.stack([y, -y], dim=1)


def time_map(clip, weights, rows=1):
    weights = np.asarray(weights, dtype=np.float64)
    edges = np.linspace(0, clip.duration_s, len(weights) + 1)
    return Attribution(np.tile(weights, (rows, 1)), Grid(np.linspace(0, 8000, rows + 1), edges), "anger", "test")


def test_stretches_cover_the_clip_once_and_fade():
    for n in (16000, 25601):
        weights = stretch_weights(n, N_STRETCHES)
        assert weights.shape == (N_STRETCHES, n)
        np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-12)
        assert weights.min() >= 0
        edges = np.linspace(0, n, N_STRETCHES + 1)
        for k, row in enumerate(weights):
            away = FADE_S * SAMPLE_RATE + 1
            outside = (np.arange(n) < edges[k] - away) | (np.arange(n) > edges[k + 1] + away)
            middle = int((edges[k] + edges[k + 1]) / 2)
            assert not row[outside].any()
            assert row[middle] == 1


@pytest.mark.parametrize(
    ("cue", "told", "expected"),
    [
        ("f0_level", "f0_level", (-4, -2, 2, 4)),
        ("intensity", "loudness", (-12, -6, 6, 12)),
    ],
)
def test_edits_change_their_cue_by_their_amount(vowel, cue, told, expected):
    before = cues_of(vowel.samples)[told]
    found = [cues_of(x)[told] - before for x in edited(vowel.samples, cue, N_STRETCHES, np.random.default_rng(0))]
    np.testing.assert_allclose(found, expected, atol=0.25)


@pytest.mark.parametrize(
    ("cue", "told"), [("f0_range", "f0_variability"), ("tilt", "high_frequency_energy"), ("jitter", "jitter")]
)
def test_larger_amounts_change_their_cue_more(vowel, cue, told):
    # one stretch, so that the range of pitch is that of the whole clip
    found = [cues_of(x)[told] for x in edited(vowel.samples, cue, 1, np.random.default_rng(0))]
    assert np.all(np.diff(found) > 0.05 * abs(found[0]))


def test_noise_lowers_the_harmonics_to_noise_ratio_by_grades(vowel):
    sham = cues_of(vowel.samples)["hnr"]
    less, more = (cues_of(x)["hnr"] for x in edited(vowel.samples, "noise", N_STRETCHES, np.random.default_rng(0)))
    assert more < less - 2 < sham - 4


def test_pitch_edits_leave_the_level_of_a_stretch_and_all_samples_outside(vowel):
    x = vowel.samples.astype(np.float64)
    weights = stretch_weights(x.size, N_STRETCHES)
    sham = resynthesised(x)
    for version in edited(vowel.samples, "f0_level", N_STRETCHES, np.random.default_rng(0)):
        copies = faded(x, version, weights, sham)
        for copy, weight in zip(copies, weights, strict=True):
            assert np.array_equal(copy[weight == 0], vowel.samples[weight == 0])
            whole = weight == 1
            level = [10 * np.log10(np.mean(signal[whole] ** 2)) for signal in (copy.astype(np.float64), sham)]
            assert level[0] == pytest.approx(level[1], abs=0.6)  # the power is matched ramps included


def test_sham_keeps_the_cues_though_not_the_samples(vowel):
    sham = resynthesised(vowel.samples.astype(np.float64))
    before, after = cues_of(vowel.samples), cues_of(sham)
    assert after["f0_level"] == pytest.approx(before["f0_level"], abs=0.1)
    assert after["loudness"] == pytest.approx(before["loudness"], abs=0.3)
    assert np.corrcoef(sham, vowel.samples)[0, 1] < 0.999


def test_the_same_draw_gives_the_same_edit(vowel):
    for cue in EDITS:
        both = [edited(vowel.samples, cue, N_STRETCHES, np.random.default_rng(3)) for _ in range(2)]
        assert np.array_equal(*both), cue


def test_no_voice_no_pitch():
    noise = (0.01 * np.random.default_rng(0).standard_normal(16000)).astype(np.float64)
    with pytest.raises(NotApplicable, match="nothing in the clip is voiced"):
        resynthesised(noise)


def test_effect_of_intensity_in_closed_form(vowel):
    """Stretches and pieces coincide, so a gain of g dB in stretch k moves the log-odds by weight k times g."""
    weights = np.arange(1, N_STRETCHES + 1) / 10
    case = Case(Listener(weights), vowel, "anger", seed=("t",))
    mean_gain = np.mean(np.abs(EDITS["intensity"].amounts))
    np.testing.assert_allclose(
        cue_effects(case, "intensity"), weights * mean_gain, rtol=0.1
    )  # ramps reach into neighbours


def test_effects_are_sham_corrected(vowel):
    """What answers to level alone answers to no edit that keeps the level."""
    case = Case(Listener(np.arange(1, N_STRETCHES + 1) / 10), vowel, "anger", seed=("t",))
    loud = cue_effects(case, "intensity")
    for cue in ("f0_level", "jitter"):
        assert np.all(cue_effects(case, cue) < 0.08 * loud), cue


def test_effects_by_slow_twin(vowel):
    recogniser = Listener(np.random.default_rng(1).uniform(0, 1, 7))
    case = Case(recogniser, vowel, "anger", seed=("t",))
    from serxai.keys import rng

    x = vowel.samples.astype(np.float64)
    weights = stretch_weights(x.size, N_STRETCHES)
    sham = resynthesised(x)
    for cue, reference in (("f0_level", sham), ("tilt", x)):
        versions = edited(x, cue, N_STRETCHES, rng("t", "causal cues", cue))
        for k in (0, 5, 15):
            w = weights[k]
            y = []
            for version in [None, *versions]:
                if version is None:
                    copy = x + w * (reference - x)
                else:
                    gain = np.sqrt(np.sum(w * reference**2) / np.sum(w * version**2))
                    copy = x + w * (gain * version - x)
                y.append(recogniser.log_odds(copy.astype(np.float32)[None])[0, 0])
            assert cue_effects(case, cue)[k] == pytest.approx(np.mean(np.abs(np.array(y[1:]) - y[0])), abs=1e-6)


def test_claims_are_shares_of_absolute_relevance(vowel):
    weights = np.zeros(N_STRETCHES)
    weights[[2, 9]] = [3.0, -1.0]
    claims = claimed_shares(Case(None, vowel, "anger"), Explained(time_map(vowel, weights)))
    assert claims.sum() == pytest.approx(1, abs=1e-6)
    # the scoring grid's columns do not end where stretches do, so a little goes to neighbours
    assert claims[2] == claims.max() > 0.4
    assert claims[9] > 0.13
    assert claims[[0, 4, 5, 6, 12, 14]].sum() < 1e-6
    with pytest.raises(NotApplicable, match="zero everywhere"):
        claimed_shares(Case(None, vowel, "anger"), Explained(time_map(vowel, np.zeros(16))))


def test_fidelity_is_spearman_with_ties_in_noise():
    draw = np.random.default_rng(0)
    for _ in range(50):
        claims, effects = draw.random(16).round(1), draw.random(16).round(1)
        expected = stats.spearmanr(claims, effects).statistic
        assert causal_fidelity(claims, effects + 1e-9 * draw.standard_normal(16)) == pytest.approx(expected)
    with pytest.raises(NotApplicable):
        causal_fidelity(claims, np.full(16, 1e-8))


def test_the_map_of_true_weights_scores_high_and_its_opposite_low(vowel):
    weights = np.random.default_rng(2).permutation(np.arange(1.0, 17.0))
    case = Case(Listener(weights / 10), vowel, "anger", seed=("t",))
    metric = CausalCueFidelity("intensity")
    true = metric.score(case, Explained(time_map(vowel, weights, 4))).value
    opposite = metric.score(case, Explained(time_map(vowel, 17 - weights, 4))).value
    assert true > 0.8
    assert opposite < -0.8


def test_on_the_white_box_the_truth_beats_energy_and_energy_beats_random():
    """Level edits move `planted-rule` by what its cells add over silence, which is known; energy only resembles it."""
    corpus = load_corpus("planted")
    models = load_models("planted-rule", "planted")
    recogniser = models.recogniser(models.default_fold)
    metric, scores = CausalCueFidelity("intensity"), []
    for name in [name for name in corpus.select(limit=12) if not name.endswith("neutral")]:
        clip = corpus.clip(name)
        grid = scoring_grid(clip.duration_s)
        case = Case(recogniser, clip, clip.emotion, seed=("t", name))
        request = Request(recogniser, clip, clip.emotion, ("t", name))
        truth = recogniser.relevance(clip.samples, np.zeros_like(clip.samples), clip.emotion, grid)
        maps = [
            Attribution(truth, grid, clip.emotion, "truth"),
            Energy().attribute(request),
            Random().attribute(request),
        ]
        scores.append([metric.score(case, Explained(found)).value for found in maps])
    truth, energy, random = np.array(scores).T
    assert truth.mean() > 0.8
    for better, worse in ((truth, energy), (energy, random)):
        assert stats.ttest_rel(better, worse, alternative="greater").pvalue < 0.05


def voiced_log_energy(clip):
    """Rule without a recogniser: log energy over the quietest stretch, times the share of voiced frames."""
    edges = np.linspace(0, clip.duration_s, N_STRETCHES + 1)
    pieces = np.split(clip.samples.astype(np.float64), np.round(edges[1:-1] * SAMPLE_RATE).astype(int))
    level = np.array([np.log10((piece**2).sum() + 1e-12) for piece in pieces])
    tracks = clip.cue_tracks
    frame = np.clip(np.digitize(tracks.times_s, edges) - 1, 0, N_STRETCHES - 1)
    voiced = np.bincount(frame, tracks.voiced, N_STRETCHES) / np.maximum(np.bincount(frame, minlength=N_STRETCHES), 1)
    return time_map(clip, (level - level.min()) * voiced)


def test_it_describes_and_does_not_rank():
    for name in ("causal-cue-fidelity", "causal-cue-fidelity:tilt"):
        record = METRICS.get(name)
        assert not record.ranked and record.described and not record.core


@pytest.mark.real_data
@pytest.mark.long
def test_a_rule_without_a_recogniser_scores_like_saliency_which_is_why_it_only_describes(data_root):
    """On 12 clips of EMODB, by the bundled models that have not heard the speakers."""
    corpus, models = load_corpus("emodb", data_root), load_models("cnn", "emodb")
    metric, found = CausalCueFidelity(), []
    for name in corpus.select(["anger", "happiness", "sadness"])[:12]:
        clip = corpus.clip(name)
        recogniser = models.recogniser(models.fold_for("emodb", clip.speaker, name))
        case = Case(recogniser, clip, clip.emotion, seed=("t", name))
        saliency = make_method("saliency").attribute(Request(recogniser, clip, clip.emotion, ("t", name)))
        found.append([metric.score(case, Explained(a)).value for a in (voiced_log_energy(clip), saliency)])
    rule, method = np.array(found).T
    assert rule.mean() > 0.25
    assert (method - rule).mean() < 2 * (method - rule).std(ddof=1) / np.sqrt(len(rule))  # not clearly better


def test_random_maps_are_at_chance(vowel):
    draw = np.random.default_rng(4)
    case = Case(Listener(np.arange(1, 17) / 10), vowel, "anger", seed=("t",))
    metric = CausalCueFidelity("intensity")
    scores = [metric.score(case, Explained(time_map(vowel, draw.standard_normal(16)))).value for _ in range(300)]
    assert abs(np.mean(scores)) < 3 * np.std(scores) / np.sqrt(300)


def test_work_is_what_is_asked_for_and_shared_by_methods(vowel):
    recogniser = Listener(np.ones(16))
    case = Case(recogniser, vowel, "anger", seed=("t",))
    explained = [Explained(time_map(vowel, np.random.default_rng(i).random(16))) for i in range(2)]
    metric = CausalCueFidelity()
    first = metric.score(case, explained[0])
    assert recogniser.calls == sum(metric.work(case, explained[0]).values()) == first.model_calls == 337
    second = metric.score(case, explained[1])
    assert recogniser.calls == 337
    assert second.model_calls == 337  # what it costs alone
    fresh = Case(recogniser, vowel, "anger", seed=("t",))
    assert metric.score(fresh, explained[1]).value == second.value
    assert CausalCueFidelity("f0_level").score(case, explained[0]).model_calls == 16 + 64
    assert recogniser.calls == 2 * 337


@pytest.mark.parametrize("batch", [1, 8, 32])
@pytest.mark.parametrize("voiced", [True, False])
@pytest.mark.parametrize("cue", ["", "f0_level", "tilt"])
def test_work_is_what_the_metric_costs_alone(vowel, batch, voiced, cue):
    """In a fresh case, whatever the batch; what cannot be edited costs nothing."""
    whisper = (0.02 * np.random.default_rng(0).standard_normal(vowel.samples.size)).astype(np.float32)
    clip = vowel if voiced else vowel.with_samples(whisper, None)
    recogniser = Listener(np.random.default_rng(5).random(9))
    recogniser.batch = batch
    case, metric = Case(recogniser, clip, "anger", seed=("t",)), CausalCueFidelity(cue)
    explained = Explained(time_map(clip, np.random.default_rng(6).random(16)))
    if cue == "f0_level" and not voiced:
        for asked in (metric.work, metric.score):
            with pytest.raises(NotApplicable, match="nothing in the clip is voiced"):
                asked(case, explained)
        assert recogniser.calls == 0
        return
    copies = -(-N_STRETCHES // batch) * batch
    edits = {"f0_level": 4, "tilt": 4, "": 20 if voiced else 10}[cue]
    references = {"f0_level": copies, "tilt": 1, "": 1 + copies * voiced}[cue]
    planned = sum(metric.work(case, explained).values())
    assert recogniser.calls == 0
    told = metric.score(case, explained).model_calls
    assert recogniser.calls == told == planned == references + edits * copies


def test_single_cues_average_to_the_whole(vowel):
    case = Case(Listener(np.random.default_rng(5).random(9)), vowel, "anger", seed=("t",))
    explained = Explained(time_map(vowel, np.random.default_rng(6).random(16)))
    singles = [make_metric(f"causal-cue-fidelity:{cue}").score(case, explained).value for cue in CUE_EDITS]
    assert make_metric("causal-cue-fidelity").score(case, explained).value == pytest.approx(np.mean(singles))


def test_names_and_refusals(vowel):
    assert tuple(EDITS) == CUE_EDITS
    with pytest.raises(UnknownNameError, match="causal-cue-fidelity:tilt"):
        make_metric("causal-cue-fidelity:tlit")
    case = Case(Listener(np.ones(16)), vowel, "anger", seed=("t",))
    with pytest.raises(NotApplicable, match="says nothing about time"):
        CausalCueFidelity().score(case, Explained(time_map(vowel, np.ones(1), 8)))
    short = vowel.with_samples(vowel.samples[:8000])
    with pytest.raises(NotApplicable, match=r"0\.50 s"):
        CausalCueFidelity().score(Case(None, short, "anger"), Explained(time_map(short, np.arange(16))))
    deaf = Case(Listener(np.zeros(16)), vowel, "anger", seed=("t",))
    with pytest.raises(NotApplicable, match="no edit moves the recogniser"):
        CausalCueFidelity().score(deaf, Explained(time_map(vowel, np.arange(16))))
