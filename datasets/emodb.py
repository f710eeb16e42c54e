"""EMODB, the Berlin Database of Emotional Speech. File names: speaker, sentence, emotion, version (03a01Fa.wav)."""

from __future__ import annotations

from functools import partial

from .corpus import CorpusRecord, Layout, corpus_from_files

RECORD = CorpusRecord(
    name="emodb",
    target=".datasets.emodb:load",
    summary="Berlin Database of Emotional Speech: 10 actors, 10 sentences, 7 emotions, German, 16 kHz",
    version="1.1.0",
    licence="CC0-1.0",
    citation=(
        "Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss 2005, A database of German emotional speech, "
        "Interspeech 2005, 1517-1520"
    ),
    language="de",
    emotions=("anger", "boredom", "disgust", "fear", "happiness", "sadness", "neutral"),
    speakers=10,
    clips=535,
    level_comparable=False,  # clips are peak-normalised
    derivatives_allowed=True,
    label_map={
        "W": "anger",
        "L": "boredom",
        "E": "disgust",
        "A": "fear",
        "F": "happiness",
        "T": "sadness",
        "N": "neutral",
    },
    url="http://emodb.bilderbar.info/download/",
)

LAYOUT = Layout(
    pattern=r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<label>[A-Z])[a-z]\.wav",
    sexes={
        "03": "male", "08": "female", "09": "female", "10": "male", "11": "male",
        "12": "male", "13": "female", "14": "female", "15": "male", "16": "female",
    },
    example="03a01Fa.wav",
)  # fmt: skip

load = partial(corpus_from_files, layout=LAYOUT)
