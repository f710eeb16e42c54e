"""Recognisers: interfaces, training in speaker-grouped folds, storage and loading.

Conventions: waveforms are float32 mono at 16 kHz; a recogniser returns one-vs-rest log-odds in the order of its
`classes`; a trained model is a folder of one JSON card and one safetensors file a fold, never a pickle.

The names below are the public interface for extensions; each is imported at first use, so that
``import serxai.models`` stays fast and loads no torch. Modules of this package are private: their names may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        ".records": ("MODELS",),
        ".record": ("ModelRecord",),
        ".recogniser": ("FrontEnd", "Recogniser", "TorchRecogniser"),
        ".front_end": ("LogMel",),
        ".extractor": ("Extractor",),
        ".headed": ("TorchExtractor",),
        ".factory": ("make_extractor",),
        ".obtain": ("load_model", "obtain_models"),
        ".foldmodels": ("FoldModels", "ForeignModel", "load_fold_models"),
    },
)

if TYPE_CHECKING:
    from .extractor import Extractor as Extractor
    from .factory import make_extractor as make_extractor
    from .foldmodels import FoldModels as FoldModels
    from .foldmodels import ForeignModel as ForeignModel
    from .foldmodels import load_fold_models as load_fold_models
    from .front_end import LogMel as LogMel
    from .headed import TorchExtractor as TorchExtractor
    from .obtain import load_model as load_model
    from .obtain import obtain_models as obtain_models
    from .recogniser import FrontEnd as FrontEnd
    from .recogniser import Recogniser as Recogniser
    from .recogniser import TorchRecogniser as TorchRecogniser
    from .record import ModelRecord as ModelRecord
    from .records import MODELS as MODELS
