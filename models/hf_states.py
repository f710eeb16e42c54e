"""Hidden states of Hugging Face encoders, pooled over time, as plain differentiable modules.

Conventions
-----------
A transformer of L layers has the hidden states 0 to L: 0 enters the first layer, k leaves layer k, and L is the model's
own output, after its final normalisation if it has one. No more layers are run than the asked states need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from ..errors import InputError
from .backbone_settings import AUTO, LAST, POOLINGS, WEIGHTED
from .hf_front_ends import LogMelFrontEnd, Standardise, WhisperLogMel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VARIANCE_FLOOR = 1e-12  # keeps the gradient of a standard deviation finite where a state does not move


class WhisperFrames(nn.Module):
    """Inputs of Whisper's encoder: (n, 1, mels, frames) -> (n, mels, frames), continued to `length` if given.

    The frames that are added are those of silence: the lowest value that the clip's maximum leaves.

    Parameters
    ----------
    length : int or None
        Frames.
    """

    def __init__(self, length: int | None) -> None:
        super().__init__()
        self.length = length

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Inputs of each feature map."""
        frames = features[:, 0]
        if self.length is None or frames.shape[2] == self.length:
            return frames
        # features are (log10 power + 4) / 4 and hold 8 decades: 2 below the maximum
        silence = (frames.amax(dim=(1, 2), keepdim=True) - 2.0).clamp_min(WhisperLogMel.floor)
        return torch.cat([frames, silence.expand(-1, frames.shape[1], self.length - frames.shape[2])], dim=2)


class PaddedFrames(nn.Module):
    """Inputs of AST: (n, 1, mels, frames) -> (n, length, mels), continued with log power 0 as its extractor does.

    Parameters
    ----------
    length : int
        Frames.
    value : float
        Feature value of log power 0.
    """

    def __init__(self, length: int, value: float) -> None:
        super().__init__()
        self.length, self.value = length, value

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Inputs of each feature map."""
        frames = features[:, 0].transpose(1, 2)
        return nn.functional.pad(frames, (0, 0, 0, self.length - frames.shape[1]), value=self.value)


class StackedFrames(nn.Module):
    """Inputs of W2V-BERT: (n, 1, mels, frames) -> (n, frames / stride, stride * mels)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Inputs of each feature map."""
        frames = features[:, 0].transpose(1, 2)
        return frames.reshape(len(frames), frames.shape[1] // self.stride, self.stride * frames.shape[2])


def inputs_of(front_end: Standardise | LogMelFrontEnd) -> nn.Module:
    """Module between a front end's output and a model: from waveforms, the front end itself."""
    if isinstance(front_end, Standardise):
        return front_end
    if isinstance(front_end, WhisperLogMel):
        return WhisperFrames(front_end.longest // front_end.hop if front_end.padded else None)
    if front_end.longest is not None:
        return PaddedFrames(front_end.longest, -front_end.mean / front_end.sd)
    return StackedFrames(front_end.multiple)


class TransformerStates(nn.Module):
    """Hidden states of a transformers model, by number, (n, time, dim) each.

    Parameters
    ----------
    inputs : nn.Module
        Before the model; see `inputs_of`.
    model : PreTrainedModel
        Cut in place.
    layers : sequence of int
        States that are needed; transformer layers after the highest are dropped.

    Raises
    ------
    InputError
        If another state than the last is needed and the model's layers cannot be found.
    """

    def __init__(self, inputs: nn.Module, model: PreTrainedModel, layers: Sequence[int]) -> None:
        super().__init__()
        self.inputs, self.model = inputs, model
        self.last, self.top = last_state(model), max(layers)
        self.place = _layer_list(model, self.last)
        if self.place is None and set(layers) != {self.last}:
            raise InputError(f"a {model.config.model_type!r} model shows no list of layers; take layer = {LAST!r}.")
        if self.place is not None and self.top < self.last:
            owner, name = self.place
            kept = max(self.top, 1)  # state 0 is read off the first layer's input
            listed = cast(nn.ModuleList, model.get_submodule(f"{owner}.{name}".strip(".")))
            setattr(model.get_submodule(owner), name, listed[:kept])

    def forward(self, x: torch.Tensor) -> dict[int, torch.Tensor]:
        """States 0 to the highest that is needed."""
        states: list[torch.Tensor] = []
        layers: list[nn.Module] = []
        if self.place is not None:
            layers = list(cast(nn.ModuleList, self.model.get_submodule(".".join(self.place).strip("."))))
        hooks = [layer.register_forward_hook(lambda _, __, output: states.append(_tensor(output))) for layer in layers]
        hooks += [layer.register_forward_pre_hook(lambda _, given: states.append(given[0])) for layer in layers[:1]]
        try:
            output = self.model(self.inputs(x)).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        found = dict(enumerate(states[: self.top + 1]))
        return found | {self.last: output} if self.top == self.last else found


class WhisperStates(nn.Module):
    """Hidden states of Whisper's encoder, by number, for any number of frames: its positions are cut to the clip.

    transformers' own forward refuses other lengths than 30 s; this one runs the same modules and equals it there.

    Parameters
    ----------
    inputs : WhisperFrames
    model : transformers' `WhisperEncoder`
        Cut in place.
    layers : sequence of int
        States that are needed; transformer layers after the highest are dropped.
    """

    def __init__(self, inputs: nn.Module, model: PreTrainedModel, layers: Sequence[int]) -> None:
        super().__init__()
        self.inputs, self.model = inputs, model
        self.last, self.top = last_state(model), max(layers)
        if self.top < self.last:
            model.layers = cast(nn.ModuleList, model.layers)[: self.top]

    def forward(self, x: torch.Tensor) -> dict[int, torch.Tensor]:
        """States 0 to the highest that is needed."""
        model: Any = self.model
        hidden = nn.functional.gelu(model.conv1(self.inputs(x)))
        hidden = nn.functional.gelu(model.conv2(hidden)).permute(0, 2, 1)
        hidden = hidden + model.embed_positions.weight[: hidden.shape[1]]
        states = {0: hidden}
        for number, layer in enumerate(model.layers, start=1):
            hidden = _tensor(layer(hidden, None))
            states[number] = model.layer_norm(hidden) if number == self.last else hidden
        return states


class PooledStates(nn.Module):
    """Statistics over time of some hidden states, side by side: inputs -> (n, states * width).

    Parameters
    ----------
    encoder : TransformerStates or WhisperStates
    layers : sequence of int
        Hidden states.
    pooling : {'mean', 'mean+sd'}
    """

    def __init__(self, encoder: nn.Module, layers: Sequence[int], pooling: str) -> None:
        super().__init__()
        self.encoder, self.layers, self.pooling = encoder, tuple(layers), pooling

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Vector of each waveform or feature map."""
        states = self.encoder(x)
        return torch.cat([pooled(states[layer], self.pooling) for layer in self.layers], dim=1)


def pooled(state: torch.Tensor, pooling: str) -> torch.Tensor:
    """Mean over time, or mean and standard deviation: (n, time, dim) -> (n, dim) or (n, 2 dim)."""
    mean = state.mean(dim=1)
    if pooling == "mean":
        return mean
    variance = (state - mean[:, None]).square().mean(dim=1)
    return torch.cat([mean, (variance + VARIANCE_FLOOR).sqrt()], dim=1)


def make_encoder(
    front_end: Standardise | LogMelFrontEnd, model: PreTrainedModel, layers: Sequence[int]
) -> TransformerStates | WhisperStates:
    """Encoder of a front end and a model, without the layers above the highest state that is needed."""
    kind = WhisperStates if isinstance(front_end, WhisperLogMel) else TransformerStates
    return kind(inputs_of(front_end), model, layers)


def last_state(model: PreTrainedModel) -> int:
    """Number of a model's last hidden state: that of its transformer layers."""
    return int(getattr(model.config, "num_hidden_layers", 0))


def _layer_list(model: PreTrainedModel, length: int) -> tuple[str, str] | None:
    """Submodule that holds a model's transformer layers, and the name of the list; None where there is no such list."""
    for path, module in model.named_modules():
        owner, _, name = path.rpartition(".")
        fits = isinstance(module, nn.ModuleList) and name in ("layer", "layers") and len(module) == length
        if fits and "pos_conv_embed" not in owner:
            return owner, name
    return None


def _tensor(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


def check_states(path: str, layer: int | str, pooling: str, last: int) -> None:
    """Raise `InputError` if a model with hidden states 0 to `last` has no such state, or there is no such pooling."""
    words = (LAST, AUTO, WEIGHTED)
    whole = isinstance(layer, int) and not isinstance(layer, bool)
    if not (whole and 0 <= int(layer) <= last) and layer not in words:
        raise InputError(
            f"layer = {layer!r}: hf:{path} has the hidden states 0 to {last}; give one of them, or {', '.join(words)}."
        )
    if pooling not in POOLINGS:
        raise InputError(f"pooling = {pooling!r}: give one of {', '.join(POOLINGS)}.")
