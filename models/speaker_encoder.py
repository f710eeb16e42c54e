"""Resemblyzer's speaker encoder as a differentiable feature extractor: mean and SD of its LSTM states.

The encoder (Wan et al. 2018, generalized end-to-end loss) was trained to distinguish speakers; its states also
carry speaking style. Weights and front end are those of the package ``resemblyzer`` 0.1.4 (Apache-2.0). The package is
never imported (its dependency ``webrtcvad`` does not work without ``pkg_resources``): its weights file is found and
read with ``weights_only=True``. Its level normalisation and its cutting of silence are left out: both would move cells
of a perturbed copy.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import librosa
import numpy as np
import torch
from torch import nn

from ..audio import SAMPLE_RATE, Grid
from ..errors import InputError
from ..keys import digest
from .headed import HeadedNetwork, HeadedRecogniser, TorchExtractor

if TYPE_CHECKING:
    from .head import LinearHead

WINDOW, HOP, MELS, HIDDEN, LAYERS = 400, 160, 40, 256, 3  # 25 ms, 10 ms


class MelPower(nn.Module):
    """Power in 40 Slaney mel bands, frames centred on multiples of the hop; no logarithm, silence is 0.

    Equals librosa's ``melspectrogram(y, sr=16000, n_fft=400, hop_length=160, n_mels=40)``.
    """

    taper: torch.Tensor
    filters: torch.Tensor
    min_samples = WINDOW
    floor = 0.0

    def __init__(self) -> None:
        super().__init__()
        filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=WINDOW, n_mels=MELS)
        self.register_buffer("taper", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("filters", torch.from_numpy(np.ascontiguousarray(filters.T)), persistent=False)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Features, shape (n, n_samples) -> (n, 1, 40, 1 + n_samples // 160)."""
        padded = nn.functional.pad(waveforms, (WINDOW // 2, WINDOW // 2))
        spectrum = torch.fft.rfft(padded.unfold(-1, WINDOW, HOP) * self.taper)
        power = spectrum.real.square() + spectrum.imag.square()
        return (power @ self.filters).transpose(1, 2)[:, None]

    def grid(self, n_samples: int) -> Grid:
        """Time-frequency edges of the cells: rows end where filters cross, column t is centred on t * hop."""
        peaks = librosa.mel_frequencies(n_mels=MELS + 2, fmax=SAMPLE_RATE / 2)[1:-1]
        freqs = np.concatenate([[0.0], (peaks[:-1] + peaks[1:]) / 2, [SAMPLE_RATE / 2]])
        return Grid(freqs, (np.arange(2 + n_samples // HOP) - 0.5) * HOP / SAMPLE_RATE)


class StateStatistics(nn.Module):
    """Mean and standard deviation over time of the last LSTM layer's states: (n, 1, 40, T) -> (n, 512)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, HIDDEN, LAYERS, batch_first=True)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """State statistics of each feature map."""
        # cuDNN cannot differentiate an LSTM in eval mode
        with torch.backends.cudnn.flags(enabled=not features.requires_grad, deterministic=True, allow_tf32=False):
            states, _ = self.lstm(features[:, 0].transpose(1, 2))
        # a floor on the variance keeps the gradient finite where nothing changes
        spread = states.var(dim=1, correction=0).clamp_min(1e-12).sqrt()
        return torch.cat([states.mean(dim=1), spread], dim=1)


class SpeakerEmbedding(TorchExtractor):
    """Mean and standard deviation of the speaker encoder's states.

    Attributes
    ----------
    front_end, body : nn.Module

    Raises
    ------
    InputError
        If the package that holds the weights is missing or holds others.
    """

    part = "encoder"

    def __init__(self) -> None:
        path = weights_path()
        self.front_end = MelPower().eval()
        self.body = StateStatistics().eval()
        self.body.load_state_dict(_read_weights(path, self.body))
        self.body.requires_grad_(False)
        self.params: dict[str, Any] = {}
        self.min_samples = WINDOW
        self.fingerprint = digest("speaker-encoder", 1, hashlib.sha256(path.read_bytes()).hexdigest())

    def vectors(self, waveforms: torch.Tensor) -> torch.Tensor:
        """States' mean and standard deviation, shape (n, n_samples) -> (n, 512)."""
        return self.body(self.front_end(waveforms))

    def recogniser(
        self,
        name: str,
        classes: tuple[str, ...],
        head: LinearHead,
        fingerprint: str,
        trained_on: str = "",
        device: str | torch.device = "cpu",
    ) -> HeadedRecogniser:
        """Build the differentiable recogniser of the encoder and a trained head."""
        network = HeadedNetwork(self.body, head)
        return HeadedRecogniser(name, classes, self.front_end, network, fingerprint, trained_on, device)


def weights_path() -> Path:
    """Path of the encoder's weights in the package ``resemblyzer``.

    Raises
    ------
    InputError
        If it is not installed.
    """
    spec = find_spec("resemblyzer")  # does not import it
    path = Path(spec.origin).parent / "pretrained.pt" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise InputError("model 'embedding' needs the speaker encoder's weights: pip install 'serxai[embedding]'.")
    return path


def _read_weights(path: Path, network: nn.Module) -> dict[str, torch.Tensor]:
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    wanted = network.state_dict()
    for name, tensor in wanted.items():
        if name not in state or state[name].shape != tensor.shape:
            raise InputError(f"{path}: no tensor {name!r} of shape {tuple(tensor.shape)}; install resemblyzer 0.1.4.")
    return {name: state[name] for name in wanted}
