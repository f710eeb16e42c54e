"""Files of a Hugging Face checkpoint: configuration, settings of the feature extractor, weights, fingerprint.

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
from ..errors import InputError
from ..keys import digest

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def read_json(path: str, name: str) -> dict[str, Any]:
    """Read a JSON file of a checkpoint from a folder or the hub.

    Raises
    ------
    InputError
        If there is no such checkpoint or file, or it does not hold named values.
    """
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
            f"hf:{path}: cannot read its {name} ({first_line(error)}). Give a folder written by save_pretrained, or a "
            "hub id OWNER/NAME that can be reached."
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"hf:{path}: {name} holds {type(content).__name__}, not named values.")
    return content


def read_config(path: str, trust: bool) -> PreTrainedConfig:
    """Read the configuration.

    Raises
    ------
    InputError
        If transformers does not know the model, or the file names code to fetch and `trust` is false.
    """
    from transformers import AutoConfig

    kernel = _foreign_kernel(read_json(path, "config.json"))
    if kernel and not trust:
        raise InputError(f"hf:{path}: its config.json names code to fetch, {kernel}. If you trust it, give --trust.")
    try:
        return AutoConfig.from_pretrained(path, trust_remote_code=trust)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"hf:{path}: transformers does not know this model ({first_line(error)}). If it brings code of its own "
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


def front_end_settings(path: str) -> dict[str, Any]:
    """Settings of the feature extractor: a file of their own, or an entry of what transformers 5 writes.

    Raises
    ------
    InputError
        If there are none.
    """
    name = "preprocessor_config.json"
    if Path(path).is_dir() and not any((Path(path) / other).exists() for other in (name, "processor_config.json")):
        raise InputError(
            f"hf:{path}: has no {name}, so nothing says how the input is scaled; save_pretrained of a model alone does "
            "not write it. Save the feature extractor of its training beside it, as in "
            f"transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained({path!r}); do_normalize as in "
            "training."
        )
    try:
        return read_json(path, name)
    except InputError as error:
        try:
            settings = read_json(path, "processor_config.json").get("feature_extractor")
        except InputError:
            raise error from None
    if not isinstance(settings, dict):
        raise InputError(
            f"hf:{path}: its processor_config.json has no entry 'feature_extractor'; save the feature extractor beside "
            "the model with save_pretrained."
        )
    return settings


def read_weights(auto: Any, path: str, trust: bool, **options: Any) -> PreTrainedModel:
    """Load a model with its weights, float32; no weight may be missing.

    Parameters
    ----------
    auto : class
        Model class, or auto class, of transformers.
    path : str
    trust : bool
    **options
        Of its `from_pretrained`.

    Raises
    ------
    InputError
        If the weights are missing, damaged, pickled, misshapen or not finite.
    """
    try:
        with _quiet():
            model, info = auto.from_pretrained(
                path,
                use_safetensors=None if trust else True,
                trust_remote_code=trust,
                dtype=torch.float32,
                output_loading_info=True,
                **options,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"hf:{path}: its weights cannot be read ({first_line(error)}). serxai reads safetensors; pickled weights "
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


def weights_sha256(model: nn.Module) -> str:
    """SHA-256 of a model's weights and their names."""
    weights = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(f"model.{name}".encode())
        weights.update(tensor.contiguous().numpy().tobytes())
    return weights.hexdigest()


def fingerprint(model: nn.Module, config: PreTrainedConfig, front_end: Any) -> str:
    """Digest of weights, configuration and front end (JSON-able parameters)."""
    import transformers

    settings = {name: value for name, value in config.to_dict().items() if not name.startswith("_")}
    settings.pop("transformers_version", None)
    return digest("hf", transformers.__version__, weights_sha256(model), settings, front_end)


def first_line(error: Exception) -> str:
    """First line of an error's message, at most 200 characters."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
