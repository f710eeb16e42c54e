"""Configuration of a run: a strict schema over TOML files, presets and command-line flags."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ...audio.fill_records import FILL_NAMES
from ...datasets.corpora import CORPORA
from ...datasets.corpus import TAXONOMY
from ...datasets.shifts.conditions import CONDITIONS, CURVES
from ...errors import InputError, UnknownNameError
from ...methods.records import METHODS, make_method
from ...metrics.record import EARLIER_REEXPLAIN_CALLS, REEXPLAIN_CALLS, QuantusRecord
from ...metrics.records import METRICS
from ...models.backbone_settings import BackboneSettings
from ...models.records import MODELS
from ...registry import Registry
from ...schema_faults import field_faults
from .model_settings import check_models, of_named_models, split_models
from .settings import expand_words, read_toml, validate_settings

SCORED = "scored"  # value of a method's fill parameter: the fill that the explanation is scored with
RULES, RUNNER_UP = ("predicted", "true"), "runner-up"  # what a target can be beside an emotion
_REGISTRIES: dict[str, Registry] = {
    "corpora": CORPORA,
    "models": MODELS,
    "methods": METHODS,
    "metrics": METRICS,
    "conditions": CONDITIONS,
    "clean_only": METRICS,
}
CLASS_NAME = re.compile(r"[^\W\d_][^-\[\]<>]{0,63}")  # no hyphen: A-B is a contrast of two classes
ALL, CORE = "all", "core"  # words that stand for several names
SHIFT = "noise-20db"  # for metrics of shifted clips, where nothing else names a shift
# settings whose names --resume adds to those of the run
ADDED = ("corpora", "models", "methods", "metrics", "conditions", "fills")
# flag of the command line that sets a key, where it is not the key itself
_FLAGS = {
    "corpora": "corpus", "models": "model", "methods": "method", "metrics": "metric", "conditions": "condition",
    "emotions": "emotion", "fills": "fill", "trained_on": "trained-on", "parameters": "param",
    "reexplain_calls": "reexplain-calls",
}  # fmt: skip


class Tuning(BaseModel):
    """Table ``[tuning]``: parameters of methods, to be chosen on clips that are not scored.

    Attributes
    ----------
    metric : str
        Metric whose mean decides.
    clips : int
        At most so many clips of each corpus are set apart for it.
    grid : dict of str to dict of str to list
        Values of each parameter of each method; every combination is tried.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str
    clips: int = Field(default=16, ge=1, lt=2**63, strict=True)
    grid: dict[str, dict[str, list[Any]]] = Field(min_length=1)

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, name: str) -> str:
        record = METRICS.get(name)
        if record.conditions == "shifted":
            raise InputError(f"tuning.metric: {name!r} is defined for shifted clips only; take one that needs none.")
        return record.name

    @field_validator("grid")
    @classmethod
    def _known_parameters(cls, grid: dict[str, dict[str, list[Any]]]) -> dict[str, dict[str, list[Any]]]:
        for method, values in grid.items():
            if not values or not all(values.values()):
                raise InputError(f"tuning.grid.{method}: name at least one parameter, and at least one value of each.")
            for combination in product(*values.values()):
                make_method(method, **dict(zip(values, combination, strict=True)))
        return grid


class RunConfig(BaseModel):
    """Settings that decide which numbers a run holds; how they are computed (workers, device) is `Execution`.

    Attributes
    ----------
    corpora, models, methods, metrics, conditions : list of str
        Registry names. ``all`` among methods, metrics or conditions stands for every registered one, ``core`` among
        metrics for those whose record says so. Models may be a table by name, ``[models."hf:PATH"]``, with settings
        of their own.
    model_settings : dict of str to BackboneSettings
        Those settings, of the models that have some; training and what is loaded follow them.
    clean_only : list of str
        Metrics that are not scored under shifted conditions, to save their model calls.
    emotions : list of str
        Clips of these emotions are explained: of the common taxonomy, or classes of a corpus' own name.
    target : str
        ``predicted`` (the class predicted on the clean clip), ``true``, or the name of an emotion or of a
        recogniser's own class; or the contrast of two, as in ``anger-sadness``, ``true-neutral`` and
        ``predicted-runner-up``: why the one rather than the other, where the runner-up is the likeliest other class on
        the clean clip.
    fills : list of str
        Fill operators, or ``all``; used whatever their reach (see `run.reach`). ``twin`` is left out on corpora whose
        clips have none.
    candidate_fills : list of str
        Where `fills` is empty: the first `n_fills` of these that have reach are used, for each corpus and recogniser.
    n_fills : int
    trained_on : str or None
        Corpus whose fold models explain; None means the explained corpus itself.
    ensemble : bool
        Whether speakers that no fold holds out (those of another corpus) are explained by the mean of the fold models'
        log-odds instead of the model refitted on all speakers.
    limit : int
        At most so many clips per corpus, balanced over speakers and emotions; 0 for all.
    clips : list of str
        Only these clips are explained; empty for all.
    repeats : int
        Seeds per stochastic method: explanations of each clip, each scored.
    reexplain_calls : int
        Metrics that explain again score methods of at most so many model calls an explanation; others are ``skipped``.
    parameters : dict of str to dict
        Parameters of methods that are not their defaults, by method. A method's fill is the one it is scored with
        (``"scored"``) unless it is set here.
    tuning : Tuning, optional
        Parameters to be chosen on clips that are not scored.
    part : {'scored', 'tuning'}
        Which clips are explained: with `tuning`, those not set apart for it, or those alone.
    seed : int
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpora: list[str] = Field(min_length=1)
    models: list[str] = Field(min_length=1)
    methods: list[str] = Field(min_length=1)
    metrics: list[str] = Field(min_length=1)
    conditions: list[str] = Field(default=["clean"], min_length=1)
    clean_only: list[str] = []
    emotions: list[str] = Field(default=["anger", "happiness", "sadness", "neutral"], min_length=1)
    target: str = "predicted"
    fills: list[str] = []
    candidate_fills: list[str] = Field(default=["attenuate", "spectral-mean", "noise"], min_length=1)
    n_fills: int = Field(default=1, ge=1, lt=100, strict=True)
    trained_on: str | None = None
    ensemble: bool = False
    # strict: neither true nor "3" nor 3.0 is a number here; seeds are stored in 64 bits
    limit: int = Field(default=0, ge=0, lt=2**63, strict=True)
    clips: list[str] = []
    repeats: int = Field(default=1, ge=1, le=1000, strict=True)
    reexplain_calls: int = Field(default=REEXPLAIN_CALLS, ge=0, lt=2**63, strict=True)
    parameters: dict[str, dict[str, Any]] = {}
    model_settings: dict[str, BackboneSettings] = Field(default={}, title="models")
    tuning: Tuning | None = None
    part: Literal["scored", "tuning"] = "scored"
    seed: int = Field(default=0, ge=0, lt=2**63, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _models_as_table(cls, settings: Any) -> Any:
        return split_models(settings) if isinstance(settings, Mapping) else settings

    @field_validator("methods", "metrics", "conditions", "fills", mode="before")
    @classmethod
    def _expanded(cls, names: Any, info: Any) -> Any:
        return expand_words(names, _groups(info.field_name))

    @field_validator("corpora", "models", "methods", "metrics", "conditions", "clean_only")
    @classmethod
    def _known(cls, names: list[str], info: Any) -> list[str]:
        registry = _REGISTRIES[info.field_name]
        for name in names:
            if isinstance(registry.get(name), QuantusRecord) and not registry.get(name).argument:
                raise InputError(f"metric {name!r}: name one behind the colon, such as quantus:Sparseness.")
        return _without_repeats([registry.get(name).name for name in names])

    @field_validator("fills", "candidate_fills")
    @classmethod
    def _known_fills(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in FILL_NAMES:
                raise UnknownNameError("fill", name, FILL_NAMES)
        return _without_repeats(names)

    @field_validator("emotions")
    @classmethod
    def _possible_emotions(cls, names: list[str]) -> list[str]:
        for name in names:
            if not possible_class(name):
                raise UnknownNameError("emotion", name, TAXONOMY)
        return _without_repeats(names)

    @field_validator("target")
    @classmethod
    def _possible_target(cls, name: str) -> str:
        one, contrasted, other = name.partition("-")  # no class holds a "-"
        if not contrasted and not possible_class(one):
            raise UnknownNameError("target", name, (*RULES, *TAXONOMY, "A-B"))
        if contrasted and not (possible_class(one) and (other == RUNNER_UP or possible_class(other)) and one != other):
            raise InputError(
                f"target {name!r}: a contrast is A-B: why A rather than B. A is a class of the recogniser, such as "
                f"{', '.join(TAXONOMY)}, or one of {', '.join(RULES)}; B is another class or {RUNNER_UP}."
            )
        if contrasted and other in RULES:
            raise InputError(f"target {name!r}: {other!r} can only be the first of a contrast, A in A-B.")
        return name

    @field_validator("parameters")
    @classmethod
    def _known_parameters(cls, parameters: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for method, given in parameters.items():
            make_method(method, **given)
        return parameters

    @model_validator(mode="after")
    def _settings_of_models(self) -> RunConfig:
        check_models(self.model_settings, self.models)
        return self

    @model_validator(mode="after")
    def _tuned_methods(self) -> RunConfig:
        strange = sorted(set(self.tuning.grid) - set(self.methods)) if self.tuning else []
        if strange and self.part == "scored":
            raise InputError(
                f"tuning.grid: {', '.join(strange)} not among the methods of the run ({', '.join(self.methods)}); add "
                "to methods what is to be tuned, or take it out of the grid."
            )
        if self.part == "tuning" and self.tuning is None:
            raise InputError("part: 'tuning' needs the table [tuning], which says what is set apart.")
        return self

    @field_validator("trained_on")
    @classmethod
    def _known_corpus(cls, name: str | None) -> str | None:
        return name if name is None else CORPORA.get(name).name

    @model_validator(mode="after")
    def _some_fill(self) -> RunConfig:
        lacking = [corpus for corpus in self.corpora if not self.fills_for(corpus)]
        if lacking:
            raise InputError(
                f"fills: 'twin' alone cannot fill clips of {', '.join(lacking)}, which have no neutral twin; "
                f"add one of {', '.join(name for name in FILL_NAMES if name != 'twin')}."
            )
        return self

    @property
    def own_classes(self) -> dict[str, list[str]]:
        """Names among `emotions` and `target` that are not of the common taxonomy, by key."""
        sides = [side for side in self.target.split("-", 1) if side not in (*RULES, RUNNER_UP)]
        named = {"emotions": self.emotions, "target": sides}
        return {key: [name for name in names if name not in TAXONOMY] for key, names in named.items()}

    def fills_for(self, corpus: str) -> list[str]:
        """Fill operators asked for, or else the candidates; without ``twin`` where the corpus' clips have none."""
        twinned = CORPORA.get(corpus).twinned
        return [name for name in self.fills or self.candidate_fills if name != "twin" or twinned]


def possible_class(name: str) -> bool:
    """Whether a name may be a class: of the taxonomy, or one that only a corpus or recogniser knows."""
    return name in TAXONOMY or (CLASS_NAME.fullmatch(name) is not None and name.isprintable())


def settings_of_run(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that run.json holds, with the values that an earlier version used where it wrote none."""
    return {"reexplain_calls": EARLIER_REEXPLAIN_CALLS, **config}


def config_of_run(config: Mapping[str, Any]) -> RunConfig:
    """Configuration that run.json holds.

    Raises
    ------
    InputError
        If it is damaged, or not of this version.
    """
    try:
        return RunConfig(**settings_of_run(config))
    except (ValidationError, TypeError) as error:
        told = field_faults(error) if isinstance(error, ValidationError) else str(error)
        raise InputError(f"run.json: config: damaged, or not of this version ({told}).") from None


def _groups(key: str) -> dict[str, list[str]]:
    """Names that a word such as ``all`` stands for, by word."""
    if key == "fills":
        return {ALL: list(FILL_NAMES)}
    registry = _REGISTRIES[key]
    groups = {ALL: [name for name in registry.names() if not name.endswith(":")]}  # a family needs an argument
    if key == "conditions":
        return groups | {f"{curve}-curve": list(names) for curve, names in CURVES.items()}
    return groups | ({CORE: [record.name for record in METRICS if record.core]} if key == "metrics" else {})


def _without_repeats(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"{', '.join(repeated)} given more than once; name each once.")
    return names


def preset_names() -> list[str]:
    """Names of the shipped presets."""
    folder = files("serxai.benchmark.run.presets")
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_config(
    path: Path | None = None,
    preset: str | None = None,
    earlier: Mapping[str, Any] | None = None,
    notify: Callable[[str], None] = lambda message: None,
    own_classes: bool = False,
    **overrides: Any,
) -> RunConfig:
    """Merge a preset (default ``quick``), a TOML file and overrides, later ones winning key by key.

    A preset's conditions are not those of metrics that are named in its place: with metrics but no conditions among
    the overrides, and none in the file, the run is ``clean``; a shifted condition is added if one of the metrics is
    defined under a shift only.

    Parameters
    ----------
    path : Path, optional
        The TOML file.
    preset : str, optional
    earlier : mapping, optional
        Settings of the run that is continued, in place of a preset. Names among the overrides are added to its own
        (`ADDED`); other settings replace them.
    notify : callable, optional
        Called with a sentence about settings that were neither given nor taken from the preset.
    own_classes : bool
        Whether checkpoints bring classes of their own, so that planning must judge emotions and target. Otherwise
        those that no corpus and no recogniser of the run can have are refused here.
    **overrides
        Keys of `RunConfig`; None and empty lists change nothing. ``parameters`` are added to those set already.

    Raises
    ------
    InputError
        For a missing or malformed file, an unknown key or name (with near misses), or a value out of range.
    """
    merged = dict(earlier) if earlier is not None else _read_preset("quick" if preset is None else preset)
    given = split_models(read_toml(path)) if path is not None else {}
    named = {key: value for key, value in overrides.items() if value not in (None, [], (), {})}
    if earlier is not None:
        named = _added(earlier, named)
        _need_shift(merged | named, overrides.get("metrics") or ())
    others = given.get("parameters", merged.get("parameters", {}))
    if "parameters" in named and isinstance(others, dict):  # beside those of the file or preset, not in their place
        named["parameters"] = others | {
            method: others.get(method, {}) | chosen for method, chosen in named["parameters"].items()
        }
    given |= named
    if earlier is None and (given.get("conditions") or given.get("metrics")):
        merged.pop("clean_only", None)  # conditions or metrics given by name are all scored
    implied = "metrics" in named and "conditions" not in given and earlier is None
    shifts = [name for name in merged.get("conditions", ()) if name not in ("clean", ALL)] or [SHIFT]
    merged |= given | ({"conditions": ["clean"]} if implied else {})
    merged = of_named_models(merged) if "models" in named else merged
    config = validate_settings(RunConfig, merged, path, {key: f"--{_FLAGS.get(key, key)}" for key in named})
    if not own_classes and earlier is None:
        _refuse_unknown_classes(config, path, named)
    shifted = [name for name in config.metrics if METRICS.get(name).conditions == "shifted"]
    if not implied or not shifted:
        return config
    notify(
        f"{', '.join(shifted)}: defined for shifted clips only, so the run adds --condition {shifts[0]} to clean; "
        "name conditions with --condition to choose others."
    )
    return config.model_copy(update={"conditions": ["clean", shifts[0]]})


def _refuse_unknown_classes(config: RunConfig, path: Path | None, named: Mapping[str, Any]) -> None:
    """Refuse classes of no taxonomy where every corpus and recogniser is registered with the taxonomy's alone."""
    if any(":" in name for name in (*config.corpora, *config.models, config.trained_on or "")):
        return  # user data and models may have classes of their own
    known = {*TAXONOMY}.union(*(CORPORA.get(name).emotions for name in config.corpora))
    for key, kind, allowed in (("emotions", "emotion", known), ("target", "target", {*known, *RULES, "A-B"})):
        for name in config.own_classes[key]:
            if name not in known:
                of_file = f"config{f' {path}' if path else ''}: key {key!r}"
                where = f"--{_FLAGS.get(key, key)}" if key in named else of_file
                raise InputError(f"{where}: {UnknownNameError(kind, name, allowed)}")


def _added(earlier: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Settings given now, with names appended to those of the run that is continued."""
    merged = dict(named)
    for key in ADDED:
        new = named.get(key)
        if isinstance(new, list | tuple):
            before = list(earlier.get(key) or ())
            merged[key] = [*before, *(name for name in new if _canonical(key, name) not in before)]
    if "metrics" in named and earlier.get("clean_only"):  # a metric named now is scored wherever it is defined
        asked = {_canonical("metrics", name) for name in named["metrics"]}
        merged["clean_only"] = [name for name in earlier["clean_only"] if name not in asked]
    return merged


def _canonical(key: str, name: str) -> str:
    """Registered name; an unknown one as it is, for the schema to refuse."""
    with suppress(InputError):
        return name if key not in _REGISTRIES or name in (ALL, CORE) else _REGISTRIES[key].get(name).name
    return name


def _need_shift(settings: Mapping[str, Any], asked: Iterable[str]) -> None:
    """Refuse to add metrics of shifted clips to a run without a shift, which would add no row."""
    if set(settings.get("conditions", ())) - {"clean"}:
        return
    shifted = [name for name in asked if name in METRICS and METRICS.get(name).conditions == "shifted"]
    if shifted:
        raise InputError(
            f"--metric {', '.join(shifted)}: defined for shifted clips only, and the run has none; add --condition "
            f"{SHIFT} as well."
        )


def _read_preset(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise UnknownNameError("preset", name, preset_names())
    return tomllib.loads((files("serxai.benchmark.run.presets") / f"{name}.toml").read_text("utf-8"))
