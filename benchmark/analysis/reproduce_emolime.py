"""Side by side of `emolime-paper` and the EmoLIME authors' own program, on black boxes with known weights.

The authors' phases come from a generator whose state is not known; ``noise`` is what their repeats of one clip differ
by, the scale on which a difference of weights is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import expit, logit

from ...audio import SAMPLE_RATE, band_edges_hz
from ...datasets.clip import Clip
from ...methods.emolime_paper import BANDS, EmoLimePaper
from ...methods.explainer import Request, SharedWork
from ...models.recogniser import Recogniser
from .authors import emolime_numbers

# weights of the two black boxes, as the file of the authors' numbers gives them
LINEAR = np.array([0.25, -0.12, 0.18, 0.05, -0.08, 0.15, 0.02, -0.05])
LOGBAND = np.array([0.8, -0.5, 0.6, 0.2, -0.3, 0.5, 0.1, -0.2])
QUIET = 1e-9  # added to a band's energy before its logarithm
PHASE_SEED = 1000  # plus the repeat


class BandBlackBox(Recogniser):
    """Recogniser whose probability is a known function of the energies in eight mel bands.

    Parameters
    ----------
    kind : {'linear', 'logband'}
        The probability is linear in the share of each band's energy that is left, or logistic in its level in dB.
    samples : array, shape (n_samples,)
        The clip, whose own energies are the reference.
    """

    classes = ("target", "other")

    def __init__(self, kind: str, samples: np.ndarray) -> None:
        self.name = self.fingerprint = kind
        self.reference = band_energies(np.asarray(samples)[None])[0]

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        self.calls += len(waveforms)
        y = logit(self.probability(band_energies(waveforms.double().numpy())))
        return torch.from_numpy(np.stack([y, -y], axis=1))

    def probability(self, energies: np.ndarray) -> np.ndarray:
        """Probability of ``target`` from energies, shape (n, 8) -> (n,)."""
        if self.name == "linear":
            left = np.minimum(energies / self.reference, 1.0)
            found: np.ndarray = np.clip(0.3 + left @ LINEAR, 0.001, 0.999)
            return found
        level = 10 * np.log10(energies + QUIET) - 10 * np.log10(self.reference + QUIET)
        found = expit(0.4 + level @ LOGBAND / 20)
        return found


def band_energies(waveforms: np.ndarray) -> np.ndarray:
    """Energy per sample in each of eight mel bands, by one FFT of the whole copy: (n, n_samples) -> (n, 8)."""
    power = np.abs(np.fft.rfft(waveforms, axis=1)) ** 2
    freqs = np.fft.rfftfreq(waveforms.shape[1], 1 / SAMPLE_RATE)
    edges = band_edges_hz(BANDS)
    inside = (freqs >= edges[:-1, None]) & (freqs < edges[1:, None])
    energies: np.ndarray = power @ inside.T.astype(np.float64) / waveforms.shape[1]
    return energies


def compare_emolime(
    clips: Callable[[str], Clip],
    numbers: Sequence[dict[str, Any]] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Explain the authors' clips by `emolime-paper` and set the weights beside theirs.

    Parameters
    ----------
    clips : callable
        Gives a clip by the name that the numbers have for it.
    numbers : sequence of dict, optional
        Some of `authors.emolime_numbers`; default all.
    progress : callable
        Called with (done, total).

    Returns
    -------
    DataFrame
        One row for each clip, black box, repeat and band: ``clip``, ``black_box``, ``repeat``, ``band``, ``low_hz``,
        ``high_hz``, ``authors``, ``ours``, and repeated on the rows of one explanation ``intercept_authors``,
        ``intercept``, ``r2_authors``, ``r2``.
    """
    numbers = emolime_numbers() if numbers is None else numbers
    edges = band_edges_hz(BANDS)
    rows = []
    for done, entry in enumerate(numbers):
        progress(done, len(numbers))
        clip = clips(entry["clip"])
        kept: dict[str, np.ndarray] = {}  # inversions, which no black box moves

        def keep(key: str, make: Callable[[], np.ndarray], kept: dict[str, np.ndarray] = kept) -> np.ndarray:
            if key not in kept:
                kept[key] = make()
            return kept[key]

        shared = SharedWork(keep)
        for kind in ("linear", "logband"):
            black_box = BandBlackBox(kind, clip.samples)
            for repeat in _repeats(entry, kind):
                seed = (PHASE_SEED + repeat,)
                found = EmoLimePaper().attribute(Request(black_box, clip, "target", seed, shared=shared))
                of_fit = {
                    "intercept_authors": entry[f"authors_{kind}_int_{repeat}"],
                    "intercept": found.details["intercept"],
                    "r2_authors": entry[f"authors_{kind}_r2_{repeat}"],
                    "r2": found.details["r2"],
                }
                for band, (theirs, ours) in enumerate(
                    zip(entry[f"authors_{kind}_{repeat}"], found.values[:, 0], strict=True)
                ):
                    named = {"clip": entry["clip"], "black_box": kind, "repeat": repeat, "band": band}
                    bounds = {"low_hz": edges[band], "high_hz": edges[band + 1]}
                    rows.append(named | bounds | {"authors": theirs, "ours": float(ours)} | of_fit)
    progress(len(numbers), len(numbers))
    return pd.DataFrame(rows)


def _repeats(entry: dict[str, Any], kind: str) -> list[int]:
    repeats: list[int] = []
    while f"authors_{kind}_{len(repeats)}" in entry:
        repeats.append(len(repeats))
    return repeats


def summarise_emolime(table: pd.DataFrame) -> pd.DataFrame:
    """Agreement of the weights by black box and clip.

    Parameters
    ----------
    table : DataFrame
        Of `compare_emolime`.

    Returns
    -------
    DataFrame
        ``black_box``, ``clip``, ``repeats``, ``r`` (correlation of the weights, means over repeats), ``slope`` (of ours
        on theirs), ``largest_difference`` and ``noise`` of weights (largest difference between two repeats of the
        authors; missing for one), ``intercept_difference``, ``r2_difference`` (largest).
    """
    rows = []
    for (kind, clip), part in table.groupby(["black_box", "clip"], sort=False):
        theirs = part.pivot(index="band", columns="repeat", values="authors")
        ours = part.pivot(index="band", columns="repeat", values="ours")
        a, b = theirs.mean(axis=1).to_numpy(), ours.mean(axis=1).to_numpy()
        noise = np.ptp(theirs.to_numpy(), axis=1).max() if theirs.shape[1] > 1 else np.nan
        rows.append(
            {
                "black_box": kind,
                "clip": clip,
                "repeats": theirs.shape[1],
                "r": float(np.corrcoef(a, b)[0, 1]),
                "slope": float(np.polyfit(a, b, 1)[0]),
                "largest_difference": float(np.abs(theirs - ours).to_numpy().max()),
                "noise": float(noise),
                "intercept_difference": float((part["intercept"] - part["intercept_authors"]).abs().max()),
                "r2_difference": float((part["r2"] - part["r2_authors"]).abs().max()),
            }
        )
    return pd.DataFrame(rows)
