"""Distance of a sound to the training corpus of a recogniser: level, length, bandwidth, log-mel statistics.

Conventions
-----------
``level``: root mean square over the clip, dB of full scale. ``length``: seconds. ``bandwidth``: frequency in Hz below
which 99 % of the power lies. ``spectrum``: Mahalanobis distance (Ledoit-Wolf covariance) of the mean and standard
deviation over time of the log-mel levels in 16 bands, their common level taken out, to the mean of the corpus.

Each quantity is scored by its *deviation*: (value - median) / (95 % quantile - median), and below the median
(median - value) / (median - 5 % quantile), of length in logarithms. The limit of a deviation is chosen on speakers that
are held out: their clips, measured against the statistics of the rest, exceed each limit in a quarter of `FLAGGED`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..audio import SAMPLE_RATE
from ..errors import InputError
from ..schema_faults import field_faults
from .front_end import LogMel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

STATISTICS = "statistics.json"
BANDS = 16
FLAGGED = 0.01  # of held-out training clips, over all quantities
POWER_SHARE = 0.99
QUANTITIES = ("level", "length", "bandwidth", "spectrum")
UNITS = {"level": "dB of full scale", "length": "s", "bandwidth": "Hz", "spectrum": ""}
NAMES = {
    "level": "level",
    "length": "length",
    "bandwidth": "bandwidth (99 % of the power)",
    "spectrum": "distance of log-mel statistics",
}
QUANTILES = (0.0, 0.01, 0.05, 0.5, 0.95, 0.99, 1.0)
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Deviation:
    """Quantity of a sound that lies outside the range of the training corpus.

    Attributes
    ----------
    quantity : str
        One of `QUANTITIES`.
    value, low, high : float
        Of the sound, and the limits; `low` is 0 for ``spectrum``.
    median : float
        Of the training clips.
    """

    quantity: str
    value: float
    low: float
    high: float
    median: float

    @property
    def text(self) -> str:
        """The finding in words, with its numbers."""
        unit = f" {UNITS[self.quantity]}" if UNITS[self.quantity] else ""
        digits = 0 if self.quantity == "bandwidth" else 1
        allowed = f"{self.low:.{digits}f} to {self.high:.{digits}f}" if self.low else f"up to {self.high:.{digits}f}"
        return f"{NAMES[self.quantity]} {self.value:.{digits}f}{unit} (training: {allowed})"


class QuantityRange(BaseModel):
    """Distribution of a quantity over the training clips.

    Attributes
    ----------
    quantiles : list of float
        At `QUANTILES`; of ``spectrum``, over held-out clips.
    limit : float
        Largest deviation that is not flagged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantiles: Annotated[list[Finite], Field(min_length=len(QUANTILES), max_length=len(QUANTILES))]
    limit: Annotated[Finite, Field(gt=0)]

    @property
    def median(self) -> float:
        """Median."""
        return self.quantiles[3]

    def bounds(self, quantity: str) -> tuple[float, float]:
        """Least and largest value that is not flagged."""
        low, mid, high = _scale(quantity, self.quantiles[2:5])
        least, most = mid - self.limit * (mid - low), mid + self.limit * (high - mid)
        if quantity == "length":
            return float(np.exp(least)), float(np.exp(most))
        return (0.0 if quantity == "spectrum" else float(least)), float(most)


class TrainingStatistics(BaseModel):
    """Statistics of a training corpus, as they lie beside the weights; numbers only.

    Attributes
    ----------
    corpus : str
    clips, speakers : int
    quantities : dict of str to QuantityRange
    mean, precision : list
        Of the log-mel statistics: centre and inverse covariance.
    flagged : float
        Share of held-out training clips outside any limit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpus: Annotated[str, Field(max_length=4096)]
    clips: Annotated[int, Field(gt=1)]
    speakers: Annotated[int, Field(gt=1)]
    quantities: dict[str, QuantityRange]
    mean: Annotated[list[Finite], Field(min_length=2 * BANDS, max_length=2 * BANDS)]
    precision: Annotated[list[list[Finite]], Field(min_length=2 * BANDS, max_length=2 * BANDS)]
    flagged: Annotated[float, Field(ge=0, le=1)]

    def values(self, samples: np.ndarray) -> dict[str, float]:
        """Each quantity of a sound, by name; see the module.

        Parameters
        ----------
        samples : array, float32, shape (n_samples,)
            At 16 kHz.
        """
        plain, spectrum = measure(samples)
        return plain | {"spectrum": float(_distances(spectrum[None], self.mean, self.precision)[0])}

    def deviations(self, samples: np.ndarray) -> tuple[Deviation, ...]:
        """Quantities in which a sound lies outside the range of the training clips."""
        found = []
        for quantity, value in self.values(samples).items():
            known = self.quantities[quantity]
            low, high = known.bounds(quantity)
            if not low <= value <= high:
                found.append(Deviation(quantity, value, low, high, known.median))
        return tuple(found)


def measure(samples: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """Level, length and bandwidth of a sound, and its log-mel statistics, shape (2 * BANDS,)."""
    x = np.asarray(samples, dtype=np.float64)
    power = float(np.mean(x**2))
    spectrum = np.cumsum(np.abs(np.fft.rfft(x)) ** 2)
    share = np.searchsorted(spectrum, POWER_SHARE * spectrum[-1])
    plain = {
        "level": 10 * np.log10(max(power, 1e-12)),
        "length": x.size / SAMPLE_RATE,
        "bandwidth": float(share) * SAMPLE_RATE / x.size,
    }
    front_end = LogMel()
    with torch.no_grad():
        levels = front_end(torch.from_numpy(np.asarray(samples, dtype=np.float32))[None])[0, 0].double().numpy()
    levels = levels * front_end.params["scale_db"]
    bands = np.stack([rows.mean(axis=0) for rows in np.array_split(levels, BANDS)])
    bands = bands - bands.mean()
    known = {name: float(value) for name, value in plain.items()}
    return known, np.concatenate([bands.mean(axis=1), bands.std(axis=1)])


def training_statistics(
    corpus: str, sounds: Iterable[np.ndarray], speakers: Sequence[str], folds: Mapping[str, Sequence[str]]
) -> TrainingStatistics:
    """Measure a training corpus, and choose the limits on held-out speakers.

    Parameters
    ----------
    corpus : str
        Name.
    sounds : iterable of array
        Samples of each training clip at 16 kHz.
    speakers : sequence of str
        Of each clip.
    folds : mapping of str to sequence of str
        Held-out speakers of each fold.
    """
    measured = [measure(samples) for samples in sounds]
    names = np.array(speakers)
    spectra = np.stack([spectrum for _, spectrum in measured])
    plain = {q: np.array([values[q] for values, _ in measured]) for q in QUANTITIES[:3]}
    held_out = {q: np.full(len(names), np.nan) for q in QUANTITIES}
    for speakers_out in folds.values():
        mine = np.isin(names, list(speakers_out))
        held_out["spectrum"][mine] = _distances(spectra[mine], *_centre(spectra[~mine]))
        for q, values in plain.items():
            held_out[q][mine] = _deviation(q, values[mine], np.quantile(values[~mine], QUANTILES[2:5]))
    distances = held_out["spectrum"]
    held_out["spectrum"] = _deviation("spectrum", distances, np.quantile(distances, QUANTILES[2:5]))
    limits = {q: float(np.quantile(held_out[q], 1 - FLAGGED / len(QUANTITIES))) for q in QUANTITIES}
    outside = np.any([held_out[q] > limits[q] for q in QUANTITIES], axis=0)
    mean, precision = _centre(spectra)
    return TrainingStatistics(
        corpus=corpus,
        clips=len(names),
        speakers=len(set(speakers)),
        quantities={
            q: QuantityRange(quantiles=np.quantile(values, QUANTILES).round(6).tolist(), limit=round(limits[q], 6))
            for q, values in (plain | {"spectrum": distances}).items()
        },
        mean=mean.round(6).tolist(),
        precision=precision.round(9).tolist(),
        flagged=float(outside.mean()),
    )


def save_statistics(statistics: TrainingStatistics, folder: Path) -> None:
    """Write the statistics beside a folder's weights."""
    (folder / STATISTICS).write_text(json.dumps(statistics.model_dump(mode="json")) + "\n", encoding="utf-8")


def load_statistics(folder: Path) -> TrainingStatistics | None:
    """Read the statistics beside a folder's weights; None where there are none.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    path = folder / STATISTICS
    if not path.is_file():
        return None
    try:
        return TrainingStatistics.model_validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: damaged ({field_faults(error)}). Fetch or train the model again.") from None


def _scale(quantity: str, values: ArrayLike) -> np.ndarray:
    return np.log(values) if quantity == "length" else np.asarray(values, dtype=np.float64)


def _deviation(quantity: str, values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Deviation of values from the 5 %, 50 % and 95 % quantile of others; of ``spectrum`` upwards only."""
    x = _scale(quantity, values)
    low, mid, high = _scale(quantity, quantiles)
    above, below = (x - mid) / (high - mid), (mid - x) / (mid - low)
    return above if quantity == "spectrum" else np.maximum(above, below)


def _centre(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.covariance import LedoitWolf  # slow to import

    fitted = LedoitWolf().fit(spectra)
    return fitted.location_, fitted.precision_


def _distances(spectra: np.ndarray, mean: ArrayLike, precision: ArrayLike) -> np.ndarray:
    away = spectra - np.asarray(mean)
    return np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", away, np.asarray(precision), away), 0.0))
