"""The authors' two recipes against the numbers that their own program gave on eight clips of TESS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import soundfile

from serxai.audio import Grid
from serxai.benchmark.analysis.authors import CUES, EMOTION, beyond_saliency_numbers
from serxai.benchmark.analysis.reproduce_beyond_saliency import map_of
from serxai.cues.backends import paper_cues
from serxai.datasets.clip import Clip
from serxai.datasets.corpora import load_corpus
from serxai.errors import NotApplicable, UnknownNameError
from serxai.methods.attribution import Attribution
from serxai.methods.beyond_saliency_paper import (
    CLOCKS,
    BeyondSaliencyPaperCrp,
    CrpPaper,
    top_windows,
    window_sums,
    window_times,
)
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.models.obtain import load_model
from serxai.models.recogniser import TorchRecogniser


@pytest.fixture(scope="module")
def authors() -> list[dict[str, Any]]:
    return beyond_saliency_numbers()


@pytest.fixture(scope="module")
def released(data_root) -> TorchRecogniser:
    path = data_root / "beyond-saliency-checkpoints" / "best_model_tess.pth"
    if not path.is_file():
        pytest.skip("the authors' checkpoint is not here")
    return load_model("beyond-saliency-tess", checkpoint=path)


@pytest.fixture(scope="module")
def sounds(data_root, authors) -> dict[str, tuple[Clip, np.ndarray, int]]:
    """Clip at 16 kHz, and the publisher's samples with their rate."""
    corpus = load_corpus("tess", data_root)
    files = {entry["clip"]: corpus.root / corpus.table.loc[entry["clip"], "file"] for entry in authors}
    return {name: (corpus.clip(name), *soundfile.read(path, dtype="float32")) for name, path in files.items()}


def indices(windows_s: list[list[float]]) -> set[int]:
    return {round(start / 0.15) for start, _ in windows_s}


def explained(recogniser, clip: Clip, target: str, clock: str) -> tuple[Attribution, Attribution]:
    base = make_method("crp-paper").attribute(Request(recogniser, clip, target))
    return base, BeyondSaliencyPaperCrp(clock).attribute(Request(recogniser, clip, target, base=base))


@pytest.mark.real_data
def test_concept_relevance_is_the_authors(authors, released, sounds):
    """Sum of the map, its share in padding and all five windows."""
    check_concept_relevance(authors[:2], released, sounds)


@pytest.mark.real_data
@pytest.mark.long
def test_concept_relevance_is_the_authors_on_all_eight_clips(authors, released, sounds):
    check_concept_relevance(authors, released, sounds)


def check_concept_relevance(entries, released, sounds) -> None:
    pytest.importorskip("opensmile")
    for entry in entries:
        clip, _, _ = sounds[entry["clip"]]
        target = EMOTION[entry["training_front_end_predicts"]]
        assert released.classes[int(released.log_odds(clip.samples[None])[0].argmax())] == target
        expected = entry["crp_channel_35"]
        base, told = explained(released, clip, target, "authors")
        assert base.values.sum() == pytest.approx(expected["map_sum"], rel=0.003)  # another resampler
        centres = (base.grid.time_edges_s[1:] + base.grid.time_edges_s[:-1]) / 2
        padding = (centres < 0) | (centres > clip.duration_s)
        share = base.values[:, padding].sum() / base.values.sum()
        assert share == pytest.approx(expected["share_in_padding"], abs=0.015)  # a frame on the edge is either
        assert set(np.flatnonzero(told.values[0])) == indices(expected["windows_s"])
        assert {round(start / 0.15) for start, _ in told.cues[0]["windows_s"]} == indices(expected["windows_s"])


@pytest.mark.real_data
def test_cue_means_and_deviations_are_the_authors(authors, sounds):
    pytest.importorskip("opensmile")
    for entry in authors:
        _, samples, rate = sounds[entry["clip"]]
        for half in ("crp_channel_35", "os"):
            cues = paper_cues(samples, np.array(entry[half]["windows_s"]), rate)
            assert cues["loudness"][2] == entry[half]["lld_frames"]
            for theirs, (mean, sd) in entry[half]["cues_mean_sd"].items():
                assert cues[CUES[theirs]][:2] == pytest.approx((mean, sd), abs=2e-5), (entry["clip"], half, theirs)


def occlusion_windows(entry: dict[str, Any], released: TorchRecogniser, sounds: dict[str, Any]) -> set[int]:
    """Windows of occlusion-paper behind the front end of the authors' explanation code (raw samples read as 16 kHz)."""
    base, _ = map_of("os", released, *sounds[entry["clip"]])
    assert base.target == EMOTION[entry["authors_explanation_front_end_predicts"]]
    assert window_times(base.grid, "authors") == pytest.approx(window_times(base.grid, "true"), abs=0.0151)
    return set(np.flatnonzero(top_windows(window_sums(base.values))))


@pytest.mark.real_data
@pytest.mark.long
def test_occlusion_windows_are_the_authors(authors, released, sounds):
    """All five windows on eight clips of eight; about 13 s a clip."""
    for entry in authors:
        assert occlusion_windows(entry, released, sounds) == indices(entry["os"]["windows_s"]), entry["clip"]


@pytest.mark.real_data
def test_the_authors_clock_shows_other_parts_of_the_clip(authors, released, sounds):
    """On TESS a frame lasts 32 ms and the clip starts in the middle of the map."""
    pytest.importorskip("opensmile")
    overlaps = []
    for entry in authors[:2]:
        clip, _, _ = sounds[entry["clip"]]
        target = EMOTION[entry["training_front_end_predicts"]]
        places = [explained(released, clip, target, clock)[1].cues[0]["windows_s"] for clock in CLOCKS]
        inside = [sum(max(0, min(b, d) - max(a, c)) for a, b in places[0] for c, d in places[1])]
        overlaps.append(inside[0] / sum(b - a for a, b in places[1]))
    assert 0.2 < np.mean(overlaps) < 0.9


# ---------------------------------------------------------------- the recipe by hand


def test_windows_by_a_plain_loop():
    for seed in range(20):
        generator = np.random.default_rng(seed)
        values = generator.normal(generator.choice([-1, 0, 1]), 1, (5, generator.integers(20, 90)))
        sums, mean = [], values.mean()
        for start in range(0, values.shape[1] - 9, 10):
            sums.append(sum(x for x in values[:, start : start + 10].ravel() if x >= mean))
        np.testing.assert_allclose(window_sums(values), sums)
        if max(sums) > 0:
            best = sorted(range(len(sums)), key=lambda k: -sums[k])[: min(5, len(sums) // 2)]
            assert set(np.flatnonzero(top_windows(np.array(sums)))) == {k for k in best if sums[k] > 0}


def test_maps_without_windows_or_relevance_are_refused():
    with pytest.raises(NotApplicable, match="has 1 windows of 10 frames"):
        top_windows(window_sums(np.ones((2, 19))))
    with pytest.raises(NotApplicable, match="no positive relevance"):
        top_windows(window_sums(-np.ones((2, 40))))


def test_the_two_clocks():
    grid = Grid(np.array([0.0, 4000.0, 8000.0]), -0.5 + 0.032 * np.arange(36))
    np.testing.assert_allclose(window_times(grid, "true"), [-0.5, -0.18, 0.14, 0.46])
    np.testing.assert_allclose(window_times(grid, "authors"), [0, 0.15, 0.3, 0.45])
    with pytest.raises(UnknownNameError, match="clock"):
        BeyondSaliencyPaperCrp("theirs").attribute(Request(None, None, "anger"))


def test_another_network_is_not_applicable(tiny_cnn, voice, ask):
    with pytest.raises(NotApplicable, match="made for the authors' network"):
        CrpPaper().attribute(ask(tiny_cnn(), voice(duration_s=0.3)))


def test_relevance_passes_layers_without_weights_as_a_gradient(on_features, voice, ask):
    """zennit's own composite on a network that calls functions for its ReLU, sum and mean: what the authors run."""
    import torch
    from torch import nn
    from zennit.composites import EpsilonPlusFlat

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.past = (
                nn.Conv2d(1, 4, 3, padding=1),
                nn.Conv2d(4, 4, 3, padding=1),
                nn.Conv2d(4, 4, 1),
            )
            self.last = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.one(x))
            x = torch.relu(self.two(x) + self.past(x))
            return self.last(x.mean(dim=(2, 3)))

    torch.manual_seed(1)
    network = Functional()
    asked = ask(on_features(network, dtype=torch.float32), voice(duration_s=0.3))
    ours = CrpPaper("two", 2).attribute(asked).values
    features, kept = asked.recogniser.features(asked.clip.samples).detach().requires_grad_(), []
    handle = network.two.register_forward_hook(lambda module, args, output: kept.append(output))
    with EpsilonPlusFlat().context(network):
        logits = network(features)
        start = torch.zeros_like(logits)
        start[0, asked.target_index] = logits[0, asked.target_index].detach()
        through = torch.autograd.grad(logits, kept[0], start, retain_graph=True)[0]
        only = torch.zeros_like(through)
        only[:, 2] = through[:, 2]
        expected = torch.autograd.grad(kept[0], features, only)[0][0, 0].numpy()
    handle.remove()
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
