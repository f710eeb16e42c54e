"""What trained models say of themselves, read from their cards without torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import InputError

BUNDLED = Path(__file__).parent / "bundled"
CARD = "model.json"


def trained_models(folders: Iterable[Path] = ()) -> list[dict[str, Any]]:
    """Describe the bundled trained models, and those of further folders.

    Parameters
    ----------
    folders : iterable of path
        Written by ``serxai train``.

    Returns
    -------
    list of dict
        ``name``, ``trained_on``, ``folds`` (number and kind), ``uar`` (held-out, with its interval; None of a
        regression, which has ``ccc`` by dimension), ``clips``,
        ``speakers`` and ``shared_speakers``, how many speakers of the test parts are in a training part too.

    Raises
    ------
    InputError
        If a folder has no readable card.
    """
    cards = sorted(BUNDLED.glob(f"*/{CARD}"))
    rows = []
    for path in [*cards, *(folder / CARD for folder in folders)]:
        try:
            card = json.loads(path.read_text("utf-8"))
            pooled = card["scores"]["pooled"]
            scheme = card.get("scheme") or {"name": "speaker-grouped", "shared_speakers": 0}
            rows.append(
                {
                    "name": card["recogniser"],
                    "folder": str(path.parent),
                    "trained_on": card["corpus"]["name"],
                    "folds": f"{len(card['folds'])} {scheme['name']}",
                    "shared_speakers": scheme["shared_speakers"],
                    "uar": None if "ccc" in pooled else pooled["uar"],
                    "uar_interval": pooled.get("uar_interval"),
                    "ccc": pooled.get("ccc"),
                    "clips": pooled["n"],
                    "speakers": pooled["speakers"],
                }
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{path}: no readable model card; give a folder written by `serxai train`.") from None
    return rows
