"""CREMA-D. File names: actor, sentence, emotion, intensity (1001_DFA_ANG_XX.wav)."""

from __future__ import annotations

from functools import partial

from ..corpus import CorpusRecord, Layout, corpus_from_files

RECORD = CorpusRecord(
    name="crema-d",
    target=".datasets.publishers.crema_d:load",
    summary="Crowd-sourced Emotional Multimodal Actors Dataset: 91 actors, 12 sentences, 6 emotions, English, 16 kHz",
    version="1",
    licence="ODbL-1.0, contents DbCL-1.0",
    citation=(
        "Cao, Cooper, Keutmann, Gur, Nenkova, Verma 2014, CREMA-D: Crowd-Sourced Emotional Multimodal Actors Dataset, "
        "IEEE Trans. Affective Computing 5(4), 377-390"
    ),
    language="en-US",
    emotions=("anger", "disgust", "fear", "happiness", "neutral", "sadness"),
    speakers=91,
    clips=7442,
    level_comparable=True,  # no normalisation is documented
    derivatives_allowed=True,
    label_map={
        "ANG": "anger",
        "DIS": "disgust",
        "FEA": "fear",
        "HAP": "happiness",
        "NEU": "neutral",
        "SAD": "sadness",
    },
    url="https://github.com/CheyneyComputerScience/CREMA-D",
    hours=5.3,
    label_counts={"anger": 1271, "disgust": 1271, "fear": 1271, "happiness": 1271, "neutral": 1087, "sadness": 1271},
    sample_rate=16_000,
)

# the publisher's VideoDemographics.csv
WOMEN = (
    "1002 1003 1004 1006 1007 1008 1009 1010 1012 1013 1018 1020 1021 1024 1025 1028 1029 1030 1037 1043 1046 1047 "
    "1049 1052 1053 1054 1055 1056 1058 1060 1061 1063 1072 1073 1074 1075 1076 1078 1079 1082 1084 1089 1091"
)

LAYOUT = Layout(
    pattern=r"(?P<speaker>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<label>[A-Z]{3})_(?P<intensity>LO|MD|HI|XX|X)\.wav",
    sexes={str(actor): "female" if str(actor) in WOMEN else "male" for actor in range(1001, 1092)},
    example="1001_DFA_ANG_XX.wav",
)

load = partial(corpus_from_files, layout=LAYOUT)
