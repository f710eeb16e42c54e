"""ROAD (remove and debias) in the feature space of a differentiable recogniser.

Removed features are imputed from their neighbours (noisy linear imputation), so that the removal leaves no constant or
edge that could leak the mask, and no retraining is needed.

Conventions
-----------
Features are one channel of log-mel values, shape (n_freq, n_frames). Every imputed value is the weighted mean of its
eight neighbours, 1/6 for direct and 1/12 for diagonal ones, fewer at the border. The imputed values solve a symmetric,
positive definite, sparse linear system, by conjugate gradients with the solution of the previous share of removed
features as start. Noise of 1 % of the features' standard deviation is added.

Source
------
Rong, Leemann, Borisov, Kasneci, Kasneci 2022, "A consistent and efficient evaluation strategy for attribution methods",
ICML, section 4.2 (imputation) and 5 (most and least relevant first).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import LinearOperator, cg, splu
from threadpoolctl import ThreadpoolController

from ..errors import ClipError, NotApplicable
from ..keys import rng
from ..models.recogniser import TorchRecogniser
from .case import Case, Explained, Metric, Outcome
from .trajectory import ranking

SHARES = tuple(i / 10 for i in range(1, 10))  # removed shares of the features
NOISE = 0.01  # of the features' standard deviation
TOLERANCE = 1e-7  # residual over right-hand side; imputed values are then exact to 1e-4 of the features' range
BLOCK = 4  # cells per side in the preconditioner's coarse level
NEIGHBOURS = tuple(
    (row, column, 1 / 6 if row == 0 or column == 0 else 1 / 12)
    for row in (-1, 0, 1)
    for column in (-1, 0, 1)
    if (row, column) != (0, 0)
)


class Imputer:
    """Linear imputation of removed values in maps of one shape.

    Parameters
    ----------
    shape : (int, int)
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        rows, columns = np.indices(shape).reshape(2, -1, 1)
        step = np.array([(row, column) for row, column, _ in NEIGHBOURS])
        to_row, to_column = rows + step[:, 0], columns + step[:, 1]
        inside = (to_row >= 0) & (to_row < shape[0]) & (to_column >= 0) & (to_column < shape[1])
        weight = np.array([w for _, _, w in NEIGHBOURS])
        self.shape = shape
        self._threads = ThreadpoolController()
        self._blocks = (rows // BLOCK * -(-shape[1] // BLOCK) + columns // BLOCK).ravel()
        # eight neighbours of each cell; missing ones are replaced by the cell itself with weight 0
        self._weights = np.where(inside, weight, 0.0)
        self._neighbours = np.where(inside, to_row * shape[1] + to_column, rows * shape[1] + columns)

    def __call__(self, values: np.ndarray, removed: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        """Impute the removed values, without noise.

        Parameters
        ----------
        values : array, shape ``shape``
        removed : array of bool, shape ``shape``
            Not all may be removed.
        start : array, shape ``shape``, optional
            Initial guess of the removed values. Default: the mean of the others.

        Returns
        -------
        array, float64, shape ``shape``

        Raises
        ------
        NotApplicable
            If all values are removed.
        ClipError
            If the solver does not converge.
        """
        flat, missing = np.asarray(values, dtype=np.float64).ravel(), removed.ravel()
        holes = np.flatnonzero(missing)
        if holes.size == 0:
            return flat.reshape(self.shape)
        if holes.size == flat.size:
            raise NotApplicable("all features are removed: there is nothing to impute from")
        middle = flat[~missing].mean()  # the system is solved for deviations from it
        weights, neighbours = self._weights[holes], self._neighbours[holes]
        unknown = missing[neighbours] & (weights > 0)
        place = np.cumsum(missing) - 1
        ends = np.concatenate([[0], np.cumsum(unknown.sum(axis=1))])
        total = weights.sum(axis=1)
        among = csr_matrix((-weights[unknown], place[neighbours[unknown]], ends), shape=(holes.size, holes.size))
        known = np.sum(weights * (flat[neighbours] - middle) * ~missing[neighbours], axis=1)
        guess = np.zeros(holes.size) if start is None else np.ravel(start)[holes] - middle
        system = (among + diags_array(total)).tocsr()
        # several BLAS threads change the last digits and are ten times slower here
        with self._threads.limit(limits=1, user_api="blas"):
            near = self._two_level(system, total, self._blocks[holes])
            solved, status = cg(system, known, x0=guess, rtol=TOLERANCE, maxiter=10_000, M=near)
        if status != 0:
            raise ClipError("the imputation of removed features did not converge")
        result = flat.copy()
        result[holes] = solved + middle
        return result.reshape(self.shape)

    @staticmethod
    def _two_level(system: csr_matrix, diagonal: np.ndarray, block: np.ndarray) -> LinearOperator:
        """Two-level preconditioner: Jacobi plus a direct coarse solve over blocks of 4 x 4 cells.

        Jacobi alone propagates values by one cell per iteration, and the holes of an explanation are wide.
        """
        used, place = np.unique(block, return_inverse=True)
        n = block.size
        spread = csr_matrix((np.ones(n), place, np.arange(n + 1)), shape=(n, used.size))
        gather = spread.T.tocsr()
        coarse = splu((gather @ system @ spread).tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        return LinearOperator(
            system.shape, matvec=lambda r: r / diagonal + spread @ coarse.solve(gather @ r), dtype=np.float64
        )


def imputed_series(values: np.ndarray, order: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Noisily imputed maps for increasing shares of removed features.

    Parameters
    ----------
    values : array, shape (n_freq, n_frames)
    order : array, int, shape (n_features,)
        Flat indices in the order of removal.
    generator : numpy Generator

    Returns
    -------
    array, float32, shape (len(SHARES), n_freq, n_frames)
    """
    impute, imputed = Imputer(values.shape), []
    noise = generator.standard_normal(values.size) * NOISE * values.std()
    solved = None
    for share in SHARES:
        removed = np.zeros(values.size, dtype=bool)
        removed[order[: int(share * values.size)]] = True
        solved = impute(values, removed.reshape(values.shape), solved)
        imputed.append(solved + (noise * removed).reshape(values.shape))
    return np.array(imputed, dtype=np.float32)


def road(morf: np.ndarray, lerf: np.ndarray) -> float:
    """Mean over shares of the log-odds without the least relevant features minus those without the most relevant."""
    return float(np.mean(lerf - morf))


class Road(Metric):
    """ROAD, least relevant first minus most relevant first. Higher is better, 0 is expected of a random ranking."""

    def work(self, case: Case, explained: Explained) -> Mapping[Hashable, int]:
        """See `metrics.case.CallingMetric`."""
        recogniser = _differentiable(case)
        return {("road", explained.identity): recogniser.calls_for(2 * len(SHARES))}

    def score(self, case: Case, explained: Explained) -> Outcome:
        """Score one explanation; see `metrics.case.Metric`."""
        recogniser = _differentiable(case)
        features = recogniser.features(case.clip.samples)[0, 0].double().cpu().numpy()
        if features.size < 2:
            raise NotApplicable("one feature alone cannot be imputed")
        relevance = case.map_on(explained.attribution, recogniser.feature_grid(case.clip.samples.size))
        order = ranking(relevance, rng(*case.seed, "road ties", explained.attribution.drawn_as))
        # the same noise for both orders
        copies = np.concatenate(
            [imputed_series(features, o, rng(*case.seed, "road noise")) for o in (order, order[::-1])]
        )
        before = recogniser.calls
        y = case.response(feature_log_odds(recogniser, copies))
        return Outcome(road(y[: len(SHARES)], y[len(SHARES) :]), recogniser.calls - before)


def feature_log_odds(recogniser: TorchRecogniser, maps: np.ndarray) -> np.ndarray:
    """Log-odds of every class from feature maps, in batches of the recogniser's fixed shape.

    Parameters
    ----------
    recogniser : TorchRecogniser
    maps : array, shape (n, n_freq, n_frames)

    Returns
    -------
    array, float64, shape (n, n_classes)
    """
    rows = torch.as_tensor(maps, dtype=torch.float32, device=recogniser.device)[:, None]
    log_odds = []
    for batch in rows.split(recogniser.batch):
        filled = torch.nn.functional.pad(batch, (0, 0, 0, 0, 0, 0, 0, recogniser.batch - len(batch)))
        with recogniser.metered(), torch.no_grad():
            log_odds.append(recogniser.feature_log_odds(filled)[: len(batch)].double().cpu().numpy())
    y = np.concatenate(log_odds)
    if not np.all(np.isfinite(y)):
        raise ClipError(f"recogniser {recogniser.name!r} returned log-odds that are not finite.")
    return y


def _differentiable(case: Case) -> TorchRecogniser:
    if not isinstance(case.recogniser, TorchRecogniser):
        raise NotApplicable(f"needs the features of a differentiable recogniser, {case.recogniser.name!r} has none")
    return case.recogniser
