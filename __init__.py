"""serxai: a comparative benchmark suite for explanations of speech emotion recognition.

Public interface: the names of this module, and for extensions `serxai.methods`, `serxai.metrics`, `serxai.models`,
`serxai.corpora`, `serxai.audio`, `serxai.errors` and `serxai.registry`. All deeper paths are private.

The layers, from the bottom: ``audio``, ``cues``, ``datasets``, ``models``, ``methods``, ``metrics``, ``benchmark``. A
folder imports only folders below it; the modules beside this file serve all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

# absolute: pytest imports this file by the name of the clone's folder, which need not be that of a package
from serxai._lazy import attach

__version__ = "0.1.0"

# `import serxai` stays fast and loads no torch
__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        ".audio": ("Grid",),
        ".benchmark.api.clip_explanation": ("ClipExplanation",),
        ".benchmark.api.explain": ("explain",),
        ".benchmark.api.results": ("Run", "open_run"),
        ".benchmark.api.run": ("run",),
        ".corpora": ("Clip", "load_corpus"),
        ".methods": ("Attribution",),
        ".models": ("Recogniser", "load_model"),
    },
    packages=("audio", "corpora", "errors", "maps", "methods", "metrics", "models", "registry", "testing"),
)

if TYPE_CHECKING:
    from .audio import Grid as Grid
    from .benchmark.api.clip_explanation import ClipExplanation as ClipExplanation
    from .benchmark.api.explain import explain as explain
    from .benchmark.api.results import Run as Run
    from .benchmark.api.results import open_run as open_run
    from .benchmark.api.run import run as run
    from .corpora import Clip as Clip
    from .corpora import load_corpus as load_corpus
    from .methods import Attribution as Attribution
    from .models import Recogniser as Recogniser
    from .models import load_model as load_model
