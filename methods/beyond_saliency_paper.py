"""Beyond Saliency as its authors' released code runs it (Nasr, Ren & Johnson 2025, arXiv 2511.11691).

Two recipes, equal but for the map: concept relevance of channel 35 of ``layer1.conv1`` (`BeyondSaliencyPaperCrp`) and
occlusion of one mel row by ten frames (`BeyondSaliencyPaperOs`). Values below the map's mean are set to 0, the rest is
summed over frequency and over windows of ten frames of the map, padding included; the five windows with the largest
sums are salient, and openSMILE describes each one cut out of the clip, zeros of unvoiced frames included.

The authors' code places frame f at f x 15 ms, whatever the hop, sampling rate and padding of the front end were
(``clock="authors"``). On TESS a frame is 32 ms and the clip starts in the middle of the map, so their windows show
other parts of the clip than the map points at; ``clock="true"``, the default, takes the times from the front end.
Both recipes are tested against the authors' own numbers on eight clips (docs/reproduction.md).
"""

from __future__ import annotations

import numpy as np
from torch import nn

from ..audio import Grid
from ..cues.backends import compare
from ..errors import InputError, NotApplicable, UnknownNameError
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .beyond_saliency import MAX_HZ, BeyondSaliency, cue_rows
from .canonical import Mean, canonical
from .crp import Crp
from .explainer import Request
from .inspection import on_features
from .relevance import EPSILON, LayerMap, RelevanceMethod

from zennit import rules, types  # isort: skip
from zennit.core import Hook  # isort: skip
from zennit.layer import Sum  # isort: skip

LAYER, CHANNEL = "layer1.conv1", 35
FRAMES = 10  # of the map in one window
FRAME_S = 0.015  # what the authors' code takes a frame to last
TOP = 5
CLOCKS = ("true", "authors")
MIN_SLICE_S = 0.06  # a frame of eGeMAPS' pitch; openSMILE returns NaN for shorter sounds


class PaperRules(RelevanceMethod):
    """zennit's ``EpsilonPlusFlat`` with merged batch norms, and the plain gradient in all layers without weights.

    The authors' network is not one of torchvision's and calls functions for its sums, ReLUs and mean, so neither their
    canonizer nor a rule reaches those: relevance is not conserved.
    """

    name = "crp-paper"

    def __init__(self) -> None:
        super().__init__(biases="kept")

    def rules(self) -> tuple[LayerMap, Hook | None]:
        """See `RelevanceMethod.rules`; a bare ``Hook`` leaves the gradient as it is."""
        return [
            ((types.Activation, types.BatchNorm, types.AvgPool, Sum, Mean), Hook()),
            (types.Convolution, rules.ZPlus(stabilizer=EPSILON)),
            (nn.Linear, rules.Epsilon(epsilon=EPSILON)),
        ], rules.Flat(stabilizer=EPSILON)


class CrpPaper(Crp):
    """Concept relevance of the authors' code: one channel, relevance rules without canonized sums.

    Parameters
    ----------
    layer : str
        Name of a layer of the network.
    channel : int
        The authors take 35 for every class and corpus, and give no reason.
    """

    name = "crp-paper"

    def __init__(self, layer: str = LAYER, channel: int = CHANNEL) -> None:
        super().__init__(layer, (channel,))
        self.channel = channel

    def attribute(self, request: Request) -> Attribution:
        """See `Crp.attribute`.

        Raises
        ------
        NotApplicable
            Also if the network has no such layer or channel.
        """
        self._check(request.recogniser)
        return super().attribute(request)

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Crp.calls`."""
        self._check(recogniser)
        return super().calls(n_samples, recogniser)

    def _check(self, recogniser: Recogniser) -> None:
        form = canonical(on_features(recogniser, self.name), self.name)
        try:
            channels = getattr(form.network.get_submodule(form.layer(self.layer)), "out_channels", 0)
        except InputError as error:
            raise NotApplicable(f"{self.name} is made for the authors' network: {error}") from None
        if self.channel >= channels:
            raise NotApplicable(f"{self.name} is made for the authors' network: no channel {self.channel} here")

    def _method(self) -> RelevanceMethod:
        return PaperRules()


class BeyondSaliencyPaper(BeyondSaliency):
    """Five windows of ten frames of another method's map, described by openSMILE.

    Parameters
    ----------
    base : str
        Method whose map is looked at; it must lie on the frames of the front end.
    clock : {'true', 'authors'}
        Times of the windows: from the front end, or 15 ms a frame from the clip's start. Of windows that overlap
        an end of the clip the part inside is described, if it lasts 60 ms; those outside have no cues.

    Raises
    ------
    InputError
        For another clock.
    """

    def __init__(self, base: str, clock: str = "true") -> None:
        super().__init__(base, cues="beyond-saliency-paper")
        self.clock = clock

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            The sums of the salient windows (over all frequencies), 0 elsewhere. ``cues``: for each of six cues its mean
            and standard deviation over the frames of the salient windows, and of all other windows inside the clip.

        Raises
        ------
        NotApplicable
            If the map has fewer than two windows, no window has a positive sum, all salient windows lie outside the
            clip, or openSMILE is not installed.
        """
        if self.clock not in CLOCKS:
            raise UnknownNameError("clock", self.clock, CLOCKS)
        base = request.base if request.base is not None else self._explain_base(request)
        if base.target != request.label:
            raise InputError(f"{self.name}: the base explains {base.target!r}, the request {request.label!r}.")
        scores = window_sums(base.values)
        salient = top_windows(scores)
        edges = window_times(base.grid, self.clock)
        duration = request.clip.duration_s
        windows = np.clip(np.stack([edges[:-1], edges[1:]], axis=1), 0.0, duration)
        inside = np.diff(windows, axis=1)[:, 0] >= MIN_SLICE_S
        if not (inside & salient).any():
            raise NotApplicable("all salient windows lie outside the clip, where there is nothing to describe")
        chosen = windows[salient & inside]
        return Attribution(
            values=np.where(salient, scores, 0.0)[None],
            grid=Grid(np.array([0.0, MAX_HZ]), edges),
            target=request.label,
            method=self.name,
            details={
                "n_windows": float(salient.size),
                "n_salient": float(salient.sum()),
                "outside_clip": float((salient & ~inside).sum()),
                "relevance_in_salient": float(scores[salient].sum() / scores.sum()),
            },
            cues=cue_rows(
                compare(self.cues, request.clip.cue_tracks, chosen, windows[inside]),
                chosen,
                request.target,
                {},
                self.cues,
            ),
            base=base,
        )

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Whether the base's attribution changes with the seed; ties are broken by the earlier window."""
        return self._base_method().stochastic

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the base's."""
        return self._base_method().calls(n_samples, recogniser)

    def calls_of(self, request: Request) -> int:
        """See `Explainer.calls_of`: the base's."""
        return self._base_method().calls_of(request)


class BeyondSaliencyPaperCrp(BeyondSaliencyPaper):
    """The authors' recipe on the map of `CrpPaper`.

    Parameters
    ----------
    clock : {'true', 'authors'}
        See `BeyondSaliencyPaper`.
    """

    name = "beyond-saliency-paper-crp"

    def __init__(self, clock: str = "true") -> None:
        super().__init__("crp-paper", clock)


class BeyondSaliencyPaperOs(BeyondSaliencyPaper):
    """The authors' recipe on the map of ``occlusion-paper``.

    Parameters
    ----------
    clock : {'true', 'authors'}
        See `BeyondSaliencyPaper`.
    """

    name = "beyond-saliency-paper-os"

    def __init__(self, clock: str = "true") -> None:
        super().__init__("occlusion-paper", clock)


def window_sums(values: np.ndarray) -> np.ndarray:
    """Sum of each window's cells that are not below the map's mean.

    Parameters
    ----------
    values : array, shape (n_freq, n_frames)
        Signed relevance.

    Returns
    -------
    array, shape (n_frames // 10,)
        What is left of the frames after the last whole window belongs to none.
    """
    values = np.asarray(values, dtype=np.float64)
    columns = np.where(values < values.mean(), 0.0, values).sum(axis=0)
    n = columns.size // FRAMES
    return columns[: n * FRAMES].reshape(n, FRAMES).sum(axis=1)


def top_windows(scores: np.ndarray) -> np.ndarray:
    """The five windows with the largest sums, at most half of all, bool, shape (n_windows,).

    The authors' maps have 12 and 13 windows; half of them is the bound only for shorter ones, so that there is a rest.

    Raises
    ------
    NotApplicable
        If there are fewer than two windows, or no sum is positive.
    """
    if scores.size < 2:
        raise NotApplicable(f"the map has {scores.size} windows of {FRAMES} frames; at least 2 are needed")
    if not scores.max() > 0:
        raise NotApplicable("the explanation has no positive relevance")
    salient = np.zeros(scores.size, dtype=bool)
    salient[np.argsort(-scores, kind="stable")[: min(TOP, scores.size // 2)]] = True
    return salient & (scores > 0)


def window_times(grid: Grid, clock: str) -> np.ndarray:
    """Edges of the windows in seconds, shape (n_windows + 1,).

    Parameters
    ----------
    grid : Grid
        Of the map: one column a frame.
    clock : {'true', 'authors'}
    """
    n = (grid.time_edges_s.size - 1) // FRAMES
    if clock == "authors":
        return np.arange(n + 1) * (FRAMES * FRAME_S)
    return np.asarray(grid.time_edges_s[: n * FRAMES + 1 : FRAMES])
