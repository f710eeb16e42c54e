"""Make ``import torchvision`` work beside a CPU build of torch.

captum is content without torchvision; zennit, quantus and transformers import it. Its compiled part is built against
another torch and fails with ``operator torchvision::nms does not exist``. Declaring the two operators' schemas is
enough for everything that is used here. Import this module before any of the three; with a matching torchvision it
does nothing.
"""

from __future__ import annotations

import sys

import torch

_library: torch.library.Library | None = None  # torch drops the schemas when this reference goes


def ensure_torchvision() -> None:
    """Import torchvision, declaring its missing operators first if that is what stops it."""
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
