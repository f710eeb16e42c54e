"""Hugging Face checkpoints on waveforms (wav2vec 2.0, HuBERT, WavLM, ...): ``hf:PATH_OR_HUB_ID``.

A checkpoint with a classifier is used as it comes. One without is a *backbone*: its last hidden state is averaged over
time, as in EmoLIME (Hjuler, Clemmensen, Das 2025), and ``serxai train`` fits a linear head on it. So is one whose head
transformers does not know, such as the regression head of ``audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim``,
the paper's backbone: the head is left aside.

Rows of a batch are copies of one clip and so of one length: nothing is padded in time and no attention mask is needed,
also by models with group norm, whose output padding would change.

Weights are read from safetensors alone, and no code of a checkpoint is run, unless the user trusts it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from torch import nn

from .. import _torchvision  # noqa: F401  (before transformers)
from ..audio import SAMPLE_RATE
from ..datasets.labels import class_names
from ..errors import InputError
from ..keys import digest
from .head import LinearHead, log_probabilities
from .headed import HeadedNetwork, TorchExtractor
from .waveform import WaveformRecogniser

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from .record import ModelRecord

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
EPSILON = 1e-7  # of the feature extractor's normalisation


class Standardise(nn.Module):
    """Optional standardisation of each waveform to mean 0 and variance 1, as in the checkpoint's feature extractor."""

    def __init__(self, active: bool) -> None:
        super().__init__()
        self.active = active

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Shape (n, n_samples), unchanged."""
        if not self.active:
            return waveforms
        centred = waveforms - waveforms.mean(dim=1, keepdim=True)
        return centred / (centred.square().mean(dim=1, keepdim=True) + EPSILON).sqrt()


class Classifier(nn.Module):
    """Classifier of a checkpoint: (n, n_samples) -> logits of a softmax.

    Parameters
    ----------
    standardise : Standardise
    model : PreTrainedModel
    one_vs_rest : bool
        Whether the checkpoint's outputs are a logistic function each. They are then normalised over classes.
    """

    def __init__(self, standardise: Standardise, model: PreTrainedModel, one_vs_rest: bool) -> None:
        super().__init__()
        self.standardise, self.model, self.one_vs_rest = standardise, model, one_vs_rest

    def raw(self, waveforms: torch.Tensor) -> torch.Tensor:
        """The checkpoint's logits."""
        return self.model(self.standardise(waveforms)).logits

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Logits of a softmax."""
        logits = self.raw(waveforms)
        return log_probabilities(logits) if self.one_vs_rest else logits


class MeanState(nn.Module):
    """Time-averaged last hidden state of a backbone: (n, n_samples) -> (n, dim)."""

    def __init__(self, standardise: Standardise, model: PreTrainedModel) -> None:
        super().__init__()
        self.standardise, self.model = standardise, model

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Features of each waveform."""
        return self.model(self.standardise(waveforms)).last_hidden_state.mean(dim=1)


class Backbone(TorchExtractor):
    """Mean-pooled last hidden state of a checkpoint without a classifier that transformers knows.

    Parameters
    ----------
    path : str
        Folder or hub id.
    trust : bool
        Whether pickled weights may be read and the checkpoint's own code may be run.

    Raises
    ------
    InputError
        If the checkpoint is missing, damaged, pickled, made for another sampling rate, or not a model of waveforms.
    """

    part = "backbone"

    def __init__(self, path: str, trust: bool = False) -> None:
        from transformers import AutoModel

        config = _config(path, trust)
        standardise = Standardise(_normalises(path))
        self.body = MeanState(standardise, _weights(AutoModel, path, trust)).eval().requires_grad_(False)
        self.params: dict[str, Any] = {"path": path}  # without `trust`: a card gives no permission
        self.min_samples = _min_samples(config, path)
        self.fingerprint = _fingerprint(self.body, config, standardise)

    def vectors(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Mean states, shape (n, n_samples) -> (n, dim)."""
        return self.body(waveforms)

    def recogniser(
        self,
        name: str,
        classes: tuple[str, ...],
        head: LinearHead,
        fingerprint: str,
        trained_on: str = "",
        device: str | torch.device = "cpu",
    ) -> WaveformRecogniser:
        """A differentiable recogniser of the backbone and a trained head."""
        network = HeadedNetwork(self.body, head)
        return WaveformRecogniser(name, classes, network, fingerprint, trained_on, device, self.min_samples)


def has_classifier(path: str) -> bool:
    """Whether a checkpoint holds an audio classifier that transformers knows.

    Raises
    ------
    InputError
        If it has no readable configuration.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES as KNOWN

    names = {name for value in KNOWN.values() for name in ([value] if isinstance(value, str) else value)}
    given = _json(path, "config.json").get("architectures")
    return isinstance(given, list) and any(isinstance(name, str) and name in names for name in given)


def load(
    record: ModelRecord, checkpoint: Path | None = None, trust: bool = False, device: str = "cpu"
) -> WaveformRecogniser:
    """Load a checkpoint with a classifier.

    Parameters
    ----------
    record : ModelRecord
        Its name is ``hf:PATH_OR_HUB_ID``.
    checkpoint : path, optional
        Overrides the path in the name.
    trust : bool
        Whether pickled weights may be read and the checkpoint's own code may be run.
    device : str

    Raises
    ------
    InputError
        If the checkpoint is missing, damaged, pickled, made for another sampling rate, not a model of waveforms, or
        its labels are not emotions.
    """
    from transformers import AutoModelForAudioClassification

    path = str(checkpoint or record.argument)
    config = _config(path, trust)
    if not has_classifier(path):
        raise InputError(
            f"hf:{path}: has no classifier that transformers knows ({', '.join(config.architectures or ['none'])}). "
            f"Train a head on it: serxai train hf:{path} --corpus CORPUS."
        )
    kind = config.problem_type or "single_label_classification"
    if kind == "regression":
        raise InputError(f"hf:{path}: predicts numbers (problem_type 'regression'), not classes.")
    classes = emotions(path, config)
    standardise = Standardise(_normalises(path))
    model = _weights(AutoModelForAudioClassification, path, trust)
    module = Classifier(standardise, model, kind == "multi_label_classification")
    fingerprint = _fingerprint(module, config, standardise)
    return WaveformRecogniser(
        record.name, classes, module, fingerprint, device=device, min_samples=_min_samples(config, path)
    )


def emotions(path: str, config: PreTrainedConfig) -> tuple[str, ...]:
    """Map a checkpoint's labels to the common taxonomy; other labels stay classes under their own names.

    Raises
    ------
    InputError
        If fewer than two labels are emotions of the taxonomy, or two are the same one.
    """
    names = cast(dict[int, str], config.id2label)
    labels = [str(names[i]) for i in sorted(names)]
    return class_names(labels, f"hf:{path}", "name them in the checkpoint's config.json, entry 'id2label'")


def _json(path: str, name: str) -> dict[str, Any]:
    """Read a JSON file of a checkpoint from a folder or the hub."""
    from transformers.utils import cached_file

    folder = Path(path)
    if not folder.is_dir() and not HUB_ID.fullmatch(path):  # nothing to look for, least of all in the network
        raise InputError(
            f"hf:{path}: no such folder, nor a hub id. Give a folder written by save_pretrained, or OWNER/NAME."
        )
    try:
        file = folder / name if folder.is_dir() else Path(str(cached_file(path, name)))
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"hf:{path}: cannot read its {name} ({_first_line(error)}). Give a folder written by save_pretrained, or a "
            "hub id OWNER/NAME that can be reached."
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"hf:{path}: {name} holds {type(content).__name__}, not named values.")
    return content


def _config(path: str, trust: bool) -> PreTrainedConfig:
    from transformers import AutoConfig

    kernel = _foreign_kernel(_json(path, "config.json"))
    if kernel and not trust:
        raise InputError(f"hf:{path}: its config.json names code to fetch, {kernel}. If you trust it, give --trust.")
    try:
        return AutoConfig.from_pretrained(path, trust_remote_code=trust)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"hf:{path}: transformers does not know this model ({_first_line(error)}). If it brings code of its own "
            "and you trust that, give --trust."
        ) from None


def _foreign_kernel(settings: Mapping[str, Any]) -> str:
    """First entry that names an attention kernel of the hub, as in ``"attn_implementation": "OWNER/NAME"``."""
    for name, value in settings.items():
        if isinstance(value, dict):
            found = _foreign_kernel(value)
            if found:
                return found
        elif name.strip("_").startswith(("attn_impl", "experts_impl")) and isinstance(value, str) and "/" in value:
            return f"{name} = {value!r}"
    return ""


def _normalises(path: str) -> bool:
    """Whether the checkpoint's feature extractor standardises waveforms; its other settings are checked.

    Raises
    ------
    InputError
        If it is made for another sampling rate than 16 kHz, or does not take waveforms.
    """
    settings = _front_end_settings(path)
    kind, rate = settings.get("feature_extractor_type"), settings.get("sampling_rate", SAMPLE_RATE)
    if kind not in (None, "Wav2Vec2FeatureExtractor") or settings.get("feature_size", 1) != 1:
        raise InputError(f"hf:{path}: its feature extractor is {kind}; serxai takes checkpoints on plain waveforms.")
    if rate != SAMPLE_RATE:
        raise InputError(f"hf:{path}: made for {rate} Hz; serxai works at {SAMPLE_RATE} Hz only.")
    return bool(settings.get("do_normalize", True))


def _front_end_settings(path: str) -> dict[str, Any]:
    """Settings of the feature extractor: a file of their own, or an entry of what transformers 5 writes."""
    try:
        return _json(path, "preprocessor_config.json")
    except InputError as error:
        try:
            settings = _json(path, "processor_config.json").get("feature_extractor")
        except InputError:
            raise error from None
    if not isinstance(settings, dict):
        raise InputError(
            f"hf:{path}: its processor_config.json has no entry 'feature_extractor'; save the feature extractor beside "
            "the model with save_pretrained."
        )
    return settings


def _weights(auto: Any, path: str, trust: bool) -> PreTrainedModel:
    """Load a model with its weights, float32; no weight may be missing."""
    try:
        with _quiet():
            model, info = auto.from_pretrained(
                path,
                use_safetensors=None if trust else True,
                trust_remote_code=trust,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"hf:{path}: its weights cannot be read ({_first_line(error)}). serxai reads safetensors; pickled weights "
            "can run any code and are read only with --trust."
        ) from None
    # the mask vector is for training only
    missing = sorted(name for name in info["missing_keys"] if not name.endswith("masked_spec_embed"))
    missing += sorted(str(entry[0]) for entry in info["mismatched_keys"])
    if missing:
        raise InputError(
            f"hf:{path}: lacks weights of this shape: {', '.join(missing[:3])}{', ...' * (len(missing) > 3)}."
        )
    broken = next((name for name, tensor in model.state_dict().items() if not bool(torch.isfinite(tensor).all())), None)
    if broken:
        raise InputError(f"hf:{path}: tensor {broken!r} holds NaN or infinite weights.")
    return cast("PreTrainedModel", model)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' progress bars and load report."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _min_samples(config: PreTrainedConfig, path: str) -> int:
    """Receptive field in samples of one output frame, or of the frames that are squeezed into one (SEW)."""
    try:
        layers = list(zip(config.conv_kernel, config.conv_stride, strict=True))
    except AttributeError:
        raise InputError(f"hf:{path}: model type {config.model_type!r} does not take waveforms.") from None
    samples = int(getattr(config, "squeeze_factor", 1))
    for kernel, stride in reversed(layers):
        samples = (samples - 1) * stride + kernel
    return samples


def _fingerprint(module: nn.Module, config: PreTrainedConfig, standardise: Standardise) -> str:
    """Digest of weights, configuration and front end."""
    import transformers

    weights = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        weights.update(name.encode())
        weights.update(tensor.contiguous().numpy().tobytes())
    settings = {name: value for name, value in config.to_dict().items() if not name.startswith("_")}
    settings.pop("transformers_version", None)
    return digest("hf", transformers.__version__, weights.hexdigest(), settings, standardise.active)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
