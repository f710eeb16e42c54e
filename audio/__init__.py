"""Audio loading, STFT, time-frequency grids, masking with fill operators and resynthesis.

Names are loaded on first use: reading a sound file needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .fills import FILLS, fill_spectrum
    from .grid import Grid, band_edges_hz, scoring_grid
    from .load import SAMPLE_RATE, load_audio
    from .plane import Plane

__all__ = ["FILLS", "SAMPLE_RATE", "Grid", "Plane", "band_edges_hz", "fill_spectrum", "load_audio", "scoring_grid"]

_MODULES = {
    "FILLS": ".fills",
    "SAMPLE_RATE": ".load",
    "Grid": ".grid",
    "Plane": ".plane",
    "band_edges_hz": ".grid",
    "fill_spectrum": ".fills",
    "load_audio": ".load",
    "scoring_grid": ".grid",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
