"""Ablation of features against captum and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum import attr

from serxai.audio import scoring_grid
from serxai.errors import InputError, NotApplicable, UnknownNameError
from serxai.methods.ablation import FeatureAblation, OcclusionPaper
from serxai.methods.explainer import Request
from serxai.models.recogniser import TorchRecogniser


@pytest.mark.parametrize("seed, duration_s", [(0, 0.2), (1, 0.31), (2, 0.15)])
@pytest.mark.parametrize(
    "options",
    [{}, {"response": "log-odds"}, {"rows": 3, "frames": 4, "stride": 2}, {"fill": "silence", "stride": 7}],
)
def test_occlusion_paper_equals_captums(options, seed, duration_s, tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(seed), voice(seed, duration_s), target="sadness")
    recogniser, method = asked.recogniser, OcclusionPaper(**options)
    features = recogniser.features(asked.clip.samples)
    fill = -2.0 if method.fill == "silence" else float(features.max())
    scores = recogniser.network if method.response == "logit" else recogniser.feature_log_odds
    expected = attr.Occlusion(lambda x: scores(x)[:, 3]).attribute(
        features, (1, method.rows, method.frames), (1, 1, method.stride), fill, perturbations_per_eval=8
    )
    found = method.attribute(asked)
    assert found.details["fill"] == fill
    assert np.abs(found.values).max() > 1e-4
    np.testing.assert_allclose(found.values, expected[0, 0].numpy(), atol=2e-6)


def test_occlusion_paper_by_a_plain_loop(tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(), voice(duration_s=0.3))
    features = asked.recogniser.features(asked.clip.samples)
    with torch.no_grad():
        y = float(asked.recogniser.network(features)[0, 0])
        drops, counts = np.zeros(features.shape[2:]), np.zeros(features.shape[2:])
        for row in range(32):
            for left in range(0, features.shape[3] - 10 + 3, 3):
                occluded = features.clone()
                occluded[0, 0, row, left : left + 10] = features.max()
                drops[row, left : left + 10] += y - float(asked.recogniser.network(occluded)[0, 0])
                counts[row, left : left + 10] += 1
    assert counts.min() >= 1
    np.testing.assert_allclose(OcclusionPaper().attribute(asked).values, drops / counts, atol=2e-6)


def test_the_papers_fill_is_the_loudest_value(tiny_cnn, voice, ask):
    """0 dB below the loudest cell; occluding makes a clip louder, and only there where it was not loudest."""
    asked = ask(tiny_cnn(), voice(duration_s=0.3))
    assert OcclusionPaper().attribute(asked).details["fill"] == float(
        asked.recogniser.features(asked.clip.samples).max()
    )


def test_patches_wider_than_the_clip(tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(), voice(duration_s=0.05))
    found = OcclusionPaper().attribute(asked)
    assert found.values.shape == (32, 4)
    assert np.ptp(found.values, axis=1).max() == 0, "one patch a row covers all"


@pytest.mark.parametrize("baseline", ["silence", "spectral-mean", "twin"])
@pytest.mark.parametrize("duration_s", [0.8, 0.25])
def test_feature_ablation_equals_captums(baseline, duration_s, tiny_cnn, voice, ask):
    asked = ask(tiny_cnn(), voice(duration_s=duration_s, planted=True), target="sadness")
    recogniser = asked.recogniser
    features, grid = recogniser.features(asked.clip.samples), scoring_grid(asked.clip.duration_s)
    if baseline == "silence":
        fill = torch.full_like(features, -2.0)
    else:
        from serxai.methods.inspection import view_of

        fill = view_of(asked, "test").baseline(baseline)
    cells = recogniser.feature_grid(asked.clip.samples.size)
    freqs = (cells.freq_edges_hz[:-1] + cells.freq_edges_hz[1:]) / 2
    times = (cells.time_edges_s[:-1] + cells.time_edges_s[1:]) / 2
    mask = grid.rows_of(freqs)[:, None] * grid.shape[1] + grid.columns_of(times)
    _, dense = np.unique(mask, return_inverse=True)
    expected = (
        attr.FeatureAblation(lambda x: recogniser.feature_log_odds(x)[:, 3])
        .attribute(features, fill, feature_mask=torch.as_tensor(dense.reshape(mask.shape))[None])[0, 0]
        .numpy()
    )
    found = FeatureAblation(baseline).attribute(asked)
    assert found.grid == grid
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(found.values.ravel()[mask], expected, atol=2e-6)


def test_cells_without_a_feature_have_no_relevance(on_features, voice, ask):
    """16 mel bands on 4 rows of features: three of four bands have no row of their own."""
    from serxai.audio import Grid

    recogniser = on_features(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4 * 7, 4)))

    class Coarse(torch.nn.Module):
        min_samples, floor = 512, 0.0

        def forward(self, waveforms):
            levels = waveforms[:, : 7 * 228].reshape(len(waveforms), 7, 4, 57).abs().mean(dim=3)
            return levels.transpose(1, 2)[:, None].double()

        def grid(self, n_samples):
            return Grid(np.array([0.0, 1000.0, 2500.0, 5000.0, 8000.0]), np.linspace(0, 0.1, 8))

    recogniser.front_end = Coarse()
    found = FeatureAblation().attribute(ask(recogniser, voice(0, 0.1)))
    assert np.count_nonzero(found.values) == 4


@pytest.mark.parametrize("method", [FeatureAblation(), OcclusionPaper(stride=30)], ids=lambda method: method.name)
@pytest.mark.parametrize("batch", [8, 3, 32])
def test_copies_are_made_one_batch_at_a_time(method, batch, tiny_cnn, voice, ask):
    recogniser, sizes = tiny_cnn(), set()
    recogniser.batch = batch
    recogniser.network.register_forward_pre_hook(lambda module, args: sizes.add(len(args[0])))
    clip = voice(duration_s=0.4)
    method.attribute(ask(recogniser, clip))
    assert sizes == ({batch} if method.name == "feature-ablation" else {1}), "the other passes on what it changes"
    assert recogniser.calls == method.calls(clip.samples.size, recogniser)


def test_contrast_is_a_difference(tiny_cnn, voice):
    recogniser, clip = tiny_cnn(), voice(duration_s=0.3)
    for method in (FeatureAblation(), OcclusionPaper(stride=12)):
        one, other, both = (
            method.attribute(Request(recogniser, clip, target, contrast=contrast)).values
            for target, contrast in (("anger", None), ("sadness", None), ("anger", "sadness"))
        )
        np.testing.assert_allclose(both, one - other, atol=1e-5)


def test_bad_parameters_are_refused(tiny_cnn, white_box, voice, ask):
    asked = ask(tiny_cnn(), voice())
    assert isinstance(asked.recogniser, TorchRecogniser)
    with pytest.raises(UnknownNameError, match="unknown fill of occlusion-paper '0 dB'"):
        OcclusionPaper(fill="0 dB").attribute(asked)
    with pytest.raises(InputError, match="stride must be at least 1, got 0"):
        OcclusionPaper(stride=0).attribute(asked)
    with pytest.raises(UnknownNameError, match="unknown baseline"):
        FeatureAblation("zeros").attribute(asked)
    for method, needs in ((OcclusionPaper(), "a network on a feature map"), (FeatureAblation(), "gradients")):
        with pytest.raises(NotApplicable, match=f"{method.name} needs {needs}"):
            method.attribute(ask(white_box(lambda waveform: 0.0), voice()))
