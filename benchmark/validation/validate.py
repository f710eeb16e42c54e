"""Validation of a run folder: files, tables, coverage, versions, inputs, and a sample scored again.

Conventions
-----------
Each check ends as ``pass``, ``fail``, ``warning`` or ``not checked``. A warning does not make a score wrong; an
example is a metric that has a newer version here. Not checked means that something is missing here, such as a corpus.

A sampled clip is scored again by the ordinary scorer in a temporary folder. The same machine with the same library
versions must give the same bits; another one values within 1e-6 (1e-4 if the run was made on another kind of device).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from ... import __version__
from ...datasets.corpora import load_corpus
from ...datasets.corpus import Corpus
from ...errors import InputError
from ...methods.records import METHODS
from ...metrics.records import FAMILIES, METRICS
from ...models.foldmodels import FoldModels, Models
from ...models.obtain import obtain_models
from ...registry import Registry
from ..run.config import RunConfig, settings_of_run
from ..run.method_spec import resolve_methods
from ..run.model_settings import stored_settings
from ..run.plan import rows_of
from ..storage.bounds import MAX_FILE_BYTES
from ..storage.derived import RECORD
from ..storage.explanations import Explanation, explanations_in
from ..storage.files import is_sealed, read_bytes
from ..storage.portable import localised, portable
from ..storage.schema import FINISHED, WORDS, Timing, read_json
from ..storage.score_rows import SCORE_COLUMNS, open_table, table_of, type_faults
from ..storage.store import Store
from . import record_rows
from .check_result import COORDINATES, FAIL, NOT_CHECKED, PASS, WARNING, Check, concluded, dicts, row_name
from .given import NO_MODELS, GivenModels
from .rescore import score_again

ALLOWED = {**WORDS, "family": FAMILIES}
_CARD = ("weights", "classes", "front_end", "network", "folds", "version", "fingerprint")


def validate(
    path: str | Path,
    sample: int = 2,
    seed: int = 0,
    data_root: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    given: GivenModels = NO_MODELS,
) -> list[Check]:
    """Validate a run folder.

    Parameters
    ----------
    path : path
    sample : int
        Clips to score again, at least 0.
    seed : int
        Which clips.
    data_root : path, optional
        Folder that holds the corpora.
    progress : callable, optional
        Called with (what, done, total).
    given : GivenModels
        Recognisers that may be loaded besides those serxai ships or has trained here. What the run's files name is
        not loaded.

    Raises
    ------
    InputError
        If the folder is not a run, or an argument is out of range.
    """
    if sample < 0 or seed < 0:
        raise InputError(f"--sample and --seed must be at least 0, got {sample} and {seed}.")
    store = Store(path)
    info = store.info
    report = progress or (lambda what, done, total: None)
    names = record_rows.given_names(info, given) if store.is_record else {}
    info = localised(info, names) if names else info
    config, description = _described(info)
    scores, files = _tables(store, info)
    scores["model"] = scores["model"].replace(names)
    checks = [description, *files, _values(scores, config), record_rows.bounds(scores)]
    checks += [record_rows.keys(scores) if store.is_record else _keys(scores), _coverage(scores, info, config)]
    checks += [_versions(scores, "metric", METRICS), _versions(scores, "method", METHODS)]
    checks += [] if store.is_record else [_explanations(store, info, scores, report), _timings(store, info)]
    corpora, corpora_check = _corpora(info, data_root)
    here, models_check = _models(info, corpora, given)
    checks += [corpora_check, models_check]
    again, left_out = (None, []) if config is None else record_rows.rescorable(config)
    if left_out:
        told = "maps made elsewhere, or a method that is not installed here"
        checks.append(Check("not rescored", WARNING, f"{len(left_out)} methods: {told}", tuple(left_out)))
    if sample == 0:
        reason = "no sample asked for"
    elif config is None:
        reason = "the configuration cannot be read"
    elif again is None:
        reason = "no method can be run here: their maps were made elsewhere, or they are not installed"
    elif corpora_check.result != PASS or models_check.result != PASS or not here:
        reason = "corpora or models are not those of the run, or not here"
    else:
        changed = info.get("versions", {}).get("serxai") != __version__ or any(c.result == WARNING for c in checks)
        return [*checks, *score_again(info, again, scores, sample, seed, data_root, report, changed, given)]
    return [*checks, Check("scored again", NOT_CHECKED, reason)]


# -- run.json and score files ------------------------------------------------------------------------------------------


def _described(info: dict[str, Any]) -> tuple[RunConfig | None, Check]:
    """Configuration of run.json, None where it cannot be read, and the check of it."""
    faults = []
    config = None
    try:
        config = _configuration(settings_of_run(info["config"]))
    except (ValidationError, InputError, TypeError) as error:
        faults.append(f"config: {' '.join(str(error).split())}")
    status = info.get("status")
    if status not in FINISHED:
        faults.append(f"status {status!r}: the run is not finished; continue it with --resume")
    return config, concluded("run.json", f"status {status}, configuration as the schema wants it", faults)


def _configuration(settings: dict[str, Any]) -> RunConfig:
    """Configuration of a run; methods that are not installed here keep their names, and nothing of them is checked."""
    methods = settings.get("methods")
    if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
        return RunConfig(**settings)
    here = [name for name in methods if name in METHODS]
    if len(here) == len(methods) or not here:
        return RunConfig(**settings)
    parameters = settings.get("parameters") or {}
    known = {name: given for name, given in parameters.items() if name not in methods or name in here}
    config = RunConfig(**{**settings, "methods": here, "parameters": known})
    return config.model_copy(update={"methods": methods})


def _tables(store: Store, info: dict[str, Any]) -> tuple[pd.DataFrame, list[Check]]:
    """Score rows of all readable files, and the checks of the files."""
    damage, misfits, frames = [], [], []
    for key in info["shards"]:
        path = store.score_file(key)
        name = f"scores/{path.name}"
        if not path.exists():
            damage.append(f"{name}: missing")
            continue
        try:
            data = read_bytes(path, MAX_FILE_BYTES)
        except ValueError as error:
            damage.append(f"{name}: {str(error).removeprefix(f'{path}: ')}")
            continue
        sealed = is_sealed(data)
        if not sealed:
            damage.append(f"{name}: not as serxai wrote it (damaged, or written by another program)")
        try:
            file = open_table(data, info["planned_rows"])
            faults = list(_misfits(file.schema_arrow))
            misfits += [f"{name}: {fault}" for fault in faults]
            if not faults:
                frames.append(table_of(file).to_pandas(ignore_metadata=True))
        except ValueError as error:
            damage += [f"{name}: {error}"] * sealed
    empty = pd.DataFrame(columns=SCORE_COLUMNS)
    scores = pd.concat(frames, ignore_index=True) if frames else empty
    planned = len(info["shards"])
    return scores, [
        concluded("shards", f"{planned} planned, {planned - len(damage)} there as they were written", damage),
        concluded("columns", f"{len(SCORE_COLUMNS)} columns in order, with their types", misfits),
    ]


def _misfits(schema: pa.Schema) -> Iterable[str]:
    """Deviations of a file's columns from `SCORE_COLUMNS` and `TYPES`."""
    lacking = [name for name in SCORE_COLUMNS if name not in schema.names]
    extra = [name for name in schema.names if name not in SCORE_COLUMNS]
    if lacking or extra:
        yield f"lacks columns {lacking}" * bool(lacking) + f" has unknown columns {extra}" * bool(extra)
        return
    moved = [n for n, wanted in zip(schema.names, SCORE_COLUMNS, strict=True) if n != wanted]
    if moved:
        yield f"columns in another order: {', '.join(moved)}"
    yield from type_faults(schema)


# -- score rows --------------------------------------------------------------------------------------------------------


def _values(scores: pd.DataFrame, config: RunConfig | None) -> Check:
    """Check that each column holds allowed values, and a value where and only where the status is ok."""
    faults = []
    rules = {} if config is None else {"target_rule": (config.target, "true")}
    for column, allowed in (ALLOWED | rules).items():
        wrong = scores[~scores[column].isin(allowed)]
        faults += [
            f"{row_name(row)}: {column} {row[column]!r} is not one of {', '.join(allowed)}" for row in dicts(wrong)
        ]
    ok = scores["status"] == "ok"
    value = scores["value"].astype(float)
    for what, wrong in (
        ("ok, but has no finite value", ok & ~np.isfinite(value)),
        ("not ok, but has a value", ~ok & value.notna()),
        ("not ok, but gives no reason", ~ok & scores["reason"].eq("")),
        ("a negative number of model calls", scores["model_calls"] < 0),
    ):
        faults += [f"{row_name(row)}: {what}" for row in dicts(scores[wrong])]
    columns = ", ".join(ALLOWED | rules)
    return concluded("values", f"allowed values of {columns}; a finite value where ok, a reason where not", faults)


def _keys(scores: pd.DataFrame) -> Check:
    wrong = scores[scores["key"].duplicated(keep=False) | scores["key"].eq("")]
    return concluded(
        "keys",
        f"{len(scores)} rows, each with a key of its own",
        (f"{row_name(r)}: {r['key']!r}" for r in dicts(wrong)),
    )


def _coverage(scores: pd.DataFrame, info: dict[str, Any], config: RunConfig | None) -> Check:
    """Check that every planned row exists once, and no other; of methods that are not installed here, their number."""
    planned, found = info["planned_rows"], len(scores)
    faults = [] if found == planned else [f"{found} rows, {planned} planned"]
    counts = scores["status"].value_counts()
    for status in ALLOWED["status"]:
        recorded = info.get("rows", {}).get(status)
        if recorded is not None and recorded != counts.get(status, 0):
            faults.append(f"{counts.get(status, 0)} rows {status}, run.json says {recorded}")
    if config is None:
        return Check("coverage", FAIL if faults else NOT_CHECKED, "the configuration cannot be read", tuple(faults))
    unknown = [name for name in config.methods if name not in METHODS]
    config = config.model_copy(update={"methods": [name for name in config.methods if name not in unknown]})
    scores = scores[~scores["method"].isin(unknown)]
    specs = resolve_methods(config)
    for corpus, model in product(config.corpora, config.models):
        identity = [*COORDINATES, "repeat"]
        fills = info.get("fills", {}).get(corpus, {}).get(model) or config.fills_for(corpus)
        wanted = pd.DataFrame(sorted(rows_of(config, specs, fills)), columns=identity)
        of_model = (scores["corpus"] == corpus) & (scores["model"] == model)
        rows = scores[of_model].merge(wanted, on=identity, how="left", indicator="planned")
        rows["once"] = (rows["planned"] == "both") & ~rows.duplicated(["model", "clip", *identity])
        whole = rows.groupby(["model", "clip"])["once"].agg(["all", "size"])
        whole = whole.index[whole["all"] & (whole["size"] == len(wanted))]
        suspect = rows[~pd.MultiIndex.from_frame(rows[["model", "clip"]]).isin(whole)]
        for (_, clip), part in suspect.groupby(["model", "clip"], sort=False):
            missing = wanted[~pd.MultiIndex.from_frame(wanted).isin(pd.MultiIndex.from_frame(part[identity]))]
            faults += [f"{row_name(row | {'clip': clip})} ({model}): not there" for row in dicts(missing)]
            extra = part["planned"] != "both"
            faults += [f"{row_name(row)} ({model}): not planned" for row in dicts(part[extra])]
            faults += [
                f"{row_name(row)} ({model}): there more than once" for row in dicts(part[~extra & ~part["once"]])
            ]
    return concluded("coverage", f"{found} rows of {planned} planned, every cell once a clip", faults)


def _versions(scores: pd.DataFrame, kind: str, registry: Registry) -> Check:
    """Compare versions and, of metrics, family and direction with the registry; another version alone is a warning."""
    facts = [kind, f"{kind}_version", *(["family", "direction"] if kind == "metric" else [])]
    seen = scores[facts].drop_duplicates()
    faults, warnings = [], []
    for row in dicts(seen):
        name = row[kind]
        if name not in registry:
            warnings.append(f"{kind} {name!r} is not registered here")
            continue
        record = registry.get(name)
        faults += [
            f"{kind} {name!r}: {field} {row[field]!r}, registered as {getattr(record, field)!r}"
            for field in facts[2:]
            if row[field] != getattr(record, field)
        ]
        if row[facts[1]] != record.version:
            warnings.append(f"{kind} {name!r}: scored with version {row[facts[1]]}, here it is {record.version}")
    mixed = seen[[kind, facts[1]]].drop_duplicates().groupby(kind)[facts[1]].agg(lambda v: sorted(map(str, v)))
    faults += [f"{kind} {n!r}: versions {', '.join(v)} in one run" for n, v in mixed.items() if len(v) > 1]
    result = FAIL if faults else WARNING if warnings else PASS
    return Check(
        f"{kind} versions", result, f"{seen[kind].nunique()} {kind}s beside the registry", (*faults, *warnings)
    )


# -- explanations ------------------------------------------------------------------------------------------------------


def _explanations(
    store: Store, info: dict[str, Any], scores: pd.DataFrame, report: Callable[[str, int, int], None]
) -> Check:
    """Check that explanations are readable and that each scored row has one (possibly in an earlier plan's shard)."""
    faults = []
    identities: set[Any] = set()
    planned = set(info["shards"])
    paths = sorted((store.path / "explanations").glob("*.npz"))
    faults += [
        f"explanations/{key}.npz: missing" for key in info["shards"] if not store.explanation_file(key).is_file()
    ]
    for done, path in enumerate(paths):
        report("explanations", done, len(paths))
        try:
            if path.stem in planned and not is_sealed(read_bytes(path, MAX_FILE_BYTES)):
                faults.append(
                    f"explanations/{path.name}: not as serxai wrote it (damaged, or written by another program)"
                )
            identities.update(_identity(explanation) for _, explanation in explanations_in(path))
        except Exception as error:  # a damaged file can raise anything
            if path.stem in planned:
                faults.append(f"explanations/{path.name}: cannot be read ({type(error).__name__}: {error})")
    report("explanations", len(paths), len(paths))
    ok = scores.loc[scores["status"] == "ok", ["corpus", "model", "clip", "condition", "method", "target", "repeat"]]
    wanted = set(ok.itertuples(index=False, name=None))
    faults += [
        f"no explanation of clip {clip} by {method}, {condition}, target {target}, repeat {repeat}"
        for *_, clip, condition, method, target, repeat in sorted(wanted - identities)
    ]
    return concluded("explanations", f"{len(wanted)} explanations of scored rows, all readable", faults)


def _identity(e: Explanation) -> tuple[str | int, ...]:
    """Columns that identify an explanation; refuses one that is not finite."""
    attribution = e.attribution
    if not np.isfinite(attribution.values).all():
        raise ValueError(f"the explanation of clip {e.clip} by {attribution.method} is not finite")
    return e.corpus, e.model, e.clip, e.condition, attribution.method, attribution.target, e.repeat


def _timings(store: Store, info: dict[str, Any]) -> Check:
    """Check that what each shard took is readable; no score depends on it."""
    faults, found = [], 0
    for key in info["shards"]:
        path = store.timing_file(key)
        if path.exists():
            found += 1
            try:
                read_json(path, Timing)
            except ValueError as error:
                faults.append(f"timing/{path.name}: {str(error).removeprefix(f'{path}: ')}")
    return concluded("timing", f"{found} records of what shards took, all readable", faults)


# -- corpora and models ------------------------------------------------------------------------------------------------


def _corpora(info: dict[str, Any], data_root: Path | None) -> tuple[dict[str, Corpus], Check]:
    """Load the run's corpora and compare their digests with the recorded ones."""
    corpora, faults, missing = {}, [], []
    for name, record in info["corpora"].items():
        try:
            corpora[name] = load_corpus(name, data_root)
        except InputError as error:
            missing.append(f"{name}: not checked: corpus not here ({error})")
            continue
        if corpora[name].digest != record["digest"]:
            faults.append(f"{name}: digest {corpora[name].digest} here, {record['digest']} in the run")
    otherwise = NOT_CHECKED if missing else PASS
    check = concluded("corpora", f"digests of {len(corpora)} of {len(info['corpora'])} corpora", faults, otherwise)
    return corpora, replace(check, found=(*faults, *missing))


def _models(info: dict[str, Any], corpora: dict[str, Corpus], given: GivenModels) -> tuple[dict[str, Models], Check]:
    """Load the run's models and compare their cards with the recorded ones."""
    models, faults, missing = {}, [], []
    for name, card in info["models"].items():
        try:
            here = _models_here(card, info, corpora, given)
        except InputError as error:
            missing.append(f"{name}: not checked: {error}")
            continue
        if here is None:
            missing.append(f"{name}: not checked: no such models here")
            continue
        models[name] = here
        known = {field: here.info.get(field) for field in _CARD}
        if RECORD in info:  # names no folder of a machine
            known, card = localised([known, card], {card["recogniser"]: portable(card["recogniser"])})
        faults += [
            f"{name}: {field} {known[field]!r} here, {recorded!r} in the run"
            for field, recorded in card.items()
            if field in _CARD and known[field] != recorded
        ]
        for fold in here.stored if isinstance(here, FoldModels) else ():
            try:
                here.recogniser(fold)  # compares the weights with their SHA-256
            except InputError as error:
                faults.append(f"{name}: {error}")
    otherwise = NOT_CHECKED if missing else PASS
    check = concluded("models", f"recognisers of {len(models)} of {len(info['models'])} models", faults, otherwise)
    return models, replace(check, found=(*faults, *missing))


def _models_here(
    card: dict[str, Any], info: dict[str, Any], corpora: dict[str, Corpus], given: GivenModels
) -> Models | None:
    """Models of a run on this machine: bundled, cached or given by this command; None where not available."""
    name = card.get("recogniser", "")
    if not name:
        raise InputError("run.json does not name its recogniser")
    settings = stored_settings(info["config"]).get(name)
    options = None if settings is None else settings.given
    given.admit(name, name in info["execution"].get("checkpoints", {}))
    trained_on = card["corpus"]["name"] if "corpus" in card else ""

    def corpus() -> Corpus:
        if trained_on not in corpora:
            raise InputError(f"corpus {trained_on!r} is not here")
        return corpora[trained_on]

    return obtain_models(
        name,
        corpus,
        checkpoint=given.checkpoints.get(name),
        permission=given.permission,
        train=False,
        options=options,
    )
