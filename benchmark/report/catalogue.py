"""Figure registry; a drawing module is imported when its figure is drawn, so that listing stays quick.

Every figure is a PNG with a CSV beside it that holds the numbers drawn; boards' figures are also written as SVG.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import UnknownNameError

if TYPE_CHECKING:
    from ..run.runner import Progress
    from ..storage.store import Store


class Figure(NamedTuple):
    """Record of a figure drawn from a run.

    Attributes
    ----------
    summary : str
    target : str
        ``module:function`` of this package; it takes (store, picture, data_root, progress) and returns the picture.
    """

    summary: str
    target: str


FIGURES = {
    "ranking": Figure(
        "mean score of each method with its 95 % interval, one panel per metric",
        ".figures.board:ranking_of_run",
    ),
    "localisation": Figure(
        "mean of the localisation metrics of each method with its 95 % interval",
        ".figures.board:localisation_of_run",
    ),
    "consistency": Figure(
        "consistency of explanations under noise at 20 and 10 dB, one line per method",
        ".figures.board:consistency_of_run",
    ),
    "agreement": Figure(
        "how alike each two methods explain the same clips, by rank correlation",
        ".figures.agreement:agreement_of_run",
    ),
    "critical-difference": Figure(
        "average ranks of methods over the cells of each family, with the critical difference; a description",
        ".figures.order:critical_difference_of_run",
    ),
    "plausibility": Figure(
        "agreement of cues with each source and with the corpus itself, per emotion, cue and method; more in its CSV",
        ".figures.plausibility:plausibility_of_run",
    ),
    "emolime-example": Figure(
        "EmoLIME's two example clips (EMODB 11b03Wa, 10b01Fa): weights of the run's recognisers and published ones",
        ".figures.emolime_example:emolime_example_of_run",
    ),
    "emolime-gap": Figure(
        "EmoLIME's band weights as published against the exact ones, with the noise of their seeds",
        ".figures.gap:emolime_gap_of_run",
    ),
}

# drawing functions for plain data, imported on first use
_DRAWING = {
    "beyond_saliency_figure": ".figures.cues",
    "confusion": ".figures.board",
    "consistency": ".figures.board",
    "ranking": ".figures.board",
    "transfer": ".figures.board",
    "emolime_example": ".figures.emolime_example",
    "explanation_overlay": ".figures.maps",
}


def __getattr__(name: str) -> Any:
    if name not in _DRAWING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_DRAWING[name], __package__), name)


def draw_figure(
    name: str,
    store: Store,
    out: str | Path,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Draw one of `FIGURES` from a run.

    Parameters
    ----------
    name : str
    store : Store
        The run.
    out : path
        Folder; the files are called after the figure.
    data_root : path, optional
        Folder that holds the corpora, for figures that read clips.
    progress : callable, optional
        Called with (what, done, total) by figures that take long.

    Returns
    -------
    list of Path
        The files written: picture, numbers, and the SVG where there is one.

    Raises
    ------
    UnknownNameError
        For a name that is not in `FIGURES`.
    InputError
        If the run does not hold what the figure needs.
    """
    if name not in FIGURES:
        raise UnknownNameError("figure", name, FIGURES)
    out = Path(out)
    module, function = FIGURES[name].target.split(":")
    picture: Path = getattr(import_module(module, __package__), function)(
        store, out / f"{name}.png", data_root, progress
    )
    return [path for suffix in (".png", ".csv", ".svg") if (path := picture.with_suffix(suffix)).is_file()]
