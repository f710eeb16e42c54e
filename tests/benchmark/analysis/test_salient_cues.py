"""Cues of salient windows: the same as the metric measures on the same windows, beside windows anywhere in the clip."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from serxai.audio import scoring_grid
from serxai.benchmark.analysis.salient_cues import ANYWHERE, JUDGED, OWN, RANDOM, REST, SALIENT, TRUE, ClipWindows
from serxai.benchmark.run.neutral import neutral_clips, neutral_reference, window_cues
from serxai.cues.neutral import NeutralReference
from serxai.cues.records import REGION_CUES
from serxai.datasets.clip import Clip
from serxai.datasets.corpora import load_corpus
from serxai.methods.attribution import Attribution
from serxai.metrics.case import Case
from serxai.metrics.neutral_agreement import case_agreement, chosen_windows, rival_agreements
from serxai.metrics.salience_contrast import window_scores

NOBODY: Any = SimpleNamespace(
    target_named=lambda target: (target, None), classes=("anger", "sadness", "neutral"), regression=False
)


@pytest.fixture(scope="module")
def measured() -> tuple[Clip, ClipWindows]:
    """An angry planted clip with five neutral ones of its speaker."""
    corpus = load_corpus("planted")
    name = next(i for i in corpus.table.index if corpus.table.loc[i, "emotion"] == "anger")
    few = {other: window_cues(corpus.clip(other)) for other in neutral_clips(corpus, name)[:5]}
    reference = neutral_reference(corpus, name, few.get)
    assert isinstance(reference, NeutralReference) and len(reference.clips) == 5
    clip, cues = corpus.clip(name), window_cues(corpus.clip(name))
    assert cues is not None
    return clip, ClipWindows(clip, cues, reference)


def test_a_row_is_what_the_metric_measures(measured: tuple[Clip, ClipWindows]):
    clip, windows = measured
    grid = scoring_grid(clip.duration_s)
    attribution = Attribution(np.random.default_rng(0).normal(size=grid.shape), grid, "anger", "saliency")
    row = windows.row(window_scores(attribution, clip.duration_s)[1], "anger", "sadness")
    case = Case(NOBODY, clip, "anger", seed=("s",), neutral=lambda: windows.reference)
    salient = chosen_windows(case, attribution)
    assert row is not None and row[OWN] == pytest.approx(float(case_agreement(case).of(salient[None])[0]))
    rivals = rival_agreements(case, salient, case_agreement(case))
    for name in ("energy", "loud-quiet"):
        assert row[name] == pytest.approx(rivals[name])
    assert row["random windows"] == pytest.approx(rivals["random windows"], abs=0.1)  # other draws
    z = windows.reference.values(int(salient.sum())).z(windows.cues.values(salient[None])[0])[0]
    assert [row[f"{SALIENT} {cue}"] for cue in REGION_CUES] == pytest.approx(z.tolist(), nan_ok=True)
    neutral = windows.reference.values(int(salient.sum()))
    rest = neutral.z(windows.cues.values(salient[None])[1])[0]  # all but the salient windows
    assert [row[f"{REST} {cue}"] for cue in REGION_CUES] == pytest.approx(rest.tolist(), nan_ok=True)
    sets = windows.matched(salient)
    assert 0 < len(sets) <= 50 and (sets.sum(axis=1) == salient.sum()).all() and not (sets == salient).all(axis=1).any()
    random = np.nanmean([neutral.z(windows.cues.values(one[None])[0])[0] for one in sets], axis=0)
    assert [row[f"{RANDOM} {cue}"] for cue in REGION_CUES] == pytest.approx(random.tolist(), nan_ok=True)
    # judged for the class of the clip: the same windows, what another class leads to expect
    other = Case(NOBODY, clip, "sadness", seed=("s",), neutral=lambda: windows.reference)
    assert row[f"{TRUE} {OWN}"] == pytest.approx(float(case_agreement(other).of(salient[None])[0]))
    assert row[f"{TRUE} {OWN}"] != row[OWN]


def test_windows_anywhere_are_means_over_sets_of_the_same_size(measured: tuple[Clip, ClipWindows]):
    _, windows = measured
    draw = np.random.default_rng(1)
    sets = draw.random((400, windows.cues.n_windows)).argsort(axis=1).argsort(axis=1) < 4
    expected, spread = np.nanmean(windows.z(sets), axis=0), np.nanstd(windows.z(sets), axis=0)
    found = windows.anywhere(4)
    known = np.isfinite(found) & np.isfinite(expected)
    assert known.sum() > 4 and (np.abs(found - expected)[known] < 4 * spread[known] / np.sqrt(40)).all()
    every = np.ones(windows.cues.n_windows, dtype=bool)
    assert windows.anywhere(int(every.sum())) == pytest.approx(windows.z(every[None])[0], nan_ok=True)


def test_neutral_targets_are_not_judged_and_flat_maps_have_no_windows(measured: tuple[Clip, ClipWindows]):
    _, windows = measured
    scores = np.arange(windows.cues.n_windows, dtype=float)
    row = windows.row(scores, "neutral", "anger")
    assert row is not None and all(np.isnan(row[name]) for name in JUDGED) and np.isfinite(row[f"{TRUE} {OWN}"])
    assert np.isfinite(row[f"{ANYWHERE} loudness"])
    assert windows.row(np.ones_like(scores), "anger", "anger") is None
    assert windows.row(np.zeros_like(scores), "anger", "anger") is None
