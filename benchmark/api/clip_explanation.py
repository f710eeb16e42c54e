"""Explanations of one sound by several methods: what `serxai.explain` returns, as numbers, table and picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ...audio import Grid, scoring_grid
from ...audio.quality import Remark
from ...datasets.clip import Clip
from ...errors import InputError, UnknownNameError
from ...methods.attribution import Attribution, labelled_array
from ...methods.caveats import Caveat, caveats, largest_response
from ...methods.masks import FillEffect
from ...methods.reading import reading
from ...models.recogniser import Recogniser
from ...models.training_distance import Deviation

if TYPE_CHECKING:
    import pandas as pd

PANEL_INCHES = (5.6, 3.1)


@dataclass(frozen=True, eq=False)
class ClipExplanation:
    """Explanations of one sound by one or several methods.

    ``explanation["emolime"]`` is the attribution of a method; iteration goes over the names of the methods.

    Attributes
    ----------
    clip : Clip
    recogniser : Recogniser
    probabilities : dict of str to float
        By class.
    target : str
        The class explained.
    seen_in_training : {'no', 'yes', 'unknown'}
        Whether the recogniser was trained on the clip or its speaker.
    attributions : dict of str to Attribution
        By method.
    failures : dict of str to str
        Methods that could not explain the clip, with the reason.
    contrast : str or None
        The class that the target is explained against.
    remarks : tuple of Remark
        What is wrong with the recording.
    parameters : dict of str to dict
        Every parameter of each method, defaults included.
    outputs : dict of str to float
        By dimension, of a recogniser that predicts numbers; it has no probabilities.
    trained : str
        Corpus of training, number of classes and held-out UAR of the recogniser, in words.
    deviations : tuple of Deviation
        Quantities in which the file lies outside the range of the training clips.
    warnings : tuple of str
        Why the recogniser may not know speech like this.
    fills : tuple of FillEffect
        What each fill does to the prediction where it replaces the whole clip.
    name : str
        Of the sound, for titles.
    """

    clip: Clip
    recogniser: Recogniser
    probabilities: dict[str, float]
    target: str
    seen_in_training: str
    attributions: dict[str, Attribution]
    failures: dict[str, str] = field(default_factory=dict)
    contrast: str | None = None
    remarks: tuple[Remark, ...] = ()
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, float] = field(default_factory=dict)
    trained: str = ""
    deviations: tuple[Deviation, ...] = ()
    warnings: tuple[str, ...] = ()
    fills: tuple[FillEffect, ...] = ()
    name: str = ""

    def __getitem__(self, method: str) -> Attribution:
        """Attribution of a method.

        Raises
        ------
        UnknownNameError
            If it is none of this explanation's.
        InputError
            If it could not explain the clip, with the reason.
        """
        if method in self.failures:
            raise InputError(f"method {method!r} could not explain the clip: {self.failures[method]}")
        if method not in self.attributions:
            raise UnknownNameError("method of this explanation", method, self.attributions)
        return self.attributions[method]

    def __iter__(self) -> Iterator[str]:
        return iter(self.attributions)

    def __len__(self) -> int:
        return len(self.attributions)

    def __repr__(self) -> str:
        failed = f", failed: {', '.join(self.failures)}" if self.failures else ""
        return f"ClipExplanation({self.heading!r}, methods: {', '.join(self.attributions) or 'none'}{failed})"

    @property
    def attribution(self) -> Attribution:
        """The attribution, where there is one method.

        Raises
        ------
        InputError
            If there are several, or the method could not explain the clip.
        """
        names = [*self.attributions, *self.failures]
        if len(names) != 1:
            raise InputError(f"attribution: there are several ({', '.join(names)}); name one, explanation[NAME].")
        return self[names[0]]

    @property
    def heading(self) -> str:
        """Title: sound, class explained with its probability, what was heard and what is labelled."""
        name = self.name or self.clip.id
        if self.outputs:
            return f"{name}: {self.target} = {self.outputs[self.target]:.3f}"
        predicted = max(self.probabilities, key=self.probabilities.__getitem__)
        text = f"{name}: {self.target} (p = {self.probabilities[self.target]:.2f})"
        if predicted != self.target:
            text += f", heard as {predicted} (p = {self.probabilities[predicted]:.2f})"
        label = self.clip.emotion
        return text + (f", labelled {label}{'' if label == predicted else ': misheard'}" if label else "")

    @property
    def caveats(self) -> dict[str, tuple[Caveat, ...]]:
        """Reasons not to read an explanation, or not as evidence for a class, by method (`methods.caveats`).

        What the recogniser responds to is judged by all that was removed from the clip, by fills and by any method.
        """
        response = largest_response(self.fills, (each.table for each in self.attributions.values()))
        return {name: caveats(each, response, bool(self.outputs)) for name, each in self.attributions.items()}

    @property
    def sentences(self) -> dict[str, str]:
        """What each explanation says, or why it is not to be read, by method (`methods.reading`)."""
        found = self.caveats
        return {name: reading(each, found[name], bool(self.outputs)) for name, each in self.attributions.items()}

    def to_frame(self) -> pd.DataFrame:
        """Cells of all explanations as one table; see `Attribution.to_frame`.

        Returns
        -------
        DataFrame
            One row per method and cell, each method on the grid of its own.
        """
        import pandas as pd

        tables = [attribution.to_frame().assign(method=name) for name, attribution in self.attributions.items()]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def to_xarray(self, grid: Grid | None = None) -> Any:
        """Explanations on one grid as a labelled array.

        Parameters
        ----------
        grid : Grid, optional
            Onto which relevance is summed; default the scoring grid, 16 mel bands x 80 ms.

        Returns
        -------
        xarray.DataArray, float64
            Dimensions ``explainer`` (the method; ``sel`` has a keyword ``method`` of its own), ``frequency`` (Hz) and
            ``time`` (s).

        Raises
        ------
        InputError
            If xarray is not installed, or no method could explain the clip.
        """
        if not self.attributions:
            raise InputError("to_xarray: no method could explain the clip; see failures.")
        onto = scoring_grid(self.clip.duration_s) if grid is None else grid
        facts = {"target": self.target, "recogniser": self.recogniser.name, "sound": self.name or self.clip.id}
        maps = [labelled_array(a.on(onto), onto, "relevance", facts) for a in self.attributions.values()]
        import xarray

        names = xarray.IndexVariable("explainer", list(self.attributions))
        return xarray.concat(maps, names, combine_attrs="override")

    def plot(self, ax: Any = None, method: str | None = None) -> Any:
        """Draw explanations over the clip's spectrogram.

        Green speaks for the target, vermilion against it; maps without sign are blue; opacity grows with relevance.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default a new figure.
        method : str, optional
            Which explanation; needed with `ax` where there are several.

        Returns
        -------
        matplotlib Axes, or array of Axes
            `ax`, or that of the new figure; without `ax` and `method`, one for each of several methods.

        Raises
        ------
        InputError
            If `ax` is given for several methods, or none could explain the clip.
        """
        names = list(self.attributions) if method is None else [method]
        if not names:
            raise InputError("plot: no method could explain the clip; see failures.")
        if ax is not None and len(names) > 1:
            raise InputError(f"plot: one Axes for several methods ({', '.join(names)}); name one with method=.")
        if ax is None:
            import matplotlib.pyplot as plt

            width, height = PANEL_INCHES
            _, grid = plt.subplots(
                len(names), 1, figsize=(width, height * len(names)), squeeze=False, layout="constrained"
            )
            axes = list(grid[:, 0])
        else:
            axes = [ax]
        self._draw(axes, names)
        return axes[0] if len(names) == 1 else np.array(axes)

    def _draw(self, axes: Sequence[Any], names: Sequence[str]) -> None:
        """Draw one method into each Axes."""
        from matplotlib import rc_context

        from ..report.figures.maps import REMARKS, map_panel

        chosen = [self[name] for name in names]
        found = self.caveats
        with rc_context({"text.parse_math": False}):
            for ax, name, attribution in zip(axes, names, chosen, strict=True):
                remark = next((REMARKS[c.kind] for c in found[name] if c.unreadable), "")
                map_panel(ax, self.clip.samples, attribution, name, remark)
                ax.set_xlabel("time / s")
                ax.set_ylabel("frequency / Hz")

    def _repr_html_(self) -> str:
        """Page for notebooks: what was heard, a picture, a sentence for each method."""
        values = self.outputs or self.probabilities
        ranked = sorted(values.items(), key=lambda item: -item[1])
        heard = ", ".join(f"{escape(name)} {value:.2f}" for name, value in ranked)
        lines = [f"<p><b>{escape(self.heading)}</b><br>{escape(self.trained)}<br>{heard}</p>"]
        lines += [f"<p>Warning: {escape(text)}.</p>" for text in self.warnings]
        if self.attributions:
            lines.append(f'<img alt="explanations" src="data:image/png;base64,{self._png()}">')
        lines += [f"<p><b>{escape(name)}</b>: {escape(text)}</p>" for name, text in self.sentences.items()]
        lines += [f"<p><b>{escape(n)}</b> could not explain it: {escape(why)}</p>" for n, why in self.failures.items()]
        return "\n".join(lines)

    def _png(self) -> str:
        """Picture of all methods, drawn outside pyplot, in base64."""
        from ..report.figures.style import new_figure

        names = list(self.attributions)
        figure = new_figure(PANEL_INCHES[0], PANEL_INCHES[1] * len(names))
        self._draw(list(figure.subplots(len(names), 1, squeeze=False)[:, 0]), names)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        return base64.b64encode(buffer.getvalue()).decode()
