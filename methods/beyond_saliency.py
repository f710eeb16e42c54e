"""Beyond Saliency (Nasr, Ren & Johnson 2025, arXiv 2511.11691): acoustic cues of the salient part of a map.

The salient part of any other method's map is either its top windows of 150 ms, as in the paper, or true time-frequency
regions. The part's acoustic cues are compared with those of the rest of the clip, with the speaker's usual voice where
that is known, and with what each source in the literature expects for the target emotion. Where this differs from the
authors' code: cues are read from tracks of the whole clip (not from slices), voiced frames only, as contrast with the
rest, and at most half of the windows are salient. Their recipe as they run it: `beyond_saliency_paper`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..audio import SAMPLE_RATE, Grid, Plane, scoring_grid
from ..cues.backends import BACKENDS, CueComparison, compare
from ..cues.expert import directions, expectations
from ..cues.normalise import CueReference
from ..cues.records import REGION_CUES
from ..cues.regions import CueValue
from ..cues.tracks import CueTracks, cue_tracks
from ..cues.windows import TOP, WINDOW_S, WindowCues, salient_windows, thresholded, window_edges, window_relevance
from ..errors import InputError, NotApplicable, UnknownNameError
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .explainer import Explainer, Request

MAX_HZ = 8000.0
REGIONS = ("windows", "cells")
PRAAT = ("praat", "praat-full")  # backends whose units are those of the cue records
SAME = 1e-6  # windows whose relevance differs relatively by less are equal
RANDOM_SETS = 200  # of windows, whose spread says how much a contrast means
MOVED = 8  # places to which a region of cells is moved; each is measured anew, at 60 ms for 3 s of sound


class BeyondSaliency(Explainer):
    """Salient part of another method's map, with a table of its acoustic cues.

    Parameters
    ----------
    base : str
        Method whose map is looked at; its attribution is taken from the request where it holds one.
    regions : {'windows', 'cells'}
        Whole windows of time, against the rest of the clip; or cells of the scoring grid, whose cues are measured on
        the clip filtered to them, against the same cells moved along the clip.
    window_s : float
        Length of a window in seconds.
    top : int
        Number of salient windows, at most half of the clip's.
    threshold : {'mean', 'quantile', 'mass', 'none'}
        Which cells of the map are salient, see `cues.windows.thresholded`; the authors take the mean.
    share : float
        For thresholds ``quantile`` and ``mass``.
    cues : {'praat', 'praat-full', 'egemaps', 'beyond-saliency-paper'}
        Who measures which cues, see `cues.backends`.
    """

    def __init__(
        self,
        base: str = "occlusion",
        regions: str = "windows",
        window_s: float = WINDOW_S,
        top: int = TOP,
        threshold: str = "mean",
        share: float = 0.2,
        cues: str = "praat",
    ) -> None:
        self.base: str = base
        self.regions = regions
        self.window_s = window_s
        self.top = top
        self.threshold = threshold
        self.share = share
        self.cues = cues

    @property
    def name(self) -> str:  # type: ignore[override]
        """As registered: with the base behind a colon, where that is not the default."""
        return "beyond-saliency" if self.base == "occlusion" else f"beyond-saliency:{self.base}"

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            The relevance of the salient windows (over all frequencies) or cells, 0 elsewhere. ``cues`` is the cue
            table, see `cue_rows`; ``base`` the map it was made from.

        Raises
        ------
        NotApplicable
            If the clip is shorter than two windows, or the base map has no positive relevance inside the clip or, for
            windows, no resolution in time.
        InputError
            For parameters that are not allowed, or a cue backend that is not installed.
        """
        if self.regions not in REGIONS:
            raise InputError(f"beyond-saliency: regions {self.regions!r} are not known; take {' or '.join(REGIONS)}.")
        if self.cues not in BACKENDS:
            raise UnknownNameError("cue backend", self.cues, BACKENDS)
        window_edges(request.clip.duration_s, self.window_s)  # refuses clips that are too short, before any work
        base = request.base if request.base is not None else self._explain_base(request)
        if base.target != request.label:
            raise InputError(
                f"beyond-saliency: the base attribution explains {base.target!r}, the request {request.label!r}."
            )
        return (self._windows if self.regions == "windows" else self._cells)(request, base)

    def _windows(self, request: Request, base: Attribution) -> Attribution:
        tracks, edges = request.clip.cue_tracks, window_edges(request.clip.duration_s, self.window_s)
        kept = thresholded(base.values, self.threshold, self.share)
        scores = window_relevance(kept, base.grid.time_edges_s, edges)
        salient = salient_windows(scores, request.generator("salient windows"), self.top)
        if np.ptp(scores) <= SAME * scores.max():
            raise NotApplicable(f"the map of {base.method!r} says nothing about time: all windows are equally relevant")
        windows = np.stack([edges[:-1], edges[1:]], axis=1)
        spread = contrast_spread(tracks, edges, salient, request.generator("random windows"))
        return Attribution(
            values=np.where(salient, scores, 0.0)[None],
            grid=Grid(np.array([0.0, MAX_HZ]), edges),
            target=request.label,
            method=self.name,
            details={
                "n_windows": float(salient.size),
                "n_salient": float(salient.sum()),
                "relevance_in_salient": float(scores[salient].sum() / scores.sum()),
            },
            cues=cue_rows(
                compare(self.cues, tracks, windows[salient], windows),
                windows[salient],
                request.target,
                spread if self.cues in PRAAT else {},
                self.cues,
            ),
            base=base,
        )

    def _cells(self, request: Request, base: Attribution) -> Attribution:
        clip, grid = request.clip, scoring_grid(request.clip.duration_s)
        relevance = base.on(grid)
        kept = thresholded(relevance, self.threshold, self.share)
        if not kept.any():
            raise NotApplicable("the explanation has no positive relevance inside the clip")
        order = np.lexsort((request.generator("salient cells").random(kept.size), -kept.ravel()))
        chosen = order[: min(np.count_nonzero(kept), kept.size // 2)]  # so that there is always a rest
        mask = np.zeros(kept.size, dtype=bool)
        mask[chosen] = True
        mask = mask.reshape(grid.shape)
        found, spread = self._filtered(Plane(clip.samples), mask, grid)
        windows = _columns(grid)[mask.any(axis=0)]
        positive = relevance[relevance > 0].sum()
        return Attribution(
            values=np.where(mask, relevance, 0.0),
            grid=grid,
            target=request.label,
            method=self.name,
            details={"n_cells": float(mask.sum()), "relevance_in_salient": float(relevance[mask].sum() / positive)},
            cues=cue_rows(found, windows, request.target, spread, self.cues),
            base=base,
        )

    def _filtered(self, plane: Plane, mask: np.ndarray, grid: Grid) -> tuple[CueComparison, dict[str, float]]:
        """Cues of the clip filtered to a region, beside those of the same region moved along the clip.

        The rest of the clip would differ by its frequencies alone; the region's shape elsewhere does not.
        """
        n = mask.shape[1]
        steps = sorted({round(n * i / (MOVED + 1)) for i in range(1, MOVED + 1)} - {0, n})
        masks = np.stack([mask, *(np.roll(mask, step, axis=1) for step in steps)])
        sounds = plane.render(masks, grid, plane.spectrum * 0).numpy()
        columns = _columns(grid)
        own, *others = (
            compare(self.cues, cue_tracks(sound), columns[where.any(axis=0)], columns)[0]
            for sound, where in zip(sounds, masks, strict=True)
        )
        rest, spread = {}, {}
        for cue, value in own.items():
            held = np.array([other[cue].value for other in others if np.isfinite(other[cue].value)])
            enough = held.size >= MOVED // 2
            reason = "" if enough else f"{held.size} of {len(others)} places have a value, {MOVED // 2} needed"
            rest[cue] = CueValue(float(held.mean()) if enough else np.nan, value.unit, held.size, reason)
            if enough and held.std() > 0:
                spread[cue] = float(held.std(ddof=1))
        return (own, rest), spread

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Whether the base's attribution changes with the seed."""
        return self._base_method().stochastic

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the base's; none of its own where the request holds the base."""
        window_edges(n_samples / SAMPLE_RATE, self.window_s)
        return self._base_method().calls(n_samples, recogniser)

    def calls_of(self, request: Request) -> int:
        """See `Explainer.calls_of`: the base's."""
        window_edges(request.clip.duration_s, self.window_s)
        return self._base_method().calls_of(request)

    def shares(self, request: Request) -> Hashable | None:
        """See `Explainer.shares`: as the base."""
        return self._base_method().shares(request)

    def _explain_base(self, request: Request) -> Attribution:
        return self._base_method().attribute(replace(request, base=None))

    def _base_method(self) -> Explainer:
        from .records import make_method

        return make_method(self.base)


class BeyondSaliencyRegions(BeyondSaliency):
    """Cues of the most relevant tenth of the scoring grid's cells, measured on the clip filtered to them."""

    name = "beyond-saliency-regions"

    def __init__(self, base: str = "occlusion", threshold: str = "quantile", share: float = 0.1) -> None:
        super().__init__(base, "cells", threshold=threshold, share=share)


def contrast_spread(
    tracks: CueTracks, edges_s: np.ndarray, salient: np.ndarray, generator: np.random.Generator
) -> dict[str, float]:
    """How much each cue's contrast varies over random sets of as many windows of the same clip.

    Parameters
    ----------
    tracks : CueTracks
    edges_s : array, shape (n_windows + 1,)
    salient : array of bool, shape (n_windows,)
    generator : numpy Generator

    Returns
    -------
    dict of str to float
        Standard deviation for each of `REGION_CUES`; without those that fewer than 10 of 200 sets have.
    """
    ranks = generator.random((RANDOM_SETS, len(salient))).argsort(axis=1).argsort(axis=1)
    contrasts = WindowCues(tracks, edges_s).contrasts(ranks < salient.sum())
    found = {}
    for cue, values in zip(REGION_CUES, contrasts.T, strict=True):
        held = values[np.isfinite(values)]
        if held.size >= 10 and held.std() > 0:
            found[cue] = float(held.std())
    return found


def cue_rows(
    compared: CueComparison, windows_s: np.ndarray, target: str, spread: Mapping[str, float], backend: str = "praat"
) -> tuple[dict[str, Any], ...]:
    """The cue table: what is salient against the rest of the clip, one row a cue.

    Parameters
    ----------
    compared : pair of dict of str to CueValue
        Inside and in the rest.
    windows_s : array, shape (n, 2)
        Salient stretches of time.
    target : str
        Emotion whose expected directions are compared.
    spread : dict of str to float
        Standard deviation of each cue's contrast by chance, see `contrast_spread`.
    backend : str
        Who measured them.

    Returns
    -------
    tuple of dict
        Keys ``cue``, ``unit``, ``measured_by``, ``salient``, ``rest``, ``salient_sd``,
        ``rest_sd`` (over frames, where the backend measures it), ``contrast`` (salient - rest), ``contrast_z``
        (the contrast in units of its spread), ``z``, ``z_rest`` and ``reference`` (see `with_norms`),
        ``reason`` (why a value is missing, else empty), ``windows_s`` and ``sources``: a list of ``source``,
        ``direction``, ``agree`` (None where nothing is expected or measured) and ``status`` (how the direction was
        obtained). Missing numbers are None, so that the table is valid JSON.
    """
    inside, rest = compared
    status = {(row.cue, row.source): row.status for row in expectations() if row.emotion == target}
    expected = directions(target)
    rows = []
    for cue, value in inside.items():
        contrast = value.value - rest[cue].value
        rows.append(
            {
                "cue": cue,
                "unit": value.unit,
                "measured_by": backend,
                "salient": _number(value.value),
                "rest": _number(rest[cue].value),
                "salient_sd": _number(value.sd),
                "rest_sd": _number(rest[cue].sd),
                "contrast": _number(contrast),
                "contrast_z": _number(contrast / spread[cue]) if cue in spread else None,
                "z": None,
                "z_rest": None,
                "reference": "",
                "reason": _reason(value, rest[cue]),
                "windows_s": [[round(float(edge), 6) for edge in window] for window in windows_s],
                "sources": [
                    {
                        "source": source,
                        "direction": cues[cue],
                        "agree": _agrees(contrast, cues[cue]),
                        "status": status[cue, source],
                    }
                    for source, cues in expected.items()
                    if cue in cues
                ],
            }
        )
    return tuple(rows)


def with_norms(attribution: Attribution, norms: Mapping[str, CueReference]) -> Attribution:
    """The same explanation with its cues also in units of the speaker's voice.

    Parameters
    ----------
    attribution : Attribution
        By `BeyondSaliency`. Tables of cells come back unchanged, since a filtered clip is no voice to compare.
    norms : dict of str to CueReference
        From `cues.normalise.cue_references`. Cues by openSMILE, in units of its own, are left out.

    Returns
    -------
    Attribution
        In its table ``z`` is that of the salient windows, ``z_rest`` that of the rest, ``reference`` what they are
        relative to.
    """
    if "n_cells" in attribution.details:
        return attribution
    rows = []
    for row in attribution.cues:
        norm = norms.get(row["cue"])
        if norm is not None and row["measured_by"] in PRAAT:
            z, z_rest = (None if row[part] is None else norm.z(row[part]) for part in ("salient", "rest"))
            row = {**row, "z": z, "z_rest": z_rest, "reference": norm.reference}
        rows.append(row)
    return replace(attribution, cues=tuple(rows))


def _columns(grid: Grid) -> np.ndarray:
    return np.stack([grid.time_edges_s[:-1], grid.time_edges_s[1:]], axis=1)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _reason(salient: CueValue, rest: CueValue) -> str:
    parts = [f"{where}: {cue.reason}" for where, cue in (("salient windows", salient), ("rest", rest)) if cue.reason]
    return "; ".join(parts)


def _agrees(contrast: float, direction: int) -> bool | None:
    return None if direction == 0 or not np.isfinite(contrast) else bool(np.sign(contrast) == direction)
