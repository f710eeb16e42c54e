"""The planted corpus' version guards caches and bundled weights: who changes the audio must change it."""

from __future__ import annotations

from pathlib import Path

import serxai.datasets.planted.render as render
import serxai.datasets.planted.voices as voices
from serxai.datasets.planted.record import RECORD, RECORDS
from serxai.keys import digest

# version -> digest of the two modules that decide the samples
RENDERED_BY = {"1": "140b7862dd25025792c7da2c87822ee4"}


def test_the_version_changes_with_the_renderer():
    sources = [Path(module.__file__).read_text("utf-8") for module in (render, voices)]
    assert {record.version for record in RECORDS} <= set(RENDERED_BY)
    assert RENDERED_BY[RECORD.version] == digest(*sources), (
        "planted/render.py or planted/voices.py changed. If the samples changed: raise the version in "
        "planted/record.py, train the bundled model again (serxai train cnn --corpus planted --out "
        "models/bundled/cnn-planted), and add the new version here. If not: replace the digest of this version."
    )
