"""RAVDESS, speech, audio only. File names: seven two-digit codes, the last the actor (03-01-06-01-02-01-12.wav)."""

from __future__ import annotations

from functools import partial

from ..corpus import CorpusRecord, Layout, corpus_from_files

RECORD = CorpusRecord(
    name="ravdess",
    target=".datasets.publishers.ravdess:load",
    summary="Ryerson Audio-Visual Database: 24 actors, 2 sentences, 8 emotions in 2 intensities, English, 48 kHz",
    version="1.0.0",
    licence="CC-BY-NC-SA-4.0",
    citation=(
        "Livingstone & Russo 2018, The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS), "
        "PLoS ONE 13(5): e0196391"
    ),
    language="en-CA",
    emotions=("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"),
    speakers=24,
    clips=1440,
    level_comparable=True,  # levels follow the emotion: anger is 18 dB above calm in the files
    derivatives_allowed=True,
    label_map={
        "01": "neutral",
        "02": "calm",
        "03": "happiness",
        "04": "sadness",
        "05": "anger",
        "06": "fear",
        "07": "disgust",
        "08": "surprise",
    },
    url="https://zenodo.org/records/1188976",
    hours=1.5,
    label_counts={
        "neutral": 96,
        "calm": 192,
        "happiness": 192,
        "sadness": 192,
        "anger": 192,
        "fear": 192,
        "disgust": 192,
        "surprise": 192,
    },
    sample_rate=48_000,
)

LAYOUT = Layout(
    # modality 03 is audio only, channel 01 is speech: the song files and the videos are another corpus
    pattern=(
        r"03-01-(?P<label>\d\d)-(?P<intensity>\d\d)-(?P<sentence>\d\d)-(?P<repetition>\d\d)-(?P<speaker>\d\d)\.wav"
    ),
    sexes={f"{actor:02}": "male" if actor % 2 else "female" for actor in range(1, 25)},
    example="03-01-06-01-02-01-12.wav",
)

load = partial(corpus_from_files, layout=LAYOUT)
