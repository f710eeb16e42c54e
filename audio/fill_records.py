"""Names of the fill operators and what each puts in the place of removed parts; see `fills`. Imports no torch."""

from __future__ import annotations

from ..registry import Record

_TARGET = ".audio.fills:fill_spectrum"
_OWN = {"target": _TARGET, "version": "1", "licence": "MIT"}

FILL_RECORDS = (
    Record(
        name="attenuate",
        summary="the clip itself, 40 dB quieter: what is removed is nearly silent, with its own phase",
        citation="serxai, docs/metrics",
        **_OWN,
    ),
    Record(
        name="noise",
        summary="stationary Gaussian noise with the clip's median power in each frequency bin, drawn with a seed",
        citation="serxai, docs/metrics; after Rong et al. 2022, ICML (ROAD): noisy imputation",
        **_OWN,
    ),
    Record(
        name="spectral-mean",
        summary="mean magnitude of the clip in each frequency bin, with the original phase",
        citation="serxai, docs/metrics; after Zeiler & Fergus 2014, ECCV: the mean as fill",
        **_OWN,
    ),
    Record(
        name="zero",
        summary="digital silence, as in the EmoLIME authors' code, which sets bands of a mel spectrogram to zero",
        citation="Hjuler, Clemmensen & Das 2025, ICASSP, doi 10.1109/ICASSP49660.2025.10889825",
        **_OWN,
    ),
    Record(
        name="twin",
        summary="the clip's neutral twin, on planted corpora alone: removing everything gives the neutral utterance",
        citation="serxai, docs/planted",
        **_OWN,
    ),
)
FILL_NAMES = tuple(record.name for record in FILL_RECORDS)
