"""The front end's speed beside librosa's log-mel, both timed in one run on one thread."""

from __future__ import annotations

import time

import librosa
import numpy as np
import torch

from serxai.models.front_end import LogMel

CLIPS, SAMPLES, BATCH = 64, 32_000, 8
RATIO = 3.0  # measured: 4-5


def by_librosa(waveforms: np.ndarray) -> list[np.ndarray]:
    return [
        librosa.power_to_db(
            librosa.feature.melspectrogram(
                y=samples, sr=16000, n_fft=1024, win_length=480, hop_length=240, n_mels=128, pad_mode="constant"
            ),
            amin=1e-8,
            top_db=None,
        )
        for samples in waveforms
    ]


def test_front_end_is_three_times_as_fast_as_librosa(benchmark, speed) -> None:
    waveforms = (0.1 * np.random.default_rng(0).standard_normal((CLIPS, SAMPLES))).astype(np.float32)
    tensors = torch.from_numpy(waveforms)
    front_end = LogMel()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def ours() -> list[torch.Tensor]:
        with torch.inference_mode():
            return [front_end(tensors[i : i + BATCH]) for i in range(0, CLIPS, BATCH)]

    try:
        by_librosa(waveforms[:1])  # the first call compiles and caches
        features = benchmark.pedantic(ours, rounds=speed.rounds(7))
        mine, theirs = speed.best(ours, lambda: by_librosa(waveforms), clock=time.thread_time)
    finally:
        torch.set_num_threads(threads)
    benchmark.extra_info["librosa_over_ours"] = theirs / mine
    assert sum(len(batch) for batch in features) == CLIPS
    speed.goal(theirs / mine >= RATIO, f"librosa {theirs * 1e3:.1f} ms, front end {mine * 1e3:.1f} ms; goal {RATIO} x")
