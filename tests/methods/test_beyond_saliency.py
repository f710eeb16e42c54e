"""Beyond Saliency on clips whose loud, high part is known; any method's map can be its base."""

import json
import sys
import types

import numpy as np
import pytest

from serxai.audio import SAMPLE_RATE, Grid, load_audio
from serxai.cues.expert import directions
from serxai.cues.records import REGION_CUES
from serxai.datasets.clip import Clip
from serxai.errors import InputError, NotApplicable
from serxai.methods.attribution import Attribution
from serxai.methods.beyond_saliency import BeyondSaliency, sentence
from serxai.methods.explainer import Explainer, Request

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
    assert explain(clip, base, above_mean=False).details["n_salient"] == 5.0


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
    assert BeyondSaliency(base="fake").get_params() == {"base": "fake", "window_s": 0.15, "top": 5, "above_mean": True}


def test_sentence_says_where_and_what():
    clip = excited_clip()
    text = sentence(explain(clip, mapped([EXCITED], clip)))
    assert text.startswith("For anger, the explanation points at 0.60-1.20 s. Compared with the rest of the clip, ")
    assert "higher-pitched (+12" in text and "louder (+1" in text and "(as most sources expect)" in text
    assert text.count(". ") == 1 and text.endswith(".")
    against = sentence(explain(clip, mapped([EXCITED], clip, "sadness"), "sadness"))
    assert "against what most sources expect" in against
    neutral = sentence(explain(clip, mapped([(0.6, 0.75), (1.8, 1.95)], clip, "neutral"), "neutral"))
    assert neutral == (
        "For neutral, the explanation points at 0.60-0.75 s and 1.80-1.95 s; "
        "no source says what the voice should do there."
    )
    with pytest.raises(InputError, match="no cue table"):
        sentence(mapped([EXCITED], clip))


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
