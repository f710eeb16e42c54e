"""TESS, the Toronto Emotional Speech Set. File names: speaker, word, emotion (OAF_back_fear.wav); 24,414 Hz."""

from __future__ import annotations

from functools import partial

from ..corpus import CorpusRecord, Layout, corpus_from_files

RECORD = CorpusRecord(
    name="tess",
    target=".datasets.publishers.tess:load",
    summary="Toronto Emotional Speech Set: 2 actresses, 200 words in a carrier phrase, 7 emotions, English, 24.4 kHz",
    version="1",
    licence="CC-BY-NC-ND-4.0",
    citation="Pichora-Fuller & Dupuis 2020, Toronto emotional speech set (TESS), Borealis, doi:10.5683/SP2/E8H2MF",
    language="en-CA",
    emotions=("anger", "disgust", "fear", "happiness", "neutral", "surprise", "sadness"),
    speakers=2,
    clips=2800,
    level_comparable=True,  # not normalised: anger is 8 dB above neutral in the files
    derivatives_allowed=False,
    label_map={
        "angry": "anger",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "happiness",
        "neutral": "neutral",
        "ps": "surprise",  # the publisher's "pleasant surprise"
        "sad": "sadness",
    },
    url="https://doi.org/10.5683/SP2/E8H2MF",
    hours=1.6,
    label_counts={
        "anger": 400,
        "disgust": 400,
        "fear": 400,
        "happiness": 400,
        "neutral": 400,
        "surprise": 400,
        "sadness": 400,
    },
    sample_rate=24_414,
)

LAYOUT = Layout(
    # one of the publisher's files is called OA_bite_neutral.wav
    pattern=r"(?P<voice>OA|YA)F?_(?P<sentence>[a-z]+)_(?P<label>[a-z]+)\.wav",
    speaker="{voice}F",
    sexes={"OAF": "female", "YAF": "female"},
    example="OAF_back_fear.wav",
)

load = partial(corpus_from_files, layout=LAYOUT)
