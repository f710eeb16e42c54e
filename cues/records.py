"""The cues by name: unit, definition, source, and how much material a value needs. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..registry import Record, Registry


@dataclass(frozen=True, kw_only=True)
class CueRecord(Record):
    """One acoustic cue.

    Attributes
    ----------
    unit : str
    level : {'region', 'clip'}
        Whether a part of a clip has a value, or only a whole clip.
    basis : str
        What is counted to decide whether a value can be given.
    minimum : int
        Fewer than this many: the value is missing.
    higher, lower : str
        How a plain sentence words more and less of it.
    """

    unit: str
    level: str = "region"
    basis: str
    minimum: int
    higher: str
    lower: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.level not in ("region", "clip"):
            raise InputError(f"cue {self.name!r}: level {self.level!r} is not allowed; take 'region' or 'clip'.")


_REGION = ".cues.regions:region_cues"
_CLIP = ".cues.regions:clip_cues"
_PRAAT = "GPL-3.0-or-later (Praat through parselmouth)"
_OWN = "MIT"
_BOERSMA = "Boersma 1993, Proc. Institute of Phonetic Sciences Amsterdam 17:97-110"
_EGEMAPS = "Eyben et al. 2016, IEEE Trans. Affective Computing 7(2):190-202"

REGION_RECORDS = (
    CueRecord(
        name="f0_level",
        target=_REGION,
        summary="mean fundamental frequency of voiced frames, relative to the speaker's median",
        unit="semitones",
        basis="voiced frames",
        minimum=5,
        higher="higher-pitched",
        lower="lower-pitched",
        version="1",
        licence=_PRAAT,
        citation=_BOERSMA,
    ),
    CueRecord(
        name="f0_variability",
        target=_REGION,
        summary="standard deviation of the fundamental frequency over voiced frames",
        unit="semitones",
        basis="voiced frames",
        minimum=10,
        higher="more varied in pitch",
        lower="more even in pitch",
        version="1",
        licence=_PRAAT,
        citation=_BOERSMA,
    ),
    CueRecord(
        name="loudness",
        target=_REGION,
        summary="mean intensity (power averaged over frames, then dB; full scale is not calibrated)",
        unit="dB",
        basis="frames",
        minimum=5,
        higher="louder",
        lower="softer",
        version="1",
        licence=_PRAAT,
        citation="Boersma & Weenink, Praat manual, 'Sound: To Intensity...'",
    ),
    CueRecord(
        name="loudness_variability",
        target=_REGION,
        summary="standard deviation of intensity over sounding frames (within 25 dB of the loudest)",
        unit="dB",
        basis="sounding frames",
        minimum=10,
        higher="more varied in loudness",
        lower="more even in loudness",
        version="1",
        licence=_PRAAT,
        citation="Boersma & Weenink, Praat manual, 'Sound: To Intensity...', 'Sound: To TextGrid (silences)...'",
    ),
    CueRecord(
        name="high_frequency_energy",
        target=_REGION,
        summary="alpha ratio: energy in 1-5 kHz over energy in 50-1000 Hz, mean over voiced frames",
        unit="dB",
        basis="voiced frames",
        minimum=5,
        higher="sharper",
        lower="duller",
        version="1",
        licence=_OWN,
        citation=_EGEMAPS,
    ),
    CueRecord(
        name="jitter",
        target=_REGION,
        summary="local jitter: mean difference of neighbouring glottal periods over the mean period",
        unit="%",
        basis="pairs of glottal periods",
        minimum=5,
        higher="less regular in its periods",
        lower="more regular in its periods",
        version="1",
        licence=_PRAAT,
        citation="Boersma & Weenink, Praat manual, 'PointProcess: Get jitter (local)...'",
    ),
    CueRecord(
        name="shimmer",
        target=_REGION,
        summary="local shimmer: mean difference of neighbouring periods' amplitudes over the mean amplitude",
        unit="%",
        basis="pairs of glottal periods",
        minimum=5,
        higher="less steady in its strength",
        lower="steadier in its strength",
        version="1",
        licence=_PRAAT,
        citation="Boersma & Weenink, Praat manual, 'PointProcess & Sound: Get shimmer (local)...'",
    ),
    CueRecord(
        name="hnr",
        target=_REGION,
        summary="harmonics-to-noise ratio, mean over periodic frames; low is breathy or rough",
        unit="dB",
        basis="periodic frames",
        minimum=5,
        higher="clearer",
        lower="breathier or rougher",
        version="1",
        licence=_PRAAT,
        citation=_BOERSMA,
    ),
)
CLIP_RECORDS = (
    CueRecord(
        name="speech_rate",
        target=_CLIP,
        summary="voiced segments (of 3 frames or more) per second of the clip",
        unit="1/s",
        level="clip",
        basis="voiced frames",
        minimum=5,
        higher="faster",
        lower="slower",
        version="1",
        licence=_PRAAT,
        citation=_EGEMAPS,
    ),
    CueRecord(
        name="pauses",
        target=_CLIP,
        summary="share of silence (100 ms or longer) between the first and the last sounding frame",
        unit="%",
        level="clip",
        basis="sounding frames",
        minimum=10,
        higher="with more pauses",
        lower="with fewer pauses",
        version="1",
        licence=_PRAAT,
        citation="Boersma & Weenink, Praat manual, 'Sound: To TextGrid (silences)...'",
    ),
)
REGION_CUES = tuple(record.name for record in REGION_RECORDS)

CUES: Registry[CueRecord] = Registry("cue", CueRecord, (*REGION_RECORDS, *CLIP_RECORDS))
