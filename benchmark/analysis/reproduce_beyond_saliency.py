"""Side by side of the two `beyond-saliency-paper` recipes and the Beyond Saliency authors' own program.

Both halves are compared under the conditions of the authors: concept relevance behind the front end of their training,
occlusion behind that of their explanation code (the publisher's samples, read as if they were at 16 kHz from 16-bit
integers). Cues are measured on the publisher's samples at their own rate, so that differences come from windows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ...audio import SAMPLE_RATE
from ...cues.backends import paper_cues
from ...datasets.clip import Clip
from ...methods.attribution import Attribution
from ...methods.beyond_saliency_paper import CLOCKS, MIN_SLICE_S, top_windows, window_sums, window_times
from ...methods.explainer import Request
from ...methods.records import make_method
from ...models.beyond_saliency import NotebookFrontEnd
from ...models.recogniser import TorchRecogniser
from .authors import CUES, EMOTION, beyond_saliency_numbers

HALVES = {"crp_channel_35": "crp-paper", "os": "occlusion-paper"}
Source = Callable[[str], tuple[Clip, np.ndarray, int]]
PREDICTED = {
    "crp_channel_35": "training_front_end_predicts",
    "os": "authors_explanation_front_end_predicts",
}


def compare_beyond_saliency(
    recogniser: TorchRecogniser,
    sounds: Source,
    halves: Sequence[str] = tuple(HALVES),
    numbers: Sequence[dict[str, Any]] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Explain the authors' clips by both recipes and set maps, windows and cues beside theirs.

    Parameters
    ----------
    recogniser : TorchRecogniser
        The authors' TESS checkpoint.
    sounds : callable
        Gives, by name, the clip at 16 kHz, and the publisher's samples with their rate in Hz.
    halves : sequence of {'crp_channel_35', 'os'}
        The second takes about 13 s of a core for each clip.
    numbers : sequence of dict, optional
        Some of `authors.beyond_saliency_numbers`; default all.
    progress : callable
        Called with (done, total).

    Returns
    -------
    windows : DataFrame
        One row for each half and clip: ``half``, ``clip``, ``predicted``, ``predicted_authors``, ``windows_agreed`` of
        ``windows_authors`` on their clock, ``time_agreed`` (share of the time of their windows that the salient windows
        on the true clock hold), ``map_sum`` and ``share_in_padding``, both also with the suffix ``_authors`` (missing
        for occlusion).
    cues : DataFrame
        One row for each half, clip and cue: ``authors_mean``, ``authors_sd``; ``mean`` and ``sd`` on the authors' clock
        and ``true_mean`` and ``true_sd`` on the true one.
    """
    numbers = beyond_saliency_numbers() if numbers is None else numbers
    found, cues = [], []
    total = len(numbers) * len(halves)
    for place, entry in enumerate(numbers):
        for n, half in enumerate(halves):
            progress(place * len(halves) + n, total)
            clip, samples, rate = sounds(entry["clip"])
            base, scale = map_of(half, recogniser, clip, samples, rate)
            row, told = compare_clip(entry, half, base, samples, rate, scale)
            found.append(row)
            cues += told
    progress(total, total)
    return pd.DataFrame(found), pd.DataFrame(cues)


def map_of(
    half: str, recogniser: TorchRecogniser, clip: Clip, samples: np.ndarray, rate: int
) -> tuple[Attribution, float]:
    """The map of one half for the predicted class, and the true length of a second on its time axis."""
    scale = 1.0
    if half == "os":
        front_end = NotebookFrontEnd(samples=32_000, centred=False, window=480, hop=240, full_scale=2.0**15)
        recogniser = TorchRecogniser(
            "authors", recogniser.classes, front_end, recogniser.network, "authors", "tess", "cpu"
        )
        clip, scale = replace(clip, samples=samples), SAMPLE_RATE / rate
    predicted = recogniser.classes[int(recogniser.log_odds(clip.samples[None])[0].argmax())]
    return make_method(HALVES[half]).attribute(Request(recogniser, clip, predicted)), scale


def compare_clip(
    entry: dict[str, Any], half: str, base: Attribution, samples: np.ndarray, rate: int, scale: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Rows of `compare_beyond_saliency` for one clip and half, from its map."""
    theirs, duration = entry[half], samples.size / rate
    salient = top_windows(window_sums(base.values))
    expected = {round(start / 0.15) for start, _ in theirs["windows_s"]}
    windows = {}
    for clock in CLOCKS:
        edges = window_times(base.grid, clock) * (scale if clock == "true" else 1.0)
        placed = np.clip(np.stack([edges[:-1], edges[1:]], axis=1), 0.0, duration)[salient]
        windows[clock] = placed[np.diff(placed, axis=1)[:, 0] >= MIN_SLICE_S]
    centres = (base.grid.time_edges_s[1:] + base.grid.time_edges_s[:-1]) / 2 * scale
    padding = (centres < 0) | (centres > duration)
    row = {
        "half": half,
        "clip": entry["clip"],
        "predicted": base.target,
        "predicted_authors": EMOTION[entry[PREDICTED[half]]],
        "windows_agreed": len(set(np.flatnonzero(salient).tolist()) & expected),
        "windows_authors": len(expected),
        "time_agreed": _shared(np.array(theirs["windows_s"]), windows["true"]),
        "map_sum": float(base.values.sum()),
        "map_sum_authors": theirs.get("map_sum", np.nan),
        "share_in_padding": float(base.values[:, padding].sum() / base.values.sum()),
        "share_in_padding_authors": theirs.get("share_in_padding", np.nan),
    }
    measured = {clock: paper_cues(samples, windows[clock], rate) for clock in CLOCKS}
    cues = []
    for name, (mean, sd) in theirs["cues_mean_sd"].items():
        (own, own_sd, _), (true, true_sd, _) = (measured[clock][CUES[name]] for clock in ("authors", "true"))
        cues.append(
            {
                "half": half, "clip": entry["clip"], "cue": CUES[name], "authors_mean": mean, "authors_sd": sd,
                "mean": own, "sd": own_sd, "true_mean": true, "true_sd": true_sd,
            }
        )  # fmt: skip
    return row, cues


def _shared(theirs: np.ndarray, ours: np.ndarray) -> float:
    """Share of the time of `theirs` that `ours` covers; windows of shape (n, 2) that do not overlap each other."""
    low = np.maximum(theirs[:, None, 0], ours[None, :, 0])
    high = np.minimum(theirs[:, None, 1], ours[None, :, 1])
    return float(np.clip(high - low, 0, None).sum() / np.diff(theirs, axis=1).sum())


def summarise_cues(cues: pd.DataFrame) -> pd.DataFrame:
    """Cues over clips: means of each column, and the largest difference from the authors on their clock.

    Returns
    -------
    DataFrame
        One row for each half and cue, with ``n`` clips, the columns of `compare_beyond_saliency` and
        ``largest_difference``.
    """
    rows = []
    for (half, cue), part in cues.groupby(["half", "cue"], sort=False):
        values = part.drop(columns=["half", "clip", "cue"])
        apart = float((part["mean"] - part["authors_mean"]).abs().max())
        rows.append({"half": half, "cue": cue, "n": len(part), **values.mean().to_dict(), "largest_difference": apart})
    return pd.DataFrame(rows)
