"""Settings of the qualification: a strict schema over its default TOML, a TOML file and command-line flags."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...audio.fill_records import FILL_NAMES
from ...datasets.corpora import CORPORA
from ...datasets.corpus import TAXONOMY
from ...errors import InputError, UnknownNameError
from ...metrics.records import METRICS
from ...models.records import MODELS
from ...registry import Registry
from ..run.settings import expand_words, read_toml, validate_settings

ALL = "all"  # every registered metric that needs no argument
DEFAULTS = "defaults.toml"
# flag of the command line that sets a key
FLAGS = {
    "corpora": "--corpus", "models": "--model", "metrics": "--metric", "fills": "--fill", "emotions": "--emotion",
    "trained_on": "--trained-on", "limit": "--limit", "seed": "--seed",
}  # fmt: skip
_REGISTRIES: dict[str, Registry[Any]] = {
    "corpora": CORPORA, "models": MODELS, "further": MODELS, "metrics": METRICS,
}  # fmt: skip


class QualifyConfig(BaseModel):
    """Settings that decide which numbers a qualification holds; how they are computed is `run.execution.Execution`.

    Attributes
    ----------
    corpora : list of str
        Corpora with known truth (planted ones).
    models : list of str
        Recognisers.
    further : list of str
        Recognisers by which metrics on ladders of truth alone are tried, under the first fill, without diagnostic
        trials and on at most `further_limit` clips.
    further_limit, diagnostic_limit : int
        Most clips per corpus of further recognisers, and with diagnostic trials; 0 for all.
    limits : dict of str to int
        Most clips per corpus of single metrics, dear ones.
    metrics : list of str
        Metrics to qualify; ``all`` stands for every registered one that needs no argument.
    fills : list of str
        Fill operators. The first is used wherever fills are not compared.
    emotions : list of str
        Clips of these planted emotions are used; ``neutral`` ones have no truth and are left out.
    trained_on : str or None
        Training corpus of the recognisers; None means the corpus itself.
    limit : int
        At most so many clips per corpus, balanced over speakers and emotions; 0 for all.
    seed : int
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpora: list[str] = Field(min_length=1)
    models: list[str] = Field(min_length=1)
    further: list[str] = []
    further_limit: int = Field(default=0, ge=0, lt=2**63, strict=True)
    diagnostic_limit: int = Field(default=0, ge=0, lt=2**63, strict=True)
    limits: dict[str, int] = {}
    metrics: list[str] = Field(min_length=1)
    fills: list[str] = Field(min_length=1)
    emotions: list[str] = Field(min_length=1)
    trained_on: str | None = None
    # strict: neither true nor "3" nor 3.0 is a number here; seeds are stored in 64 bits
    limit: int = Field(ge=0, lt=2**63, strict=True)
    seed: int = Field(ge=0, lt=2**63, strict=True)

    @field_validator("metrics", mode="before")
    @classmethod
    def _expanded(cls, names: Any) -> Any:
        return expand_words(names, {ALL: [name for name in METRICS.names() if not name.endswith(":")]})

    @field_validator("limits")
    @classmethod
    def _limited(cls, limits: dict[str, int]) -> dict[str, int]:
        for name, limit in limits.items():
            METRICS.get(name)
            if limit < 1:
                raise InputError(f"limits, {name}: {limit} clips; name at least 1, or leave the metric out.")
        return limits

    @field_validator("corpora", "models", "further", "metrics")
    @classmethod
    def _registered(cls, names: list[str], info: Any) -> list[str]:
        for name in names:
            if info.field_name == "metrics" and name.endswith(":"):
                raise InputError(f"{name!r} is a family of metrics; name one of it, as in quantus:Sparseness.")
        return _without_repeats([_REGISTRIES[info.field_name].get(name).name for name in names])

    @field_validator("fills", "emotions")
    @classmethod
    def _known(cls, names: list[str], info: Any) -> list[str]:
        kind, known = {"fills": ("fill", FILL_NAMES), "emotions": ("emotion", TAXONOMY)}[info.field_name]
        for name in names:
            if name not in known:
                raise UnknownNameError(kind, name, known)
        return _without_repeats(names)

    @field_validator("trained_on")
    @classmethod
    def _known_corpus(cls, name: str | None) -> str | None:
        return name if name is None else CORPORA.get(name).name


def _without_repeats(names: list[str]) -> list[str]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"{', '.join(repeated)} given more than once; name each once.")
    return names


def default_settings() -> dict[str, Any]:
    """Settings of ``defaults.toml`` beside this module."""
    return tomllib.loads((files(__package__) / DEFAULTS).read_text("utf-8"))


def load_qualify_config(
    path: Path | None = None, earlier: Mapping[str, Any] | None = None, **overrides: Any
) -> QualifyConfig:
    """Merge the default settings, a TOML file and overrides, later ones winning key by key.

    Who names models has no further ones but those that are named as well.

    Parameters
    ----------
    path : Path, optional
        The TOML file.
    earlier : mapping, optional
        Settings of the qualification that is continued, in place of the defaults.
    **overrides
        Keys of `QualifyConfig`; None and empty lists change nothing.

    Raises
    ------
    InputError
        For a missing or malformed file, an unknown key or name (with near misses), or a value out of range.

    Examples
    --------
    >>> load_qualify_config(metrics=["gini"], limit=6).metrics
    ['gini']
    """
    named = {key: value for key, value in overrides.items() if value not in (None, [], ())}
    settings = dict(default_settings())
    # a folder written by an earlier version may hold settings of `serxai run` that were not used
    settings |= {key: value for key, value in (earlier or {}).items() if key in QualifyConfig.model_fields}
    given = read_toml(path) if path is not None else {}
    if "models" in given | named and "further" not in given | named:
        given["further"] = []  # those of the defaults belong to the defaults' models
    settings |= given
    return validate_settings(QualifyConfig, settings | named, path, {key: FLAGS[key] for key in named if key in FLAGS})
