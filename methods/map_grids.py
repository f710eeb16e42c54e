"""Grids of maps that were made elsewhere, named by the transform that the map's bins come from.

Conventions
-----------
A map has the shape (frequency, time), lowest frequency and earliest frame first. Its grid is described by a word and
numbers, such as ``stft n_fft=512 hop=128`` (`KINDS`). Bin k of an STFT reaches half a bin to either side of its centre,
filter k of a mel bank to where it crosses its neighbours, frame t half a hop to either side of its centre. Without
``hop`` the columns divide the whole clip evenly, as those of a picture do that was scaled to a fixed size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..audio import SAMPLE_RATE, Grid, scoring_grid
from ..errors import ClipError, InputError

EDGES = "edges"  # the file holds the edges itself
STEP_S = 0.005  # samples of a waveform's map are summed over such steps
MAX_RATE, MAX_BINS, MAX_FRAMES, MAX_SAMPLES = 192_000, 8192, 32_768, 16 * 2**20
SLACK_FRAMES, SLACK_S = 2, 0.05  # by how much a map may be shorter or longer than its clip, beside one window
_RATE = {"sr": SAMPLE_RATE}
# what each kind may be told, with defaults; None: left out
KINDS: Mapping[str, Mapping[str, int | None]] = {
    EDGES: {},
    "scoring": {},
    "bands": {},
    "stft": {"n_fft": None, "hop": 0, "center": 1, **_RATE},
    "mel": {"n_mels": None, "hop": 0, "n_fft": 0, "center": 1, "fmin": 0, "fmax": 0, "htk": 0, **_RATE},
    "waveform": {**_RATE},
}
EXAMPLES = "edges, scoring, bands, 'stft n_fft=512 hop=128', 'mel n_mels=64 hop=160 n_fft=400', 'waveform sr=16000'"
_WORDS = {"yes": "1", "no": "0", "true": "1", "false": "0"}


@dataclass(frozen=True)
class GridSpec:
    """Grid of a map, as its manifest describes it.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    numbers : dict of str to int
        ``sr`` and ``fmin``, ``fmax`` in Hz, ``n_fft`` and ``hop`` in samples at that rate; ``center``: whether frame t
        is centred at sample t * hop (librosa's and torch's default), or begins there; ``htk``: HTK's mel scale.
    """

    kind: str
    numbers: Mapping[str, int]

    @property
    def text(self) -> str:
        """Canonical description: every number, defaults included."""
        return " ".join([self.kind, *(f"{name}={value}" for name, value in self.numbers.items())])

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuse a map whose shape the grid cannot have, whatever the clip.

        Raises
        ------
        InputError
        """
        wanted = {"scoring": 16, "stft": self._bins, "mel": self.numbers.get("n_mels")}.get(self.kind)
        if self.kind == "waveform":
            if len(shape) > 2 or (len(shape) == 2 and shape[0] != 1) or not 0 < np.prod(shape) <= MAX_SAMPLES:
                raise InputError(f"a map of grid 'waveform' has one value per sample, got shape {shape}")
            return
        if len(shape) != 2 or min(shape) < 1 or shape[0] > MAX_BINS or shape[1] > MAX_FRAMES:
            raise InputError(f"a map has the shape (frequency, time), at most {MAX_BINS} x {MAX_FRAMES}, got {shape}")
        if wanted is not None and shape[0] != wanted:
            swapped = "; it looks transposed: frequency comes first" if wanted == shape[1] else ""
            raise InputError(f"grid {self.text!r} has {wanted} rows of frequency, the map has shape {shape}{swapped}")
        if self.kind == "bands" and 128 % shape[0]:
            raise InputError(f"grid 'bands' has 1, 2, 4, ... 128 mel bands, the map has shape {shape}")

    @property
    def _bins(self) -> int | None:
        return self.numbers["n_fft"] // 2 + 1 if self.kind == "stft" else None

    def on_clip(self, values: np.ndarray, duration_s: float) -> tuple[np.ndarray, Grid]:
        """The map and its grid on a clip; samples of a waveform are summed over 5 ms.

        Parameters
        ----------
        values : array
            Of a shape that `check_shape` accepts.
        duration_s : float
            Length of the clip under its condition.

        Raises
        ------
        ClipError
            If the map is not as long as the clip.
        InputError
            As `check_shape`, and for ``edges``.
        """
        self.check_shape(values.shape)
        makers: dict[str, Callable[[np.ndarray, float], tuple[np.ndarray, Grid]]] = {
            "scoring": _scoring, "bands": _bands, "waveform": self._waveform,
        }  # fmt: skip
        if self.kind in makers:
            return makers[self.kind](values, duration_s)
        if self.kind == EDGES:
            raise InputError("grid 'edges' needs the arrays freq_edges_hz and time_edges_s beside the values")
        return values, Grid(self._freq_edges(values.shape[0]), self._time_edges(values.shape[1], duration_s))

    def _waveform(self, values: np.ndarray, duration_s: float) -> tuple[np.ndarray, Grid]:
        flat = np.asarray(values, dtype=np.float64).ravel()
        rate = self.numbers["sr"]
        _check_length(flat.size / rate, duration_s, 0.0)
        starts = np.unique(np.round(np.arange(0, flat.size, STEP_S * rate)).astype(int))
        edges = np.append(starts, flat.size) / rate
        return np.add.reduceat(flat, starts)[None], Grid(np.array([0.0, SAMPLE_RATE / 2]), edges)

    def _freq_edges(self, rows: int) -> np.ndarray:
        half = self.numbers["sr"] / 2
        if self.kind == "stft":
            inner = (np.arange(rows - 1) + 0.5) * self.numbers["sr"] / self.numbers["n_fft"]
            return np.concatenate([[0.0], inner, [half]])
        import librosa

        top = self.numbers["fmax"] or half
        points = librosa.mel_frequencies(
            n_mels=rows + 2, fmin=self.numbers["fmin"], fmax=top, htk=bool(self.numbers["htk"])
        )
        peaks = points[1:-1]
        return np.concatenate([points[:1], (peaks[:-1] + peaks[1:]) / 2, points[-1:]])

    def _time_edges(self, frames: int, duration_s: float) -> np.ndarray:
        hop, rate = self.numbers["hop"], self.numbers["sr"]
        if not hop:
            return np.linspace(0.0, duration_s, frames + 1)
        first = 0.0 if self.numbers["center"] else self.numbers["n_fft"] / 2
        edges: np.ndarray = (first + (np.arange(frames + 1) - 0.5) * hop) / rate
        _check_length(frames * hop / rate, duration_s, (self.numbers["n_fft"] + SLACK_FRAMES * hop) / rate)
        return edges


def _scoring(values: np.ndarray, duration_s: float) -> tuple[np.ndarray, Grid]:
    grid = scoring_grid(duration_s)
    if values.shape != grid.shape:
        raise ClipError(f"the map has shape {values.shape}, the scoring grid of this clip {grid.shape}")
    return values, grid


def _bands(values: np.ndarray, duration_s: float) -> tuple[np.ndarray, Grid]:
    bands, columns = values.shape
    return values, scoring_grid(duration_s, bands=bands, cell_s=duration_s / columns)


def check_cover(grid: Grid, duration_s: float) -> None:
    """Refuse a grid of given edges that does not lie over the clip.

    Raises
    ------
    ClipError
        If it covers less than half of the clip, or most of it lies outside.
    """
    start, end = grid.time_edges_s[0], grid.time_edges_s[-1]
    inside = min(end, duration_s) - max(start, 0.0)
    if inside < duration_s / 2 or inside < (end - start) / 2:
        raise ClipError(f"the map reaches from {start:.2f} to {end:.2f} s, the clip lasts {duration_s:.2f} s")


def _check_length(map_s: float, duration_s: float, slack_s: float) -> None:
    if abs(map_s - duration_s) > slack_s + SLACK_S:
        raise ClipError(
            f"the map lasts {map_s:.2f} s and the clip {duration_s:.2f} s: it was made of other samples, or its grid "
            "is not the one described; leave out hop= if its columns divide the whole clip evenly"
        )


def parse_grid(text: str) -> GridSpec:
    """Read the description of a grid.

    Parameters
    ----------
    text : str
        A kind and its numbers, such as ``stft n_fft=512 hop=128``; see `KINDS`.

    Raises
    ------
    InputError
        For an unknown kind or number, and numbers out of range.

    Examples
    --------
    >>> parse_grid("stft n_fft=512 hop=128").text
    'stft n_fft=512 hop=128 center=1 sr=16000'
    """
    kind, *words = text.split() or [""]
    if kind not in KINDS:
        raise InputError(f"grid {text[:60]!r}: unknown kind {kind[:20]!r}; allowed: {EXAMPLES}.")
    allowed = KINDS[kind]
    numbers: dict[str, int] = {name: value for name, value in allowed.items() if value is not None}
    for word in words:
        name, _, value = word.partition("=")
        value = _WORDS.get(value, value)
        if name not in allowed or not (value.isascii() and value.isdecimal() and len(value) < 8):
            known = ", ".join(f"{name}=" for name in allowed) or "nothing more"
            raise InputError(f"grid {text[:60]!r}: cannot read {word[:30]!r}; {kind} takes {known} and whole numbers.")
        numbers[name] = int(value)
    missing = [name for name in allowed if name not in numbers]
    if missing:
        raise InputError(f"grid {text[:60]!r}: {kind} needs {', '.join(f'{name}=' for name in missing)}.")
    spec = GridSpec(kind, {name: numbers[name] for name in allowed})
    _check_numbers(text, spec.numbers)
    return spec


def _check_numbers(text: str, numbers: Mapping[str, int]) -> None:
    bounds = {"sr": (1000, MAX_RATE), "n_fft": (0, MAX_RATE), "hop": (0, MAX_RATE), "n_mels": (1, MAX_BINS)}
    for name, (low, high) in bounds.items():
        if name in numbers and not low <= numbers[name] <= high:
            raise InputError(f"grid {text[:60]!r}: {name} must lie in {low} .. {high}, got {numbers[name]}.")
    if "n_fft" in numbers and "n_mels" not in numbers and not 2 <= numbers["n_fft"] <= 2 * MAX_BINS:
        raise InputError(f"grid {text[:60]!r}: n_fft must lie in 2 .. {2 * MAX_BINS}, got {numbers['n_fft']}.")
    if not numbers.get("center", 1) and not numbers["n_fft"]:
        raise InputError(f"grid {text[:60]!r}: center=no needs n_fft=, the length of a frame's window.")
    if "fmax" in numbers and not numbers["fmin"] < (numbers["fmax"] or numbers["sr"] / 2) <= numbers["sr"] / 2:
        raise InputError(f"grid {text[:60]!r}: must have fmin < fmax <= sr / 2.")
