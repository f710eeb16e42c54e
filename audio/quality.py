"""Fitness of a recording: what is wrong with the mixed, resampled signal that a recogniser hears.

A *remark* is a defect of one recording. Some make a clip unusable: there is nothing to explain in silence, a constant,
or what is left of channels that cancel each other, and floats on the scale of integers are not audio in -1..1. Others
are told (clipping, a dead channel, an offset), and the clip is used.

Levels are relative to full scale (1.0). Thresholds lie far from recorded speech: of 2,280 clips of four published
corpora the quietest reaches .005.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLE_RATE = 16_000
SILENCE = 1e-3  # -60 dB: half the range of a signal below which it counts as silent
CANCELLED = 1e-3  # -30 dB: power of the mix over the mean power of its channels; uncorrelated channels give 1 / n
PARTLY_CANCELLED = 0.1
WEAK = 1e-6  # -60 dB: power of a channel over that of the strongest
MAX_PEAK = 16.0  # +24 dB: higher peaks are integers written as floats; intended peaks above 1 are far lower
OFFSET = 0.05  # mean of a signal that is told
CLIPPED_RUN = 3  # consecutive samples at full scale that count as clipping
EDGE_S = 0.01  # where a resampling filter rings
CLEARLY_AUDIBLE = 4  # times SILENCE after crude low-pass filtering: exact resampling cannot make it silent,
PASSED_SHARE = 0.25  # and more than the crude filter leaks of higher frequencies (.22)


@dataclass(frozen=True)
class Remark:
    """Defect of a recording.

    Attributes
    ----------
    kind : str
        Unusable: ``silent``, ``constant``, ``cancelled``, ``scale``, ``truncated``. Usable: ``clipped``,
        ``dead channel``, ``weak channel``, ``partly cancelled``, ``offset``, ``over full scale``.
    detail : str
    unusable : bool
        Whether the clip is refused.
    """

    kind: str
    detail: str
    unusable: bool = False


def mix(samples: np.ndarray) -> tuple[np.ndarray, list[Remark]]:
    """Mean of the channels that carry a signal.

    A dead channel (all its samples equal) is left out: it is no part of the recording and would only lower the level.

    Parameters
    ----------
    samples : array, float32, shape (n_samples, n_channels)
        Its memory is used for the result where there is one channel.

    Returns
    -------
    mono : array, float32, shape (n_samples,)
    remarks : list of Remark
        On the channels.
    """
    if samples.shape[1] == 1:
        mono = samples[:, 0]
        return np.add(mono, np.float32(0), out=mono), []  # as a mean does, this makes -0.0 a 0.0
    live = samples.max(axis=0) != samples.min(axis=0)
    remarks = []
    if live.any() and not live.all():
        dead = ", ".join(str(i + 1) for i in np.flatnonzero(~live))
        remarks.append(Remark("dead channel", f"channel {dead} of {live.size} carries no signal and is left out"))
        samples = samples[:, live]
    mono = samples.mean(axis=1)
    if samples.shape[1] > 1 and live.any():
        remarks += _balance(samples, mono)
    return mono, remarks


def _balance(samples: np.ndarray, mono: np.ndarray) -> list[Remark]:
    """Remarks on channels that cancel each other when mixed, or of which one is all but dead."""
    with np.errstate(all="ignore"):  # samples that are not finite are refused elsewhere
        powers = samples.var(axis=0, dtype=np.float64)
        share = mono.var(dtype=np.float64) / powers.mean()
    if share < CANCELLED:
        detail = "the channels cancel each other when mixed to one (one is inverted); give one channel alone"
        return [Remark("cancelled", detail, unusable=True)]
    remarks = []
    if share < PARTLY_CANCELLED:
        detail = f"the mix of the channels has {share:.0%} of their power: they partly cancel each other"
        remarks.append(Remark("partly cancelled", detail))
    if powers.min() < WEAK * powers.max():
        detail = f"channel {int(powers.argmin()) + 1} is more than 60 dB weaker than the strongest"
        remarks.append(Remark("weak channel", detail))
    return remarks


def remarks_on_level(mono: np.ndarray, rate: float, heard: np.ndarray | None = None) -> list[Remark]:
    """Remarks on the level of a mixed signal, before and after resampling.

    Parameters
    ----------
    mono : array, float32, shape (n_samples,)
        Mixed signal, finite, at the file's rate.
    rate : int
        In Hz.
    heard : array, float32, shape (n_resampled,), optional
        The signal at 16 kHz. Where it is left out, the signal is resampled only if it might be inaudible.

    Returns
    -------
    list of Remark
    """
    high, low = float(mono.max()), float(mono.min())
    peak, middle, swing = max(high, -low), (high + low) / 2, (high - low) / 2
    if peak > MAX_PEAK:
        detail = (
            f"samples reach {peak:,.0f}, but floats must lie in -1..1: these are integers written as floats; divide "
            "them by their full scale (32768 for 16 bits) and write the file again"
        )
        return [Remark("scale", detail, unusable=True)]
    if swing < SILENCE:
        if abs(middle) >= SILENCE:
            return [Remark("constant", f"a constant of {middle:.3f} (DC alone), no sound", unusable=True)]
        return [Remark("silent", "no sample reaches -60 dB", unusable=True)]
    if rate > SAMPLE_RATE and _inaudible(mono, rate, heard):
        detail = f"nothing reaches -60 dB at {SAMPLE_RATE} Hz: all sound lies above {SAMPLE_RATE // 2} Hz"
        return [Remark("silent", detail, unusable=True)]
    remarks = []
    if peak > 1.0 + 2**-15:
        remarks.append(Remark("over full scale", f"samples reach {peak:.2f}, beyond full scale"))
    if abs(middle) >= OFFSET or swing < OFFSET:  # the mean costs more than both extremes, and is small where they are
        mean = float(mono.mean(dtype=np.float64))
        if abs(mean) >= OFFSET:
            remarks.append(Remark("offset", f"mean {mean:+.3f}: a constant offset, heard by some recognisers"))
    return remarks


def _inaudible(mono: np.ndarray, rate: float, heard: np.ndarray | None) -> bool:
    """Whether a signal that is audible at its own rate is silent at 16 kHz, apart from its ends."""
    if heard is None:
        block = int(-(-2 * rate // SAMPLE_RATE))  # block means pass what lies below 4 kHz
        whole = mono[: mono.size - mono.size % block].reshape(-1, block).mean(axis=1)
        passed = float(whole.max() - whole.min()) / 2 if whole.size else 0.0
        swing = float(mono.max() - mono.min()) / 2
        if passed >= max(CLEARLY_AUDIBLE * SILENCE, PASSED_SHARE * swing):
            return False
        import soxr

        heard = soxr.resample(mono, rate, SAMPLE_RATE, quality="VHQ")
    edge = int(EDGE_S * SAMPLE_RATE)
    inner = heard[edge:-edge] if heard.size > 4 * edge else heard
    return bool(inner.size) and float(inner.max() - inner.min()) / 2 < SILENCE


def remark_on_clipping(samples: np.ndarray, full: float = 1.0) -> list[Remark]:
    """Remark on runs of samples at full scale in any channel.

    Parameters
    ----------
    samples : array, shape (n_samples, n_channels)
    full : float
        Full scale: 1 for floats, 2**15 for int16.
    """
    count = clipped_samples(samples, full)
    return [Remark("clipped", f"{count} samples in runs at full scale")] if count else []


def clipped_samples(samples: np.ndarray, full: float = 1.0) -> int:
    """Number of samples in runs of at least `CLIPPED_RUN` at or beyond full scale, over all channels."""
    top = full * (1 - 2**-15)
    high, low = samples.max() >= top, samples.min() <= -top
    if not (high or low):
        return 0
    total = 0
    for channel in samples.T:
        at_top = channel >= top if high else channel <= -top
        if high and low:
            at_top |= channel <= -top
        found = np.flatnonzero(at_top)
        ends = np.flatnonzero(np.diff(found) != 1)  # of runs of neighbours among the samples found
        lengths = np.diff(np.concatenate([[-1], ends, [found.size - 1]]))
        total += int(lengths[lengths >= CLIPPED_RUN].sum())
    return total
