"""F-Fidelity: fidelity on a copy of the recogniser that has learned to hear clips with cells removed.

Conventions
-----------
The cells of the scoring grid are ranked by signed relevance, ties in a seeded random order. At each of `SHARES` the
top of the ranking is the explanation. *Fidelity+* is the mean fall of the target's log-odds when random cells of the
explanation are replaced by the fill, *fidelity-* the same for random cells of the rest; the score is fidelity+ less
fidelity-, averaged over the shares. Half of the smaller part is removed, but never more than the share of the grid that
the copy was fine-tuned with, so that no removal is strange to it; as many cells of either part, so that a random
ranking scores 0 on average. The ranks that are drawn are the same for all methods.

Answers are those of the fine-tuned copy (`models.fine_tuning`), which is another recogniser than the one explained: a
faithful explanation of the one need not be one of the other. So this metric is never core.

Sources
-------
Zheng et al. 2025, "F-Fidelity", ICLR, arXiv:2410.02970. Removed in the waveform, by a named fill, with the copy
fine-tuned for that fill; both parts lose equally many cells; log-odds instead of probabilities or accuracy.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch

from ..errors import NotApplicable
from ..keys import rng
from ..models.fine_tuning import FineTuning, network_of
from ..models.recogniser import Recogniser
from .case import Case, Explained, Metric, Outcome
from .faithfulness import SHARES
from .trajectory import AT_ONCE, ranking

DRAWS = 8  # of each part at each share
PART = 0.5  # of the smaller part, removed at most


def removed_count(n_cells: int, share: float, limit: float) -> int:
    """Number of cells to remove: half of the smaller part, at most the share `limit` of the grid, at least one."""
    top = max(1, round(share * n_cells))
    return max(1, int(min(PART * min(top, n_cells - top), limit * n_cells)))


def removals(
    order: np.ndarray, limit: float, generator: np.random.Generator, draws: int = DRAWS
) -> tuple[np.ndarray, np.ndarray]:
    """Cells that are removed from the explanation and from the rest.

    Parameters
    ----------
    order : array, int, shape (n_cells,)
        Every cell once, the most relevant first.
    limit : float
        Largest share of the grid that is removed.
    generator : numpy Generator
        Draws ranks, so that every explanation loses the cells of the same ranks.
    draws : int

    Returns
    -------
    from_top, from_rest : array of bool, shape (n_shares, draws, n_cells)
        True is removed.
    """
    n = order.size
    removed = np.zeros((2, len(SHARES), draws, n), dtype=bool)
    for i, share in enumerate(SHARES):
        top, count = max(1, round(share * n)), removed_count(n, share, limit)
        for draw in range(draws):
            removed[0, i, draw, order[generator.permutation(top)[:count]]] = True
            removed[1, i, draw, order[top + generator.permutation(n - top)[:count]]] = True
    return removed[0], removed[1]


def f_fidelity(without_top: np.ndarray, without_rest: np.ndarray) -> float:
    """Fidelity+ less fidelity-, averaged over shares.

    Parameters
    ----------
    without_top, without_rest : array, shape (n_shares, draws)
        Log-odds of the target without cells of the explanation, and without cells of the rest. Those of the clip
        itself cancel.
    """
    return float(np.mean(without_rest) - np.mean(without_top))


class FFidelity(Metric):
    """Fidelity+ less fidelity- on a fine-tuned copy of the recogniser. Higher is better, 0 is expected at random."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        network_of(case.recogniser)
        if case.fine_tuned is None:
            raise NotApplicable(
                "needs clips of the same corpus by other speakers, on which the recogniser was trained: explain the "
                "corpus of training with the fold models"
            )
        if int(np.prod(case.grid.shape)) < 2:
            raise NotApplicable("the grid has a single cell")
        calls = case.recogniser.calls_for(2 * len(SHARES) * DRAWS)
        return {("f-fidelity", case.fill, explained.identity): calls}

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        calls = sum(self.work(case, explained).values())
        order = ranking(
            case.map(explained.attribution), rng(*case.seed, "f-fidelity ties", explained.attribution.method)
        )
        return Outcome(case.shared(("f-fidelity", case.fill, order.tobytes()), lambda: self._value(case, order)), calls)

    def _value(self, case: Case, order: np.ndarray) -> float:
        assert case.fine_tuned is not None
        copy = case.fine_tuned(case.fill)
        parts = np.stack(removals(order, FineTuning().share, rng(*case.seed, "f-fidelity")))
        rows = parts.reshape(-1, order.size)
        masks = np.split(~rows.reshape(len(rows), *case.grid.shape), range(AT_ONCE, len(rows), AT_ONCE))
        copies = torch.cat([case.plane.render(few, case.grid, case.fill_spectrum) for few in masks])
        without = case.response(_asked(copy, case.recogniser, copies)).reshape(2, len(SHARES), DRAWS)
        return f_fidelity(without[0], without[1])


def _asked(copy: Recogniser, recogniser: Recogniser, waveforms: torch.Tensor) -> np.ndarray:
    """Log-odds of the copy, whose calls and time the recogniser bears."""
    calls, seconds = copy.calls, copy.seconds
    log_odds = copy.log_odds(waveforms)
    recogniser.calls += copy.calls - calls
    recogniser.seconds += copy.seconds - seconds
    return log_odds
