"""Folders of trained models in the user's cache."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..datasets.corpus import cache_root

if TYPE_CHECKING:
    from .task import TrainingTask


def cache_folder() -> Path:
    """Cache folder of trained models: ``models`` in ``SERXAI_CACHE``, else in the user's cache folder."""
    return cache_root() / "models"


def cached(task: TrainingTask) -> Path:
    """Folder of the models of a task; its name holds the task's key."""
    named = re.sub(r"[^A-Za-z0-9_-]+", "_", f"{task.name}-{task.corpus.name}")  # a name may contain a path
    return cache_folder() / f"{named[:80]}-{task.key}"
