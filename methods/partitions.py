"""Partitions of a clip's time-frequency plane into interpretable parts that masks keep or remove.

A partition is specified by a short text:

| text | parts |
| --- | --- |
| ``mel:8``, ``hz:8``, ``bark:8``, ``octave:8`` | frequency bands, equal in mel rows, Hz, Bark or octaves |
| ``windows:0.2`` | equal time segments, as close to 0.2 s as divides the clip |
| ``words``, ``phones`` | segments of the clip's alignment (EMODB's words are syllables) and the pauses between them |
| ``energy:8`` | 8 time segments, cut at the energy minima nearest to equal spacing |
| ``mel:4 x windows:0.3`` | patches: any bands x any segments |
| ``nmf:8`` | soft masks of a non-negative matrix factorisation of the magnitude spectrum |

The shares of all parts in each STFT value sum to 1, so that the parts' signals sum to the clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from ..audio import SAMPLE_RATE, Grid, Plane, band_edges_hz, scoring_grid
from ..audio.grid import MEL_ROWS
from ..audio.plane import HOP, N_FFT
from ..datasets.clip import Clip, Word
from ..errors import InputError, NotApplicable

MAX_HZ = SAMPLE_RATE / 2
BAND_KINDS = ("mel", "hz", "bark", "octave")
ALIGNED = {"words": 6, "phones": 12}  # segments per second, to estimate costs before the alignment is known
SEGMENT_KINDS = ("windows", "energy", *ALIGNED)
AT_ONCE = 4  # spectra held at the same time
NMF_ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class Partition:
    """Partition of one clip's plane.

    Attributes
    ----------
    names : tuple of str
        One per part, in the order of mask columns.
    grid : Grid
        Grid of the attribution: one cell per part, row by row, unless `soft` is given.
    soft : Tensor, float32, shape (parts, 257, n_frames), optional
        Share of each part in each STFT value, 0..1, summing to 1 over parts.
    """

    names: tuple[str, ...]
    grid: Grid
    soft: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.names)

    def differences(self, plane: Plane, fill: torch.Tensor) -> torch.Tensor:
        """Difference signals in the waveform for replacing each part alone by the fill.

        Parameters
        ----------
        plane : Plane
        fill : Tensor, complex64, shape (257, n_frames)

        Returns
        -------
        Tensor, float32, shape (parts, n_samples)
            ``samples + (1 - masks) @ differences`` are the masked waveforms.
        """
        change = fill - plane.spectrum
        if self.soft is not None:
            return torch.cat([plane.istft(share * change) for share in self.soft.split(AT_ONCE)])
        rows, columns = plane.cells(self.grid)
        cell = rows[:, None] * self.grid.shape[1] + columns
        parts = torch.arange(len(self), device=cell.device)[:, None, None]
        return torch.cat([plane.istft((cell == chunk) * change) for chunk in parts.split(AT_ONCE)])

    def spread(self, weights: np.ndarray, plane: Plane) -> np.ndarray:
        """Spread the weights of the parts over the partition's grid, preserving their sum.

        The weight of a soft part is distributed in proportion to its energy (to its mask, if it is silent).

        Parameters
        ----------
        weights : array, shape (parts,)
        plane : Plane

        Returns
        -------
        array, float64, shape ``grid.shape``
        """
        weights = np.asarray(weights, dtype=np.float64)
        if self.soft is None:
            return weights.reshape(self.grid.shape)
        power = plane.spectrum.abs().square()
        values = np.zeros(self.grid.shape)
        for weight, share in zip(weights, self.soft, strict=True):
            energy = plane.sum_cells(share * power, self.grid)
            if energy.sum() <= 0:
                energy = plane.sum_cells(share, self.grid)
            values += weight * energy / energy.sum()
        return values


def make_partition(text: str, clip: Clip, plane: Plane) -> Partition:
    """Build the partition of one clip from its specification.

    Parameters
    ----------
    text : str
        Specification, see the module's table.
    clip : Clip
    plane : Plane
        STFT of the clip.

    Raises
    ------
    InputError
        If the specification is invalid, or asks for bands narrower than an STFT bin.
    NotApplicable
        For ``words`` and ``phones`` if the clip has no such alignment.
    """
    kinds = parsed(text)
    if "nmf" in kinds:
        return _nmf(int(kinds["nmf"]), plane)
    freqs, times = np.array([0.0, MAX_HZ]), np.array([0.0, plane.duration_s])
    bands, segments = [""], [""]
    for kind, value in kinds.items():
        if kind in BAND_KINDS:
            freqs = band_edges(kind, int(value))
            bands = [f"{low:.0f}-{high:.0f} Hz" for low, high in pairwise(freqs)]
        elif kind in ALIGNED:
            times, segments = _alignment(clip, kind)
        else:
            times = _windows(value, plane.duration_s) if kind == "windows" else _quiet_cuts(int(value), plane)
            segments = [f"{start:.2f}-{end:.2f} s" for start, end in pairwise(times)]
    names = tuple(", ".join(filter(None, (band, segment))) for band in bands for segment in segments)
    return Partition(names, Grid(freqs, times))


def count_parts(text: str, n_samples: int, clip: Clip | None = None) -> int:
    """Number of parts that a partition will have.

    Parameters
    ----------
    text : str
    n_samples : int
    clip : Clip, optional
        Needed for ``words`` and ``phones``; without it their number is estimated from the length.

    Raises
    ------
    InputError, NotApplicable
        As `make_partition`.
    """
    count = 1
    for kind, value in parsed(text).items():
        if kind in BAND_KINDS:
            count *= band_edges(kind, int(value)).size - 1
        elif kind == "nmf":
            count *= _component_count(int(value), n_samples)
        elif kind == "windows":
            count *= _windows(value, n_samples / SAMPLE_RATE).size - 1
        elif kind == "energy":
            count *= _segment_count(int(value), n_samples)
        elif clip is not None:
            count *= len(_alignment(clip, kind)[1])
        else:
            count *= max(2, round(ALIGNED[kind] * n_samples / SAMPLE_RATE))
    return count


def parsed(text: str) -> dict[str, float]:
    """Parse a specification, e.g. to ``{"mel": 4, "windows": 0.3}``; alignments have the value 0.

    Raises
    ------
    InputError
        If the specification is invalid.
    """
    kinds: dict[str, float] = {}
    for term in text.split(" x "):
        kind, _, number = term.strip().partition(":")
        if kind in ALIGNED:
            if number:
                raise _invalid(text)
            kinds[kind] = 0.0
            continue
        try:
            value = float(number)
        except ValueError:
            raise _invalid(text) from None
        whole = kind != "windows"
        if kind not in (*BAND_KINDS, *SEGMENT_KINDS, "nmf") or not 0 < value < np.inf or (whole and value % 1):
            raise _invalid(text)
        kinds[kind] = value
    groups = [sum(kind in group for kind in kinds) for group in (BAND_KINDS, SEGMENT_KINDS, ("nmf",))]
    if len(kinds) != len(text.split(" x ")) or max(groups) > 1 or (groups[2] and len(kinds) > 1):
        raise _invalid(text)
    return kinds


def _invalid(text: str) -> InputError:
    return InputError(
        f"partition {text!r} is not known; take bands (mel:8, hz:8, bark:8, octave:8), time segments "
        "(windows:0.2, energy:8, words, phones), bands x segments (mel:4 x windows:0.3), or nmf:8."
    )


def band_edges(kind: str, bands: int) -> np.ndarray:
    """Edges in Hz of bands of equal width in mel rows, Hz, Bark (Traunmüller 1990) or octaves below 8 kHz.

    Mel bands consist of whole rows of 128, as equal as possible. The lowest octave band starts at 0 Hz.

    Raises
    ------
    InputError
        If a band would hold no STFT bin.

    Examples
    --------
    >>> band_edges("mel", 8).round().astype(int).tolist()
    [0, 386, 760, 1148, 1689, 2484, 3654, 5374, 8000]
    """
    steps = np.linspace(0, 1, bands + 1)
    edges: np.ndarray
    if kind == "mel":
        edges = band_edges_hz(MEL_ROWS)[np.round(steps * MEL_ROWS).astype(int)]
    elif kind == "hz":
        edges = steps * MAX_HZ
    elif kind == "bark":  # z = 26.81 f / (1960 + f) - 0.53, so equal steps of u = f / (1960 + f)
        u = steps * MAX_HZ / (1960 + MAX_HZ)
        edges = 1960 * u / (1 - u)
    else:
        edges = MAX_HZ / 2.0 ** np.arange(bands, -1, -1)
        edges[0] = 0.0
    edges[-1] = MAX_HZ  # exactly, without rounding error
    bins = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    held = np.histogram(bins, edges)[0]
    if np.any(np.diff(edges) <= 0) or np.any(held == 0):
        raise InputError(
            f"partition '{kind}:{bands}': some bands are narrower than an STFT bin of {bins[1]:.2f} Hz; take fewer."
        )
    return edges


def _windows(length_s: float, duration_s: float) -> np.ndarray:
    return np.linspace(0.0, duration_s, max(1, int(np.floor(duration_s / length_s + 0.5))) + 1)


def _segment_count(n_max: int, n_samples: int) -> int:
    """Number of segments, limited so that each has at least two frames."""
    return max(1, min(n_max, n_samples // HOP // 2))


def _quiet_cuts(n_max: int, plane: Plane) -> np.ndarray:
    """Segment edges, each at the quietest frame within half a segment of equal spacing."""
    n = _segment_count(n_max, plane.samples.numel())
    level = plane.spectrum.abs().square().sum(dim=0).double().cpu().numpy()
    bounds = np.ceil((np.arange(n) + 0.5) * (level.size - 1) / n).astype(int)
    cuts = [low + int(np.argmin(level[low:high])) for low, high in pairwise(bounds)]
    return np.concatenate([[0.0], plane.times_s[cuts], [plane.duration_s]])


def _alignment(clip: Clip, kind: str) -> tuple[np.ndarray, list[str]]:
    """Edges and labels of the clip's words and of the pauses between them; segments are at least one hop long."""
    aligned: tuple[Word, ...] = getattr(clip, kind)
    if not aligned:
        has = "the corpora 'planted' and 'emodb' have" if kind == "words" else "the corpus 'emodb' has"
        raise NotApplicable(f"the clip has no alignment into {kind} ({has} one)")
    ends = np.array([[word.start_s, word.end_s] for word in aligned])
    edges = [0.0]
    for edge in np.unique(ends[(ends > 0) & (ends < clip.duration_s)]):
        if min(edge - edges[-1], clip.duration_s - edge) >= HOP / SAMPLE_RATE:
            edges.append(float(edge))
    edges.append(clip.duration_s)
    middles = (np.array(edges[:-1]) + np.array(edges[1:])) / 2
    inside = (ends[:, 0] <= middles[:, None]) & (middles[:, None] < ends[:, 1])
    labels = [aligned[int(row.argmax())].label if row.any() else "(pause)" for row in inside]
    return np.array(edges), labels


def _component_count(n_max: int, n_samples: int) -> int:
    return min(n_max, 1 + n_samples // HOP)


def _nmf(n_max: int, plane: Plane) -> Partition:
    """NMF partition with soft masks ``W_k H_k / sum_j W_j H_j``, components ordered by spectral centroid."""
    import warnings

    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    magnitude = plane.spectrum.abs().double().cpu().numpy()
    n = _component_count(n_max, plane.samples.numel())
    if magnitude.max() <= 0:  # nothing to factorise
        soft, centres = np.full((n, *magnitude.shape), 1 / n), np.zeros(n)
    else:
        # scaled by its maximum, so that the stopping criterion does not depend on the level
        model = NMF(n, init="nndsvda", random_state=0, max_iter=NMF_ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # any factorisation gives a valid partition
            spectra = model.fit_transform(magnitude / magnitude.max())
        centres = plane.freqs_hz @ spectra / np.maximum(spectra.sum(axis=0), 1e-12)
        order = np.argsort(centres, kind="stable")
        centres, parts = centres[order], (spectra.T[:, :, None] * model.components_[:, None, :])[order]
        parts += 1e-9  # equal shares where all components are 0
        soft = parts / parts.sum(axis=0)
    names = tuple(f"component {k + 1} (centre {centre:.0f} Hz)" for k, centre in enumerate(centres))
    share = torch.as_tensor(soft, dtype=torch.float32, device=plane.spectrum.device)
    return Partition(names, scoring_grid(plane.duration_s), share)
