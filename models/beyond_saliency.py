"""Checkpoints released by the authors of "Beyond Saliency", each with the front end of its training.

The released explanation code feeds the networks with other features than their training did. With the front end here
the TESS checkpoint names the emotion of 560 of 560 TESS clips; with the explanation code's, 23 of 140 (chance: 20).
Those clips are no test: 90 % of TESS was training data, from the same two actresses.

What their training does, and what is done here:

=========================  =====================================  ===================================================
step                       TESS notebook                          CREMA-D notebook
=========================  =====================================  ===================================================
length                     zeros on both sides, to 4 s            cut at 48,000 samples, zeros at the end
sampling rate              16 kHz                                 16 kHz, handled as 24 kHz: its filters are 2/3 of
                                                                  what they are called
transform, window, hop     1024, 512, 512                         1024, 480, 240
scale                      dB below the clip's loudest cell,      the same, from 16-bit integers
                           80 at most
=========================  =====================================  ===================================================

One step of theirs is left out: the silence before and after speech is not cut off. On TESS their threshold (55 dB)
cuts nothing from any of 560 clips; and a cut that depends on the samples would move each perturbed copy of a clip off
the grid that all of them must share. The loudest cell is a maximum over the feature map, through which gradients go.

The checkpoints are GPL-3.0 and not shipped. They are loaded with ``weights_only=True``: no code in a file is run.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import librosa
import numpy as np
import torch
from torch import nn

from ..audio import SAMPLE_RATE, Grid, band_edges_hz
from ..errors import ClipError, InputError
from ..keys import digest
from .cnn import ResidualBlock, ResidualCNN
from .front_end import LogMel, mel_blocks
from .recogniser import TorchRecogniser

if TYPE_CHECKING:
    from .record import ModelRecord

CLASSES = ("fear", "neutral", "happiness", "anger", "disgust", "surprise", "sadness")  # their order of outputs
RANGE_DB = 80.0
AMIN = 1e-10


class NotebookFrontEnd(LogMel):
    """Log-mel spectrogram of a stretch of fixed length, in dB below its loudest cell.

    Equals librosa's ``power_to_db(melspectrogram(placed), ref=np.max)`` (tests/models/test_beyond_saliency.py).

    Parameters
    ----------
    samples : int
        Length of the stretch.
    centred : bool
        Whether a clip lies in its middle (and may not be longer) or at its start (and is cut).
    window, hop : int
        In samples.
    nominal_rate : int
        Sampling rate that the mel filters are made for, whatever the samples' true rate.
    full_scale : float
        Amplitude that a sample of 1 stands for.

    Attributes
    ----------
    floor : float
        80 dB below the loudest cell. (Power 1e-10 is the least that counts, as in theirs: in a clip whose loudest cell
        is below -20 dB, silence lies less deep.)
    """

    def __init__(
        self, samples: int, centred: bool, window: int, hop: int, nominal_rate: int = SAMPLE_RATE, full_scale: float = 1
    ) -> None:
        super().__init__(window=window, hop=hop, amin=AMIN / full_scale**2, centre_db=0.0, scale_db=1.0)
        self.samples, self.centred = samples, centred
        self.nominal_rate, self.full_scale = nominal_rate, full_scale
        self.floor = -RANGE_DB
        filters = librosa.filters.mel(sr=nominal_rate, n_fft=self.n_fft, n_mels=self.mels)
        self.filters = torch.from_numpy(np.ascontiguousarray(filters.T))
        self._blocks = mel_blocks(filters.T)

    @property
    def params(self) -> dict[str, Any]:
        """Everything needed to build it again."""
        names = ("samples", "centred", "window", "hop", "nominal_rate", "full_scale")
        return {name: getattr(self, name) for name in names}

    def _lead(self, n_samples: int) -> int:
        """Zeros before the clip."""
        return self.samples // 2 - n_samples // 2 if self.centred else 0

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Features, shape (n, n_samples) -> (n, 1, mels, 1 + samples // hop)."""
        lead = self._lead(waveforms.shape[-1])
        tail = lead if self.centred else self.samples - waveforms.shape[-1]  # negative: cut
        decibel = super().forward(nn.functional.pad(waveforms, (lead, tail)))
        return (decibel - decibel.amax(dim=(2, 3), keepdim=True)).clamp_min(self.floor)

    def grid(self, n_samples: int) -> Grid:
        """Where the cells lie: seconds from the clip's first sample, so that cells of padding lie outside the clip."""
        columns = np.arange(2 + self.samples // self.hop) - 0.5
        freqs = band_edges_hz(self.mels, rows=self.mels, max_hz=self.nominal_rate / 2)
        return Grid(
            freqs * (SAMPLE_RATE / self.nominal_rate), (columns * self.hop - self._lead(n_samples)) / SAMPLE_RATE
        )


class _PlainBlock(ResidualBlock):
    """Residual block whose shortcut has no batch norm."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__(channels_in, channels_out, stride)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)  # type: ignore[assignment]


class ReleasedCNN(ResidualCNN):
    """The network of the released checkpoints: `ResidualCNN` with shortcuts without batch norm, 7 classes."""

    def __init__(self) -> None:
        super().__init__(len(CLASSES), width=32, dropout=0.5)
        self.layer1, self.layer2 = _PlainBlock(32, 64), _PlainBlock(64, 128, stride=2)

    def load_released(self, state: dict[str, torch.Tensor]) -> None:
        """Take the weights of a checkpoint, which has other names for three layers.

        Raises
        ------
        InputError
            If a tensor is missing, of another shape, unknown, or not finite.
        """
        ours = {"conv": "conv1", "bn": "bn1", "linear": "fc"}
        theirs = {
            name: ".".join([ours.get(first, first), *rest])
            for name in self.state_dict()
            for first, *rest in [name.split(".")]
        }
        shapes = {theirs[name]: tuple(tensor.shape) for name, tensor in self.state_dict().items()}
        given = {name: tuple(tensor.shape) for name, tensor in state.items()}
        if given.get("fc.bias", shapes["fc.bias"]) != shapes["fc.bias"]:
            raise InputError(f"has {given['fc.bias']} outputs, not the {len(CLASSES)} classes {', '.join(CLASSES)}.")
        for name in sorted(shapes.keys() | given.keys()):
            if shapes.get(name) != given.get(name):
                raise InputError(
                    f"tensor {name!r} is {given.get(name, 'absent')}, the released network has "
                    f"{shapes.get(name, 'none of this name')}."
                )
            if not bool(torch.isfinite(state[name]).all()):
                raise InputError(f"tensor {name!r} holds NaN or infinite weights.")
        self.load_state_dict({name: state[their] for name, their in theirs.items()})


class ReleasedRecogniser(TorchRecogniser):
    """Recogniser of a released network and its notebook's front end."""

    def check_length(self, n_samples: int) -> None:
        """Raise `ClipError` also if a clip is longer than the stretch it is centred in."""
        super().check_length(n_samples)
        front_end = self.front_end
        assert isinstance(front_end, NotebookFrontEnd)
        if front_end.centred and n_samples > front_end.samples:
            raise ClipError(
                f"{n_samples / SAMPLE_RATE:.2f} s are longer than the {front_end.samples / SAMPLE_RATE:.0f} s that "
                f"recogniser {self.name!r} was trained on; its training stops at such a clip too."
            )


# name of the record: corpus, digest of the authors' file, front end
RELEASED: dict[str, tuple[str, str, dict[str, float]]] = {
    "beyond-saliency-tess": (
        "tess",
        "4a3777bd6aa67d76d489a8980f2e41ddb9487f04191976058f563bb54009677a",
        {"samples": 64_000, "centred": True, "window": 512, "hop": 512},
    ),
    "beyond-saliency-crema": (
        "crema-d",
        "ccebd79140deb8d73cd308a08c0bd19db6d4df1cae18d38bbf6ff18f237017ff",
        {
            "samples": 48_000,
            "centred": False,
            "window": 480,
            "hop": 240,
            "nominal_rate": 24_000,
            "full_scale": 2.0**15,
        },
    ),
}


def load(record: ModelRecord, checkpoint: Path | None, trust: bool = False, device: str = "cpu") -> TorchRecogniser:
    """Load a released recogniser from the authors' file.

    Parameters
    ----------
    record : ModelRecord
        ``beyond-saliency-tess`` or ``beyond-saliency-crema``.
    checkpoint : path
        Their ``best_model_tess.pth`` or ``best_model_crema.pth``. Other weights of the same shapes are taken too; what
        those were trained on is then unknown.
    trust : bool
        Not used: these files contain no code.
    device : str

    Raises
    ------
    InputError
        If the file is missing, holds anything but tensors, does not fit the network, or is the other corpus'.
    """
    corpus, _, options = RELEASED[record.name]
    if checkpoint is None:
        raise InputError(
            f"{record.name}: needs --checkpoint FILE, the authors' checkpoint of {corpus} (GPL-3.0, not shipped), from "
            "the repository Seham-Nasr/BeyondSaliency-X_SER, folder src/Models/checkpoint."
        )
    path = Path(checkpoint)
    state = _read_tensors(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    owner = next((name for name, (_, known, _) in RELEASED.items() if known == sha256), None)
    if owner not in (None, record.name):
        raise InputError(f"{path}: is the checkpoint of {owner!r}, not of {record.name!r}; ask for {owner!r}.")
    network: Any = ReleasedCNN()
    try:
        network.load_released(state)
    except InputError as error:
        raise InputError(f"{path}: {error} Give one of the authors' two checkpoints.") from None
    front_end = NotebookFrontEnd(**options)  # type: ignore[arg-type]
    fingerprint = digest("beyond-saliency", record.version, sha256, options)
    trained_on = corpus if owner else ""
    return ReleasedRecogniser(
        record.name, CLASSES, front_end, network.to(memory_format=torch.channels_last), fingerprint, trained_on, device
    )


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; give the authors' .pth file.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        why = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: not a file of tensors alone ({why}). Files that hold code are refused, with --trust too: the "
            "authors' checkpoints need none."
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path}: holds {type(state).__name__}, not a network's tensors by name.")
    return state
