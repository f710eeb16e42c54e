"""``serxai train --config``: model, corpus and settings of a backbone, from the configuration of a run."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from ...errors import InputError
from ...models.records import MODELS

if TYPE_CHECKING:
    from ..run.config import RunConfig


def complete(arguments: Namespace) -> None:
    """Fill in what the flags leave open, so that the training is that of ``serxai run`` with the same configuration.

    Raises
    ------
    InputError
        If the configuration cannot be read, or says nothing, or several things, of what is missing.
    """
    config = None
    if arguments.config is not None:
        from ..run.config import load_config  # half a second, for this flag alone

        config = load_config(arguments.config)
    if arguments.model is None:
        if config is None:
            raise InputError("MODEL: name one (see: serxai ls models), or give --config RUN.toml.")
        trained = [name for name in config.models if MODELS.get(name).kind != "foreign"]
        arguments.model = _one("MODEL", trained, config, "model that is trained")
    if config is not None and arguments.model not in config.models:
        raise InputError(
            f"MODEL {arguments.model!r}: --config {arguments.config} has {', '.join(config.models)}; name one of them."
        )
    if arguments.corpus is None:
        if config is None:
            raise InputError("--corpus: name the training corpus (see: serxai ls corpora), or give --config RUN.toml.")
        named = [config.trained_on] if config.trained_on else config.corpora
        arguments.corpus = _one("--corpus", named, config, "training corpus")
    settings = None if config is None else config.model_settings.get(arguments.model)
    if settings is not None:
        layer = None if settings.layer is None else str(settings.layer)
        arguments.layer = arguments.layer or layer
        arguments.pooling = arguments.pooling or settings.pooling


def _one(flag: str, names: list[str], config: RunConfig, what: str) -> str:
    if len(names) == 1:
        return names[0]
    found = (
        f"{len(names)} ({', '.join(names)})" if names else f"none ({', '.join(config.models)} are used as they come)"
    )
    raise InputError(f"{flag}: the configuration has {found}; name the {what}.")
