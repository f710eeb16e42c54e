"""Maps that were made elsewhere: reading and writing their folders, and arrays of captum and Quantus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "..benchmark.storage.map_folder": ("MapFolder", "read_map_folder", "write_maps"),
        "..methods.external_map": ("ExternalMap",),
        "..methods.map_arrays": ("from_captum", "from_quantus"),
    },
)

if TYPE_CHECKING:
    from .benchmark.storage.map_folder import MapFolder as MapFolder
    from .benchmark.storage.map_folder import read_map_folder as read_map_folder
    from .benchmark.storage.map_folder import write_maps as write_maps
    from .methods.external_map import ExternalMap as ExternalMap
    from .methods.map_arrays import from_captum as from_captum
    from .methods.map_arrays import from_quantus as from_quantus
