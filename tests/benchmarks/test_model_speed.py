"""What scoring copies costs beside the bare torch forward of the same batches, front end included in both."""

from __future__ import annotations

import time
from collections.abc import Iterator

import librosa
import numpy as np
import pytest
import torch

from serxai.models.cnn import ResidualCNN
from serxai.models.front_end import LogMel
from serxai.models.recogniser import TorchRecogniser
from serxai.models.speaker_encoder import MelPower

COPIES, SAMPLES = 64, 32_000
OVERHEAD = 1.2
FASTER = 3.0


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def copies(n: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal((n, SAMPLES))).astype(np.float32)


@pytest.mark.parametrize("n", [64, 60])
def test_scoring_copies_costs_little_more_than_the_bare_forward(benchmark, speed, n: int) -> None:
    """The same batches of 8; a last batch that is not full is filled up on both sides."""
    torch.manual_seed(0)
    network = ResidualCNN(4, width=16).eval().to(memory_format=torch.channels_last)
    recogniser = TorchRecogniser("cnn", ("a", "b", "c", "d"), LogMel(), network, fingerprint="random")
    waveforms = copies(n)
    filled = torch.from_numpy(np.pad(waveforms, ((0, -n % recogniser.batch), (0, 0))))
    batches = filled.split(recogniser.batch)
    features = [recogniser.front_end(batch) for batch in batches]

    def bare() -> list[torch.Tensor]:
        with torch.no_grad():
            return [recogniser.network(recogniser.front_end(batch)) for batch in batches]

    def only_front_end() -> list[torch.Tensor]:
        with torch.no_grad():
            return [recogniser.front_end(batch) for batch in batches]

    def only_network() -> list[torch.Tensor]:
        with torch.no_grad():
            return [recogniser.network(batch) for batch in features]

    result = benchmark.pedantic(recogniser.log_odds, (waveforms,), rounds=speed.rounds(3), warmup_rounds=1)
    jobs = (lambda: recogniser.log_odds(waveforms), bare, only_front_end, only_network)
    ours, forward, front, net = speed.best(*jobs, rounds=9, clock=time.thread_time)
    benchmark.extra_info |= {
        "over_bare_forward": ours / forward,
        "front_end_share": front / forward,
        "network_share": net / forward,
        "copies_per_second": n / ours,
    }
    assert result.shape == (n, 4)
    figure = f"{n} copies {ours * 1e3:.0f} ms, bare forward {forward * 1e3:.0f} ms; goal {OVERHEAD} x"
    speed.goal(ours / forward <= OVERHEAD, figure)


@pytest.mark.long
def test_the_speaker_encoders_front_end_is_three_times_as_fast_as_librosa(benchmark, speed) -> None:
    waveforms = copies(COPIES)
    tensors, front_end = torch.from_numpy(waveforms), MelPower()

    def by_librosa() -> list[np.ndarray]:
        return [
            librosa.feature.melspectrogram(y=samples, sr=16000, n_fft=400, hop_length=160, n_mels=40)
            for samples in waveforms
        ]

    def ours() -> list[torch.Tensor]:
        with torch.no_grad():
            return [front_end(batch) for batch in tensors.split(8)]

    found = torch.cat(benchmark.pedantic(ours, rounds=speed.rounds(3), warmup_rounds=1))[:, 0].numpy()
    np.testing.assert_allclose(found, np.stack(by_librosa()), rtol=1e-3, atol=1e-4)
    mine, theirs = speed.best(ours, by_librosa, rounds=9, clock=time.thread_time)
    benchmark.extra_info["librosa_over_ours"] = theirs / mine
    speed.goal(theirs / mine >= FASTER, f"librosa {theirs * 1e3:.1f} ms, ours {mine * 1e3:.1f} ms; goal {FASTER} x")
