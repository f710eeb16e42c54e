"""Transmission channel shifts: room reverberation, telephone band, codecs and gain.

All of them keep the clip's timing, delays are compensated: the propagation delay of a room's direct sound and the
encoder delay of codecs are removed, filters have zero phase.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ...audio import SAMPLE_RATE
from ...errors import ClipError
from .conditions import Shifted

ROOM_M = (6.0, 5.0, 3.0)
TALKER_M = 1.5  # from the microphone
TELEPHONE_RATE = 8000
BAND_HZ = (300.0, 3400.0)
MP3_DELAY = 1105  # samples, encoder (576) plus decoder (529); decoders remove them if there is a Xing header


def gain(signals: np.ndarray, strength: float, generator: np.random.Generator) -> Shifted:
    """Apply a gain of `strength` dB; ``measured`` is the ratio of powers in dB."""
    louder = signals * np.float32(10 ** (strength / 20))
    before, after = (np.sum(np.square(x[0], dtype=np.float64)) for x in (signals, louder))
    return Shifted(louder, float(10 * np.log10(after / before)))


def room(signals: np.ndarray, strength: float, generator: np.random.Generator) -> Shifted:
    """Reverberation of a shoebox room by the image source method, with random positions of talker and microphone.

    `strength` is the reverberation time T60 in seconds. All signals get the same room and positions. The mean power of
    the clip is kept, so that reverberation is not a change of level as well; the tail after the clip's end is cut off.

    Returns
    -------
    Shifted
        ``measured`` is the reverberation time of the room's impulse response, in seconds: the slope of its backward
        integrated energy from -5 to -25 dB, times 60 dB (ISO 3382-2, T20).

    Raises
    ------
    ClipError
        If no sound of the clip reaches the microphone before the clip ends.
    """
    from scipy.signal import oaconvolve

    response = _impulse_response(strength, generator)
    reverberant = oaconvolve(signals.astype(np.float64), response[None], axes=1)[:, : signals.shape[1]]
    powers = [np.sum(np.square(x[0], dtype=np.float64)) for x in (signals, reverberant)]
    if powers[1] == 0:
        raise ClipError("the clip is silent until its last moment: nothing of it can be heard in a room.")
    return Shifted((reverberant * np.sqrt(powers[0] / powers[1])).astype(np.float32), reverberation_s(response))


def _impulse_response(t60_s: float, generator: np.random.Generator) -> np.ndarray:
    """Room impulse response at 16 kHz from the arrival of the direct sound, float64, shape (n,)."""
    import pyroomacoustics as pra

    microphone = np.array(ROOM_M) * [0.5, 0.5, 0.5] + generator.uniform(-0.3, 0.3, 3)
    angle = generator.uniform(0, 2 * np.pi)
    talker = microphone + TALKER_M * np.array([np.cos(angle), np.sin(angle), 0.0])
    absorption, order = pra.inverse_sabine(t60_s, ROOM_M)
    shoebox = pra.ShoeBox(ROOM_M, fs=SAMPLE_RATE, materials=pra.Material(absorption), max_order=order)
    shoebox.add_source(talker)
    shoebox.add_microphone(microphone)
    threads = pra.constants.get("num_threads")
    pra.constants.set("num_threads", 1)  # rounding of its sums depends on the number of threads
    try:
        shoebox.compute_rir()
    finally:
        pra.constants.set("num_threads", threads)
    arrival = TALKER_M / shoebox.c * SAMPLE_RATE + pra.constants.get("frac_delay_length") // 2
    return np.asarray(shoebox.rir[0][0][round(arrival) :], dtype=np.float64)


def reverberation_s(response: np.ndarray) -> float:
    """Reverberation time T20 of an impulse response at 16 kHz, in seconds, by least squares on the decay curve."""
    energy = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    decay = 10 * np.log10(energy[energy > 0] / energy[0])
    part = np.flatnonzero((decay <= -5) & (decay >= -25))
    return float(-60 / np.polyfit(part / SAMPLE_RATE, decay[part], 1)[0])


def telephone(signals: np.ndarray, strength: float, generator: np.random.Generator) -> Shifted:
    """Telephone channel: 8 kHz, band-pass 300-3400 Hz, 8-bit mu-law, which clips at full scale.

    Returns
    -------
    Shifted
        ``measured`` is the -6 dB bandwidth in Hz of the impulse response, relative to its mid-band level.
    """
    received = np.stack([_from_line(_mu_law(_to_line(x)), x.size) for x in signals])
    impulse = np.zeros(SAMPLE_RATE, dtype=np.float32)
    impulse[impulse.size // 2] = 1
    response = np.abs(np.fft.rfft(_from_line(_to_line(impulse), impulse.size)))  # bins of 1 Hz
    return Shifted(received, float(np.sum(response > response[1000:2000].mean() / 2)))


def _to_line(samples: np.ndarray) -> np.ndarray:
    import soxr
    from scipy.signal import firwin, oaconvolve

    narrow = soxr.resample(samples, SAMPLE_RATE, TELEPHONE_RATE, quality="VHQ")
    band = firwin(257, BAND_HZ, fs=TELEPHONE_RATE, pass_zero=False)
    return oaconvolve(narrow, band)[128 : 128 + narrow.size]


def _mu_law(samples: np.ndarray) -> np.ndarray:
    return _round_trip(np.clip(samples, -1, 1), TELEPHONE_RATE, format="AU", subtype="ULAW")[0]


def _from_line(samples: np.ndarray, n: int) -> np.ndarray:
    import soxr

    return _fitted(soxr.resample(samples, TELEPHONE_RATE, SAMPLE_RATE, quality="VHQ"), n)


def opus(signals: np.ndarray, strength: float, generator: np.random.Generator) -> Shifted:
    """Encode by Opus at a target of `strength` kbit/s (variable rate) and decode, each signal separately."""
    # libsndfile maps the level 0..1 to 256..6 kbit/s
    return _coded(signals, format="OGG", subtype="OPUS", compression_level=(256 - strength) / 250)


def mp3(signals: np.ndarray, strength: float, generator: np.random.Generator) -> Shifted:
    """Encode by MP3 at a constant `strength` kbit/s and decode, each signal separately."""
    # libsndfile maps the level 0..1 to 160..8 kbit/s and takes the nearest legal rate
    level = (160 - strength) / 152
    return _coded(
        signals, MP3_DELAY, format="MP3", subtype="MPEG_LAYER_III", compression_level=level, bitrate_mode="CONSTANT"
    )


def _coded(signals: np.ndarray, delay: int = 0, **encoding: Any) -> Shifted:
    """Encode and decode; ``measured`` is the bit rate of the clip's file, headers included, in kbit/s."""
    n = signals.shape[1]
    received, sizes = zip(*(_round_trip(x, SAMPLE_RATE, **encoding) for x in signals), strict=True)
    # decoders that compensate the delay return as many samples as the input has, others more
    decoded = [_fitted(x if x.size == n else x[delay:], n) for x in received]
    return Shifted(np.stack(decoded), sizes[0] * 8 / 1000 / (n / SAMPLE_RATE))


def _round_trip(samples: np.ndarray, rate: int, **encoding: Any) -> tuple[np.ndarray, int]:
    """Write samples to a file in memory and read them again; samples, float32, and size of the file in bytes."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, rate, **encoding)
    size = file.tell()
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0], size


def _fitted(samples: np.ndarray, n: int) -> np.ndarray:
    """Truncate or zero-pad to n samples, float32."""
    return np.pad(samples[:n], (0, max(0, n - samples.size))).astype(np.float32)
