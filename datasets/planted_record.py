"""The planted corpus' record, apart from its code so that it can be listed without Praat."""

from __future__ import annotations

from .corpus import CorpusRecord

RECORD = CorpusRecord(
    name="planted",
    target=".datasets.planted:load",
    summary="synthetic speech with emotion cues planted on known words, and the neutral twin of each clip",
    version="1",
    licence="CC0-1.0",
    citation="serxai; speech by the synthesiser in Praat (Boersma & Weenink), cues by PSOLA and filters",
    language="en",
    emotions=("anger", "happiness", "sadness", "neutral"),
    speakers=16,
    clips=512,
    level_comparable=True,
    derivatives_allowed=True,
    label_map={e: e for e in ("anger", "happiness", "sadness", "neutral")},
    url="made by serxai on first use",
)
