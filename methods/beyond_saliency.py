"""Beyond Saliency (Nasr, Ren & Johnson 2025, arXiv 2511.11691): where a map points, and what the voice does there.

The map of any other method is cut into consecutive 150 ms windows; the windows with the most positive relevance are
salient. Their acoustic cues are compared with those of the rest of the clip and with what each source in the literature
expects for the target emotion. Where this differs from the authors' code: cues are read from tracks of the whole clip
(not from slices), voiced frames only, as contrast with the rest, and at most half of the windows are salient.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..audio import SAMPLE_RATE, Grid
from ..cues.expert import directions, expectations
from ..cues.records import CUES
from ..cues.regions import CueValue, region_cues, window_mask
from ..cues.tracks import cue_tracks
from ..cues.windows import TOP, WINDOW_S, salient_windows, window_edges, window_relevance
from ..errors import InputError
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .explainer import Explainer, Request

MAX_HZ = 8000.0


class BeyondSaliency(Explainer):
    """Salient windows of another method's map, with a table of their acoustic cues.

    Parameters
    ----------
    base : str
        Method whose map is cut into windows; its attribution is taken from the request where it holds one.
    window_s : float
        Length of a window in seconds.
    top : int
        Number of salient windows, at most half of the clip's.
    above_mean : bool
        Set cells of the map below its mean to 0 first, as the authors do.
    """

    name = "beyond-saliency"

    def __init__(
        self, base: str = "occlusion", window_s: float = WINDOW_S, top: int = TOP, above_mean: bool = True
    ) -> None:
        self.base: str = base
        self.window_s = window_s
        self.top = top
        self.above_mean = above_mean

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            Over windows x all frequencies; 0 in windows that are not salient. ``cues`` is the cue table, see
            `cue_table`.

        Raises
        ------
        NotApplicable
            If the clip is shorter than two windows, or the base map has no positive relevance inside the clip.
        """
        edges = window_edges(request.clip.duration_s, self.window_s)
        base = request.base if request.base is not None else self._explain_base(request)
        if base.target != request.target:
            raise InputError(
                f"beyond-saliency: the base attribution explains {base.target!r}, the request {request.target!r}."
            )
        scores = window_relevance(base.values, base.grid.time_edges_s, edges, self.above_mean)
        salient = salient_windows(scores, request.generator("salient windows"), self.top)
        return Attribution(
            values=np.where(salient, scores, 0.0)[None],
            grid=Grid(np.array([0.0, MAX_HZ]), edges),
            target=request.target,
            method=self.name,
            details={
                "n_windows": float(salient.size),
                "n_salient": float(salient.sum()),
                "relevance_in_salient": float(scores[salient].sum() / scores.sum()),
            },
            cues=cue_table(request.clip.samples, edges, salient, request.target),
        )

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Whether the base's attribution changes with the seed."""
        return self._base_method().stochastic

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: the base's; none of its own where the request holds the base."""
        window_edges(n_samples / SAMPLE_RATE, self.window_s)
        return self._base_method().calls(n_samples, recogniser)

    def _explain_base(self, request: Request) -> Attribution:
        return self._base_method().attribute(replace(request, base=None))

    def _base_method(self) -> Explainer:
        from .records import make_method

        return make_method(self.base)


def cue_table(samples: np.ndarray, edges_s: np.ndarray, salient: np.ndarray, target: str) -> tuple[dict[str, Any], ...]:
    """Cues of the salient windows against the rest of the clip, one row a cue.

    Parameters
    ----------
    samples : array, shape (n_samples,)
    edges_s : array, shape (n_windows + 1,)
    salient : array of bool, shape (n_windows,)
    target : str
        Emotion whose expected directions are compared.

    Returns
    -------
    tuple of dict
        Keys ``cue``, ``unit``, ``salient``, ``rest``, ``contrast`` (salient - rest), ``reason`` (why one is missing,
        else empty), ``windows_s`` (start and end of each salient window) and ``sources``: a list of ``source``,
        ``direction``, ``agree`` (None where nothing is expected or measured) and ``status`` (how the direction was
        obtained). Missing numbers are None, so that the table is valid JSON.
    """
    tracks = cue_tracks(samples)
    windows = np.stack([edges_s[:-1], edges_s[1:]], axis=1)[salient]
    mask = window_mask(tracks, windows)
    inside, rest = region_cues(tracks, mask), region_cues(tracks, ~mask)
    status = {(row.cue, row.source): row.status for row in expectations() if row.emotion == target}
    expected = directions(target)
    rows = []
    for cue, value in inside.items():
        contrast = value.value - rest[cue].value
        rows.append(
            {
                "cue": cue,
                "unit": value.unit,
                "salient": _number(value.value),
                "rest": _number(rest[cue].value),
                "contrast": _number(contrast),
                "reason": _reason(value, rest[cue]),
                "windows_s": [[round(float(edge), 6) for edge in window] for window in windows],
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


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _reason(salient: CueValue, rest: CueValue) -> str:
    parts = [f"{where}: {cue.reason}" for where, cue in (("salient windows", salient), ("rest", rest)) if cue.reason]
    return "; ".join(parts)


def _agrees(contrast: float, direction: int) -> bool | None:
    return None if direction == 0 or not np.isfinite(contrast) else bool(np.sign(contrast) == direction)


def sentence(attribution: Attribution) -> str:
    """The cue table in one or two plain sentences, for somebody who is no expert.

    Cues are named only where at least one source expects something of them; they count as expected, or not, by the
    majority of sources, and as disputed where the sources split evenly.

    Parameters
    ----------
    attribution : Attribution
        From `BeyondSaliency`.

    Raises
    ------
    InputError
        If the attribution has no cue table.
    """
    if not attribution.cues:
        raise InputError(
            f"sentence: the attribution of method {attribution.method!r} has no cue table; "
            "explain the clip with method 'beyond-saliency'."
        )
    groups: dict[str, list[str]] = {"expected": [], "unexpected": [], "disputed": []}
    for row in attribution.cues:
        votes = [entry["agree"] for entry in row["sources"] if entry["agree"] is not None]
        if votes:
            balance = 2 * sum(votes) - len(votes)
            groups["expected" if balance > 0 else "unexpected" if balance < 0 else "disputed"].append(_phrase(row))
    places = _listed(f"{start:.2f}-{end:.2f} s" for start, end in _merged(attribution.cues[0]["windows_s"]))
    where = f"For {attribution.target}, the explanation points at {places}"
    endings = {
        "expected": "as most sources expect",
        "unexpected": "against what most sources expect",
        "disputed": "on which the sources disagree",
    }
    clauses = [f"{_listed(phrases)} ({endings[kind]})" for kind, phrases in groups.items() if phrases]
    if not clauses:
        return f"{where}; no source says what the voice should do there."
    return f"{where}. Compared with the rest of the clip, the voice there is {'; '.join(clauses)}."


def _phrase(row: dict[str, Any]) -> str:
    record = CUES.get(row["cue"])
    word = record.higher if row["contrast"] > 0 else record.lower
    return f"{word} ({row['contrast']:+.1f} {row['unit']})"


def _merged(windows: list[list[float]]) -> list[list[float]]:
    """Windows that touch become one stretch."""
    stretches: list[list[float]] = []
    for start, end in windows:
        if stretches and abs(start - stretches[-1][1]) < 1e-6:
            stretches[-1][1] = end
        else:
            stretches.append([start, end])
    return stretches


def _listed(items: Any) -> str:
    items = list(items)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
