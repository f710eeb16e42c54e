"""IEMOCAP: turns of dyadic sessions, labelled by majority in each session's EmoEvaluation text files.

Two corpora share one folder: ``iemocap`` excludes the turns labelled *excited*; ``iemocap-excited`` counts them as
happiness, as much of the literature does. Frustrated, other and undecided turns are excluded from both.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..corpus import CorpusRecord, Layout, corpus_from_files

MEAN_TURN_S = 4.5  # Busso et al. 2008; the hours below are turns times this

RECORD = CorpusRecord(
    name="iemocap",
    target=".datasets.publishers.iemocap:load",
    summary="IEMOCAP: 10 actors in 5 dyadic sessions, 7 emotions, English, 16 kHz; excited left out",
    version="1",
    licence="IEMOCAP release form: research use on request",
    citation=(
        "Busso, Bulut, Lee, Kazemzadeh, Mower, Kim, Chang, Lee, Narayanan 2008, IEMOCAP: interactive emotional dyadic "
        "motion capture database, Language Resources and Evaluation 42(4), 335-359"
    ),
    language="en-US",
    emotions=("anger", "happiness", "sadness", "neutral", "fear", "surprise", "disgust"),
    speakers=10,
    clips=4639,
    level_comparable=True,  # no normalisation is documented
    derivatives_allowed=False,  # the release form forbids passing the data on
    label_map={
        "ang": "anger",
        "hap": "happiness",
        "sad": "sadness",
        "neu": "neutral",
        "fea": "fear",
        "sur": "surprise",
        "dis": "disgust",
    },
    url="https://sail.usc.edu/iemocap/iemocap_release.htm",
    hours=round(4639 * MEAN_TURN_S / 3600, 1),
    label_counts={
        "anger": 1103,
        "happiness": 595,
        "sadness": 1084,
        "neutral": 1708,
        "fear": 40,
        "surprise": 107,
        "disgust": 2,
    },
    sample_rate=16_000,
    folder="iemocap",
)

EXCITED = replace(
    RECORD,
    name="iemocap-excited",
    summary=RECORD.summary.replace("excited left out", "excited counted as happiness"),
    clips=RECORD.clips + 1041,
    label_map={**RECORD.label_map, "exc": "happiness"},
    hours=round(5680 * MEAN_TURN_S / 3600, 1),
    label_counts={**RECORD.label_counts, "happiness": 595 + 1041},
)

# a turn's majority label, such as "[6.2901 - 8.2357]  Ses01F_impro01_F000  neu  [2.5000, 2.5000, 2.5000]", tabs between
_MAJORITY = re.compile(r"^\[[\d.]+ - [\d.]+\]\s+(Ses0\d[FM]_\w+)\s+([a-z]{3})\b", re.MULTILINE)


def labels(root: Path) -> dict[str, str]:
    """Majority label of each turn, from ``Session?/dialog/EmoEvaluation/*.txt`` at any depth below `root`."""
    by_turn: dict[str, str] = {}
    for file in sorted(root.rglob("dialog/EmoEvaluation/Ses*.txt")):
        by_turn.update(_MAJORITY.findall(file.read_text("utf-8", errors="replace")))
    return by_turn


LAYOUT = Layout(
    # Ses01F_impro01_M003: session 1 with motion capture of the woman, improvisation 1, turn 3 of the man
    pattern=r"sentences/wav/[^/]+/(?P<session>Ses0\d)[FM]_(?P<dialogue>\w+)_(?P<role>[FM])\d{3}\.wav",
    speaker="{session}{role}",
    sexes={f"Ses{n:02}{role}": sex for n in range(1, 6) for role, sex in (("F", "female"), ("M", "male"))},
    labels=labels,
    label_files="Session?/dialog/EmoEvaluation/Ses*.txt",
    left_out=("exc", "fru", "oth", "xxx"),
    example="Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav (labels: Session1/dialog/EmoEvaluation)",
)

load = partial(corpus_from_files, layout=LAYOUT)
