"""Ablation of the features themselves: parts of the map in front of the network are replaced, not of the waveform.

No waveform has the features that the network is then shown, but the method is exact about what the network does with
them. Ablated maps are made as they are needed, one batch at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ..audio import SAMPLE_RATE, Grid, scoring_grid
from ..errors import NotApplicable, UnknownNameError
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .canonical import canonical, check_logits
from .explainer import Explainer, Request
from .gradient import at_least_one
from .inspection import View, check_baseline, check_reach, differentiable, grid_of, on_features, view_of
from .local import LocalPass

MORE_AT_ONCE = 8  # times as many patches as whole maps pass together where only boxes are computed, at most
PATCH_FILLS = ("0dB", "silence")
RESPONSES = ("logit", "log-odds")


class FeatureAblation(Explainer):
    """Drop of the target's log-odds when the features of one cell of the scoring grid are replaced by a baseline.

    As captum's ``FeatureAblation`` with a mask of groups. Cells in which no feature is centred have no relevance.

    Parameters
    ----------
    baseline : str
        As for `IntegratedGradients`.
    """

    name = "feature-ablation"
    fill_parameter = "baseline"

    def __init__(self, baseline: str = "silence") -> None:
        self.baseline = baseline
        self.stochastic = baseline == "noise"

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            On the scoring grid. ``details``: ``full``, the response to the clip itself.

        Raises
        ------
        NotApplicable
            If the recogniser shows no map: it must be differentiable.
        ClipError
            If the clip is too short.
        """
        check_baseline(self.baseline)
        with differentiable(request.recogniser, self.name).metered():
            view = view_of(request, self.name)
            baseline = view.baselines(self.baseline)[0]
            grid = scoring_grid(request.clip.duration_s)
            cells = _cells(view.grid, grid)
            groups = np.unique(cells)
            where = torch.as_tensor(cells, device=view.values.device)
            gone = torch.as_tensor(np.append(-1, groups), device=view.values.device)  # map 0 is the clip itself

            def render(index: np.ndarray) -> torch.Tensor:
                return torch.where((where == gone[index][:, None, None])[:, None], baseline, view.values)

            y = view.responses(gone.numel(), render)
        values = np.zeros(grid.shape)
        values.flat[groups] = y[0] - y[1:]
        return Attribution(values, grid, request.label, self.name, {"full": float(y[0])})

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the clip itself and one map a cell."""
        cells = _cells(grid_of(n_samples, differentiable(recogniser, self.name)), scoring_grid(n_samples / SAMPLE_RATE))
        return recogniser.calls_for(1 + np.unique(cells).size)

    def calls_of(self, request: Request) -> int:
        """See `Explainer.calls_of`."""
        check_baseline(self.baseline)
        check_reach(request, self.name, self.baseline)
        return super().calls_of(request)


def _cells(features: Grid, grid: Grid) -> np.ndarray:
    """Number of the grid cell in which each feature is centred, shape ``features.shape``."""
    freqs, times = ((edges[:-1] + edges[1:]) / 2 for edges in (features.freq_edges_hz, features.time_edges_s))
    return grid.rows_of(freqs)[:, None] * grid.shape[1] + grid.columns_of(times)[None, :]


class OcclusionPaper(Explainer):
    """Occlusion as in the Beyond Saliency authors' code (Nasr, Ren & Johnson 2025): one mel row x 10 frames.

    Patches of the feature map start at every row and every third frame; a cell's relevance is the mean drop over the
    patches that cover it. As captum's ``Occlusion``, whose last patches are cut at the edge.

    Parameters
    ----------
    rows, frames : int
        Size of a patch in features.
    stride : int
        Frames from one patch to the next.
    fill : {'0dB', 'silence'}
        ``0dB`` is the authors' fill: on a map in dB below its loudest cell, the *loudest* value. Where a front end's
        levels are absolute it is the value of the clip's loudest cell, too.
    response : {'logit', 'log-odds'}
        Whose drop is measured: the target's logit as in the authors' code, or its log-odds as for all other methods.
    """

    name = "occlusion-paper"

    def __init__(
        self, rows: int = 1, frames: int = 10, stride: int = 3, fill: str = "0dB", response: str = "logit"
    ) -> None:
        self.rows = rows
        self.frames = frames
        self.stride = stride
        self.fill = fill
        self.response = response

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            On the grid of the feature map. ``details``: ``full``, the response to the clip itself, and ``fill``, the
            feature value that patches are filled with.

        Raises
        ------
        NotApplicable
            If the recogniser is no network on a feature map.
        ClipError
            If the clip is too short.
        """
        self._check()
        recogniser = on_features(request.recogniser, self.name)
        with recogniser.metered():
            view = replace(
                view_of(request, self.name), log_odds=lambda maps: self._scores(recogniser, recogniser.network(maps))
            )
            fill = view.silence if self.fill == "silence" else float(view.values.max())
            tops, lefts = self._starts(view.grid.shape)
            local = local_pass(view, self.name)
            if local is None:
                y = view.responses(1 + tops.size * lefts.size, self._render(view, fill, tops, lefts))
            else:
                y = self._passed_on(view, fill, tops, lefts, local)
        drops = (y[0] - y[1:]).reshape(tops.size, lefts.size)
        values = self._mean_over_patches(drops, tops, lefts, view)
        return Attribution(values, view.grid, request.label, self.name, {"full": float(y[0]), "fill": fill})

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the clip itself and one map a patch."""
        self._check()
        shape = on_features(recogniser, self.name).feature_grid(n_samples).shape
        return recogniser.calls_for(1 + int(np.prod([starts.size for starts in self._starts(shape)])))

    def _check(self) -> None:
        for name, default in (("rows", 1), ("frames", 10), ("stride", 3)):
            at_least_one(self.name, name, getattr(self, name), default)
        if self.fill not in PATCH_FILLS:
            raise UnknownNameError("fill of occlusion-paper", self.fill, PATCH_FILLS)
        if self.response not in RESPONSES:
            raise UnknownNameError("response of occlusion-paper", self.response, RESPONSES)

    def _scores(self, recogniser: Recogniser, logits: torch.Tensor) -> torch.Tensor:
        return logits if self.response == "logit" else recogniser.scores_of(logits)

    def _starts(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """First rows and first frames of the patches; the last of each reaches the edge of the map or beyond."""
        return np.arange(max(1, shape[0] - self.rows + 1)), np.arange(
            0, max(1, shape[1] - self.frames + self.stride), self.stride
        )

    def _render(
        self, view: View, fill: float, tops: np.ndarray, lefts: np.ndarray
    ) -> Callable[[np.ndarray], torch.Tensor]:
        def render(index: np.ndarray) -> torch.Tensor:
            maps = view.values.repeat(len(index), 1, 1, 1)
            for one, patch in zip(maps[:, 0], index - 1, strict=True):  # map 0 is the clip itself
                if patch >= 0:
                    row, column = divmod(int(patch), lefts.size)
                    top, left = tops[row], lefts[column]
                    one[top : top + self.rows, left : left + self.frames] = fill
            return maps

        return render

    def _passed_on(self, view: View, fill: float, tops: np.ndarray, lefts: np.ndarray, local: LocalPass) -> np.ndarray:
        """Responses to the clip and to each patch, of which only what it reaches is computed anew."""
        features, device = view.values[0, 0], view.values.device
        rows, frames = min(self.rows, features.shape[0]), min(self.frames, features.shape[1])
        starts = torch.as_tensor(np.stack([np.repeat(tops, lefts.size), np.tile(lefts, tops.size)]), device=device)
        logits, done, size = [local.logits], 0, view.at_once
        while done < starts.shape[1]:
            start = starts[:, done : done + size]
            # a patch that is cut at the edge lies in a box that ends there
            limit = torch.tensor([[features.shape[0] - rows], [features.shape[1] - frames]], device=device)
            origin = torch.minimum(start, limit)
            row, column = (
                o[:, None] + torch.arange(n, device=device) for o, n in zip(origin, (rows, frames), strict=True)
            )
            inside = (row >= start[0][:, None])[:, :, None] & (column >= start[1][:, None])[:, None, :]
            patches = torch.where(inside, fill, features[row[:, :, None], column[:, None, :]])
            logits.append(local.run(patches[..., None], origin))
            done += size
            size = view.at_once * max(1, min(MORE_AT_ONCE, int(1 / local.share)))  # as many as take no more memory
        recogniser = view.recogniser
        recogniser.calls += recogniser.calls_for(1 + tops.size * lefts.size) - 1  # the clip has been counted
        return view.request.response(self._scores(view.request.recogniser, torch.cat(logits))).double().cpu().numpy()

    def _mean_over_patches(self, drops: np.ndarray, tops: np.ndarray, lefts: np.ndarray, view: View) -> np.ndarray:
        n_freq, n_time = view.grid.shape
        rows = _covers(n_freq, tops, self.rows)
        columns = _covers(n_time, lefts, self.frames)
        covered = rows.sum(axis=1)[:, None] * columns.sum(axis=1)[None, :]
        return rows @ drops @ columns.T / np.maximum(covered, 1)


def local_pass(view: View, method: str) -> LocalPass | None:
    """A pass of the clip that patches can be passed on from; None where the network does not allow it."""
    recogniser = on_features(view.recogniser, method)
    try:
        form = canonical(recogniser, method)
        if not LocalPass.follows(form):
            return None
        local = LocalPass(form, view.values)
        check_logits(local.logits, recogniser, view.values)
    except NotApplicable:
        return None
    return local


def _covers(n: int, starts: np.ndarray, length: int) -> np.ndarray:
    """Whether each of `n` places lies in each stretch, 0 or 1, shape (n, n_starts)."""
    places = np.arange(n)[:, None]
    return ((places >= starts) & (places < starts + length)).astype(np.float64)
