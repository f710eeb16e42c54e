"""Registry of conditions: named distribution shifts of clips, each with a strength and a seed.

Conventions
-----------
A condition's target is a function ``(signals, strength, generator) -> Shifted``. ``signals`` has shape
(n_signals, n_samples): row 0 is the clip, further rows are signals to shift in exactly the same way (the neutral twin
of a planted clip gets the same noise, room or channel). The number of samples may change, the type float32 does not.
Samples are not clipped to -1..1, because clipping would be another shift. The target of a record with `others` takes
the samples of other clips, a list of arrays, as its fourth argument.

``strength`` is the requested level of the shift; the level measured on the signals is returned, with the time map.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ClipError, InputError
from ...keys import digest, rng
from ...registry import Record, Registry

if TYPE_CHECKING:
    from ..clip import Clip
    from ..corpus import Corpus

TALKERS = 6  # clips mixed into babble


@dataclass(frozen=True, kw_only=True)
class ConditionRecord(Record):
    """Metadata of a condition.

    Attributes
    ----------
    kind : str
        Kind of shift, such as ``additive noise``; ``none`` for ``clean``.
    strength : float
        Requested level in `unit`; NaN for ``clean``, which has none.
    unit : str
    others : int
        Number of clips by other speakers that are mixed in.
    moves_time : bool
        Whether the clip's length changes.
    """

    kind: str
    strength: float
    unit: str
    others: int = 0
    moves_time: bool = False


@dataclass(frozen=True, eq=False)
class Shifted:
    """Result of applying a shift to signals.

    Attributes
    ----------
    signals : array, float32, shape (n_signals, n_samples)
    measured : float
        Level of the shift measured on the clip, in the record's unit; NaN for none.
    time_map : tuple of (float, float)
        As `Clip.time_map`; empty where the timing is unchanged.
    """

    signals: np.ndarray
    measured: float
    time_map: tuple[tuple[float, float], ...] = ()


def unchanged(signals: np.ndarray, strength: float, generator: np.random.Generator) -> Shifted:
    """Identity, the target of ``clean``."""
    return Shifted(signals, float("nan"))


def _record(
    name: str, target: str, strength: float, unit: str, kind: str, summary: str, citation: str, others: int = 0
) -> ConditionRecord:
    return ConditionRecord(
        name=name,
        target=f".datasets.shifts.{target}",
        summary=summary,
        version="1",
        licence="MIT",
        citation=citation,
        kind=kind,
        strength=strength,
        unit=unit,
        others=others,
        moves_time=kind == "tempo",
    )


def _noise(colour: str, db: int) -> ConditionRecord:
    prefix = "noise" if colour == "white" else colour
    what, citation = {
        "white": ("white Gaussian noise", "serxai; ratio of mean powers over the whole clip"),
        "pink": ("pink Gaussian noise (-3 dB an octave)", "serxai; ratio of mean powers over the whole clip"),
        "babble": (
            f"babble of {TALKERS} clips by other speakers of the corpus",
            "serxai; after Varga, Steeneken 1993, NOISEX-92, Speech Communication 12, 247-251 (babble)",
        ),
    }[colour]
    return _record(
        f"{prefix}-{db}db",
        f"noise:{colour}_{'noise' if colour != 'babble' else 'mix'}",
        float(db),
        "dB SNR",
        "additive noise",
        f"{what} at {db} dB signal-to-noise ratio",
        citation,
        others=TALKERS if colour == "babble" else 0,
    )


def _reverb(ms: int) -> ConditionRecord:
    return _record(
        f"reverb-{ms}ms",
        "channel:room",
        ms / 1000,
        "s T60",
        "reverberation",
        f"an office of 6 x 5 x 3 m with a reverberation time of {ms} ms, talker 1.5 m from the microphone",
        "Allen, Berkley 1979, Image method for small-room acoustics, JASA 65, 943-950; Scheibler et al. 2018, "
        "Pyroomacoustics, ICASSP; T60 by ISO 3382-2 (T20)",
    )


def _codec(codec: str, kbit: int) -> ConditionRecord:
    what, usual, citation = {
        "opus": ("Opus", 12, "Valin, Vos, Terriberry 2012, RFC 6716; libsndfile"),
        "mp3": ("MP3", 16, "ISO/IEC 13818-3 layer III; LAME by libsndfile"),
    }[codec]
    name = f"codec-{codec}" + ("" if kbit == usual else f"-{kbit}k")
    summary = f"{what} at {kbit} kbit/s and back"
    return _record(name, f"channel:{codec}", float(kbit), "kbit/s", "codec", summary, citation)


def _gain(db: int) -> ConditionRecord:
    sign, summary = ("minus", f"{-db} dB softer") if db < 0 else ("plus", f"{db} dB louder, not clipped")
    return _record(f"gain-{sign}-{abs(db)}db", "channel:gain", float(db), "dB", "gain", summary, "serxai")


_PSOLA = "Moulines, Charpentier 1990, Speech Communication 9, 453-467 (PSOLA); Praat"


def _pitch(semitones: int) -> ConditionRecord:
    sign, way = ("minus", "lowered") if semitones < 0 else ("plus", "raised")
    by = f"{abs(semitones)} semitone{'s' if abs(semitones) > 1 else ''}"
    return _record(
        f"pitch-{sign}-{abs(semitones)}st", "prosody:pitch", float(semitones), "st", "pitch",
        f"pitch {way} by {by}, formants and duration kept", _PSOLA,
    )  # fmt: skip


def _tempo(percent: int) -> ConditionRecord:
    return _record(
        f"tempo-{percent}", "prosody:tempo", percent / 100, "times", "tempo",
        f"spoken at {percent} % of the tempo, pitch and formants kept", _PSOLA,
    )  # fmt: skip


_TELEPHONE = _record(
    "telephone",
    "channel:telephone",
    3100.0,
    "Hz band",
    "channel",
    "300-3400 Hz at 8 kHz and 8-bit mu-law",
    "ITU-T G.711 (mu-law), G.712 (band)",
)

_SNR_DB = (30, 20, 10, 5, 0)
_STRENGTHS: dict[str, list[ConditionRecord]] = {
    "noise": [_noise("white", db) for db in _SNR_DB],
    "pink": [_noise("pink", db) for db in _SNR_DB],
    "babble": [_noise("babble", db) for db in _SNR_DB],
    "reverb": [_reverb(ms) for ms in (150, 200, 300, 450, 600)],
    "opus": [_codec("opus", kbit) for kbit in (24, 16, 12, 8, 6)],
    "mp3": [_codec("mp3", kbit) for kbit in (64, 48, 32, 24, 16)],
    "softer": [_gain(db) for db in (-6, -12, -18, -24, -30)],
    "louder": [_gain(db) for db in (3, 6, 9, 12, 15)],
    "lower": [_pitch(-semitones) for semitones in (1, 2, 3, 4, 5)],
    "higher": [_pitch(semitones) for semitones in (1, 2, 3, 4, 5)],
    "slower": [_tempo(percent) for percent in (90, 80, 70, 60, 50)],
    "faster": [_tempo(percent) for percent in (110, 120, 130, 140, 150)],
}
# five strengths of one shift by its name, weakest first; telephone is a standard and has one
CURVES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {curve: tuple(record.name for record in records) for curve, records in _STRENGTHS.items()}
)

CONDITIONS: Registry[ConditionRecord] = Registry(
    "condition",
    ConditionRecord,
    [
        _record("clean", "conditions:unchanged", float("nan"), "", "none", "the clip as recorded", "serxai"),
        *(record for curve in ("noise", "pink", "babble", "reverb") for record in _STRENGTHS[curve]),
        _TELEPHONE,
        *(record for curve in list(_STRENGTHS)[4:] for record in _STRENGTHS[curve]),
    ],
)


def apply_condition(name: str, clip: Clip, seed: int = 0, others: Sequence[np.ndarray] = ()) -> Clip:
    """Apply a condition to a clip, and in the same way to the twin of a planted clip.

    Parameters
    ----------
    name : str
        Registered name.
    clip : Clip
        As recorded.
    seed : int
        Seed of random draws, together with the condition's name and the clip's id.
    others : sequence of array
        Samples of the clips selected by `Talkers`, for a condition that mixes them in.

    Returns
    -------
    Clip
        Copy with the same id, its alignment warped by `time_map`, and the measured level of the shift as `strength`.

    Raises
    ------
    UnknownNameError
        For an unknown condition; the message lists the closest names.
    InputError
        If the clip has a time map already.
    ClipError
        If the shift is undefined for this clip: it is silent or too short, or there are no clips to mix in.
    """
    record = CONDITIONS.get(name)
    if clip.time_map:
        raise InputError(f"apply_condition: clip {clip.id!r} is shifted in time already; give the clip as recorded.")
    if record.others and not others:
        raise ClipError(
            f"condition {name!r} mixes in clips by other speakers, and there are none; leave it out, or take a corpus "
            "of several speakers."
        )
    if record.kind != "none":
        if clip.samples.size < 2:
            raise ClipError("the clip has less than two samples: it cannot be shifted; leave the clip out.")
        if not np.any(clip.samples):
            raise ClipError(f"the clip is silent: {record.kind} is undefined for it; leave the clip out.")
    signals = np.stack([clip.samples] if clip.plant is None else [clip.samples, clip.plant.twin])
    extra = [list(others)] if record.others else []
    shifted = record.load()(signals, record.strength, rng("condition", name, seed, clip.id), *extra)
    samples, *twin = shifted.signals
    return clip.shifted(samples, twin[0] if twin else None, shifted.time_map, shifted.measured)


class Talkers:
    """Selection of the clips by other speakers that babble mixes into a clip, by consistent hashing.

    The clips of the corpus are on a hash ring, ordered by the digests of their ids. From the position given by clip and
    seed the next clips are taken, one per speaker before a second of any. The selection is independent of `--limit` and
    of row order, an added file changes it for few clips, and all strengths of babble share it.

    Parameters
    ----------
    corpus : Corpus
    seed : int
    """

    def __init__(self, corpus: Corpus, seed: int = 0) -> None:
        self.corpus = corpus
        self.seed = seed
        placed = sorted((digest("ring", clip), clip, speaker) for clip, speaker in corpus.table["speaker"].items())
        self._places = [place for place, _, _ in placed]
        self._ring = [(clip, speaker) for _, clip, speaker in placed]

    def of(self, clip_id: str, condition: str) -> list[str]:
        """Ids of the clips that a condition mixes into a clip.

        Parameters
        ----------
        clip_id : str
        condition : str
            Registered name.

        Returns
        -------
        list of str
            As many as the record's `others`; fewer in a small corpus, none in a corpus of one speaker.

        Raises
        ------
        UnknownNameError
            For an unknown condition.
        """
        count = CONDITIONS.get(condition).others
        if count == 0:
            return []
        own = self.corpus.table.at[clip_id, "speaker"]
        start = bisect(self._places, digest("babble", self.seed, clip_id))
        queues: dict[str, list[str]] = {}
        for clip, speaker in islice(cycle(self._ring), start, start + len(self._ring)):
            if speaker != own:
                queues.setdefault(speaker, []).append(clip)
                if len(queues) == count:
                    break
        turns = zip_longest(*queues.values())
        return list(islice((clip for turn in turns for clip in turn if clip is not None), count))
