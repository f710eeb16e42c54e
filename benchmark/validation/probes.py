"""Clips and a recogniser on which implementations are tried out; they need no data and no trained weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ...audio import SAMPLE_RATE
from ...datasets.clip import Clip, Plant, Word
from ...errors import InputError
from ...keys import rng
from ...models.front_end import LogMel
from ...models.recogniser import TorchRecogniser
from .check_result import FAIL, Check

CLASSES = ("anger", "happiness", "neutral", "sadness")


class ConformanceError(AssertionError):
    """An implementation does not keep to what its record and its base class say."""


def report(name: str, checks: list[Check], raises: bool) -> list[Check]:
    """The checks; raises if one failed.

    Raises
    ------
    ConformanceError
        Naming each check that failed, with what was found.
    """
    failed = [check for check in checks if check.result == FAIL]
    if failed and raises:
        lines = [f"{check.name}: {'; '.join(check.found)}" for check in failed]
        raise ConformanceError("\n".join([f"{name}: {len(failed)} of {len(checks)} checks failed", *lines]))
    return checks


def probe_clip(seconds: float = 0.3, seed: int = 0, planted: bool = False) -> Clip:
    """Harmonics with a moving pitch and level in faint noise, said to be two words.

    Parameters
    ----------
    seconds : float
    seed : int
    planted : bool
        Whether it has a neutral twin, softer in its second word.
    """
    n = round(seconds * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(130 + 15 * seed + 25 * np.sin(2 * np.pi * 2.5 * t)) / SAMPLE_RATE
    voice = sum((np.sin(h * phase) / h for h in range(1, 25)), np.zeros(n)) * (1.2 + np.sin(2 * np.pi * 3 * t))
    samples = (0.05 * voice + 1e-3 * rng("probe clip", seed).standard_normal(n)).astype(np.float32)
    middle = seconds / 2
    words = (Word("a", 0.0, middle), Word("b", middle, seconds))
    clip = Clip(
        f"probe-{seed}", samples, "anger", f"speaker-{seed}", "female", "text", "probe", words=words, phones=words,
        marks={"stress": (Word("1", middle, seconds),)},
    )  # fmt: skip
    if not planted:
        return clip
    twin = samples * np.where(t < middle, 1.0, 0.3).astype(np.float32)
    return replace(clip, plant=Plant(twin, words[1:], {"loudness": 10.0}))


def probe_recogniser(seed: int = 0) -> TorchRecogniser:
    """A small convolutional network on log-mel features, with fixed weights that no data formed."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4, len(CLASSES)),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in network.parameters():
            scale = 0.8 if parameter.ndim > 1 else 0.1
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return TorchRecogniser("probe", CLASSES, LogMel(n_fft=512, mels=32), network, f"probe {seed}")


def snapshot(recogniser: object) -> list[tuple[str, object]]:
    """Everything about a recogniser's modules that a method could leave changed."""
    found: list[tuple[str, object]] = []
    for part in ("network", "front_end"):
        module = getattr(recogniser, part, None)
        if not isinstance(module, nn.Module):
            continue
        for name, tensor in module.state_dict().items():
            found.append((f"{part}.{name}", tensor.detach().cpu().numpy().tobytes()))
        for name, parameter in module.named_parameters():
            found.append((f"{part}.{name} gradient", (parameter.requires_grad, parameter.grad is None)))
        for name, child in module.named_modules():
            hooks = sum(len(value) for key, value in vars(child).items() if "_hooks" in key and value)
            found.append((f"{part}.{name} hooks and mode", (type(child).__name__, child.training, hooks)))
    return found


def global_random() -> list[object]:
    """State of the global random generators of Python, numpy and torch."""
    import random

    state = np.random.get_state()  # noqa: NPY002  (it is the global one that is watched)
    return [
        random.getstate(),
        [value.tobytes() if isinstance(value, np.ndarray) else value for value in state],
        torch.get_rng_state().tolist(),
    ]


def needs_record(kind: str, name: str, found: object) -> None:
    """Refuse a name that stands for a family."""
    if name.endswith(":"):
        raise InputError(f"{kind} {name!r} stands for a family; name one behind the colon, such as {name}saliency.")
