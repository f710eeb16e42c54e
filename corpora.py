"""Corpora, clips, folds and distribution shifts: the public names of the folder ``datasets/``.

That folder has no ``__init__.py`` (``import datasets`` must keep finding Hugging Face's package), so its public
interface stands here. Each name is imported at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "..datasets.corpora": ("CORPORA", "load_corpus"),
        "..datasets.corpus": ("TAXONOMY", "Corpus", "CorpusRecord", "Layout", "corpus_from_files"),
        "..datasets.clip": ("Clip", "Plant", "Word"),
        "..datasets.folds": ("Folds", "speaker_folds"),
        "..datasets.shifts.conditions": ("CONDITIONS", "ConditionRecord", "Shifted", "apply_condition"),
        "..datasets.verify": ("verify_corpus",),
    },
)

if TYPE_CHECKING:
    from .datasets.clip import Clip as Clip
    from .datasets.clip import Plant as Plant
    from .datasets.clip import Word as Word
    from .datasets.corpora import CORPORA as CORPORA
    from .datasets.corpora import load_corpus as load_corpus
    from .datasets.corpus import TAXONOMY as TAXONOMY
    from .datasets.corpus import Corpus as Corpus
    from .datasets.corpus import CorpusRecord as CorpusRecord
    from .datasets.corpus import Layout as Layout
    from .datasets.corpus import corpus_from_files as corpus_from_files
    from .datasets.folds import Folds as Folds
    from .datasets.folds import speaker_folds as speaker_folds
    from .datasets.shifts.conditions import CONDITIONS as CONDITIONS
    from .datasets.shifts.conditions import ConditionRecord as ConditionRecord
    from .datasets.shifts.conditions import Shifted as Shifted
    from .datasets.shifts.conditions import apply_condition as apply_condition
    from .datasets.verify import verify_corpus as verify_corpus
