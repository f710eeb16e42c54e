"""Registry record of a recogniser."""

from __future__ import annotations

from dataclasses import dataclass

from ..registry import Record


@dataclass(frozen=True, kw_only=True)
class ModelRecord(Record):
    """Registry record of a recogniser.

    Attributes
    ----------
    kind : {'network', 'head', 'foreign', 'hf'}
        ``network``: trained here on log-mel features; the target is its class, ``Network(n_classes, width, dropout)``.
        ``head``: a linear head trained here on fixed features; the target makes the `models.extractor.Extractor`.
        ``foreign``: used as it comes; the target is ``load(record, checkpoint, trust, device) -> Recogniser``.
        ``hf``: ``foreign`` for a checkpoint with a classifier, ``head`` for a backbone without.
    checkpoint : bool
        Whether a foreign model must be given a file or folder.
    differentiable : bool or None
        Whether gradient and relevance methods apply; None where it is known only once loaded
        (`Recogniser.differentiable`, which methods read).
    needs : str
        Extra that must be installed (``pip install 'serxai[NAME]'``); empty for none.
    runs_code : bool
        Whether the model's name says which code runs, as ``python:MODULE:FACTORY`` does; see `models.trust`.
    """

    kind: str
    differentiable: bool | None
    needs: str = ""
    checkpoint: bool = False
    runs_code: bool = False
