"""Schemas of the JSON files that a run folder holds, and the words that a score row may hold.

A file is data that somebody else may have written or damaged: its fields are checked as it is read, and the message
names the file and the field. Fields that are not listed are kept and not checked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ...schema_faults import field_faults
from .files import read_bytes

MAX_JSON_BYTES = 64 * 2**20
STATUSES = ("ok", "failed", "skipped")
DIRECTIONS = ("higher", "lower")
SEEN = ("no", "yes", "unknown")
FINISHED = ("done", "done with failures")
# allowed words of score columns that no registry extends
WORDS = {"status": STATUSES, "direction": DIRECTIONS, "seen_in_training": SEEN}

Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Names = list[str]


class _Facts(BaseModel):
    """Base of the schemas: types are not converted, further fields are allowed."""

    model_config = ConfigDict(extra="allow", strict=True)


class ConfigFacts(_Facts):
    """Names among the settings of a run; `benchmark.run.config.RunConfig` is the whole schema."""

    corpora: Names
    models: Names
    methods: Names
    metrics: Names


class CorpusFacts(_Facts):
    """What run.json says of a corpus."""

    digest: str
    version: str = ""
    licence: str = ""
    citation: str = ""


class TrainingCorpus(_Facts):
    """Training corpus of a model, as its card names it."""

    name: str


class ModelFacts(_Facts):
    """What run.json says of a recogniser: its card."""

    recogniser: str = ""
    version: str = ""
    classes: list[str] = []
    corpus: TrainingCorpus | None = None


class Execution(_Facts):
    """How a run was computed."""

    checkpoints: dict[str, str] = {}
    trust: bool = False
    data_root: str | None = None
    device: str = "cpu"
    batch_memory: Seconds | None = None


class RunInfo(_Facts):
    """``run.json`` of a run of methods."""

    config: ConfigFacts
    status: Literal["running", "done", "done with failures"]
    shards: list[Key]
    planned_rows: Count
    corpora: dict[str, CorpusFacts]
    models: dict[str, ModelFacts]
    execution: Execution
    versions: dict[str, str] = {}
    fingerprints: dict[str, str] = {}
    methods: dict[str, dict[str, Any]] = {}
    metrics: dict[str, dict[str, Any]] = {}
    conditions: dict[str, dict[str, Any]] = {}
    machine: dict[str, Any] = {}
    git: dict[str, Any] = {}
    rows: dict[str, Count] = {}
    cells: dict[str, Count] = {}
    computed: dict[str, Any] = {}
    sessions: list[dict[str, Any]] = []
    fills: dict[str, dict[str, list[str]]] = {}
    reach: list[dict[str, Any]] = []
    clips: Count = 0
    model_calls: Count = 0


class QualificationInfo(_Facts):
    """``run.json`` of a qualification of metrics."""

    config: dict[str, Any]
    qualification: Any


class FineTuningCost(_Facts):
    """What a fine-tuned copy of a recogniser took, and whether it was found in the cache."""

    calls: Count
    seconds: Seconds
    cached: bool


class Timing(_Facts):
    """``timing/KEY.json``: what one shard took."""

    model_calls: Count = 0
    attempts: Count = 1
    recogniser_seconds: Seconds = 0.0
    clips: dict[str, Seconds] = {}
    explanations: dict[Key, Seconds] = {}
    scores: dict[Key, Seconds] = {}
    fine_tuning: dict[str, FineTuningCost] = {}


class ExplanationFacts(_Facts):
    """``KEY/meta`` of an explanation."""

    target: str
    method: str
    details: dict[str, Any]
    cues: list[dict[str, Any]]
    model_calls: Count
    corpus: str
    model: str
    clip: str
    condition: str
    repeat: Count
    against: str = "none"
    first: bool = True
    duration_s: Seconds = 0.0
    time_map: list[Annotated[list[Seconds], Field(min_length=2, max_length=2)]] = []


def read_json(path: Path, schema: type[BaseModel] | None = None) -> dict[str, Any]:
    """Content of a JSON file, an object, checked against a schema.

    Parameters
    ----------
    path : Path
    schema : type of pydantic model, optional

    Raises
    ------
    ValueError
        If the file cannot be read, is too large, holds no JSON object, or does not fit the schema. The message names
        file and field.
    """
    try:
        content = json.loads(read_bytes(path, MAX_JSON_BYTES).decode("utf-8"))
    except RecursionError:
        raise ValueError(f"{path}: damaged (nested too deeply)") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: damaged (not JSON: {error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: damaged (holds {type(content).__name__}, not an object)")
    if schema is not None and (wrong := faults(content, schema)):
        raise ValueError(f"{path}: damaged ({wrong})")
    return content


def faults(content: dict[str, Any], schema: type[BaseModel]) -> str:
    """Say which fields do not fit a schema, the first few of them; empty if all do."""
    try:
        schema.model_validate(content)
    except ValidationError as error:
        return field_faults(error)
    return ""
