"""Record of the user's own data (``folder:PATH``), in a module of its own so that listing it does not import pandas."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

from .corpus import TAXONOMY, CorpusRecord
from .labels import SYNONYMS


@dataclass(frozen=True, kw_only=True)
class FolderRecord(CorpusRecord):
    """Record of a corpus named by its path, ``folder:PATH``; the path is normalised (``./data/`` is ``data``)."""

    def __post_init__(self) -> None:
        if self.argument:
            normal = os.path.normpath(self.argument).replace(os.sep, "/")
            object.__setattr__(self, "name", f"{self.name.partition(':')[0]}:{normal}")
        super().__post_init__()

    def unknown_emotions(self, emotions: Collection[str]) -> list[str]:
        """None: the user's own labels may be classes of their own name."""
        return []


RECORD = FolderRecord(
    name="folder:",
    target=".datasets.folder:load",
    summary="your own data: folder:PATH of a CSV, a folder with one, or an audformat database (see datasets/folder.py)",
    version="1",
    licence="the data's own",
    citation="the data's own",
    language="und",
    emotions=TAXONOMY,
    speakers=0,
    clips=0,
    level_comparable=False,
    derivatives_allowed=False,
    label_map=SYNONYMS,
    url="the folder that you name",
)
