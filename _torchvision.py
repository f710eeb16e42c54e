"""Workaround that lets ``import torchvision`` succeed beside a CPU build of torch.

zennit, quantus and transformers import torchvision, whose compiled operators may be built against another torch; then
the import fails with ``operator torchvision::nms does not exist``. Declaring the schemas of the two missing operators
suffices, since none of them is called here. Import this module before any of the three packages; with a matching
torchvision it does nothing.
"""

from __future__ import annotations

import sys

import torch

_library: torch.library.Library | None = None  # torch removes the schemas when the last reference goes


def ensure_torchvision() -> None:
    """Import torchvision; if its operators are missing, declare their schemas and import it again."""
    global _library
    try:
        import torchvision
    except ImportError:
        return
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
            del sys.modules[name]
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            _library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401


ensure_torchvision()
