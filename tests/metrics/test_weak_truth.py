"""Weak truth: closed forms, a slow twin on a fine time axis, chance level, and EMODB's own labels."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from serxai.datasets.clip import Word
from serxai.datasets.corpora import load_corpus
from serxai.errors import NotApplicable
from serxai.metrics.case import Case, Explained
from serxai.metrics.records import METRICS, make_metric
from serxai.metrics.weak_truth import covered_shares, mass_gain, time_auc

NAMES = [record.name for record in METRICS if record.name.startswith("weak-")]


def draw(seed):
    """A map, and labelled stretches of which some are marked."""
    generator = np.random.default_rng(seed)
    n = int(generator.integers(4, 25))
    edges = np.arange(n + 1) * generator.uniform(0.04, 0.1)
    cuts = np.sort(generator.uniform(0.02, edges[-1], 2 * n))
    words = [Word(str(k % 3), a, b) for k, (a, b) in enumerate(pairwise(cuts)) if k % 5]
    return generator.standard_normal((4, n)), edges, words


@pytest.mark.parametrize("seed", range(20))
def test_against_a_twin_on_a_fine_time_axis(seed):
    """Relevance spread evenly within each column, counted in 20,000 instants."""
    relevance, edges, words = draw(seed)
    t = np.linspace(0, edges[-1], 20_001)[:-1] + edges[-1] / 40_000
    column = np.searchsorted(edges, t, side="right") - 1
    labelled = np.any([(t >= w.start_s) & (t < w.end_s) for w in words], axis=0)
    marked = np.any([(t >= w.start_s) & (t < w.end_s) for w in words if w.label in "12"], axis=0)
    density = np.clip(relevance, 0, None).sum(axis=0)[column]
    expected = density[marked].sum() / density[labelled].sum() - marked.sum() / labelled.sum()
    given = covered_shares([w for w in words if w.label in "12"], edges), covered_shares(words, edges)
    assert mass_gain(relevance, *given) == pytest.approx(expected, abs=2e-3)
    covered = [labelled[column == c].mean() for c in range(len(edges) - 1)]
    np.testing.assert_allclose(given[1], covered, atol=0.02)
    used = given[1] >= 0.5
    inside = (given[0] > given[1] / 2)[used]
    if inside.any() and not inside.all():
        expected = roc_auc_score(inside, relevance.sum(axis=0)[used])
        assert time_auc(relevance, *given) == pytest.approx(expected, abs=1e-12)


def test_even_perfect_and_opposite_maps():
    edges = np.arange(11) * 0.08
    words = (Word("0.4", 0.08, 0.4), Word("2.4", 0.4, 0.64))  # the last two columns are silence
    marked, labelled = covered_shares(words[1:], edges), covered_shares(words, edges)
    np.testing.assert_allclose(labelled, [0, *[1] * 7, 0, 0], atol=1e-12)
    on = np.zeros((3, 10))
    on[:, 5:8] = 1
    assert mass_gain(on, marked, labelled) == pytest.approx(1 - 3 / 7)
    assert mass_gain(np.ones((3, 10)), marked, labelled) == pytest.approx(0, abs=1e-12)
    assert mass_gain(1 - on, marked, labelled) == pytest.approx(-3 / 7)
    assert time_auc(on, marked, labelled) == 1 and time_auc(-on, marked, labelled) == 0
    assert time_auc(np.ones((3, 10)), marked, labelled) == 0.5
    silent = on.copy()
    silent[:, 8:] = 100  # what lies in silence does not count
    assert mass_gain(silent, marked, labelled) == mass_gain(on, marked, labelled)
    with pytest.raises(NotApplicable, match="no positive relevance in labelled time"):
        mass_gain(-on, marked, labelled)
    with pytest.raises(NotApplicable, match="all labelled columns"):
        time_auc(on, labelled, labelled)


def test_random_maps_score_chance():
    generator = np.random.default_rng(0)
    _, edges, words = draw(3)
    given = covered_shares([w for w in words if w.label in "12"], edges), covered_shares(words, edges)
    maps = generator.standard_normal((2000, 4, len(edges) - 1))
    for score, chance in ((mass_gain, 0.0), (time_auc, 0.5)):
        found = np.array([score(map_, *given) for map_ in maps])
        assert abs(found.mean() - chance) < 4 * found.std() / np.sqrt(len(found))


@pytest.mark.parametrize("name", NAMES)
def test_only_labelled_clips_have_a_score(cnn, speech_like, explained_as_in_a_run, name):
    clip = speech_like()
    explained = explained_as_in_a_run(Case(cnn, clip, "anger"), "energy")
    kind = name.split("-")[1]
    with pytest.raises(NotApplicable, match=f"no annotation of {kind}"):
        make_metric(name).score(Case(cnn, clip, "anger"), explained)
    one = replace(clip, marks={kind: (Word("0", 0.1, 0.5),)})
    with pytest.raises(NotApplicable, match="marks all of the clip's labelled time, or nothing"):
        make_metric(name).score(Case(cnn, one, "anger"), explained)
    record = METRICS.get(name)
    assert record.family == "localisation" and not record.core and record.summary.startswith("weak truth")


def test_marks_move_with_the_clip_and_are_part_of_its_identity(speech_like):
    clip = speech_like()
    marked = replace(clip, marks={"stress": (Word("2", 0.2, 0.4),)})
    assert marked.identity not in (clip.identity, replace(clip, marks={"voicing": marked.marks["stress"]}).identity)
    assert clip.identity == clip.sha256 == marked.sha256
    slow = marked.shifted(np.repeat(clip.samples, 2), time_map=((0.0, 0.0), (clip.duration_s, 2 * clip.duration_s)))
    (word,) = slow.marks["stress"]
    assert (word.label, word.start_s, word.end_s) == ("2", pytest.approx(0.4), pytest.approx(0.8))


@pytest.mark.real_data
def test_on_emodb_energy_prefers_stress_and_voice(data_root: Path, cnn, explained_as_in_a_run):
    """Stressed syllables and voiced sounds are louder: the labels are where they should be, to 80 ms."""
    corpus = load_corpus("emodb", data_root)
    found = {name: [] for name in NAMES}
    for clip_id in corpus.select(limit=24):
        case = Case(cnn, corpus.clip(clip_id), "anger", seed=(clip_id,))
        explained: Explained = explained_as_in_a_run(case, "energy")
        for name in NAMES:
            with suppress(NotApplicable):  # a few clips have no labels of syllables
                found[name].append(make_metric(name).score(case, explained).value)
    for name, values in found.items():
        chance = 0.5 if name.endswith("auc") else 0.0
        assert len(values) >= 18 and np.mean(values) > chance + 0.03
