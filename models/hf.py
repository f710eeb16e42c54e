"""Hugging Face checkpoints (wav2vec 2.0, HuBERT, WavLM, Whisper, AST, W2V-BERT, ...): ``hf:PATH_OR_HUB_ID``.

A checkpoint with a classifier is used as it comes, Whisper's with the 30 s of input it was trained on. One without is a
*backbone*: statistics over time of one of its hidden states, or of all, are the features of a linear head that ``serxai
train`` fits. EmoLIME (Hjuler, Clemmensen, Das 2025) averages the last state; SUPERB (Yang et al. 2021) learns a
weighted sum of all. So is a checkpoint whose head transformers does not know: the head is left aside. A regression's
outputs are dimensions such as arousal (`models.dimensional`), audeering's layout included (`models.hf_dimensional`);
``audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim``, EmoLIME's backbone, is a backbone when it is trained on.

Rows of a batch are copies of one clip and so of one length: nothing is padded in time and no attention mask is needed,
also by models with group norm, whose output padding would change.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from .. import _torchvision  # noqa: F401  (before transformers)
from ..datasets.labels import class_names
from ..errors import InputError
from ..keys import digest
from .backbone_settings import AUTO, EARLIER, LAST, WEIGHTED
from .dimensional import REGRESSION
from .head import LinearHead, log_probabilities
from .headed import HeadedNetwork, HeadedRecogniser, TorchExtractor
from .hf_dimensional import Regression, has_dimensional_head, outputs_named, read_dimensional
from .hf_files import fingerprint, read_config, read_json, read_weights, weights_sha256
from .hf_front_ends import LogMelFrontEnd, Standardise, make_front_end
from .hf_states import PooledStates, check_states, inputs_of, last_state, make_encoder
from .recogniser import Recogniser
from .waveform import WaveformRecogniser

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from .record import ModelRecord


class Classifier(nn.Module):
    """Classifier of a checkpoint: waveforms, or feature maps of its front end, -> logits of a softmax.

    Parameters
    ----------
    inputs : nn.Module
        Before the model; see `models.hf_states.inputs_of`.
    model : PreTrainedModel
    one_vs_rest : bool
        Whether the checkpoint's outputs are a logistic function each. They are then normalised over classes.
    """

    def __init__(self, inputs: nn.Module, model: PreTrainedModel, one_vs_rest: bool) -> None:
        super().__init__()
        self.inputs, self.model, self.one_vs_rest = inputs, model, one_vs_rest

    def raw(self, x: torch.Tensor) -> torch.Tensor:
        """The checkpoint's logits."""
        return self.model(self.inputs(x)).logits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of a softmax."""
        logits = self.raw(x)
        return log_probabilities(logits) if self.one_vs_rest else logits


class Backbone(TorchExtractor):
    """Pooled hidden states of a checkpoint without a classifier that transformers knows.

    Parameters
    ----------
    path : str
        Folder or hub id.
    trust : bool
        Whether pickled weights may be read and the checkpoint's own code may be run.
    layer : int or str
        Hidden state (see `models.hf_states`); ``last``; ``auto``, one that training chooses; ``weighted``, a sum of all
        whose weights the head learns. With the two latter `features` holds all states, side by side.
    pooling : {'mean', 'mean+sd'}

    Attributes
    ----------
    front_end : nn.Module or None
        Log-mel front end; None for a model of waveforms, whose standardisation is part of `body`.
    body : PooledStates
    encoder : str
        Digest of the encoder and its front end, whatever the layer.
    identity : str
        Digest of the weights and the front end alone: the same under every version of transformers.
    states : int
        Number of states in `features` where `layer` is ``auto`` or ``weighted``, else 0.

    Raises
    ------
    InputError
        If the checkpoint is missing, damaged, pickled, made for another sampling rate, or not a model of waveforms or
        of the log-mel features of Whisper, AST or W2V-BERT; if it has no such layer.
    """

    part = "backbone"

    def __init__(self, path: str, trust: bool = False, layer: int | str = LAST, pooling: str = "mean") -> None:
        config = read_config(path, trust)
        front_end = make_front_end(path, config, padded=False)
        self.min_samples = _min_samples(front_end, config, path)
        model = _encoder(path, trust, config)
        last = last_state(model)
        check_states(path, layer, pooling, last)
        every = layer in (AUTO, WEIGHTED)
        if every and getattr(config, "add_adapter", False):
            raise InputError(
                f"layer = {layer!r}: hf:{path} has an adapter, so its last hidden state is of another kind; give a "
                f"number from 0 to {last - 1}, or {LAST!r}."
            )
        self.encoder = fingerprint(model, config, front_end.params)
        self.identity = digest("encoder", weights_sha256(model), front_end.params)
        self.states = last + 1 if every else 0
        layers = range(last + 1) if every else [last if layer == LAST else int(layer)]
        encoder = make_encoder(front_end, model, list(layers))
        self.front_end = None if isinstance(front_end, Standardise) else front_end.eval()
        self.body = PooledStates(encoder, list(layers), pooling).eval().requires_grad_(False)
        chosen = {"layer": layer, "pooling": pooling}
        plain = chosen == EARLIER  # as in models trained before there was a choice
        self.params: dict[str, Any] = {"path": path} | ({} if plain else chosen)  # without `trust`: no card permits
        self.fingerprint = self.encoder if plain else digest("hf states", self.encoder, layer, pooling)

    def vectors(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Pooled states, shape (n, n_samples) -> (n, dim), or (n, states * dim)."""
        return self.body(waveforms if self.front_end is None else self.front_end(waveforms))

    def recogniser(
        self,
        name: str,
        classes: tuple[str, ...],
        head: LinearHead,
        fingerprint: str,
        trained_on: str = "",
        device: str | torch.device = "cpu",
    ) -> Recogniser:
        """A differentiable recogniser of the backbone and a trained head."""
        network = HeadedNetwork(self.body, head)
        if self.front_end is None:
            return WaveformRecogniser(name, classes, network, fingerprint, trained_on, device, self.min_samples)
        return HeadedRecogniser(name, classes, self.front_end, network, fingerprint, trained_on, device)


def has_classifier(path: str) -> bool:
    """Whether a checkpoint holds an audio classifier that transformers knows.

    Raises
    ------
    InputError
        If it has no readable configuration.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES as KNOWN

    names = {name for value in KNOWN.values() for name in ([value] if isinstance(value, str) else value)}
    given = read_json(path, "config.json").get("architectures")
    return isinstance(given, list) and any(isinstance(name, str) and name in names for name in given)


def load(
    record: ModelRecord, checkpoint: Path | None = None, trust: bool = False, device: str = "cpu"
) -> WaveformRecogniser | HeadedRecogniser:
    """Load a checkpoint with a classifier or a regression.

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
        If the checkpoint is missing, damaged, pickled, made for another sampling rate, not a model of waveforms or of
        log-mel features that are known here, or its labels are not emotions.
    """
    from transformers import AutoModelForAudioClassification

    path = str(checkpoint or record.argument)
    config = read_config(path, trust)
    dimensional = has_dimensional_head(path)
    if not (dimensional or has_classifier(path)):
        raise InputError(
            f"hf:{path}: has no classifier that transformers knows ({', '.join(config.architectures or ['none'])}). "
            f"Train a head on it: serxai train hf:{path} --corpus CORPUS."
        )
    kind = config.problem_type or "single_label_classification"
    classes = outputs_named(path, config) if kind == REGRESSION else emotions(path, config)
    front_end = make_front_end(path, config, padded=True)
    min_samples = _min_samples(front_end, config, path)
    auto = AutoModelForAudioClassification
    model = read_dimensional(path, trust) if dimensional else read_weights(auto, path, trust)
    identity = fingerprint(model, config, front_end.params)
    inputs = inputs_of(front_end)
    network = (
        Regression(inputs, model)
        if kind == REGRESSION
        else Classifier(inputs, model, kind == "multi_label_classification")
    )
    if isinstance(front_end, Standardise):
        return WaveformRecogniser(record.name, classes, network, identity, device=device, min_samples=min_samples)
    return HeadedRecogniser(record.name, classes, front_end, network, identity, device=device)


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


def _encoder(path: str, trust: bool, config: PreTrainedConfig) -> PreTrainedModel:
    """Load a model without a head; of Whisper, which has a decoder too, the encoder alone."""
    if config.model_type != "whisper":
        from transformers import AutoModel

        return read_weights(AutoModel, path, trust)
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    return read_weights(WhisperEncoder, path, trust, key_mapping={r"^(model\.)?encoder\.": ""})


def _min_samples(front_end: Standardise | LogMelFrontEnd, config: PreTrainedConfig, path: str) -> int:
    """Window of a log-mel front end; of a model of waveforms, the receptive field of one output frame.

    Or that of the frames that are squeezed into one (SEW).
    """
    if not isinstance(front_end, Standardise):
        return front_end.min_samples
    try:
        layers = list(zip(config.conv_kernel, config.conv_stride, strict=True))
    except AttributeError:
        raise InputError(f"hf:{path}: model type {config.model_type!r} does not take waveforms.") from None
    samples = int(getattr(config, "squeeze_factor", 1))
    for kernel, stride in reversed(layers):
        samples = (samples - 1) * stride + kernel
    return samples
