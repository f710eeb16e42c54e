"""Feature extractors of Hugging Face checkpoints as differentiable modules.

Each equals transformers' own extractor within 1e-4 (tests/models/test_hf_front_ends.py).

Conventions
-----------
Waveforms are float32 mono at 16 kHz, shape ``(n, n_samples)``. Log-mel modules return ``(n, 1, mels, frames)``, of the
clip's own length: what an encoder needs beyond it (30 s of Whisper's classifiers, 10.24 s of AST) is added as constant
frames by `models.hf_states`, so that no cell of a feature map lies far outside the clip. A row does not depend on the
others; a cell of Whisper's and W2V-BERT's depends on the whole clip, since they refer to the clip's maximum, or to its
mean and variance.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..audio import SAMPLE_RATE, Grid, band_edges_hz
from ..errors import InputError
from .front_end import mel_blocks
from .hf_files import front_end_settings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

EPSILON = 1e-7  # of the extractors' normalisation
WHISPER_POWER = 1e-10  # least power of a mel band
WHISPER_RANGE = 8.0  # decades of power below a clip's maximum that are kept
KALDI_POWER = 1.192092955078125e-07
KALDI_WINDOW, KALDI_HOP, KALDI_FFT, KALDI_LOWEST_HZ = 400, 160, 512, 20.0  # 25 ms, 10 ms

# class of the extractor by model type; any other model takes plain waveforms
EXTRACTORS = {
    "whisper": "WhisperFeatureExtractor",
    "audio-spectrogram-transformer": "ASTFeatureExtractor",
    "wav2vec2-bert": "SeamlessM4TFeatureExtractor",
}
WAVEFORMS = "Wav2Vec2FeatureExtractor"


class Standardise(nn.Module):
    """Optional standardisation of each waveform to mean 0 and variance 1, as in the checkpoint's feature extractor."""

    def __init__(self, active: bool) -> None:
        super().__init__()
        self.active = active

    @property
    def params(self) -> bool:
        """Its one setting, as it enters a fingerprint."""
        return self.active

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Shape (n, n_samples), unchanged."""
        if not self.active:
            return waveforms
        centred = waveforms - waveforms.mean(dim=1, keepdim=True)
        return centred / (centred.square().mean(dim=1, keepdim=True) + EPSILON).sqrt()


class WhisperLogMel(nn.Module):
    """Log-mel spectrogram of Whisper (Radford et al. 2022): Slaney filters, 8 decades of power below the maximum.

    Frames are centred on multiples of the hop and the clip is mirrored at its ends; a feature is ``(log10 power + 4) /
    4``. What lies beyond the encoder's 30 s is left out, as in the extractor.

    Parameters
    ----------
    mels : int
    n_fft, hop : int
        Samples.
    longest : int
        Most samples that are read.
    padded : bool
        Whether the clip is continued with zeros, as for an encoder that is given `longest` samples, instead of mirrored
        at its end. The frames that hear nothing of the clip are not returned.

    Attributes
    ----------
    floor : float
        Feature value of silence.
    min_samples : int
        One window.
    """

    taper: torch.Tensor
    filters: torch.Tensor
    floor = (math.log10(WHISPER_POWER) + 4) / 4

    def __init__(self, mels: int, n_fft: int, hop: int, longest: int, padded: bool) -> None:
        super().__init__()
        from transformers.audio_utils import mel_filter_bank

        self.mels, self.n_fft, self.hop, self.longest, self.padded = mels, n_fft, hop, longest, padded
        self.min_samples = n_fft
        filters = mel_filter_bank(1 + n_fft // 2, mels, 0.0, SAMPLE_RATE / 2, SAMPLE_RATE, "slaney", "slaney")
        self.register_buffer("taper", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters.astype(np.float32)), persistent=False)
        self._blocks = mel_blocks(filters)

    @property
    def params(self) -> dict[str, Any]:
        """Constructor arguments, as they enter a fingerprint."""
        names = ("mels", "n_fft", "hop", "longest", "padded")
        return {"kind": "whisper"} | {name: getattr(self, name) for name in names}

    def frames(self, n_samples: int) -> int:
        """Frames of a clip: those before its end, or, padded, those that hear it."""
        n_samples = min(n_samples, self.longest)
        heard = -(-(n_samples + self.n_fft // 2) // self.hop) if self.padded else n_samples // self.hop
        return min(heard, self.longest // self.hop)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Features, shape (n, n_samples) -> (n, 1, mels, frames)."""
        heard = waveforms[:, : self.longest]
        if self.padded:
            heard = nn.functional.pad(heard, (0, min(self.n_fft, self.longest - heard.shape[1])))
        mirrored = nn.functional.pad(heard, (self.n_fft // 2, self.n_fft // 2), mode="reflect")
        frames = mirrored.unfold(-1, self.n_fft, self.hop)[:, : self.frames(waveforms.shape[1])]
        spectrum = torch.fft.rfft(frames * self.taper)
        power = spectrum.real.square() + spectrum.imag.square()
        mel = torch.cat([power[..., bins] @ self.filters[bins, rows] for bins, rows in self._blocks], -1)
        level = mel.clamp_min(WHISPER_POWER).log10()
        level = torch.maximum(level, level.amax(dim=(1, 2), keepdim=True) - WHISPER_RANGE)
        return ((level + 4) / 4).transpose(1, 2)[:, None]

    def grid(self, n_samples: int) -> Grid:
        """Time-frequency edges of the cells: rows end where filters cross, column t is centred on t * hop."""
        edges = (np.arange(1 + self.frames(n_samples)) - 0.5) * self.hop / SAMPLE_RATE
        return Grid(band_edges_hz(self.mels, rows=self.mels), edges)


class KaldiLogMel(nn.Module):
    """Log-mel filter bank of Kaldi: frames of 25 ms without padding, DC removed, pre-emphasis .97, natural logarithm.

    Computed in float64: the logarithm of a weak band beside strong ones would be off by 1e-3 in float32.

    Parameters
    ----------
    mels : int
    window : {'hann', 'povey'}
        Symmetric; Povey's is a Hann window to the power .85.
    amplitude : float
        Factor of the waveform; 32768 for levels of 16-bit integers.
    mean, sd : float
        Feature = (log power - mean) / sd.
    per_clip : bool
        Whether each mel band is standardised over the clip's frames instead, with n - 1 degrees of freedom.
    longest : int or None
        Most frames.
    multiple : int
        Frames are cut to a multiple of it.

    Attributes
    ----------
    floor : float
        Feature value of silence.
    min_samples : int
    """

    taper: torch.Tensor
    filters: torch.Tensor

    def __init__(
        self,
        mels: int,
        window: str = "hann",
        amplitude: float = 1.0,
        mean: float = 0.0,
        sd: float = 1.0,
        per_clip: bool = False,
        longest: int | None = None,
        multiple: int = 1,
    ) -> None:
        super().__init__()
        from transformers.audio_utils import mel_filter_bank

        self.mels, self.window, self.amplitude, self.mean, self.sd = mels, window, amplitude, mean, sd
        self.per_clip, self.longest, self.multiple = per_clip, longest, multiple
        frames = max(multiple, 2 if per_clip else 1)
        self.min_samples = KALDI_WINDOW + (frames - 1) * KALDI_HOP
        self.floor = 0.0 if per_clip else (math.log(KALDI_POWER) - mean) / sd
        filters = mel_filter_bank(
            num_frequency_bins=1 + KALDI_FFT // 2,
            num_mel_filters=mels,
            min_frequency=KALDI_LOWEST_HZ,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
        taper = torch.hann_window(KALDI_WINDOW, periodic=False, dtype=torch.float64)
        taper = taper.pow(0.85) if window == "povey" else taper
        self.register_buffer("taper", taper, persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)

    @property
    def params(self) -> dict[str, Any]:
        """Constructor arguments, as they enter a fingerprint."""
        names = ("mels", "window", "amplitude", "mean", "sd", "per_clip", "longest", "multiple")
        return {"kind": "kaldi"} | {name: getattr(self, name) for name in names}

    def frames(self, n_samples: int) -> int:
        """Frames of a clip."""
        whole = 1 + (n_samples - KALDI_WINDOW) // KALDI_HOP
        whole = whole if self.longest is None else min(whole, self.longest)
        return whole - whole % self.multiple

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Features, shape (n, n_samples) -> (n, 1, mels, frames)."""
        frames = (waveforms.double() * self.amplitude).unfold(-1, KALDI_WINDOW, KALDI_HOP)
        frames = frames - frames.mean(dim=-1, keepdim=True)
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        spectrum = torch.fft.rfft((frames - 0.97 * before) * self.taper, n=KALDI_FFT)
        power = spectrum.real.square() + spectrum.imag.square()
        level = (power @ self.filters).clamp_min(KALDI_POWER).log()
        if self.per_clip:
            centred = level - level.mean(dim=1, keepdim=True)
            variance = centred.square().sum(dim=1, keepdim=True) / (level.shape[1] - 1)
            level = centred / (variance + EPSILON).sqrt()
        else:
            level = (level - self.mean) / self.sd
        return level[:, : self.frames(waveforms.shape[1])].transpose(1, 2)[:, None].to(waveforms.dtype)

    def grid(self, n_samples: int) -> Grid:
        """Time-frequency edges of the cells: rows end where filters cross, columns halfway between centres.

        The first column begins with the clip, the last one ends with its window: the windows hear that.
        """
        frames = self.frames(n_samples)
        samples = np.arange(frames + 1) * KALDI_HOP + (KALDI_WINDOW - KALDI_HOP) / 2
        samples[0], samples[-1] = 0.0, (frames - 1) * KALDI_HOP + KALDI_WINDOW
        lowest, highest = (1127.0 * math.log1p(hz / 700.0) for hz in (KALDI_LOWEST_HZ, SAMPLE_RATE / 2))
        crossings = lowest + (np.arange(1, self.mels) + 0.5) * (highest - lowest) / (self.mels + 1)
        inner = 700.0 * np.expm1(crossings / 1127.0)
        return Grid(np.concatenate([[0.0], inner, [SAMPLE_RATE / 2]]), samples / SAMPLE_RATE)


LogMelFrontEnd = WhisperLogMel | KaldiLogMel


def make_front_end(path: str, config: PreTrainedConfig, padded: bool) -> Standardise | LogMelFrontEnd:
    """Build the front end that a checkpoint's settings describe.

    Parameters
    ----------
    path : str
        Folder or hub id.
    config : PreTrainedConfig
    padded : bool
        Whether Whisper's encoder is given 30 s, as in its training, instead of the clip's own length.

    Raises
    ------
    InputError
        If it is made for another sampling rate than 16 kHz, or does not give what the model takes.
    """
    settings = front_end_settings(path)
    wanted = EXTRACTORS.get(config.model_type, WAVEFORMS)
    kind, rate = settings.get("feature_extractor_type"), settings.get("sampling_rate", SAMPLE_RATE)
    if kind not in (None, wanted) or (wanted == WAVEFORMS and settings.get("feature_size", 1) != 1):
        takes = "plain waveforms" if wanted == WAVEFORMS else f"the features of {wanted}"
        raise InputError(f"hf:{path}: its feature extractor is {kind}; a {config.model_type!r} model takes {takes}.")
    if rate != SAMPLE_RATE:
        raise InputError(f"hf:{path}: made for {rate} Hz; serxai works at {SAMPLE_RATE} Hz only.")
    if wanted == WAVEFORMS:
        return Standardise(bool(settings.get("do_normalize", True)))
    try:
        return _log_mel(path, settings, config, padded)
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"hf:{path}: the settings of its feature extractor do not fit ({error}); save it again beside the "
            "model with save_pretrained."
        ) from None


def _log_mel(path: str, settings: dict[str, Any], config: PreTrainedConfig, padded: bool) -> LogMelFrontEnd:
    if config.model_type == "whisper":
        mels, hop = int(settings.get("feature_size", 80)), int(settings.get("hop_length", 160))
        _check_equal(path, "mel bands", mels, config.num_mel_bins)
        longest = min(int(settings.get("chunk_length", 30)) * SAMPLE_RATE, 2 * config.max_source_positions * hop)
        return WhisperLogMel(mels, int(settings.get("n_fft", 400)), hop, longest, padded)
    if config.model_type == "wav2vec2-bert":
        mels, stride = int(settings.get("num_mel_bins", 80)), int(settings.get("stride", 2))
        _check_equal(path, "features a frame", mels * stride, config.feature_projection_input_dim)
        return KaldiLogMel(mels, "povey", 2.0**15, per_clip=True, multiple=stride)
    mels, longest = int(settings.get("num_mel_bins", 128)), int(settings.get("max_length", 1024))
    _check_equal(path, "mel bands", mels, config.num_mel_bins)
    _check_equal(path, "frames", longest, config.max_length)
    mean, sd = (0.0, 0.5)
    if settings.get("do_normalize", True):
        mean, sd = float(settings.get("mean", -4.2677393)), float(settings.get("std", 4.5689974))
    return KaldiLogMel(mels, "hann", mean=mean, sd=2 * sd, longest=longest)


def _check_equal(path: str, what: str, given: int, wanted: int) -> None:
    if given != wanted:
        raise InputError(f"hf:{path}: its feature extractor gives {given} {what}, its model takes {wanted}.")
