"""Table ``[models."hf:PATH"]`` of a configuration: recognisers with settings of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ...errors import InputError
from ...models.backbone_settings import BackboneSettings
from ...models.records import MODELS
from ...schema_faults import field_faults

SETTINGS = "model_settings"  # key of `RunConfig`


def split_models(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the table ``models`` divided into names (``models``) and settings by name (``model_settings``).

    A list of names, or anything else, stays as it is.
    """
    models = settings.get("models")
    if not isinstance(models, Mapping):
        return dict(settings)
    return {
        **settings,
        "models": list(models),
        SETTINGS: {name: table for name, table in models.items() if table != {}},
    }


def of_named_models(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those of recognisers that flags have replaced by others."""
    kept, names = settings.get(SETTINGS), settings.get("models")
    if not isinstance(kept, Mapping) or not isinstance(names, list | tuple):
        return dict(settings)
    return {**settings, SETTINGS: {name: table for name, table in kept.items() if name in names}}


def check_models(settings: Mapping[str, BackboneSettings], models: list[str]) -> None:
    """Refuse settings of recognisers that are not in the run, or that have none.

    Raises
    ------
    InputError
    """
    for name, given in settings.items():
        if name not in models:
            raise InputError(
                f"models: settings of {name!r}, which is not a recogniser of the run ({', '.join(models)})."
            )
        if given.given and MODELS.get(name).kind != "hf":
            raise InputError(
                f"models: {', '.join(given.given)} of {name!r}: settings of Hugging Face backbones (hf:PATH); leave "
                "them out."
            )


def stored_settings(config: Mapping[str, Any]) -> dict[str, BackboneSettings]:
    """Settings of recognisers that run.json holds; none in runs of earlier versions.

    Raises
    ------
    InputError
        If they are damaged.
    """
    try:
        return TypeAdapter(dict[str, BackboneSettings]).validate_python(config.get(SETTINGS, {}))
    except ValidationError as error:
        raise InputError(f"run.json: damaged, in {SETTINGS!r} ({field_faults(error)}).") from None
