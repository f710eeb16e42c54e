"""Frame-wise cue tracks of a clip: one Praat analysis, from which the cues of any region are computed.

Conventions
-----------
Frames are 10 ms apart and symmetric about the clip's middle, as Praat's; a frame's time is its centre. Praat's frames
are not interpolated: where an analysis has an even number of frames on an axis of odd length, its frames are placed
5 ms early, so that means over the clip equal Praat's. NaN marks frames without a value. Events (glottal periods and
pulses) have their own times.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..audio import SAMPLE_RATE
from ..errors import ClipError
from .frames import F0_CEILING_HZ, F0_FLOOR_HZ, QUIETEST_DB, STEP_S, frame_power, on_axis

if TYPE_CHECKING:
    from .spectral import FineTracks

MIN_SECONDS = 0.1  # Praat's intensity window at the pitch floor is 6.4 / 75 Hz = 85 ms
REFERENCE_HZ = 100.0  # 0 semitones, where the speaker's median F0 is not known
SOUNDING_DB = 25.0  # below the loudest frame; Praat's default silence threshold
PERIOD_RANGE_S = (0.0001, 0.02)  # Praat's defaults for voice reports, as are the two below
MAX_PERIOD_FACTOR = 1.3
MAX_AMPLITUDE_FACTOR = 1.6


class Events(NamedTuple):
    """Values at irregular times, both arrays of shape (n_events,)."""

    times_s: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class CueTracks:
    """Frame-wise cue tracks and glottal events of one clip.

    Attributes
    ----------
    times_s : array, shape (n_frames,)
        Frame centres.
    f0_hz : array, shape (n_frames,)
        Fundamental frequency, 75..600 Hz; NaN where unvoiced.
    intensity_db : array, shape (n_frames,)
        Re 2e-5 of full scale, at least 0; NaN within about 40 ms of the clip's ends.
    alpha_ratio_db : array, shape (n_frames,)
        Energy in 1-5 kHz over energy in 50-1000 Hz; NaN in digital silence.
    hnr_db : array, shape (n_frames,)
        Harmonics-to-noise ratio; NaN where not periodic.
    periods_s : Events
        Glottal periods, at their centres.
    period_changes_s : Events
        Absolute difference of neighbouring periods, at the pulse between them.
    amplitudes, amplitude_changes : Events
        Amplitude at a pulse, and its absolute difference to the next, both at the middle of the two.
    reference_hz : float
        What semitones are relative to: the speaker's median where it is known, else 100 Hz.
    duration_s : float
    signal : array, float64, shape (n_samples,)
        The clip, from which `fine` is measured when first asked for.
    """

    times_s: np.ndarray
    f0_hz: np.ndarray
    intensity_db: np.ndarray
    alpha_ratio_db: np.ndarray
    hnr_db: np.ndarray
    periods_s: Events
    period_changes_s: Events
    amplitudes: Events
    amplitude_changes: Events
    reference_hz: float
    duration_s: float
    signal: np.ndarray = field(repr=False)

    @cached_property
    def fine(self) -> FineTracks:
        """Spectral tracks (formants, CPP, spectral shape), computed once, on first use."""
        from .spectral import fine_tracks

        return fine_tracks(self.signal, self.times_s)

    @property
    def voiced(self) -> np.ndarray:
        """Mask of frames with a fundamental frequency, bool, shape (n_frames,)."""
        return np.isfinite(self.f0_hz)

    @property
    def semitones(self) -> np.ndarray:
        """F0 in semitones re `reference_hz`, shape (n_frames,); NaN where unvoiced."""
        return 12 * np.log2(self.f0_hz / self.reference_hz)

    @property
    def sounding(self) -> np.ndarray:
        """Mask of frames within 25 dB of the loudest one, bool, shape (n_frames,); all false in a silent clip."""
        loudest = np.nanmax(self.intensity_db)
        return (self.intensity_db >= loudest - SOUNDING_DB) & (loudest > QUIETEST_DB)


def cue_tracks(samples: np.ndarray, reference_hz: float = REFERENCE_HZ) -> CueTracks:
    """Compute the cue tracks of a clip with Praat.

    Parameters
    ----------
    samples : array, shape (n_samples,)
        Mono at 16 kHz.
    reference_hz : float, optional
        The speaker's median F0 where it is known. Differences between regions of a clip do not depend on it.

    Returns
    -------
    CueTracks

    Raises
    ------
    ClipError
        If the clip is shorter than 0.1 s, holds NaN or infinite samples, or Praat fails on it.
    """
    import parselmouth

    signal = np.array(samples, dtype=np.float64)
    duration = signal.size / SAMPLE_RATE
    if duration < MIN_SECONDS:
        raise ClipError(
            f"the clip lasts {duration * 1000:.0f} ms; acoustic cues need at least {MIN_SECONDS * 1000:.0f} ms."
        )
    if not np.all(np.isfinite(signal)):
        raise ClipError("the waveform holds NaN or infinite samples.")
    signal[np.abs(signal) < 1e-12] = 0.0  # squares of smaller samples underflow, on which Praat's pulse finder fails
    try:
        return _analyse(signal, duration, reference_hz)
    except parselmouth.PraatError as error:
        raise ClipError(f"Praat cannot analyse the clip: {str(error).splitlines()[0]}") from error


def _analyse(signal: np.ndarray, duration_s: float, reference_hz: float) -> CueTracks:
    import parselmouth
    from parselmouth.praat import call

    sound = parselmouth.Sound(signal, SAMPLE_RATE)
    pitch = sound.to_pitch_ac(time_step=STEP_S, pitch_floor=F0_FLOOR_HZ, pitch_ceiling=F0_CEILING_HZ)
    intensity = sound.to_intensity(F0_FLOOR_HZ, STEP_S)
    harmonicity = sound.to_harmonicity_cc(STEP_S, F0_FLOOR_HZ, 0.1, 1.0)
    pulses = call([sound, pitch], "To PointProcess (cc)")
    pulse_times = _points(call(pulses, "Up to IntensityTier", 70.0))[:, 0]
    amplitudes = np.zeros((0, 2))
    if pulse_times.size >= 3:  # with fewer, Praat refuses
        tier = call([pulses, sound], "To AmplitudeTier (period)", 0, 0, *PERIOD_RANGE_S, MAX_PERIOD_FACTOR)
        amplitudes = _points(tier)

    before = int(np.floor(pitch.x1 / STEP_S))  # frames that fit before Praat's first and after its last
    times = pitch.x1 + np.arange(-before, pitch.nx + before) * STEP_S
    f0 = on_axis(pitch, pitch.selected_array["frequency"], times)
    f0[f0 <= 0] = np.nan
    hnr = on_axis(harmonicity, harmonicity.values[0], times)
    hnr[hnr <= -200] = np.nan  # Praat's code for "not periodic"
    return CueTracks(
        times_s=times,
        f0_hz=f0,
        intensity_db=np.maximum(on_axis(intensity, intensity.values[0], times), QUIETEST_DB),
        alpha_ratio_db=alpha_ratio_db(signal, times),
        hnr_db=hnr,
        **_period_events(pulse_times),
        **_amplitude_events(amplitudes[:, 0], amplitudes[:, 1]),
        reference_hz=reference_hz,
        duration_s=duration_s,
        signal=signal,
    )


def _points(tier: Any) -> np.ndarray:
    """Times and values of a Praat tier, shape (n, 2)."""
    from parselmouth.praat import call

    if call(tier, "Get number of points") == 0:
        return np.zeros((0, 2))
    return call(call(tier, "Down to TableOfReal"), "To Matrix").values


def _ratio(values: np.ndarray) -> np.ndarray:
    """Ratio of the larger to the smaller of adjacent values, shape (n - 1,)."""
    return np.maximum(values[1:], values[:-1]) / np.minimum(values[1:], values[:-1])


def _in_range(periods: np.ndarray) -> np.ndarray:
    return (periods >= PERIOD_RANGE_S[0]) & (periods <= PERIOD_RANGE_S[1])


def _period_events(pulses: np.ndarray) -> dict[str, Events]:
    """Glottal periods and absolute differences of adjacent ones, selected as for Praat's local jitter.

    A period counts if it is in range and not more than 1.3 times longer or shorter than both its neighbours; a
    difference counts if both periods are in range and within a factor of 1.3 of each other.
    """
    if pulses.size < 2:
        return {"periods_s": Events(*np.zeros((2, 0))), "period_changes_s": Events(*np.zeros((2, 0)))}
    periods = np.diff(pulses)
    far = _ratio(periods) > MAX_PERIOD_FACTOR
    isolated = np.concatenate([[False], far]) & np.concatenate([far, [False]])
    counts = _in_range(periods) & ~isolated
    pairs = _in_range(periods[1:]) & _in_range(periods[:-1]) & ~far
    centres = (pulses[1:] + pulses[:-1]) / 2
    return {
        "periods_s": Events(centres[counts], periods[counts]),
        "period_changes_s": Events(pulses[1:-1][pairs], np.abs(np.diff(periods))[pairs]),
    }


def _amplitude_events(times: np.ndarray, amplitudes: np.ndarray) -> dict[str, Events]:
    """Pulse amplitudes and absolute differences of adjacent ones, selected as for Praat's local shimmer.

    The last amplitude is not counted, as in Praat.
    """
    middles = (times[1:] + times[:-1]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = _in_range(np.diff(times)) & (_ratio(amplitudes) <= MAX_AMPLITUDE_FACTOR)
    return {
        "amplitudes": Events(middles, amplitudes[:-1]),
        "amplitude_changes": Events(middles[pairs], np.abs(np.diff(amplitudes))[pairs]),
    }


def alpha_ratio_db(samples: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """Alpha ratio over time: 10 log10 of energy in 1-5 kHz over energy in 50-1000 Hz (Eyben et al. 2016).

    Parameters
    ----------
    samples : array, shape (n_samples,)
        Mono at 16 kHz.
    times_s : array, shape (n_frames,)
        Centres of 20 ms Hamming windows in seconds; the signal is zero-padded at both ends.

    Returns
    -------
    array, shape (n_frames,)
        In dB; NaN where either band has no energy.
    """
    power, freqs = frame_power(samples, times_s)
    low = power[:, (freqs >= 50) & (freqs < 1000)].sum(axis=1)
    high = power[:, (freqs >= 1000) & (freqs <= 5000)].sum(axis=1)
    usable = (low > 0) & (high > 0)
    return 10 * np.log10(np.where(usable, high, 1.0) / np.where(usable, low, 1.0)) + np.where(usable, 0.0, np.nan)
