"""Where methods compute: waveforms, masks and features stay on the recogniser's device, batches fit its memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from serxai.methods.inspection import view_of
from serxai.methods.records import make_method
from serxai.models.front_end import LogMel
from serxai.models.recogniser import BATCH, CUDA_BATCH, TorchRecogniser, pass_bytes
from serxai.models.waveform import WaveformRecogniser

CLASSES = ("anger", "happiness", "neutral", "sadness")


def small_cnn(device: str = "cpu") -> TorchRecogniser:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )
    return TorchRecogniser("small", CLASSES, LogMel(), network, fingerprint="0", device=device)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> TorchRecogniser:
    """On torch's device without numbers, which raises when it meets a tensor of the host or is read from there.

    The inverse STFT and log-odds, which do read numbers, are stood in for; log-odds tell the device of what they get.
    """

    def istft(spectra: torch.Tensor, *options: Any, length: int, **more: Any) -> torch.Tensor:
        return torch.zeros((*spectra.shape[:-2], length), device=spectra.device)

    def log_odds(waveforms: torch.Tensor) -> np.ndarray:
        assert waveforms.device.type == "meta"
        return np.zeros((len(waveforms), len(CLASSES)))

    recogniser = small_cnn("meta")
    monkeypatch.setattr(torch, "istft", istft)
    monkeypatch.setattr(recogniser, "log_odds", log_odds)
    return recogniser


@pytest.mark.parametrize("name", ["occlusion", "emolime"])
@pytest.mark.parametrize("fill", ["attenuate", "noise", "spectral-mean", "twin"])
def test_masked_copies_are_made_on_the_device(name, fill, elsewhere, voice, ask):
    found = make_method(name, fill=fill).attribute(ask(elsewhere, voice(planted=True), target="anger"))
    assert not found.values.any()  # every copy was answered, where it was made, by the same log-odds


@pytest.mark.parametrize("baseline", ["silence", "attenuate", "noise", "spectral-mean", "twin"])
def test_baselines_of_integrated_gradients_stay_on_the_device(baseline, elsewhere, voice, ask):
    asked = ask(elsewhere, voice(planted=True), target="anger")
    view = view_of(asked, "test")
    found = view.baseline(baseline)
    assert found.device.type == "meta" and found.shape == view.values.shape


def test_the_device_without_numbers_refuses_the_hosts(elsewhere):
    with pytest.raises(RuntimeError, match="device"):  # or the two tests above would show nothing
        elsewhere.front_end(torch.zeros(1, 16000))


@given(st.sampled_from([1, 3, BATCH, CUDA_BATCH]), st.integers(480, 960_000), st.floats(1, 1e5), st.floats(1e3, 1e11))
@settings(max_examples=200, deadline=None)
def test_pieces_divide_the_batch_and_fit(batch, n_samples, each, memory):
    recogniser = small_cnn()
    assert recogniser.memory is None and recogniser.at_once(n_samples) == recogniser.batch == BATCH
    recogniser.batch, recogniser.memory, recogniser.bytes_per_sample = batch, memory, each
    size = recogniser.at_once(n_samples)
    assert 1 <= size <= batch and batch % size == 0
    assert size * n_samples * each <= memory or size % 2 == 1  # halved as often as it can be
    assert size == batch or 2 * size * n_samples * each > memory  # and no more often than need be
    assert recogniser.at_once(2 * n_samples) <= size


@pytest.mark.parametrize("name", ["occlusion", "emolime", "integrated-gradients"])
def test_pieces_move_nothing(name, tiny_cnn, voice, ask):
    """Neither relevance nor the count of model calls, whatever passes at once."""
    found = {}
    for pieces in (1, 2, 8, 32):
        recogniser, sizes = tiny_cnn(), set()
        recogniser.batch = 32
        clip = voice(duration_s=0.3)
        recogniser.memory, recogniser.bytes_per_sample = pieces * clip.samples.size * 100.0, 100.0
        recogniser.network.register_forward_pre_hook(lambda module, args, sizes=sizes: sizes.add(len(args[0])))
        found[pieces] = make_method(name).attribute(ask(recogniser, clip)).values, recogniser.calls
        assert max(sizes) == pieces
    values, calls = found[32]
    assert np.abs(values).max() > 1e-4
    for other, its_calls in found.values():
        np.testing.assert_allclose(other, values, atol=2e-6)
        assert its_calls == calls


def test_memory_of_a_pass_is_measured_once_and_counts_no_call(monkeypatch):
    recogniser, asked = small_cnn(), []

    def measured(network, inputs):
        network(inputs)
        asked.append(inputs.shape)
        return 64_000 * 50.0

    monkeypatch.setattr("serxai.models.recogniser.pass_bytes", measured)
    recogniser.memory = 16_000 * 50.0 * 5
    assert recogniser.at_once(16_000) == recogniser.at_once(12_800) == 4  # of 8; five one-second copies would fit
    assert recogniser.bytes_per_sample == 50 and len(asked) == 1 and recogniser.calls == 0


def test_memory_of_a_pass_by_hand():
    """Two layers: autograd keeps what each is given, and the ReLU what it returns; weights are not counted."""
    first, second = nn.Linear(100, 50), nn.Linear(50, 10)
    inputs = torch.randn(7, 100)
    for layer in (first, second):
        layer.requires_grad_(False)
    kept = 7 * 50  # what the ReLU returns, which the second layer is given; frozen layers keep no input of their own
    assert pass_bytes(lambda x: second(torch.relu(first(x))), inputs) == 2 * 4 * kept
    assert not inputs.requires_grad


def test_a_black_box_is_bounded_by_its_input_and_a_module_on_waveforms_by_its_pass(white_box):
    box = white_box(lambda waveform: 0.0)
    box.memory = 4 * 1000 * 4.0
    assert (box.at_once(1000), box.at_once(2000), box.at_once(500)) == (4, 2, 8)
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Unflatten(1, (1, -1)),
        nn.Conv1d(1, 4, 16, 4),
        nn.Tanh(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    recogniser = WaveformRecogniser("waves", ("yes", "no"), module, "0", min_samples=16)
    assert 4 < recogniser.bytes_per_sample < 64 and recogniser.calls == 0
    assert recogniser.at_once(1000) == 8
    recogniser.memory = 3 * 1000 * recogniser.bytes_per_sample
    assert recogniser.at_once(1000) == 2


def test_network_computes_in_single_precision():
    """TensorFloat-32, cuDNN's default, is off by 1e-3: inside a recogniser it is switched off, outside untouched."""
    recogniser, seen = small_cnn(), []
    recogniser.network.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    before = torch.backends.cudnn.allow_tf32
    recogniser.log_odds(np.zeros((2, 4_000), np.float32))
    assert seen == [False] and torch.backends.cudnn.allow_tf32 == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(
    "name",
    [
        "saliency",
        "integrated-gradients",
        "smoothgrad",
        "gradient-shap",
        "deeplift",
        "layercam",
        "lrp-epsilon-plus",
        "crp",
        "occlusion",
        "feature-ablation",
        "occlusion-paper",
        "emolime",
    ],
)
def test_cuda_agrees_with_the_cpu(name, voice, ask):
    clip = voice(duration_s=1.0)
    here, there = (
        make_method(name).attribute(ask(small_cnn(device), clip, target="anger")) for device in ("cpu", "cuda")
    )
    scale = np.abs(here.values).max()
    np.testing.assert_allclose(there.values, here.values, atol=1e-4 * max(1.0, scale))
    assert small_cnn("cuda").batch == CUDA_BATCH
