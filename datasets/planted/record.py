"""Records of the planted corpora, in a module of their own so that listing them does not import Praat."""

from __future__ import annotations

from dataclasses import replace

from ..corpus import CorpusRecord

EMOTIONS = ("anger", "happiness", "sadness", "neutral")

RECORD = CorpusRecord(
    name="planted",
    target=".datasets.planted.corpus:load",
    summary="synthetic speech with emotion cues planted on known words, and the neutral twin of each clip",
    version="1",
    licence="CC0-1.0",
    citation="serxai; speech by the synthesiser in Praat (Boersma & Weenink), cues by PSOLA and filters",
    language="en",
    emotions=EMOTIONS,
    speakers=16,
    clips=512,
    label_counts=dict.fromkeys(EMOTIONS, 128),
    level_comparable=True,
    derivatives_allowed=True,
    label_map={e: e for e in EMOTIONS},
    url="made by serxai on first use",
    sample_rate=16_000,
    hours=0.25,
    twinned=True,
    voices="planted",
)

RECORDS = (
    RECORD,
    replace(
        RECORD,
        name="planted-medium",
        summary="planted, with cues 0.7 times as large on fewer words and more variation that means nothing",
    ),
    replace(
        RECORD,
        name="planted-hard",
        summary="planted, with cues 0.45 times as large on one or two words and twice the variation that means nothing",
    ),
    replace(
        RECORD,
        name="planted-band",
        summary="planted, where each emotion is nothing but a gain in one known frequency band",
    ),
    replace(RECORD, name="planted-de", language="de", hours=0.27, summary="planted, in German by the same voices"),
)

FROM_EMODB = CorpusRecord(
    name="planted-emodb",
    target=".datasets.planted.from_emodb:load",
    summary="EMODB's neutral clips with emotion cues planted on known stressed syllables, and the neutral twin of each",
    version="1",
    licence="CC0-1.0",
    citation=(
        "serxai, from Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss 2005, A database of German emotional speech, "
        "Interspeech 2005, 1517-1520"
    ),
    language="de",
    emotions=EMOTIONS,
    speakers=10,
    clips=640,
    label_counts=dict.fromkeys(EMOTIONS, 160),
    level_comparable=False,  # EMODB's clips are peak-normalised
    derivatives_allowed=True,
    label_map={e: e for e in EMOTIONS},
    url="made by serxai on first use from the user's copy of emodb",
    sample_rate=16_000,
    hours=0.4,
    twinned=True,
    rendered_from="emodb",
    voices="emodb",
)

SPLICED = replace(
    FROM_EMODB,
    name="spliced",
    summary="EMODB's neutral clips with stretches of the speaker's emotional ones spliced in, and their neutral twins",
)
