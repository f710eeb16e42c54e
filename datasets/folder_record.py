"""Record of the user's own data (``folder:PATH``), in a module of its own so that listing it does not import pandas."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .corpus import TAXONOMY, CorpusRecord

# unambiguous label spellings only; others need an entry in the user's `[labels]`
SYNONYMS = {emotion: emotion for emotion in TAXONOMY} | {
    "angry": "anger",
    "ang": "anger",
    "happy": "happiness",
    "hap": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "neu": "neutral",
    "fearful": "fear",
    "afraid": "fear",
    "fea": "fear",
    "disgusted": "disgust",
    "surprised": "surprise",
    "bored": "boredom",
}


@dataclass(frozen=True, kw_only=True)
class FolderRecord(CorpusRecord):
    """Record of a corpus named by its path, ``folder:PATH``; the path is normalised (``./data/`` is ``data``)."""

    def __post_init__(self) -> None:
        if self.argument:
            normal = os.path.normpath(self.argument).replace(os.sep, "/")
            object.__setattr__(self, "name", f"{self.name.partition(':')[0]}:{normal}")
        super().__post_init__()


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
