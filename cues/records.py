"""Registry of acoustic cues: unit, definition, source and minimum amount of speech. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..registry import Record, Registry


@dataclass(frozen=True, kw_only=True)
class CueRecord(Record):
    """Metadata of one acoustic cue.

    Attributes
    ----------
    unit : str
    level : {'region', 'clip'}
        Whether regions of a clip have a value, or only whole clips.
    basis : str
        Unit that `minimum` counts, such as voiced frames.
    minimum : int
        Smallest count of the basis for which a value is given; below it the value is missing.
    higher, lower : str
        Phrases for larger and smaller values in generated sentences ("the voice is louder").

    Raises
    ------
    InputError
        For another `level`, or an empty field.
    """

    unit: str
    level: str = "region"
    basis: str
    minimum: int
    higher: str
    lower: str

    @property
    def label(self) -> str:
        """Display name."""
        return _LABELS.get(self.name) or self.name.replace("f0_", "pitch ").replace("_", " ")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.level not in ("region", "clip"):
            raise InputError(f"cue {self.name!r}: level {self.level!r} is not allowed; take 'region' or 'clip'.")


_LABELS = {
    "hnr": "harmonics to noise",
    "hf500": "energy above 500 Hz",
    "cpp": "cepstral peak",
    "hammarberg": "Hammarberg index",
    **{f"f{k}": f"formant {k}" for k in (1, 2, 3)},
    **{f"slope_{band}": f"spectral slope {band.replace('_', '-')} Hz" for band in ("0_500", "500_1500")},
}
LEVEL_CUES = ("loudness", "weighted_level")  # compared between clips only in corpora that are `level_comparable`

_REGION = ".cues.regions:region_cues"
_FINE = ".cues.fine:fine_cues"
_CLIP = ".cues.regions:clip_cues"
_PRAAT = "GPL-3.0-or-later (Praat through parselmouth)"
_OWN = "MIT"
_BOERSMA = "Boersma 1993, Proc. Institute of Phonetic Sciences Amsterdam 17:97-110"
_EGEMAPS = "Eyben et al. 2016, IEEE Trans. Affective Computing 7(2):190-202"

REGION_RECORDS = (
    CueRecord(
        name="f0_level",
        target=_REGION,
        summary="mean fundamental frequency of voiced frames, re the speaker's median where it is given, else 100 Hz",
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
FINE_RECORDS = (
    CueRecord(
        name="f0_range",
        target=_FINE,
        summary="spread of the fundamental frequency: 95th minus 5th percentile over voiced frames",
        unit="semitones",
        basis="voiced frames",
        minimum=10,
        higher="wider in pitch range",
        lower="narrower in pitch range",
        version="1",
        licence=_PRAAT,
        citation=_BOERSMA,
    ),
    CueRecord(
        name="f0_slope",
        target=_FINE,
        summary="rise of the fundamental frequency: least squares within voiced stretches, pooled",
        unit="semitones/s",
        basis="voiced frames",
        minimum=10,
        higher="rising more in pitch",
        lower="falling more in pitch",
        version="1",
        licence=_PRAAT,
        citation=_EGEMAPS,
    ),
    CueRecord(
        name="weighted_level",
        target=_FINE,
        summary="A-weighted level (power averaged over frames, then dB; full scale is not calibrated)",
        unit="dB(A)",
        basis="frames",
        minimum=5,
        higher="louder to the ear",
        lower="softer to the ear",
        version="1",
        licence=_OWN,
        citation="IEC 61672-1:2013, A-weighting, as librosa.A_weighting gives it",
    ),
    CueRecord(
        name="hf500",
        target=_FINE,
        summary="high-frequency energy: share of energy above 500 Hz, mean over voiced frames",
        unit="%",
        basis="voiced frames",
        minimum=5,
        higher="brighter",
        lower="darker",
        version="1",
        licence=_OWN,
        citation="Juslin & Laukka 2003, Psychological Bulletin 129(5):770-814, HF 500",
    ),
    CueRecord(
        name="hammarberg",
        target=_FINE,
        summary="Hammarberg index: strongest peak in 0-2 kHz over strongest in 2-5 kHz, mean over voiced frames",
        unit="dB",
        basis="voiced frames",
        minimum=5,
        higher="softer in timbre",
        lower="harsher in timbre",
        version="1",
        licence=_OWN,
        citation="Hammarberg et al. 1980, Acta Oto-Laryngologica 90:441-451; " + _EGEMAPS,
    ),
    CueRecord(
        name="slope_0_500",
        target=_FINE,
        summary="slope of the spectrum in dB from 0 to 500 Hz, mean over voiced frames",
        unit="dB/kHz",
        basis="voiced frames",
        minimum=5,
        higher="stronger in its low overtones",
        lower="weaker in its low overtones",
        version="1",
        licence=_OWN,
        citation=_EGEMAPS,
    ),
    CueRecord(
        name="slope_500_1500",
        target=_FINE,
        summary="slope of the spectrum in dB from 500 to 1500 Hz, mean over voiced frames",
        unit="dB/kHz",
        basis="voiced frames",
        minimum=5,
        higher="shriller",
        lower="mellower",
        version="1",
        licence=_OWN,
        citation=_EGEMAPS,
    ),
    CueRecord(
        name="cpp",
        target=_FINE,
        summary="cepstral peak prominence (peak in 60-600 Hz over a straight line), mean over voiced frames",
        unit="dB",
        basis="voiced frames",
        minimum=5,
        higher="fuller-voiced",
        lower="breathier or hoarser",
        version="1",
        licence=_PRAAT,
        citation="Hillenbrand, Cleveland & Erickson 1994, J. Speech and Hearing Research 37:769-778",
    ),
    CueRecord(
        name="f1",
        target=_FINE,
        summary="frequency of formant 1 (Burg, ceiling 5.5 kHz), mean over voiced frames",
        unit="Hz",
        basis="voiced frames",
        minimum=5,
        higher="higher in formant 1",
        lower="lower in formant 1",
        version="1",
        licence=_PRAAT,
        citation="Boersma & Weenink, Praat manual, 'Sound: To Formant (burg)...'",
    ),
    CueRecord(
        name="f2",
        target=_FINE,
        summary="frequency of formant 2 (Burg, ceiling 5.5 kHz), mean over voiced frames",
        unit="Hz",
        basis="voiced frames",
        minimum=5,
        higher="higher in formant 2",
        lower="lower in formant 2",
        version="1",
        licence=_PRAAT,
        citation="Boersma & Weenink, Praat manual, 'Sound: To Formant (burg)...'",
    ),
    CueRecord(
        name="f3",
        target=_FINE,
        summary="frequency of formant 3 (Burg, ceiling 5.5 kHz), mean over voiced frames",
        unit="Hz",
        basis="voiced frames",
        minimum=5,
        higher="higher in formant 3",
        lower="lower in formant 3",
        version="1",
        licence=_PRAAT,
        citation="Boersma & Weenink, Praat manual, 'Sound: To Formant (burg)...'",
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
REGION_CUES = tuple(record.name for record in REGION_RECORDS)  # those of the expert table

CUES: Registry[CueRecord] = Registry("cue", CueRecord, (*REGION_RECORDS, *FINE_RECORDS, *CLIP_RECORDS))
