"""Figure registry; a drawing module is imported when its figure is drawn, so that listing stays quick.

Every figure is written as PNG, SVG and PDF, with a CSV beside them that holds the numbers drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import InputError, UnknownNameError
from .figures.choice import Choice

if TYPE_CHECKING:
    from ..run.runner import Progress
    from ..storage.store import Store


class Figure(NamedTuple):
    """Record of a figure drawn from runs.

    Attributes
    ----------
    summary : str
    target : str
        ``module:function`` of this package; it takes (store, picture, data_root, progress) and returns the picture.
        Where `several`, it takes a `figures.of_runs.FigureOfRuns`.
    several : bool
        Whether it is drawn from one or several runs.
    choices : tuple of str
        Fields of `Choice` that may be given.
    """

    summary: str
    target: str
    several: bool = False
    choices: tuple[str, ...] = ()


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
        "how alike each two methods explain the same clips, by rank correlation; its CSV has all corpora and models",
        ".figures.agreement:agreement_of_runs",
        several=True,
        choices=("methods", "corpus", "model"),
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
    "shift": Figure(
        "similarity of explanations under each kind of shift over its measured strength; changed predictions below",
        ".figures.shift:shift_of_runs",
        several=True,
        choices=("methods", "corpus", "model"),
    ),
    "robustness-map": Figure(
        "similarity of band profiles, corpus by corpus and recogniser by recogniser; needs two of either",
        ".figures.robustness_map:robustness_map_of_runs",
        several=True,
        choices=("methods",),
    ),
    "emolime-robustness": Figure(
        "EmoLIME's figure: mean band weights by recogniser and emotion, a line a corpus, published ones beside",
        ".figures.emolime_robustness:emolime_robustness_of_runs",
        several=True,
        choices=("methods",),
    ),
    "emolime-morf": Figure(
        "predictions kept and log-odds left while bands are removed, most relevant first and at random; delta-AUC",
        ".figures.emolime_morf:emolime_morf_of_runs",
        several=True,
        choices=("methods",),
    ),
    "beyond-saliency-windows": Figure(
        "salient windows of a clip on its spectrogram and waveform, by method",
        ".figures.salient_windows:windows_of_runs",
        several=True,
        choices=("methods", "clips", "corpus", "model"),
    ),
    "beyond-saliency-cues": Figure(
        "cues of salient windows by emotion: correct and wrong predictions, random windows",
        ".figures.salient_cues:cues_of_runs",
        several=True,
        choices=("methods", "corpus", "model"),
    ),
    "beyond-saliency-corpus": Figure(
        "cues of salient windows and of the rest of the clip by cue and emotion, corpora side by side",
        ".figures.salient_cues:corpora_of_runs",
        several=True,
        choices=("methods", "model"),
    ),
}
FLAGS = {"methods": "--method", "clips": "--clip", "corpus": "--corpus", "model": "--model"}  # of `Choice`'s fields

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


def refuse_choice(name: str, runs: int, choice: Choice) -> None:
    """Refuse several runs, or a choice, that a figure cannot use.

    Raises
    ------
    UnknownNameError
        For a name that is not in `FIGURES`.
    InputError
        For runs or a choice that the figure does not take.
    """
    if name not in FIGURES:
        raise UnknownNameError("figure", name, FIGURES)
    record = FIGURES[name]
    if runs > 1 and not record.several:
        several = ", ".join(other for other, figure in FIGURES.items() if figure.several)
        raise InputError(f"--run: figure {name} shows one run, got {runs}; give one. Several are shown by {several}.")
    for field, given in choice._asdict().items():
        if given and field not in record.choices:
            allowed = ", ".join(FLAGS[other] for other in record.choices) or "no such flag"
            raise InputError(f"{FLAGS[field]}: figure {name} takes {allowed}; leave it out.")


def draw_figure(
    name: str,
    stores: Store | Sequence[Store],
    out: str | Path,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
    choice: Choice | None = None,
) -> list[Path]:
    """Draw one of `FIGURES` from a run, or from several.

    Parameters
    ----------
    name : str
    stores : Store or sequence of Store
        The runs; several where the figure's record says so.
    out : path
        Folder; the files are called after the figure.
    data_root : path, optional
        Folder that holds the corpora, for figures that read clips.
    progress : callable, optional
        Called with (what, done, total) by figures that take long.
    choice : Choice, optional
        What of the runs is drawn.

    Returns
    -------
    list of Path
        The files written: picture in each format, and numbers.

    Raises
    ------
    UnknownNameError
        For a name that is not in `FIGURES`.
    InputError
        If the runs do not hold what the figure needs, or the choice is none of this figure.
    """
    runs = list(stores) if isinstance(stores, Sequence) else [stores]
    choice = choice or Choice()
    refuse_choice(name, len(runs), choice)
    record = FIGURES[name]
    module, function = record.target.split(":")
    draw = getattr(import_module(module, __package__), function)
    file = Path(out) / f"{name}.png"
    root = Path(data_root) if data_root is not None else None
    if record.several:
        from .figures.of_runs import FigureOfRuns

        picture: Path = draw(FigureOfRuns(name, runs, file, root, progress, choice))
    else:
        picture = draw(runs[0], file, data_root, progress)
    return [path for suffix in (".png", ".csv", ".svg", ".pdf") if (path := picture.with_suffix(suffix)).is_file()]
