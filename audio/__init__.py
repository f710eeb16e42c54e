"""Audio loading, STFT, time-frequency grids, masking with fill operators and resynthesis."""

from .fills import FILLS, fill_spectrum
from .grid import Grid, band_edges_hz, scoring_grid
from .load import SAMPLE_RATE, load_audio
from .plane import Plane

__all__ = ["FILLS", "SAMPLE_RATE", "Grid", "Plane", "band_edges_hz", "fill_spectrum", "load_audio", "scoring_grid"]
