"""SAVEE. File names: a folder (or prefix) for the speaker, then emotion and number (DC/sa01.wav, DC_sa01.wav)."""

from __future__ import annotations

from functools import partial

from ..corpus import CorpusRecord, Layout, corpus_from_files

RECORD = CorpusRecord(
    name="savee",
    target=".datasets.publishers.savee:load",
    summary="Surrey Audio-Visual Expressed Emotion: 4 men, 15 sentences an emotion, 7 emotions, British, 44.1 kHz",
    version="1",
    licence="research use on registration",
    citation=(
        "Haq & Jackson 2010, Multimodal Emotion Recognition, in: Wang (ed.), Machine Audition, IGI Global, 398-423"
    ),
    language="en-GB",
    emotions=("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
    speakers=4,
    clips=480,
    level_comparable=False,  # how levels were set is not documented
    derivatives_allowed=False,  # the terms allow research, not passing sound on
    label_map={
        "a": "anger",
        "d": "disgust",
        "f": "fear",
        "h": "happiness",
        "n": "neutral",
        "sa": "sadness",
        "su": "surprise",
    },
    url="http://kahlan.eps.surrey.ac.uk/savee/",
    hours=0.5,
    label_counts={
        "anger": 60,
        "disgust": 60,
        "fear": 60,
        "happiness": 60,
        "neutral": 120,
        "sadness": 60,
        "surprise": 60,
    },
    sample_rate=44_100,
)

LAYOUT = Layout(
    # the same number means another sentence for another emotion
    pattern=r"(?P<speaker>DC|JE|JK|KL)[/_](?P<sentence>(?P<label>a|d|f|h|n|sa|su)\d\d)\.wav",
    sexes={"DC": "male", "JE": "male", "JK": "male", "KL": "male"},
    example="DC/sa01.wav",
    id="{speaker}_{sentence}",
)

load = partial(corpus_from_files, layout=LAYOUT)
