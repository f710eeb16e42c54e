"""Notes on recognisers whose folds share speakers between training and test parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def leak_notes(cards: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One sentence for each model whose published folds share speakers.

    Parameters
    ----------
    cards : mapping of str to mapping
        Model cards as plain data, by the model's title.
    """
    for title, card in cards.items():
        scheme = card.get("scheme")
        if isinstance(scheme, Mapping) and scheme.get("shared_speakers"):
            yield (
                f"{title}: the folds of {scheme['name']} share {scheme['shared_speakers']} of {scheme['speakers']} "
                "speakers between training and test parts; held-out scores are those of known speakers."
            )
