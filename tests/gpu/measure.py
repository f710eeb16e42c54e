"""Recognisers on an accelerator beside the CPU: equal scores, copies a second, memory, time inside the recogniser.

    python tests/gpu/measure.py --device cuda --out FILE.json      # about two minutes; needs no corpus
    python tests/gpu/measure.py --device cpu --quick               # the same path without an accelerator

The CPU's figure is that of two worker processes of one thread each, as a run on two cores has them. Whisper is the
encoder under ``$SERXAI_DATA/whisper-tiny-en`` with the shipped head where it is at hand, else random weights in its
shape.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from serxai.audio import SAMPLE_RATE
from serxai.datasets.clip import Clip
from serxai.keys import rng
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.metrics.case import Case
from serxai.metrics.trajectory import trajectory_of
from serxai.models.obtain import load_models
from serxai.models.recogniser import Recogniser, TorchRecogniser
from serxai.models.waveform import WaveformRecogniser

SECONDS = 2.5
WORKERS = 2  # processes of the CPU's figure
CLASSES = ("anger", "happiness", "neutral", "sadness")


class Recurrent(nn.Module):
    """Recogniser of one's own with a recurrent layer, as ``python:MODULE:FACTORY`` may return it."""

    classes = CLASSES

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frames = nn.Conv1d(1, 16, 400, stride=160)
        self.memory = nn.GRU(16, 24, batch_first=True)
        self.out = nn.Linear(24, len(CLASSES))

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Logits, (n, n_samples) -> (n, 4)."""
        states, _ = self.memory(self.frames(waveforms[:, None]).relu().transpose(1, 2))
        return self.out(states.mean(dim=1))


def make_recurrent(device: str) -> Recogniser:
    """The recurrent network of one's own."""
    return WaveformRecogniser("recurrent", CLASSES, Recurrent(), "recurrent", device=device, min_samples=400)


def make_cnn(device: str) -> Recogniser:
    """The shipped network."""
    return load_models("cnn", "emodb").recogniser("refit", device)


def make_whisper(device: str) -> Recogniser:
    """Two layers of Whisper tiny.en and a head."""
    folder = Path(os.environ.get("SERXAI_DATA", "")) / "whisper-tiny-en"
    if (folder / "config.json").is_file():
        return load_models(f"hf:{folder}", "emodb").recogniser("refit", device)
    import transformers
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    from serxai import _torchvision  # noqa: F401  (before transformers)
    from serxai.models.head import LinearHead
    from serxai.models.headed import HeadedNetwork, HeadedRecogniser
    from serxai.models.hf_front_ends import WhisperLogMel
    from serxai.models.hf_states import PooledStates, make_encoder

    config = transformers.WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536, num_mel_bins=80
    )
    torch.manual_seed(0)
    front_end = WhisperLogMel(80, 400, 160, 30 * SAMPLE_RATE, padded=False)
    body = PooledStates(make_encoder(front_end, WhisperEncoder(config), [2]), [2], "mean+sd")
    head = LinearHead(len(CLASSES), 768)
    head.weight.data = 0.02 * torch.randn(len(CLASSES), 768, dtype=torch.float64)
    return HeadedRecogniser("whisper", CLASSES, front_end, HeadedNetwork(body, head), "random", device=device)


MAKERS: dict[str, Callable[[str], Recogniser]] = {
    "cnn": make_cnn, "whisper-tiny": make_whisper, "recurrent": make_recurrent,
}  # fmt: skip


def copies(n: int) -> np.ndarray:
    """Voice-like copies of one clip, louder and softer, in noise: (n, n_samples)."""
    draw = rng("accelerator")
    t = np.arange(int(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    voice = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 25)) * (0.6 + 0.4 * np.sin(18 * t))
    levels = 10 ** draw.uniform(-1.5, -0.7, (n, 1))
    return (levels * voice + 1e-3 * draw.standard_normal((n, t.size))).astype(np.float32)


def copies_per_second(recogniser: Recogniser, n: int, least_s: float) -> float:
    """Copies a second of `Recogniser.log_odds`, waveforms on the recogniser's device, after a warm-up."""
    waveforms = torch.from_numpy(copies(n)).to(getattr(recogniser, "device", "cpu"))
    recogniser.log_odds(waveforms)
    start, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < least_s:
        recogniser.log_odds(waveforms)  # returns on the host, so it has waited for the device
        done += n
    return done / spent


def worker_rate(name: str, n: int, least_s: float) -> float:
    """Copies a second of one worker process of one thread."""
    torch.set_num_threads(1)
    return copies_per_second(MAKERS[name]("cpu"), n, least_s)


def cpu_rates(n: int, least_s: float) -> dict[str, float]:
    """Copies a second of two worker processes at once, by recogniser."""
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        jobs = [n] * WORKERS, [least_s] * WORKERS
        return {name: sum(pool.map(worker_rate, [name] * WORKERS, *jobs)) for name in MAKERS}


def measure(name: str, device: str, cpu: float, quick: bool = False) -> dict[str, Any]:
    """Figures of one recogniser.

    Parameters
    ----------
    name : str
        Of `MAKERS`.
    device : str
    cpu : float
        Copies a second of two processes on the CPU.
    quick : bool
        Few copies and short rounds, to try the path.

    Returns
    -------
    dict
        ``difference``: largest difference of log-odds, of a deletion trajectory's too, between device and CPU;
        ``gradient_difference``: of the explanation by saliency, as a share of its largest cell; ``copies_per_second``,
        ``cpu_copies_per_second`` (two processes), ``times_cpu``; ``batch_bytes``: peak memory of one batch on the
        device; ``inside``: share of the time of a deletion trajectory and of EmoLIME that is spent in the recogniser.
    """
    n, least_s = (8, 0.2) if quick else (256, 5.0)
    here, reference = MAKERS[name](device), MAKERS[name]("cpu")
    waveforms = copies(16)
    difference = float(np.abs(here.log_odds(waveforms) - reference.log_odds(waveforms)).max())
    clip = Clip("accelerator", waveforms[0])
    target = here.classes[int(here.log_odds(waveforms[:1])[0].argmax())]
    maps, curves = [], []
    for recogniser, where in ((here, device), (reference, "cpu")):
        maps.append(make_method("saliency").attribute(Request(recogniser, clip, target, ("accelerator",))))
        case = Case(recogniser, clip, target, seed=("accelerator",), device=where)
        curves.append(trajectory_of(case, maps[0]).morf)
    gradient = float(np.abs(maps[0].values - maps[1].values).max() / np.abs(maps[1].values).max())
    difference = max(difference, float(np.abs(curves[0] - curves[1]).max()))
    inside, whole = here.seconds, time.perf_counter()
    for again in range(1 if quick else 5):
        seed = ("accelerator", again)
        trajectory_of(Case(here, clip, target, seed=seed, device=device), maps[0])
        make_method("emolime").attribute(Request(here, clip, target, seed))
    share = (here.seconds - inside) / (time.perf_counter() - whole)
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        here.log_odds(copies(here.batch))
        batch_bytes = float(torch.cuda.max_memory_allocated() - held)
    else:
        batch_bytes = float(here.bytes_per_sample * here.batch * waveforms.shape[1])
    rate = copies_per_second(here, n, least_s)
    return {
        "recogniser": name,
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "batch": here.batch,
        "difference": difference,
        "gradient_difference": gradient,
        "copies_per_second": rate,
        "cpu_copies_per_second": cpu,
        "times_cpu": rate / cpu,
        "batch_bytes": batch_bytes,
        "inside": share,
        "kind": "feature map" if isinstance(here, TorchRecogniser) else "waveform",
    }


def main() -> None:
    """Measure all recognisers, print their figures, and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found, on_cpu = [], cpu_rates(8, 0.2 if arguments.quick else 5.0)
    for name in MAKERS:
        found.append(measure(name, arguments.device, on_cpu[name], arguments.quick))
        print(json.dumps(found[-1]), flush=True)  # noqa: T201 (a script)
        if arguments.out is not None:
            arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
