"""Trained models shipped with serxai: their cards, and the corpus that a sound belongs to. Imports no torch.

Weights are shipped only where the licence of the training corpus allows it: EMODB is CC0 (Burkhardt et al. 2005, A
database of German emotional speech, Interspeech), the planted corpus is our own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .card import Card, load_card
from .records import MODELS

if TYPE_CHECKING:
    import numpy as np

BUNDLED = Path(__file__).parent / "bundled"
REAL_SPEECH = "emodb"  # training corpus of `serxai explain` and `load_model` where none is named


def bundled_cards() -> dict[Path, Card]:
    """Cards of the shipped models, by folder."""
    return {folder: load_card(folder) for folder in sorted(BUNDLED.iterdir()) if (folder / "model.json").is_file()}


def bundled_summaries(record: str) -> list[dict[str, Any]]:
    """Training corpus, classes and held-out scores of the shipped models of a registry record.

    Parameters
    ----------
    record : str
        Name in the registry; ``hf:`` for heads on Hugging Face encoders.
    """
    found = []
    for folder, card in bundled_cards().items():
        name = card.recogniser
        if record == name or (record.endswith(":") and name.startswith(record)):
            pooled = card.scores["pooled"]
            found.append(
                {
                    "corpus": card.corpus.name,
                    "encoder": name.removeprefix(record) if record.endswith(":") else "",
                    "classes": list(card.classes),
                    "clips": pooled["n"],
                    "speakers": pooled["speakers"],
                    "folds": len(card.folds),
                    "uar": pooled["uar"],
                    "uar_interval": pooled["uar_interval"],
                    "bytes": sum(path.stat().st_size for path in folder.iterdir()),
                }
            )
    return found


def bundled_heads(corpus: str, version: str) -> dict[Path, Card]:
    """Cards of the shipped heads on Hugging Face encoders, trained on this version of a corpus."""
    return {
        folder: card
        for folder, card in bundled_cards().items()
        if MODELS.get(card.recogniser).kind == "hf" and (card.corpus.name, card.corpus.version) == (corpus, version)
    }


def corpus_of_samples(samples: np.ndarray) -> str:
    """Corpus that a sound is a clip of, among those that shipped models were trained on; empty if of none.

    Parameters
    ----------
    samples : array, float32, shape (n_samples,)
        At 16 kHz.
    """
    from .exposure import samples_digest

    content = samples_digest(samples)
    for card in bundled_cards().values():
        if card.clips is not None and any(content in digests for digests in card.clips.digests.values()):
            return card.corpus.name
    return ""
