"""Copies of differentiable recognisers that are fine-tuned on clips with random cells removed.

A removal that a recogniser has never heard may move its answer because it is strange, not because evidence is gone. The
copy has heard such removals: it goes on learning the labels of clips in which a random share of the cells, up to
`FineTuning.share`, is replaced by a fill. It is *another recogniser*, so what is measured on it is not about the
recogniser that was explained.

Conventions
-----------
Cells are those of the scoring grid, replaced in the waveform. Statistics of batch normalisation stay as they are and
dropout is off, so that the copy answers without a mask much as the recogniser does. A step takes a few clips, and two
copies of each, masked at random; all draws are seeded by the key of the copy.

Copies are kept in the user's cache of models, by the recogniser's fingerprint, the fill, the settings and the content
of the clips. A file that is damaged, pickled, of another network or not of this key is not used: the copy is made anew.

Sources
-------
Zheng et al. 2025, "F-Fidelity: A robust framework for faithfulness evaluation of explainable AI", ICLR,
arXiv:2410.02970: fine-tuning that knows no explanation, with at most .1 of the input removed.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..audio import Plane, fill_spectrum, scoring_grid
from ..datasets.clip import Clip
from ..errors import InputError, NotApplicable
from ..keys import digest, rng
from .cache import cache_folder
from .checkpoint import load_weights, save_weights
from .claim import claimed
from .recogniser import Recogniser, TorchRecogniser
from .waveform import WaveformRecogniser

VERSION = "1"  # of the procedure; part of every copy's key
WEIGHTS, CARD = "copy.safetensors", "copy.json"
MAX_CARD_BYTES = 65_536
FEWEST_CLIPS = 8


@dataclass(frozen=True)
class FineTuning:
    """Settings of a fine-tuning.

    Attributes
    ----------
    share : float
        Largest share of the cells that is removed, 0..1.
    steps : int
    clips : int
        Of one step.
    copies : int
        Of each clip in a step, masked independently.
    learning_rate : float
        Of Adam.
    """

    share: float = 0.1
    steps: int = 60
    clips: int = 8
    copies: int = 2
    learning_rate: float = 3e-4

    @property
    def calls(self) -> int:
        """Copies that go through the network forward and backward."""
        return self.steps * self.clips * self.copies


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned copy and what it cost.

    Attributes
    ----------
    recogniser : Recogniser
    calls : int
        Copies that went through the network forward and backward.
    seconds : float
    loss : tuple of float
        Mean cross-entropy of masked clips in the first and in the last tenth of the steps.
    cached : bool
        Whether the copy was found in the cache, so that nothing was spent now.
    """

    recogniser: Recogniser
    calls: int
    seconds: float
    loss: tuple[float, float]
    cached: bool


def network_of(recogniser: Recogniser) -> nn.Module:
    """Torch module whose weights are fine-tuned.

    Raises
    ------
    NotApplicable
        If the recogniser passes no gradient to weights, or predicts numbers.
    """
    if recogniser.regression:
        raise NotApplicable(f"recogniser {recogniser.name!r} predicts numbers; it is fine-tuned on classes")
    module: nn.Module | None = None
    if recogniser.differentiable and isinstance(recogniser, TorchRecogniser):
        module = recogniser.network
    elif recogniser.differentiable and isinstance(recogniser, WaveformRecogniser):
        module = recogniser.module
    if module is None or not any(p.is_floating_point() for p in module.parameters()):
        raise NotApplicable(f"recogniser {recogniser.name!r} gives no gradient of its weights: it cannot be fine-tuned")
    return module


def random_masks(shape: tuple[int, int], share: float, copies: int, generator: np.random.Generator) -> np.ndarray:
    """Masks that remove a random share of the cells, uniform in 0..`share`; bool, True is removed, (copies, *shape)."""
    counts = np.floor(generator.uniform(0, share, copies) * (np.prod(shape) + 1)).astype(int)
    places = generator.random((copies, int(np.prod(shape)))).argsort(axis=1).argsort(axis=1)
    removed: np.ndarray = places < counts[:, None]
    return removed.reshape(copies, *shape)


def fine_tune(
    recogniser: Recogniser, clips: Sequence[Clip], fill: str, settings: FineTuning, seed: object
) -> tuple[Recogniser, tuple[float, float]]:
    """Fine-tune a copy of a recogniser on masked clips; the recogniser itself stays as it is.

    Parameters
    ----------
    recogniser : Recogniser
    clips : sequence of Clip
        With emotions among the recogniser's classes. For fill ``twin`` they need twins.
    fill : str
    settings : FineTuning
    seed : object
        Seeds all draws.

    Returns
    -------
    Recogniser
        The copy, in evaluation mode.
    tuple of float
        Mean cross-entropy in the first and in the last tenth of the steps.

    Raises
    ------
    NotApplicable
        If the recogniser cannot be fine-tuned, or there are fewer than `FEWEST_CLIPS` clips.
    """
    network_of(recogniser)
    if len(clips) < FEWEST_CLIPS:
        raise NotApplicable(f"fine-tuning needs at least {FEWEST_CLIPS} clips outside the fold, got {len(clips)}")
    copy = deepcopy(recogniser)
    network = network_of(copy)
    device = next(network.parameters()).device
    trained = [p.requires_grad_() for p in network.parameters() if p.is_floating_point()]
    optimiser = torch.optim.Adam(trained, settings.learning_rate)
    planes = [Plane(clip.samples, device) for clip in clips]
    fills = [
        fill_spectrum(
            fill, plane, rng("fine-tuning fill", seed, clip.id), None if clip.plant is None else clip.plant.twin
        )
        for plane, clip in zip(planes, clips, strict=True)
    ]
    labels = [copy.class_index(clip.emotion) for clip in clips]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the weights must not depend on the machine's
    try:
        losses = _descend(copy, optimiser, planes, fills, labels, settings, rng("fine-tuning", seed))
    finally:
        torch.set_num_threads(threads)
    for parameter in trained:
        parameter.requires_grad_(False)
        parameter.grad = None
    tenth = max(1, settings.steps // 10)
    return copy, (float(losses[:tenth].mean()), float(losses[-tenth:].mean()))


def _descend(
    copy: Recogniser,
    optimiser: torch.optim.Optimizer,
    planes: Sequence[Plane],
    fills: Sequence[torch.Tensor],
    labels: Sequence[int],
    settings: FineTuning,
    generator: np.random.Generator,
) -> np.ndarray:
    """Take the steps; returns the loss at each."""
    grids = [scoring_grid(plane.duration_s) for plane in planes]
    order, losses = np.empty(0, dtype=np.int64), np.zeros(settings.steps)
    for step in range(settings.steps):
        while len(order) < settings.clips:
            order = np.concatenate([order, generator.permutation(len(planes))])
        chosen, order = order[: settings.clips], order[settings.clips :]
        optimiser.zero_grad()
        for i in chosen:
            removed = random_masks(grids[i].shape, settings.share, settings.copies, generator)
            waveforms = planes[i].render(~removed, grids[i], fills[i])
            # one-vs-rest log-odds of a softmax: its log-probability is their log-sigmoid
            with torch.enable_grad():
                loss = -nn.functional.logsigmoid(_log_odds(copy, waveforms)[:, labels[i]]).mean() / len(chosen)
                loss.backward()  # type: ignore[no-untyped-call]
            losses[step] += float(loss.detach())
        optimiser.step()
    return losses


def _log_odds(recogniser: Recogniser, waveforms: torch.Tensor) -> torch.Tensor:
    if isinstance(recogniser, TorchRecogniser):
        with torch.no_grad():
            features = recogniser.front_end(waveforms.to(recogniser.device))
        return recogniser.feature_log_odds(features)
    assert isinstance(recogniser, WaveformRecogniser)
    return recogniser.waveform_log_odds(waveforms.to(recogniser.device))


def copy_key(
    recogniser: Recogniser, fill: str, contents: Mapping[str, str], settings: FineTuning, repeat: int = 0
) -> str:
    """Key of a copy: everything that it depends on.

    Parameters
    ----------
    recogniser : Recogniser
    fill : str
    contents : mapping of str to str
        Digest of each clip by its id.
    settings : FineTuning
    repeat : int
        Index of independent copies.
    """
    return digest(
        "fine-tuned copy", VERSION, recogniser.fingerprint, fill, sorted(contents.items()), asdict(settings), repeat
    )  # fmt: skip


def obtain_copy(
    recogniser: Recogniser,
    fill: str,
    contents: Mapping[str, str],
    load: Callable[[str], Clip],
    settings: FineTuning | None = None,
    repeat: int = 0,
) -> FineTuned:
    """Find a fine-tuned copy in the cache, or make it and keep it there.

    Parameters
    ----------
    recogniser : Recogniser
    fill : str
    contents : mapping of str to str
        Digest of each clip to fine-tune on, by its id.
    load : callable
        Gives a clip by its id.
    settings : FineTuning, optional
    repeat : int
        Index of independent copies.

    Raises
    ------
    NotApplicable
        See `fine_tune`.
    """
    settings = settings or FineTuning()
    network_of(recogniser)
    key = copy_key(recogniser, fill, contents, settings, repeat)
    named = re.sub(r"[^A-Za-z0-9_-]+", "_", f"fine-tuned-{recogniser.name}-{fill}")[:80]
    folder = cache_folder() / f"{named}-{key}"
    found = _stored(folder, key, recogniser)
    if found is not None:
        return found
    with claimed(folder, wait=True) as work:
        found = _stored(folder, key, recogniser)  # another process may have made it meanwhile
        if found is not None:
            return found
        start = time.perf_counter()
        copy, loss = fine_tune(recogniser, [load(clip) for clip in sorted(contents)], fill, settings, key)
        seconds = time.perf_counter() - start
        _write(work / "made", folder, copy, {
            "key": key, "calls": settings.calls, "seconds": seconds, "loss": list(loss), "clips": sorted(contents),
        })  # fmt: skip
    return FineTuned(_named(copy, key), settings.calls, seconds, loss, False)


def _named(copy: Recogniser, key: str) -> Recogniser:
    copy.fingerprint = digest("fine-tuned", key)
    copy.calls, copy.seconds = 0, 0.0
    return copy


def _write(work: Path, folder: Path, copy: Recogniser, card: dict[str, Any]) -> None:
    """Write a copy to a work folder and rename that, replacing what is there."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    card["sha256"] = save_weights(network_of(copy), work / WEIGHTS)
    (work / CARD).write_text(json.dumps(card, sort_keys=True), "utf-8")
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    work.replace(folder)


def _stored(folder: Path, key: str, recogniser: Recogniser) -> FineTuned | None:
    """Copy in the cache; None where there is none that can be used."""
    try:
        path = folder / CARD
        if folder.is_symlink() or path.stat().st_size > MAX_CARD_BYTES:
            return None
        card = json.loads(path.read_text("utf-8"))
        sha256, calls, seconds, loss = (card[name] for name in ("sha256", "calls", "seconds", "loss"))
        if card["key"] != key or not isinstance(sha256, str) or not isinstance(calls, int):
            return None
        first, last = (float(value) for value in loss)
        copy = deepcopy(recogniser)
        network = network_of(copy)
        network.load_state_dict(load_weights(folder / WEIGHTS, sha256, lambda: network))
        return FineTuned(_named(copy, key), calls, float(seconds), (first, last), True)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, InputError):
        return None
