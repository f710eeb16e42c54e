"""The planted corpus' version guards caches and bundled weights: who changes the audio must change it."""

from __future__ import annotations

from pathlib import Path

from serxai.datasets.planted import edits, recorded, render, spliced, stretches, voices
from serxai.datasets.planted.record import FROM_EMODB, RECORD, RECORDS, SPLICED
from serxai.keys import digest

# version -> digest of the modules that decide the samples
RENDERED_BY = {"1": "17a5dfadae0d6ec7624257635431d917"}
RENDERED_FROM_RECORDINGS_BY = {"1": "dad64400de3596439e4d578519fb080b"}


def _sources(*modules) -> str:
    return digest(*(Path(module.__file__).read_text("utf-8") for module in modules))


def test_the_version_of_corpora_from_recordings_changes_with_their_renderer():
    now = _sources(edits, stretches, recorded, spliced, voices)
    for record in (FROM_EMODB, SPLICED):
        assert RENDERED_FROM_RECORDINGS_BY[record.version] == now, (
            "a module of the rendering changed. If the samples or the truth changed: raise the versions in "
            "planted/record.py, and add the new one here. If not: replace the digest of this version."
        )


def test_the_version_changes_with_the_renderer():
    assert {record.version for record in RECORDS} <= set(RENDERED_BY)
    assert RENDERED_BY[RECORD.version] == _sources(render, edits, voices), (
        "planted/render.py, edits.py or voices.py changed. If the samples changed: raise the version in "
        "planted/record.py, train the bundled model again (serxai train cnn --corpus planted --out "
        "models/bundled/cnn-planted), and add the new version here. If not: replace the digest of this version."
    )
