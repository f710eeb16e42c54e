"""Salient time windows of an explanation, and cue contrasts between them and the rest of the clip.

Windows are consecutive and 150 ms long, the first one starting at 0 s; a remainder at the end that is shorter than a
window belongs to none. At most five windows are salient, and at most half of a clip's windows, so that there is always
a rest to compare with.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError, NotApplicable
from .regions import cue_values, frame_sums
from .tracks import CueTracks

WINDOW_S = 0.15  # 10 frames of 15 ms in Beyond Saliency
TOP = 5
THRESHOLDS = ("mean", "quantile", "mass", "none")


def window_edges(duration_s: float, window_s: float = WINDOW_S) -> np.ndarray:
    """Window edges of a clip in seconds, shape (n_windows + 1,).

    Raises
    ------
    NotApplicable
        If the clip is shorter than two windows.
    """
    n = int(np.floor(duration_s / window_s + 1e-9))
    if n < 2:
        raise NotApplicable(
            f"the clip lasts {duration_s:.2f} s; salient windows need at least two windows of {window_s:g} s"
        )
    return np.arange(n + 1) * window_s


def thresholded(values: np.ndarray, threshold: str = "mean", share: float = 0.2) -> np.ndarray:
    """Threshold a map: set cells below the threshold, and all cells without positive relevance, to 0.

    Parameters
    ----------
    values : array
        Signed relevance of cells.
    threshold : {'mean', 'quantile', 'mass', 'none'}
        Keep cells that are at least the map's mean (as Beyond Saliency); the top `share` of all cells; the fewest cells
        that together have that `share` of the positive relevance; or every positive cell.
    share : float
        In (0, 1], for ``quantile`` and ``mass``.

    Returns
    -------
    array, float64, of the same shape
        Cells of equal relevance are kept or set to 0 together.

    Raises
    ------
    InputError
        For an unknown threshold, or a share outside (0, 1].
    """
    if threshold not in THRESHOLDS:
        raise InputError(f"salience threshold {threshold!r} is not known; take one of {', '.join(THRESHOLDS)}.")
    if not 0 < share <= 1:
        raise InputError(f"salience threshold {threshold!r}: the share must lie in 0..1, got {share}; take e.g. 0.2.")
    values = np.asarray(values, dtype=np.float64)
    kept = np.where(values > 0, values, 0.0)
    least = 0.0
    if threshold == "mean":
        least = values.mean()
    elif threshold == "quantile":
        least = np.quantile(values, 1 - share)
    elif threshold == "mass" and kept.any():
        descending = np.sort(kept, axis=None)[::-1]
        cumulative = np.cumsum(descending)
        least = descending[np.searchsorted(cumulative, share * cumulative[-1] * (1 - 1e-12))]
    kept[values < least] = 0.0
    return kept


def window_relevance(values: np.ndarray, time_edges_s: np.ndarray, edges_s: np.ndarray) -> np.ndarray:
    """Positive relevance of each window, shape (n_windows,); cells are divided among windows by overlap in time.

    Parameters
    ----------
    values : array, shape (n_freq, n_time)
        Signed relevance of cells.
    time_edges_s : array, shape (n_time + 1,)
        Edges of the cells; relevance outside the windows is dropped.
    edges_s : array, shape (n_windows + 1,)
        From `window_edges`.
    """
    values = np.asarray(values, dtype=np.float64)
    kept = np.where(values > 0, values, 0.0)
    low = np.maximum(time_edges_s[:-1, None], edges_s[None, :-1])
    high = np.minimum(time_edges_s[1:, None], edges_s[None, 1:])
    share = np.clip(high - low, 0, None) / np.diff(time_edges_s)[:, None]
    return kept.sum(axis=0) @ share


def salient_windows(scores: np.ndarray, generator: np.random.Generator, top: int = TOP) -> np.ndarray:
    """Mask of the windows with the largest relevance, bool, shape (n_windows,).

    At most `top`, at most half of all windows, and only those with positive relevance. Ties are broken at random.

    Parameters
    ----------
    scores : array, shape (n_windows,)
        From `window_relevance`.
    generator : numpy Generator
    top : int

    Raises
    ------
    NotApplicable
        If no window has positive relevance.
    """
    largest = scores.max()
    if not largest > 0:
        raise NotApplicable("the explanation has no positive relevance inside the clip")
    level = np.round(scores / largest, 9)  # `window_relevance` leaves ties unequal in the last digits
    order = np.lexsort((generator.random(len(scores)), -level))
    chosen = order[: min(top, len(scores) // 2)]
    salient = np.zeros(len(scores), dtype=bool)
    salient[chosen[level[chosen] > 0]] = True
    return salient


class WindowCues:
    """Cues of sets of windows of one clip, and of the rest of the clip.

    Parameters
    ----------
    tracks : CueTracks
    edges_s : array, shape (n_windows + 1,)
    """

    def __init__(self, tracks: CueTracks, edges_s: np.ndarray) -> None:
        sums = frame_sums(tracks)
        window = np.searchsorted(edges_s, tracks.times_s, side="right") - 1
        inside = (window >= 0) & (window < len(edges_s) - 1)
        self._sums = np.zeros((len(edges_s) - 1, sums.shape[1]))
        np.add.at(self._sums, window[inside], sums[inside])
        self._outside = sums[~inside].sum(axis=0)

    @property
    def n_windows(self) -> int:
        """Number of windows."""
        return len(self._sums)

    def values(self, sets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cues inside each set and in the rest of the clip (the remainder included), each of shape (n_sets, n_cues).

        Parameters
        ----------
        sets : array of bool, shape (n_sets, n_windows)
        """
        chosen = np.asarray(sets, dtype=np.float64)
        return cue_values(chosen @ self._sums)[0], cue_values((1 - chosen) @ self._sums + self._outside)[0]

    def contrasts(self, sets: np.ndarray) -> np.ndarray:
        """Cue inside minus cue in the rest, shape (n_sets, n_cues); NaN where either is missing."""
        salient, rest = self.values(sets)
        return salient - rest

    def voiced_and_energy(self, sets: np.ndarray) -> np.ndarray:
        """Voiced frame count and total energy in dB of each set, shape (n_sets, 2)."""
        chosen = np.asarray(sets, dtype=np.float64)
        energy = 10 * np.log10(np.maximum(chosen @ self._sums[:, 4], 1.0))
        return np.stack([chosen @ self._sums[:, 0], energy], axis=1)

    def matched_sets(
        self, salient: np.ndarray, generator: np.random.Generator, draws: int = 2000, keep: int = 50
    ) -> np.ndarray:
        """Random control sets of the same size, matched to `salient` in voiced time and energy.

        A set may share at most half of its windows with `salient` (or as many as it must): otherwise the best matches
        would differ from `salient` by a window or two only, and a contrast with them would be near zero by
        construction.

        Parameters
        ----------
        salient : array of bool, shape (n_windows,)
        generator : numpy Generator
        draws : int
            Sets drawn, each without replacement; duplicates are dropped.
        keep : int
            Number of closest sets kept, by Euclidean distance after division by the draws' standard deviation.

        Returns
        -------
        array of bool, shape (n, n_windows)
            At most `keep`, all different; ties are in the order drawn.
        """
        size, windows = int(salient.sum()), len(salient)
        ranks = generator.random((draws, windows)).argsort(axis=1).argsort(axis=1)
        drawn_sets = ranks < size
        first = np.unique(np.packbits(drawn_sets, axis=1), axis=0, return_index=True)[1]
        sets = drawn_sets[np.sort(first)]
        sets = sets[(sets & salient).sum(axis=1) <= max(size // 2, 2 * size - windows)]
        drawn = self.voiced_and_energy(sets)
        spread = drawn.std(axis=0)
        distance = (drawn - self.voiced_and_energy(salient[None])) / np.where(spread > 0, spread, 1.0)
        return sets[np.argsort((distance**2).sum(axis=1), kind="stable")[:keep]]
