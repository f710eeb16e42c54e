"""nEMO, emotional speech in Polish. File names: speaker, emotion, number of the sentence (EB0_anger_1.wav)."""

from __future__ import annotations

from functools import partial

from ..corpus import CorpusRecord, Layout, corpus_from_files

RECORD = CorpusRecord(
    name="nemo",
    target=".datasets.publishers.nemo:load",
    summary="nEMO: 9 actors, 90 sentences, 6 emotions, Polish, 24 kHz",
    version="1",
    licence="CC-BY-NC-SA-4.0",
    citation=(
        "Christop 2024, nEMO: Dataset of Emotional Speech in Polish, LREC-COLING 2024, aclanthology 2024.lrec-main.1059"
    ),
    language="pl",
    emotions=("anger", "fear", "happiness", "neutral", "sadness", "surprise"),
    speakers=9,
    clips=4481,
    level_comparable=False,  # emotions differ by 3 dB at most; how levels were set is not documented
    derivatives_allowed=True,
    label_map={
        "anger": "anger",
        "fear": "fear",
        "happiness": "happiness",
        "neutral": "neutral",
        "sadness": "sadness",
        "surprised": "surprise",
    },
    url="https://github.com/amu-cai/nEMO",
    hours=3.1,
    label_counts={"anger": 749, "fear": 736, "happiness": 749, "neutral": 809, "sadness": 769, "surprise": 669},
    sample_rate=24_000,
)

LAYOUT = Layout(
    pattern=r"(?P<speaker>[A-Z]{2}0)_(?P<label>[a-z]+)_(?P<sentence>\d+)\.wav",
    sexes={
        "EB0": "female",
        "IC0": "female",
        "KD0": "female",
        "MK0": "female",
        "KS0": "male",
        "MP0": "male",
        "SM0": "male",
        "TP0": "male",
        "WR0": "male",
    },
    example="EB0_anger_1.wav",
)

load = partial(corpus_from_files, layout=LAYOUT)
