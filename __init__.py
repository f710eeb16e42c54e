"""serxai: a comparative benchmark suite for explanations of speech emotion recognition.

The rooms, from the ground floor up: ``audio``, ``cues``, ``datasets``, ``models``, ``methods``, ``metrics``,
``benchmark``. A room imports only rooms below it; the modules beside this file serve all of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# name -> module that defines it; loaded on first use, so that `import serxai` stays fast and torch-free
_PUBLIC = {
    "Attribution": ".methods.attribution",
    "Clip": ".datasets.clip",
    "Grid": ".audio.grid",
    "Recogniser": ".models.recogniser",
    "explain": ".benchmark.api",
    "load_corpus": ".datasets.corpora",
    "load_model": ".models.records",
    "run": ".benchmark.api",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name], __name__), name)
    raise AttributeError(f"module 'serxai' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
