"""Sound of the part that an explanation points at, and of the rest."""

from __future__ import annotations

import numpy as np

from ..audio import Plane, fill_spectrum, scoring_grid
from ..datasets.clip import Clip
from ..keys import rng
from .attribution import Attribution

KEPT_SHARE = 0.25  # of the scoring grid's cells, for the waveform of the most relevant part


def kept_and_removed(clip: Clip, attribution: Attribution, share: float = KEPT_SHARE) -> tuple[np.ndarray, np.ndarray]:
    """Waveforms of the most relevant cells and of the rest (the other part attenuated by 40 dB).

    Parameters
    ----------
    clip : Clip
    attribution : Attribution
    share : float
        Share of the scoring grid's cells that is kept, highest relevance first.

    Returns
    -------
    kept, removed : arrays, float32, shape (n_samples,)
    """
    plane = Plane(clip.samples)
    grid = scoring_grid(clip.duration_s)
    relevance = attribution.on(grid)
    top = np.zeros(relevance.size, dtype=bool)
    top[np.argsort(-relevance, axis=None, kind="stable")[: max(1, round(share * relevance.size))]] = True
    keep = np.stack([top, ~top]).reshape(2, *grid.shape)
    fill = fill_spectrum("attenuate", plane, rng("kept", clip.sha256))
    kept, removed = plane.render(keep, grid, fill).cpu().numpy()
    return kept, removed
