"""Partitions of a clip's plane into parts that can be kept or removed one by one.

A partition is named by a short text:

| text | parts |
| --- | --- |
| ``mel:8``, ``hz:8``, ``bark:8``, ``octave:8`` | frequency bands, equal in mel rows, Hz, Bark or octaves |
| ``windows:0.2`` | stretches of time, as near to 0.2 s as divides the clip |
| ``words``, ``phones`` | the stretches of the clip's alignment (EMODB's words are syllables) and the pauses between |
| ``energy:8`` | 8 stretches of time, cut where the clip is quietest near equal spacing |
| ``mel:4 x windows:0.3`` | patches: any bands x any stretches |
| ``nmf:8`` | soft masks of a non-negative matrix factorisation of the magnitude spectrum |

The parts of every partition share out each STFT value completely, so that their signals add up to the clip.
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
ALIGNED = {"words": 6, "phones": 12}  # a second of lively speech; only for costs told before the clip is known
SEGMENT_KINDS = ("windows", "energy", *ALIGNED)
AT_ONCE = 4  # spectra held at the same time
NMF_ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class Partition:
    """Parts of one clip's plane.

    Attributes
    ----------
    names : tuple of str
        One a part; their order is that of mask columns.
    grid : Grid
        Where weights of the parts are shown: one cell a part, row by row, unless `soft` is given.
    soft : Tensor, float32, shape (parts, 257, n_frames), optional
        Share of each part in each STFT value, 0 to 1, adding up to 1.
    """

    names: tuple[str, ...]
    grid: Grid
    soft: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.names)

    def differences(self, plane: Plane, fill: torch.Tensor) -> torch.Tensor:
        """What replacing each part alone by the fill adds to the waveform.

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
        """Weights of the parts on the partition's grid; their sum is preserved.

        A soft part's weight is shared out as its energy is (as its mask is, where it is silent).

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
    """The partition of this name for one clip.

    Parameters
    ----------
    text : str
        See the module's table.
    clip : Clip
    plane : Plane
        Of the clip.

    Raises
    ------
    InputError
        If the text is none of the table's, or asks for bands narrower than an STFT bin.
    NotApplicable
        For ``words`` and ``phones`` where the clip has no such alignment.
    """
    kinds = parsed(text)
    if "nmf" in kinds:
        return _nmf(int(kinds["nmf"]), plane)
    freqs, times = np.array([0.0, MAX_HZ]), np.array([0.0, plane.duration_s])
    bands, stretches = [""], [""]
    for kind, value in kinds.items():
        if kind in BAND_KINDS:
            freqs = band_edges(kind, int(value))
            bands = [f"{low:.0f}-{high:.0f} Hz" for low, high in pairwise(freqs)]
        elif kind in ALIGNED:
            times, stretches = _alignment(clip, kind)
        else:
            times = _windows(value, plane.duration_s) if kind == "windows" else _quiet_cuts(int(value), plane)
            stretches = [f"{start:.2f}-{end:.2f} s" for start, end in pairwise(times)]
    names = tuple(", ".join(filter(None, (band, stretch))) for band in bands for stretch in stretches)
    return Partition(names, Grid(freqs, times))


def count_parts(text: str, n_samples: int, clip: Clip | None = None) -> int:
    """How many parts a partition will have.

    Parameters
    ----------
    text : str
    n_samples : int
    clip : Clip, optional
        Needed for ``words`` and ``phones``; without it their number is a guess from the length.

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
            count *= _components(int(value), n_samples)
        elif kind == "windows":
            count *= _windows(value, n_samples / SAMPLE_RATE).size - 1
        elif kind == "energy":
            count *= _stretches(int(value), n_samples)
        elif clip is not None:
            count *= len(_alignment(clip, kind)[1])
        else:
            count *= max(2, round(ALIGNED[kind] * n_samples / SAMPLE_RATE))
    return count


def parsed(text: str) -> dict[str, float]:
    """Kinds of a partition's text and their numbers, e.g. ``{"mel": 4, "windows": 0.3}``; 0 for alignments.

    Raises
    ------
    InputError
        If the text is none of the table's.
    """
    kinds: dict[str, float] = {}
    for term in text.split(" x "):
        kind, _, number = term.strip().partition(":")
        if kind in ALIGNED:
            if number:
                raise _bad(text)
            kinds[kind] = 0.0
            continue
        try:
            value = float(number)
        except ValueError:
            raise _bad(text) from None
        whole = kind != "windows"
        if kind not in (*BAND_KINDS, *SEGMENT_KINDS, "nmf") or not 0 < value < np.inf or (whole and value % 1):
            raise _bad(text)
        kinds[kind] = value
    groups = [sum(kind in group for kind in kinds) for group in (BAND_KINDS, SEGMENT_KINDS, ("nmf",))]
    if len(kinds) != len(text.split(" x ")) or max(groups) > 1 or (groups[2] and len(kinds) > 1):
        raise _bad(text)
    return kinds


def _bad(text: str) -> InputError:
    return InputError(
        f"partition {text!r} is not known; take bands (mel:8, hz:8, bark:8, octave:8), stretches of time "
        "(windows:0.2, energy:8, words, phones), bands x stretches (mel:4 x windows:0.3), or nmf:8."
    )


def band_edges(kind: str, bands: int) -> np.ndarray:
    """Edges in Hz of bands that are equally wide in mel rows, Hz, Bark (Traunmüller 1990) or octaves below 8 kHz.

    Mel bands are whole rows of 128, as near to equal as rows divide. The lowest octave band reaches down to 0 Hz.

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
    edges[-1] = MAX_HZ  # not a rounding error below it
    bins = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    held = np.histogram(bins, edges)[0]
    if np.any(np.diff(edges) <= 0) or np.any(held == 0):
        raise InputError(
            f"partition '{kind}:{bands}': some bands are narrower than an STFT bin of {bins[1]:.2f} Hz; take fewer."
        )
    return edges


def _windows(length_s: float, duration_s: float) -> np.ndarray:
    return np.linspace(0.0, duration_s, max(1, int(np.floor(duration_s / length_s + 0.5))) + 1)


def _stretches(wanted: int, n_samples: int) -> int:
    """At least two frames a stretch."""
    return max(1, min(wanted, n_samples // HOP // 2))


def _quiet_cuts(wanted: int, plane: Plane) -> np.ndarray:
    """Edges of stretches, each cut at the quietest frame within half a stretch of equal spacing."""
    n = _stretches(wanted, plane.samples.numel())
    level = plane.spectrum.abs().square().sum(dim=0).double().cpu().numpy()
    bounds = np.ceil((np.arange(n) + 0.5) * (level.size - 1) / n).astype(int)
    cuts = [low + int(np.argmin(level[low:high])) for low, high in pairwise(bounds)]
    return np.concatenate([[0.0], plane.times_s[cuts], [plane.duration_s]])


def _alignment(clip: Clip, kind: str) -> tuple[np.ndarray, list[str]]:
    """Edges and labels of the clip's words and of the pauses between them; no stretch is shorter than a frame step."""
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


def _components(wanted: int, n_samples: int) -> int:
    return min(wanted, 1 + n_samples // HOP)


def _nmf(wanted: int, plane: Plane) -> Partition:
    """Soft masks ``W_k H_k / sum_j W_j H_j``, components ordered by their centre of gravity."""
    import warnings

    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    magnitude = plane.spectrum.abs().double().cpu().numpy()
    n = _components(wanted, plane.samples.numel())
    if magnitude.max() <= 0:  # nothing to factorise
        soft, centres = np.full((n, *magnitude.shape), 1 / n), np.zeros(n)
    else:
        # relative to its maximum: the stopping rule is then the same at every level
        model = NMF(n, init="nndsvda", random_state=0, max_iter=NMF_ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # any factorisation is a partition
            spectra = model.fit_transform(magnitude / magnitude.max())
        centres = plane.freqs_hz @ spectra / np.maximum(spectra.sum(axis=0), 1e-12)
        order = np.argsort(centres, kind="stable")
        centres, parts = centres[order], (spectra.T[:, :, None] * model.components_[:, None, :])[order]
        parts += 1e-9  # where nothing is modelled, components share alike
        soft = parts / parts.sum(axis=0)
    names = tuple(f"component {k + 1} (centre {centre:.0f} Hz)" for k, centre in enumerate(centres))
    share = torch.as_tensor(soft, dtype=torch.float32, device=plane.spectrum.device)
    return Partition(names, scoring_grid(plane.duration_s), share)
