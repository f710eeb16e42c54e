"""Look-up of a model's kind and construction of its feature extractor, by name."""

from __future__ import annotations

from typing import Any

from .extractor import Extractor
from .records import MODELS


def model_kind(name: str, trained: bool = False) -> str:
    """Kind of a model: ``network``, ``head`` or ``foreign``; that of ``hf:`` depends on its checkpoint.

    Parameters
    ----------
    name : str
    trained : bool
        Whether it is about to be trained: a checkpoint with a head that transformers does not know is a backbone then.

    Raises
    ------
    UnknownNameError
    InputError
        If a checkpoint cannot be read.
    """
    record = MODELS.get(name)
    if record.kind != "hf":
        return record.kind
    from .hf import has_classifier
    from .hf_dimensional import has_dimensional_head

    path = record.argument
    return "foreign" if has_classifier(path) or (has_dimensional_head(path) and not trained) else "head"


def make_extractor(name: str, **params: Any) -> Extractor:
    """Build the feature extractor of a model of kind ``head``.

    Parameters
    ----------
    name : str
    **params
        As in `Extractor.params`; default: the model's own.

    Raises
    ------
    UnknownNameError
    InputError
        If its extra is missing, or a checkpoint cannot be read.
    """
    record = MODELS.get(name)
    if record.kind == "hf":
        from .hf import Backbone

        return Backbone(**{"path": record.argument} | params)
    extractor: Extractor = record.load()(**params)
    return extractor
