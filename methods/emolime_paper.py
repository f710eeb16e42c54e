"""EmoLIME as computed by its authors' code, for comparison; `emolime` is exact and a thousand times faster.

The steps follow the public repository (snehadas/EmoLIME), not the paper:
a power mel spectrogram of 128 rows (librosa's defaults), 64 masks over groups of 16 rows drawn with seed 42 and the
first of them all ones, each masked mel spectrogram inverted by non-negative least squares and Griffin-Lim, a linear
surrogate with LIME's kernel and ridge penalty 1. Two things differ: Griffin-Lim's random phase comes from the request's
seed, so that an explanation can be repeated, and any class can be explained. Frequency edges are the true ones, not the
linear kHz of the published figures.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from ..audio import SAMPLE_RATE, Grid
from ..audio.grid import MEL_ROWS
from ..errors import ClipError, InputError
from ..keys import digest
from ..models.recogniser import Recogniser
from .attribution import Attribution
from .emolime import PAPER_MASKS, fit_part_weights
from .explainer import Explainer, Request
from .masks import MaskTable, batched_log_odds, independent_masks, response_of
from .partitions import band_edges
from .surrogates import lime_weights, unshrunk

BANDS = 8
MASK_SEED = 42
ALPHA = 1.0
N_FFT, HOP = 2048, 512  # librosa's defaults


class EmoLimePaper(Explainer):
    """EmoLIME by the published recipe: 64 inverted mel spectrograms, 1 to 6 seconds each.

    Parameters
    ----------
    masks : int
        64 as published; at least 2.
    response : {'probability', 'log-odds'}
        What the surrogate is fitted to; the published weights are of probabilities.
    """

    name = "emolime-paper"
    stochastic = True

    def __init__(self, masks: int = PAPER_MASKS, response: str = "probability") -> None:
        self.masks = masks
        self.response = response

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            Shape (8, 1). ``details``: the surrogate's weighted ``r2`` and ``intercept``; its ``shrinkage``, see
            `surrogates.shrinkage`; the responses ``clip`` (the clip itself), ``full`` (all bands kept, after the
            inversion; differs from ``clip`` by the inversion alone) and ``none`` (silence); ``noise``, the mean
            standard error of the weights due to the random masks alone.

        Raises
        ------
        ClipError
            If the inverted clip would be shorter than the recogniser's window.
        """
        if self.masks < 2:
            raise InputError(f"{self.name}: masks must be at least 2, got {self.masks}; the authors take 64.")
        samples, recogniser = request.clip.samples, request.recogniser
        recogniser.check_length(samples.size)
        if samples.size // HOP * HOP < max(recogniser.min_samples, 1):
            raise ClipError(f"{self.name}: {samples.size} samples are too short to be inverted from a mel spectrogram.")
        recogniser.checked(samples[None])  # raises for samples that are not finite before librosa does
        masks = paper_masks(self.masks)

        def invert() -> np.ndarray:
            # independent of the seed, so that repeats share it; 7 MB per second of sound
            spectra = request.shared.once(
                ("inverted mel spectrograms", self.masks),
                lambda: _magnitudes(mel_spectrogram(samples), masks),
                recogniser,
            )
            waves = (waveform_of(spectra[m.tobytes()], request.generator("phase", i)) for i, m in enumerate(masks))
            return np.stack(list(waves))

        # 4 MB per second of sound; the same for every recogniser and target
        key = digest("inverted waveforms", request.clip.sha256, masks, request.seed)
        copies = torch.as_tensor(request.shared.kept(key, invert))

        def render(index: np.ndarray) -> torch.Tensor:
            return copies[index]  # the last batch is padded with copies of its last mask

        outputs = batched_log_odds(recogniser, len(masks), render)
        table = MaskTable(masks, outputs, np.arange(len(masks)))
        response = table.response(request, self.response)
        silence = np.zeros((1, samples.size // HOP * HOP), dtype=np.float32)
        ends = {
            name: float(response_of(recogniser.log_odds(waveform), request, self.response)[0])
            for name, waveform in (("clip", samples[None]), ("none", silence))
        }
        estimate = fit_part_weights(table, response, ALPHA)
        errors = estimate.errors if estimate.errors is not None else np.zeros(BANDS)
        return Attribution(
            values=estimate.weights[:, None],
            grid=Grid(band_edges("mel", BANDS), np.array([0.0, request.clip.duration_s])),
            target=request.label,
            method=self.name,
            details=estimate.details | ends | {"full": float(response[0]), "noise": float(errors.mean())},
            errors=errors[:, None],
        )

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: all masks, the clip and silence."""
        return recogniser.calls_for(self.masks) + 2


class EmoLimePaperUnshrunk(EmoLimePaper):
    """The published recipe without its ridge penalty: weighted least squares on the table of `emolime-paper`."""

    name = "emolime-paper-unshrunk"
    base = EmoLimePaper.name

    def attribute(self, request: Request) -> Attribution:
        """Remove the ridge shrinkage from the base's weights; see `surrogates.unshrunk`.

        Returns
        -------
        Attribution
            ``details``: those of the base without ``r2``, ``intercept`` and ``noise``, which hold for the penalised
            fit.
        """
        base = request.base if request.base is not None else super().attribute(request)
        masks = paper_masks(self.masks)
        weights = unshrunk(base.values[:, 0].astype(np.float64), masks, lime_weights(masks), ALPHA)
        kept = {name: base.details[name] for name in ("clip", "full", "none")}
        return replace(
            base, values=weights[:, None], method=self.name, details=kept | {"shrinkage": 1.0}, errors=None, base=base
        )


def paper_masks(n: int = PAPER_MASKS) -> np.ndarray:
    """Masks of the authors' fixed seed, uint8, shape (n, 8); the same for every clip, class and recogniser."""
    return independent_masks(BANDS, n, np.random.RandomState(MASK_SEED))


def mel_spectrogram(samples: np.ndarray) -> np.ndarray:
    """Power mel spectrogram with librosa's defaults, shape (128, 1 + n_samples // 512)."""
    import librosa

    with _short_clip_warnings_ignored():
        return librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=MEL_ROWS)


def masked_magnitude(mel: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """STFT magnitude of a masked mel spectrogram by non-negative least squares: the slow, deterministic step.

    Parameters
    ----------
    mel : array, float32, shape (128, n_frames)
    mask : array of 0 and 1, shape (8,)
        Groups of 16 mel rows that are kept.

    Returns
    -------
    array, float32, shape (1025, n_frames)
    """
    import librosa

    kept = mel * np.repeat(mask, MEL_ROWS // BANDS)[:, None].astype(mel.dtype)
    return librosa.feature.inverse.mel_to_stft(kept, sr=SAMPLE_RATE, n_fft=N_FFT)


def _magnitudes(mel: np.ndarray, masks: np.ndarray) -> dict[bytes, np.ndarray]:
    """Compute `masked_magnitude` once for each distinct mask; keys are the masks' bytes."""
    return {mask.tobytes(): masked_magnitude(mel, mask) for mask in np.unique(masks, axis=0)}


def waveform_of(magnitude: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Invert an STFT magnitude by Griffin-Lim from a random initial phase.

    Parameters
    ----------
    magnitude : array, float32, shape (1025, n_frames)
    generator : numpy Generator
        Draws the seed of the initial phase.

    Returns
    -------
    array, float32, shape (512 * (n_frames - 1),)
    """
    import librosa

    phase = np.random.RandomState(int(generator.integers(2**31)))
    with _short_clip_warnings_ignored():
        waveform = librosa.griffinlim(magnitude, n_iter=32, hop_length=HOP, n_fft=N_FFT, random_state=phase)
    return waveform.astype(np.float32)


@contextmanager
def _short_clip_warnings_ignored() -> Iterator[None]:
    """Suppress librosa's warning for clips shorter than its 128 ms window, which are padded."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=.* is too large", category=UserWarning)
        yield
