"""Beyond Saliency on clips whose loud, high part is known; any method's map can be its base."""

import json
import re
import sys
import types
from dataclasses import replace

import numpy as np
import pytest

from serxai.audio import SAMPLE_RATE, Grid, load_audio
from serxai.cues.expert import directions
from serxai.cues.normalise import CueReference
from serxai.cues.records import CUES, FINE_RECORDS, REGION_CUES
from serxai.cues.regions import region_cues, window_mask
from serxai.cues.tracks import cue_tracks
from serxai.cues.windows import window_edges
from serxai.datasets.clip import Clip
from serxai.errors import InputError, NotApplicable, UnknownNameError
from serxai.methods.attribution import Attribution
from serxai.methods.beyond_saliency import (
    BeyondSaliency,
    BeyondSaliencyRegions,
    contrast_spread,
    with_norms,
)
from serxai.methods.cue_sentence import sentence
from serxai.methods.explainer import Explainer, Request
from serxai.methods.records import METHODS, make_method

EXCITED = (0.6, 1.2)  # four windows: an octave and 12 dB above the rest


def excited_clip(duration=3.0, excited=EXCITED):
    t = np.arange(int(duration * SAMPLE_RATE)) / SAMPLE_RATE
    high = (t >= excited[0]) & (t < excited[1])
    phase = 2 * np.pi * np.cumsum(np.where(high, 220.0, 110.0)) / SAMPLE_RATE
    x = 0.02 * np.where(high, 4.0, 1.0) * sum(np.cos(h * phase) / h for h in range(1, 16))
    return Clip("c", x.astype(np.float32), "anger")


def mapped(where, clip, target="anger", cells=200, before=0.0):
    """Map of 3 x cells with random relevance in the given stretches, a little elsewhere."""
    edges = np.linspace(-before, clip.duration_s, cells + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    draw = np.random.default_rng(0)
    values = draw.uniform(-0.01, 0.01, (3, cells))
    for start, end in where:
        values[:, (centres > start) & (centres < end)] += draw.uniform(0.5, 1, (3, 1))
    return Attribution(values, Grid(np.array([0, 500, 2000, 8000.0]), edges), target, "test")


def explain(clip, base, target="anger", **params):
    return BeyondSaliency(**params).attribute(Request(None, clip, target, ("seed",), base))


def test_salient_windows_lie_over_the_relevance():
    clip = excited_clip()
    attribution = explain(clip, mapped([EXCITED], clip))
    assert attribution.values.shape == (1, 20)
    np.testing.assert_allclose(attribution.grid.time_edges_s, 0.15 * np.arange(21))
    np.testing.assert_array_equal(attribution.grid.freq_edges_hz, [0, 8000])
    assert np.flatnonzero(attribution.values[0]).tolist() == [4, 5, 6, 7]
    np.testing.assert_allclose(attribution.cues[0]["windows_s"], [[0.6, 0.75], [0.75, 0.9], [0.9, 1.05], [1.05, 1.2]])
    assert attribution.details == {"n_windows": 20.0, "n_salient": 4.0, "relevance_in_salient": 1.0}


def test_scores_are_sums_of_the_cells_above_the_mean():
    clip = excited_clip()
    base = mapped([(0.6, 1.2), (2.1, 2.4)], clip)
    attribution = explain(clip, base)
    kept = np.where((base.values >= base.values.mean()) & (base.values > 0), base.values, 0).sum(axis=0)
    scores = [kept[(10 * w) : (10 * w + 10)].sum() for w in range(20)]  # 200 cells in 3 s: 10 a window
    salient = np.argsort(scores)[-5:]
    assert set(np.flatnonzero(attribution.values[0])) == set(salient)
    np.testing.assert_allclose(attribution.values[0, salient], np.array(scores)[salient], rtol=1e-5)


def test_without_threshold_small_positive_relevance_counts():
    clip = excited_clip()
    base = mapped([(0.6, 0.9)], clip)
    assert explain(clip, base).details["n_salient"] == 2.0
    assert explain(clip, base, threshold="none").details["n_salient"] == 5.0
    assert explain(clip, base, threshold="quantile", share=0.05).details["n_salient"] == 2.0


def test_windows_stay_on_the_clips_own_axis():
    clip = excited_clip()
    shifted = mapped([(-0.2, -0.05), EXCITED], clip, cells=220, before=0.3)
    assert np.flatnonzero(explain(clip, shifted).values[0]).tolist() == [4, 5, 6, 7]


def test_cue_table_measures_the_planted_change():
    clip = excited_clip()
    rows = {row["cue"]: row for row in explain(clip, mapped([EXCITED], clip)).cues}
    assert tuple(rows) == REGION_CUES
    assert rows["f0_level"]["contrast"] == pytest.approx(12.0, abs=0.7)
    assert rows["loudness"]["contrast"] == pytest.approx(12.0, abs=1.0)
    assert rows["f0_level"]["unit"] == "semitones"
    for row in rows.values():
        assert row["reason"] == ""
        assert row["contrast"] == pytest.approx(row["salient"] - row["rest"])
        expected = {source: cues[row["cue"]] for source, cues in directions("anger").items() if row["cue"] in cues}
        assert {entry["source"]: entry["direction"] for entry in row["sources"]} == expected
        for entry in row["sources"]:
            assert entry["agree"] == (np.sign(row["contrast"]) == entry["direction"]) and entry["status"]


def test_directions_follow_the_target_not_the_clip():
    clip = excited_clip()
    anger, sadness, neutral = (
        {row["cue"]: row for row in explain(clip, mapped([EXCITED], clip, target), target).cues}
        for target in ("anger", "sadness", "neutral")
    )
    assert all(entry["agree"] is True for entry in anger["loudness"]["sources"])
    assert all(entry["agree"] is False for entry in sadness["loudness"]["sources"])
    assert all(row["sources"] == [] for row in neutral.values())
    fear = {row["cue"]: row for row in explain(clip, mapped([EXCITED], clip, "fear"), "fear").cues}
    by_source = {entry["source"]: entry["agree"] for entry in fear["loudness"]["sources"]}
    assert by_source["JL"] is False and by_source["S86"] is True and by_source["MA"] is None


def test_missing_cues_have_a_reason_and_the_table_is_json():
    clip = excited_clip()
    noise = 0.01 * np.random.default_rng(0).standard_normal(clip.samples.size)
    clip = clip.with_samples(np.where(np.arange(clip.samples.size) < 1.5 * SAMPLE_RATE, clip.samples, noise))
    attribution = explain(clip, mapped([(2.1, 2.4)], clip))
    rows = {row["cue"]: row for row in json.loads(json.dumps(attribution.cues, allow_nan=False))}
    assert rows["f0_variability"]["salient"] is None and rows["f0_variability"]["contrast"] is None
    assert rows["f0_variability"]["rest"] is not None
    assert rows["f0_variability"]["reason"].startswith("salient windows: ")
    assert all(entry["agree"] is None for entry in rows["f0_variability"]["sources"])
    assert rows["loudness"]["reason"] == ""


@pytest.mark.parametrize(("duration", "salient"), [(0.31, 1), (0.75, 2), (1.0, 3), (1.5, 5)])
def test_short_clips_keep_a_rest(duration, salient):
    clip = excited_clip(duration, excited=(0, duration / 2))
    attribution = explain(clip, mapped([(0, duration)], clip))
    assert np.count_nonzero(attribution.values) == salient
    assert attribution.values.shape[1] >= 2 * salient


def test_refusals():
    clip = excited_clip()
    short = clip.with_samples(clip.samples[:4000])
    with pytest.raises(NotApplicable, match="at least two windows"):
        explain(short, mapped([(0, 0.2)], short))
    negative = Attribution(-np.ones((1, 3)), Grid(np.array([0, 8000.0]), np.array([0, 1, 2, 3.0])), "anger", "test")
    with pytest.raises(NotApplicable, match="no positive relevance"):
        explain(clip, negative)
    with pytest.raises(InputError, match="'fear', the request 'anger'"):
        explain(clip, mapped([EXCITED], clip, "fear"))


def test_base_is_made_where_the_request_has_none(monkeypatch):
    made = []

    class Fake(Explainer):
        name = "fake"

        def attribute(self, request):
            return mapped([EXCITED], request.clip, request.target)

    def make_method(name, **params):
        made.append(name)
        return Fake()

    monkeypatch.setitem(sys.modules, "serxai.methods.records", types.SimpleNamespace(make_method=make_method))
    clip = excited_clip()
    alone, given = (
        BeyondSaliency(base="fake").attribute(Request(None, clip, "anger", ("seed",), base))
        for base in (None, mapped([EXCITED], clip))
    )
    assert made == ["fake"]
    np.testing.assert_array_equal(alone.values, given.values)
    assert BeyondSaliency().base == "occlusion"
    assert BeyondSaliency(base="fake").get_params() == {
        "base": "fake",
        "regions": "windows",
        "window_s": 0.15,
        "top": 5,
        "threshold": "mean",
        "share": 0.2,
        "cues": "praat",
    }


def test_sentence_says_where_and_what():
    clip = excited_clip()
    text = sentence(explain(clip, mapped([EXCITED], clip)))
    assert text.startswith("For anger, the explanation points at 0.60-1.20 s. Compared with the rest of the clip, ")
    assert (
        "higher-pitched (pitch level +12" in text
        and "louder (loudness +1" in text
        and ", as most sources expect of anger" in text
    )
    assert text.count(". ") == 1 and text.endswith(".")
    against = sentence(explain(clip, mapped([EXCITED], clip, "sadness"), "sadness"))
    assert "against what most sources expect of sadness" in against
    neutral = sentence(explain(clip, mapped([(0.6, 0.75), (1.8, 1.95)], clip, "neutral"), "neutral"))
    assert neutral == (
        "For neutral, the explanation points at 0.60-0.75 s and 1.80-1.95 s; "
        "no source says what the voice should do there."
    )
    with pytest.raises(InputError, match="no cue table"):
        sentence(mapped([EXCITED], clip))


def test_sentence_leaves_out_what_random_windows_do_as_well():
    clip = excited_clip(excited=(0, 3.0))  # the same all along
    clip = clip.with_samples(clip.samples + 1e-3 * np.random.default_rng(0).standard_normal(clip.samples.size))
    attribution = explain(clip, mapped([EXCITED], clip))
    named = [row for row in attribution.cues if row["contrast_z"] is not None and abs(row["contrast_z"]) >= 1]
    text = sentence(attribution)
    for row in attribution.cues:
        size = f"{row['contrast']:+.1f}" if abs(row["contrast"]) >= 0.1 else f"{row['contrast']:+.2g}"
        phrase = f"({CUES.get(row['cue']).label} {size} {row['unit']})"
        assert (phrase in text) == any(row is other for other in named), row["cue"]


def test_sentence_warns_of_a_pause():
    clip = excited_clip()
    silent = clip.with_samples(np.where(np.arange(48000) < 32000, clip.samples, 0).astype(np.float32))
    text = sentence(explain(silent, mapped([(2.1, 2.7)], silent)))
    # a pause is softer than speech, which says nothing for sadness and nothing against anger
    assert re.fullmatch(
        r"For anger, the explanation points at 2\.10-2\.70 s\. There is hardly any voice there \(-\d+\.\d dB against "
        r"the rest of the clip\), so what the sources expect of a voice cannot be checked\.",
        text,
    )
    assert "hardly any voice" not in sentence(explain(silent, mapped([EXCITED], silent)))


def test_contrast_z_is_the_contrast_over_the_spread_of_random_windows():
    clip = excited_clip()
    rows = {row["cue"]: row for row in explain(clip, mapped([EXCITED], clip)).cues}
    tracks, edges = clip.cue_tracks, window_edges(clip.duration_s)
    draw, contrasts = np.random.default_rng(1), []
    for _ in range(400):
        chosen = np.sort(draw.choice(20, 4, replace=False))
        mask = window_mask(tracks, np.stack([edges[chosen], edges[chosen + 1]], axis=1))
        contrasts.append(region_cues(tracks, mask)["loudness"].value - region_cues(tracks, ~mask)["loudness"].value)
    assert rows["loudness"]["contrast_z"] == pytest.approx(rows["loudness"]["contrast"] / np.std(contrasts), rel=0.2)
    assert rows["loudness"]["contrast_z"] > 2
    short = cue_tracks(np.zeros(16000))
    assert contrast_spread(short, window_edges(1.0), np.arange(6) < 2, np.random.default_rng(0)) == {}


def test_norms_give_z_and_say_what_they_are_relative_to():
    clip = excited_clip()
    attribution = explain(clip, mapped([EXCITED], clip))
    norms = {"f0_level": CueReference(2.0, 3.0, 8, "speaker neutral"), "hnr": CueReference(20.0, 4.0, 5, "speaker")}
    found = with_norms(attribution, norms)
    for row in found.cues:
        norm = norms.get(row["cue"])
        if norm is None:
            assert row["z"] is None and row["z_rest"] is None and row["reference"] == ""
        else:
            assert row["z"] == pytest.approx((row["salient"] - norm.mean) / norm.sd)
            assert row["z_rest"] == pytest.approx((row["rest"] - norm.mean) / norm.sd)
            assert row["reference"] == norm.reference
    assert all(row["z"] is None for row in attribution.cues)  # the first is left as it was
    z = next(row["z"] for row in found.cues if row["cue"] == "f0_level")
    degree = "far " if z >= 3 else "clearly " if z >= 2 else "somewhat "
    assert sentence(found).endswith(f" Beside this speaker's neutral voice it is {degree}higher-pitched.")
    usual = with_norms(attribution, {"f0_level": CueReference(13.6, 3.0, 8, "corpus")})
    assert sentence(usual).endswith(" Beside the voices of this corpus it is nothing special.")


def test_backends_reach_the_table():
    clip = excited_clip()
    base = mapped([EXCITED], clip)
    full = explain(clip, base, cues="praat-full")
    assert tuple(row["cue"] for row in full.cues) == (*REGION_CUES, *(record.name for record in FINE_RECORDS))
    assert full.cues[: len(REGION_CUES)] == tuple(
        {**row, "measured_by": "praat-full"} for row in explain(clip, base).cues
    )
    pytest.importorskip("opensmile")
    for backend, cues in (("egemaps", 12), ("beyond-saliency-paper", 6)):
        table = explain(clip, base, cues=backend).cues
        assert len(table) == cues and {row["measured_by"] for row in table} == {backend}
        norm = {"hnr": CueReference(0.0, 1.0, 9, "corpus")}
        assert all(row["z"] is None for row in with_norms(explain(clip, base, cues=backend), norm).cues)


def two_voices():
    """A low steady voice below 1 kHz, and on top of it in 0.8-1.6 s a tone at 3 kHz."""
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    x = 0.05 * sum(np.cos(2 * np.pi * 120 * h * t) for h in range(1, 8))
    x += np.where((t > 0.8) & (t < 1.6), 0.2 * np.cos(2 * np.pi * 3000 * t), 0)
    return Clip("c", x.astype(np.float32), "anger")


def test_regions_are_measured_on_the_clip_filtered_to_them():
    clip = two_voices()
    edges = np.linspace(0, 2, 26)
    grid = Grid(np.array([0, 1148.0, 2484, 3654, 8000]), edges)
    high, low = np.zeros(grid.shape), np.zeros(grid.shape)
    high[2, 10:20], low[0, 10:20] = 1.0, 1.0
    found = {}
    for name, values in (("high", high), ("low", low)):
        attribution = explain(clip, Attribution(values, grid, "anger", "test"), regions="cells", threshold="none")
        assert attribution.values.shape == (16, 25)
        rows, columns = np.nonzero(attribution.values)
        assert set(columns) == set(range(10, 20))
        assert attribution.details["n_cells"] == len(rows)
        assert attribution.details["relevance_in_salient"] == pytest.approx(1.0)
        found[name] = {row["cue"]: row for row in attribution.cues}
        assert "small regions, most of all at " in sentence(attribution)
    # the tone's cells hold it here and nothing elsewhere; the voice's cells hold the voice, here as elsewhere
    assert found["high"]["loudness"]["salient"] == pytest.approx(20 * np.log10(0.2 / np.sqrt(2) / 2e-5), abs=0.5)
    assert found["high"]["loudness"]["contrast"] > 3
    assert found["low"]["f0_level"]["salient"] == pytest.approx(12 * np.log2(1.2), abs=0.1)
    assert abs(found["low"]["loudness"]["contrast"]) < 1.0
    assert found["low"]["high_frequency_energy"]["salient"] < -25 < found["high"]["loudness"]["salient"]


def test_regions_leave_a_rest_and_refuse_nothing_positive():
    clip = two_voices()
    everything = Attribution(np.ones((1, 25)), Grid(np.array([0, 8000.0]), np.linspace(0, 2, 26)), "anger", "test")
    assert explain(clip, everything, regions="cells", threshold="none").details["n_cells"] == 16 * 25 // 2
    with pytest.raises(NotApplicable, match="no positive relevance"):
        explain(clip, Attribution(-everything.values, everything.grid, "anger", "test"), regions="cells")
    norm = {"f0_level": CueReference(0.0, 1.0, 9, "corpus")}
    attribution = explain(clip, everything, regions="cells")
    assert with_norms(attribution, norm) is attribution


@pytest.mark.parametrize("name", ["beyond-saliency:saliency", "beyond-saliency:oracle", "beyond-saliency:random"])
def test_any_method_stands_behind_the_colon(name):
    method = make_method(name)
    assert isinstance(method, BeyondSaliency) and method.name == name
    assert method.base == name.partition(":")[2] == method.get_params()["base"]
    assert name in METHODS and METHODS.get(name).name == name
    assert method.stochastic == make_method(method.base).stochastic


def test_behind_the_colon_must_be_a_method():
    with pytest.raises(UnknownNameError, match="unknown method 'salience'"):
        make_method("beyond-saliency:salience")
    with pytest.raises(InputError, match="name the base method behind the colon"):
        make_method("beyond-saliency:")
    assert make_method("beyond-saliency").name == "beyond-saliency"


def test_the_base_behind_the_colon_is_asked():
    clip = excited_clip()
    energy = make_method("energy").attribute(Request(None, clip, "anger", ("seed",)))
    alone = make_method("beyond-saliency:energy").attribute(Request(None, clip, "anger", ("seed",)))
    given = BeyondSaliency(base="energy").attribute(Request(None, clip, "anger", ("seed",), energy))
    np.testing.assert_array_equal(alone.values, given.values)
    assert alone.method == "beyond-saliency:energy" and alone.base.method == "energy"
    assert {4, 5, 6} <= set(np.flatnonzero(alone.values[0]))  # the loud part


def test_variants_differ_in_what_they_say():
    regions = make_method("beyond-saliency-regions")
    assert isinstance(regions, BeyondSaliencyRegions)
    assert (regions.name, regions.regions, regions.base) == ("beyond-saliency-regions", "cells", "occlusion")


def test_unknown_parameters_are_refused():
    clip = excited_clip()
    base = mapped([EXCITED], clip)
    with pytest.raises(InputError, match="regions 'boxes' are not known; take windows or cells"):
        explain(clip, base, regions="boxes")
    with pytest.raises(UnknownNameError, match="unknown cue backend 'praat-ful'"):
        explain(clip, base, cues="praat-ful")
    with pytest.raises(InputError, match="salience threshold 'top' is not known"):
        explain(clip, base, threshold="top")


@pytest.mark.real_data
def test_real_clips_of_every_emotion(data_root):
    files = sorted((data_root / "emodb").rglob("*.wav"))[::40]
    for file in files:
        clip = Clip(file.stem, load_audio(file))
        draw = np.random.default_rng(0)
        edges = np.linspace(0, clip.duration_s, 60)
        base = Attribution(draw.normal(size=(8, 59)), Grid(np.linspace(0, 8000, 9), edges), "sadness", "test")
        attribution = explain(clip, base, "sadness")
        assert 1 <= np.count_nonzero(attribution.values) <= 5
        json.dumps(attribution.cues, allow_nan=False)
        assert sentence(attribution).startswith("For sadness, ")


def test_a_cue_without_its_spread_is_not_named():
    """Cues of openSMILE have no contrast_z; a pitch averaged over unvoiced zeros must not become '+18.8 semitones'."""
    clip = excited_clip()
    attribution = make_method("beyond-saliency:energy").attribute(Request(None, clip, "anger", ("seed",)))
    rows = tuple(row | {"contrast_z": None, "measured_by": "egemaps"} for row in attribution.cues)
    text = sentence(replace(attribution, cues=rows))
    assert "is not known for cues measured by egemaps" in text and "semitones" not in text
