"""The time-frequency plane on which every recogniser is explained, perturbed and scored."""

from .fills import FILLS, fill_spectrum
from .grid import Grid, band_edges_hz, scoring_grid
from .load import SAMPLE_RATE, load_audio
from .plane import Plane

__all__ = ["FILLS", "SAMPLE_RATE", "Grid", "Plane", "band_edges_hz", "fill_spectrum", "load_audio", "scoring_grid"]
