"""A figure drawn from a run, held in memory: picture and numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class RunFigure(NamedTuple):
    """Figure of a run.

    Attributes
    ----------
    name : str
    png : bytes
        The picture; notebooks show it.
    numbers : DataFrame
        What is drawn.
    files : tuple of Path
        Where picture and numbers were written; empty where they were not.
    """

    name: str
    png: bytes
    numbers: pd.DataFrame
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return f"RunFigure({self.name!r}, {len(self.numbers)} rows of numbers)"

    def _repr_png_(self) -> bytes:
        return self.png

    def plot(self, ax: Any = None) -> Any:
        """Show the picture in an Axes.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default that of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        import matplotlib.image as images
        import matplotlib.pyplot as plt

        pixels = images.imread(io.BytesIO(self.png), format="png")
        if ax is None:
            height, width = pixels.shape[:2]
            _, ax = plt.subplots(figsize=(width / 150, height / 150), layout="constrained")
        ax.imshow(pixels)
        ax.set_axis_off()
        return ax


def read_figure(name: str, files: Sequence[Path]) -> RunFigure:
    """Figure from the files that `report.catalogue.draw_figure` wrote."""
    import pandas as pd

    by_kind = {path.suffix: path for path in files}
    return RunFigure(name, by_kind[".png"].read_bytes(), pd.read_csv(by_kind[".csv"]), tuple(files))
