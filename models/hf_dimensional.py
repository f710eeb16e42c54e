"""Hugging Face checkpoints that predict numbers: transformers' regressions and audeering's dimensional model.

audeering's layout (Wagner et al. 2023, Dawn of the transformer era in speech emotion recognition, IEEE TPAMI 45(9);
``audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim``) is a class of its own that transformers does not know:
``wav2vec2.*`` and, on the mean over time of the last hidden state, ``classifier.dense``, tanh and
``classifier.out_proj``, whose outputs are arousal, dominance and valence, about 0 to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from ..errors import InputError
from .dimensional import REGRESSION, dimension_names
from .hf_files import read_json, read_weights

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

ARCHITECTURE = "Wav2Vec2ForSpeechClassification"


def has_dimensional_head(path: str) -> bool:
    """Whether a checkpoint is of audeering's layout, by its configuration.

    Raises
    ------
    InputError
        If it has no readable configuration.
    """
    config = read_json(path, "config.json")
    return config.get("problem_type") == REGRESSION and config.get("architectures") == [ARCHITECTURE]


def outputs_named(path: str, config: PreTrainedConfig) -> tuple[str, ...]:
    """Names of the outputs, from the configuration's ``id2label``.

    Raises
    ------
    InputError
        If they are not given.
    """
    names = cast(dict[int, str], config.id2label)
    return dimension_names(
        [str(names[i]) for i in sorted(names)], f"hf:{path}", "name them in config.json, entry 'id2label'"
    )


class Regression(nn.Module):
    """Regression of a checkpoint: waveforms, or feature maps of its front end, -> outputs (n, n_outputs).

    Parameters
    ----------
    inputs : nn.Module
        Before the model; see `models.hf_states.inputs_of`.
    model : nn.Module
        Its outputs are an entry ``logits``.
    """

    regression = True

    def __init__(self, inputs: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.inputs, self.model = inputs, model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs, in units of their own."""
        return self.model(self.inputs(x)).logits


def read_dimensional(path: str, trust: bool) -> PreTrainedModel:
    """Load a checkpoint of audeering's layout; none of its code is run.

    Raises
    ------
    InputError
        If its weights are missing, damaged, or of another layout.
    """
    from transformers import Wav2Vec2Model, Wav2Vec2PreTrainedModel
    from transformers.modeling_outputs import SequenceClassifierOutput

    class Head(nn.Module):
        """Dense layer, tanh, output layer."""

        def __init__(self, config: Any) -> None:
            super().__init__()
            self.dense = nn.Linear(config.hidden_size, config.hidden_size)
            self.tanh = nn.Tanh()
            self.out_proj = nn.Linear(config.hidden_size, config.num_labels)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return self.out_proj(self.tanh(self.dense(features)))

    class SpeechRegression(Wav2Vec2PreTrainedModel):
        """wav2vec 2.0 and a regression head on the mean over time of its last state."""

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.wav2vec2 = Wav2Vec2Model(config)
            self.classifier = Head(config)
            self.post_init()

        def forward(self, input_values: torch.Tensor) -> SequenceClassifierOutput:
            states = self.wav2vec2(input_values).last_hidden_state
            return SequenceClassifierOutput(logits=self.classifier(states.mean(dim=1)))

    model = read_weights(SpeechRegression, path, trust)
    if model.config.model_type != "wav2vec2":
        raise InputError(f"hf:{path}: {ARCHITECTURE} on {model.config.model_type}; its layout is known for wav2vec2.")
    return model
