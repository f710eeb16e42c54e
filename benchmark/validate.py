"""Is a run what it says it is? Its files, its tables, what it was computed from, and a sample of it scored again.

Conventions
-----------
Each check ends as ``pass``, ``fail``, ``warning`` or ``not checked``. A warning is a fact to know that makes no score
wrong, such as a metric that has had a new version since. Not checked is what this machine cannot tell, such as the
bytes of a corpus that it does not hold.

A sampled clip is scored again by the ordinary scorer in a temporary folder. The same machine with the same library
versions must give the same bits; another one values within 1e-6 (1e-4 if the run was made on another kind of device).
"""

from __future__ import annotations

import platform
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import ValidationError

from .. import __version__
from ..datasets.corpora import load_corpus
from ..datasets.corpus import Corpus
from ..errors import InputError
from ..keys import rng
from ..methods.records import METHODS
from ..metrics.records import FAMILIES, METRICS
from ..models.foldmodels import FoldModels, find_fold_models
from ..registry import Registry
from .config import RunConfig
from .executors import Execution, Workbench
from .plan import Plan, cells_of, make_plan
from .store import SCORE_COLUMNS, TYPES, Explanation, Store, is_sealed, read_explanation

PASS, FAIL, WARNING, NOT_CHECKED = "pass", "fail", "warning", "not checked"
ALLOWED = {
    "status": ("ok", "failed", "skipped"),
    "direction": ("higher", "lower"),
    "family": FAMILIES,
    "seen_in_training": ("no", "yes", "unknown"),
    "target_rule": ("predicted", "true", "named"),
}
CLOSE, CLOSE_ACROSS_DEVICES = 1e-6, 1e-4
_CELL = ["condition", "method", "metric", "fill"]
_ROW = ["corpus", "fold", "model", "trained_on", "clip", "target_rule", "seed", "repeat", *_CELL]


@dataclass(frozen=True)
class Check:
    """One question about a run.

    Attributes
    ----------
    name : str
    result : {'pass', 'fail', 'warning', 'not checked'}
    summary : str
        What was compared, or why it was not.
    found : tuple of str
        What differs, one entry a file, row or name.
    """

    name: str
    result: str
    summary: str
    found: tuple[str, ...] = ()


def _check(name: str, summary: str, found: Iterable[str], otherwise: str = PASS) -> Check:
    found = tuple(found)
    return Check(name, FAIL if found else otherwise, summary, found)


def validate(
    path: str | Path,
    sample: int = 2,
    seed: int = 0,
    data_root: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Check]:
    """Check a run folder.

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

    Raises
    ------
    InputError
        If the folder is not a run, or an argument is out of range.
    """
    if sample < 0 or seed < 0:
        raise InputError(f"--sample and --seed must be at least 0, got {sample} and {seed}.")
    store = Store(path)
    info = store.info
    lacking = [key for key in ("config", "shards", "planned_rows", "corpora", "models") if key not in info]
    if lacking:
        raise InputError(f"{store.path / 'run.json'}: lacks {', '.join(lacking)}; it is not a run of this version.")
    report = progress or (lambda what, done, total: None)
    config, description = _described(info)
    scores, files = _tables(store, info)
    checks = [description, *files, _values(scores), _keys(scores), _coverage(scores, info, config)]
    checks += [_versions(scores, "metric", METRICS), _versions(scores, "method", METHODS)]
    checks.append(_explanations(store, info, scores, report))
    corpora, corpora_check = _corpora(info, data_root)
    here, models_check = _models(info, corpora)
    checks += [corpora_check, models_check]
    if sample == 0:
        reason = "no sample asked for"
    elif config is None:
        reason = "the configuration cannot be read"
    elif corpora_check.result != PASS or models_check.result != PASS or not here:
        reason = "corpora or models are not those of the run, or not here"
    else:
        changed = info.get("versions", {}).get("serxai") != __version__ or any(c.result == WARNING for c in checks)
        return [*checks, *_again(info, config, scores, sample, seed, data_root, report, changed)]
    return [*checks, Check("scored again", NOT_CHECKED, reason)]


# -- what run.json and the files say -----------------------------------------------------------------------------------


def _described(info: dict[str, Any]) -> tuple[RunConfig | None, Check]:
    found = []
    config = None
    try:
        config = RunConfig(**info["config"])
    except (ValidationError, InputError, TypeError) as error:
        found.append(f"config: {' '.join(str(error).split())}")
    status = info.get("status")
    if status not in ("done", "done with failures"):
        found.append(f"status {status!r}: the run is not finished; continue it with --resume")
    return config, _check("run.json", f"status {status}, configuration as the schema wants it", found)


def _tables(store: Store, info: dict[str, Any]) -> tuple[pd.DataFrame, list[Check]]:
    """All score rows that can be read, and the checks of the files they are in."""
    damage, misfits, frames = [], [], []
    for key in info["shards"]:
        path = store.score_file(key)
        name = f"scores/{path.name}"
        if not path.is_file():
            damage.append(f"{name}: missing")
            continue
        if not is_sealed(path.read_bytes()):
            damage.append(f"{name}: not as serxai wrote it (damaged, or written by another program)")
        try:
            table = pq.read_table(path, partitioning=None)
        except (pa.ArrowException, OSError):
            continue
        faults = list(_misfits(table.schema))
        misfits += [f"{name}: {fault}" for fault in faults]
        if not faults:
            frames.append(table.to_pandas(ignore_metadata=True))
    empty = pd.DataFrame(columns=SCORE_COLUMNS)
    scores = pd.concat(frames, ignore_index=True) if frames else empty
    planned = len(info["shards"])
    return scores, [
        _check("shards", f"{planned} planned, {planned - len(damage)} there as they were written", damage),
        _check("columns", f"{len(SCORE_COLUMNS)} columns in order, with their types", misfits),
    ]


def _misfits(schema: pa.Schema) -> Iterable[str]:
    lacking = [name for name in SCORE_COLUMNS if name not in schema.names]
    extra = [name for name in schema.names if name not in SCORE_COLUMNS]
    if lacking or extra:
        yield f"lacks columns {lacking}" * bool(lacking) + f" has unknown columns {extra}" * bool(extra)
        return
    moved = [n for n, wanted in zip(schema.names, SCORE_COLUMNS, strict=True) if n != wanted]
    if moved:
        yield f"columns in another order: {', '.join(moved)}"
    fits: dict[str, Callable[[pa.DataType], bool]] = {
        "float64": pa.types.is_floating, "int64": pa.types.is_integer, "boolean": pa.types.is_boolean,
        "str": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_dictionary(t),
    }  # fmt: skip
    for field in schema:
        wanted = TYPES.get(field.name, "str")
        if not fits[wanted](field.type):
            yield f"column {field.name!r} is {field.type}, not {wanted}"


# -- what the rows say -------------------------------------------------------------------------------------------------


def _row(row: Any) -> str:
    fill = f", fill {row['fill']}" if row["fill"] else ""
    return f"clip {row['clip']}, {row['method']}, {row['metric']}, {row['condition']}{fill}"


def _values(scores: pd.DataFrame) -> Check:
    found = []
    for column, allowed in ALLOWED.items():
        wrong = scores[~scores[column].isin(allowed)]
        found += [f"{_row(row)}: {column} {row[column]!r} is not one of {', '.join(allowed)}" for row in _dicts(wrong)]
    ok = scores["status"] == "ok"
    value = scores["value"].astype(float)
    for what, wrong in (
        ("ok, but has no finite value", ok & ~np.isfinite(value)),
        ("not ok, but has a value", ~ok & value.notna()),
        ("not ok, but gives no reason", ~ok & scores["reason"].eq("")),
        ("a negative number of model calls", scores["model_calls"] < 0),
    ):
        found += [f"{_row(row)}: {what}" for row in _dicts(scores[wrong])]
    columns = ", ".join(ALLOWED)
    return _check("values", f"allowed values of {columns}; a finite value where ok, a reason where not", found)


def _dicts(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return rows.to_dict("records")


def _keys(scores: pd.DataFrame) -> Check:
    wrong = scores[scores["key"].duplicated(keep=False) | scores["key"].eq("")]
    return _check(
        "keys", f"{len(scores)} rows, each with a key of its own", (f"{_row(r)}: {r['key']!r}" for r in _dicts(wrong))
    )


def _coverage(scores: pd.DataFrame, info: dict[str, Any], config: RunConfig | None) -> Check:
    planned = info["planned_rows"]
    found = [] if len(scores) == planned else [f"{len(scores)} rows, {planned} planned"]
    counts = scores["status"].value_counts()
    for status in ALLOWED["status"]:
        said = info.get("rows", {}).get(status)
        if said is not None and said != counts.get(status, 0):
            found.append(f"{counts.get(status, 0)} rows {status}, run.json says {said}")
    if config is None:
        return Check("coverage", FAIL if found else NOT_CHECKED, "the configuration cannot be read", tuple(found))
    for corpus in config.corpora:
        wanted = pd.DataFrame(sorted(cells_of(config, corpus)), columns=_CELL)
        rows = scores[scores["corpus"] == corpus].merge(wanted, on=_CELL, how="left", indicator="planned")
        rows["once"] = (rows["planned"] == "both") & ~rows.duplicated(["model", "clip", *_CELL])
        whole = rows.groupby(["model", "clip"])["once"].agg(["all", "size"])
        whole = whole.index[whole["all"] & (whole["size"] == len(wanted))]
        suspect = rows[~pd.MultiIndex.from_frame(rows[["model", "clip"]]).isin(whole)]
        for (model, clip), part in suspect.groupby(["model", "clip"], sort=False):
            missing = wanted[~pd.MultiIndex.from_frame(wanted).isin(pd.MultiIndex.from_frame(part[_CELL]))]
            found += [f"{_row(row | {'clip': clip})} ({model}): not there" for row in _dicts(missing)]
            extra = part["planned"] != "both"
            found += [f"{_row(row)} ({model}): not planned" for row in _dicts(part[extra])]
            found += [f"{_row(row)} ({model}): there more than once" for row in _dicts(part[~extra & ~part["once"]])]
    return _check("coverage", f"{len(scores)} rows of {planned} planned, every cell once a clip", found)


def _versions(scores: pd.DataFrame, kind: str, registry: Registry) -> Check:
    """Versions and, of metrics, family and direction, beside the registry; another version alone is a warning."""
    facts = [kind, f"{kind}_version", *(["family", "direction"] if kind == "metric" else [])]
    seen = scores[facts].drop_duplicates()
    found, told = [], []
    for row in _dicts(seen):
        name = row[kind]
        if name not in registry:
            told.append(f"{kind} {name!r} is not registered here")
            continue
        record = registry.get(name)
        found += [
            f"{kind} {name!r}: {field} {row[field]!r}, registered as {getattr(record, field)!r}"
            for field in facts[2:]
            if row[field] != getattr(record, field)
        ]
        if row[facts[1]] != record.version:
            told.append(f"{kind} {name!r}: scored with version {row[facts[1]]}, here it is {record.version}")
    mixed = seen[[kind, facts[1]]].drop_duplicates().groupby(kind)[facts[1]].agg(list)
    found += [f"{kind} {n!r}: versions {', '.join(map(str, v))} in one run" for n, v in mixed.items() if len(v) > 1]
    result = FAIL if found else WARNING if told else PASS
    return Check(f"{kind} versions", result, f"{seen[kind].nunique()} {kind}s beside the registry", (*found, *told))


# -- explanations ------------------------------------------------------------------------------------------------------


def _explanations(
    store: Store, info: dict[str, Any], scores: pd.DataFrame, report: Callable[[str, int, int], None]
) -> Check:
    """Every explanation can be read, and there is one for every scored row (it may lie in another plan's shard)."""
    found = []
    there = set()
    planned = set(info["shards"])
    paths = sorted((store.path / "explanations").glob("*.npz"))
    found += [f"explanations/{key}.npz: missing" for key in info["shards"] if not store.explanation_file(key).is_file()]
    for done, path in enumerate(paths):
        report("explanations", done, len(paths))
        if path.stem in planned and not is_sealed(path.read_bytes()):
            found.append(f"explanations/{path.name}: not as serxai wrote it (damaged, or written by another program)")
        try:
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith("/values.npy"):
                        there.add(_facts(read_explanation(archive, name.removesuffix("/values.npy"))))
        except Exception as error:  # whatever a damaged file leads to
            if path.stem in planned:
                found.append(f"explanations/{path.name}: cannot be read ({type(error).__name__}: {error})")
    report("explanations", len(paths), len(paths))
    ok = scores.loc[scores["status"] == "ok", ["corpus", "model", "clip", "condition", "method", "target"]]
    wanted = set(ok.itertuples(index=False, name=None))
    found += [f"no explanation of clip {w[2]} by {w[4]}, {w[3]}, target {w[5]}" for w in sorted(wanted - there)]
    return _check("explanations", f"{len(wanted)} explanations of scored rows, all readable", found)


def _facts(found: Explanation) -> tuple[str, ...]:
    if not np.isfinite(found.attribution.values).all():
        raise ValueError(f"the explanation of clip {found.clip} by {found.attribution.method} is not finite")
    return found.corpus, found.model, found.clip, found.condition, found.attribution.method, found.attribution.target


# -- what it was computed from -----------------------------------------------------------------------------------------


def _corpora(info: dict[str, Any], data_root: Path | None) -> tuple[dict[str, Corpus], Check]:
    corpora, found, missing = {}, [], []
    for name, said in info["corpora"].items():
        try:
            corpora[name] = load_corpus(name, data_root)
        except InputError as error:
            missing.append(f"{name}: not checked: corpus not here ({error})")
            continue
        if corpora[name].digest != said["digest"]:
            found.append(f"{name}: digest {corpora[name].digest} here, {said['digest']} in the run")
    otherwise = NOT_CHECKED if missing else PASS
    check = _check("corpora", f"digests of {len(corpora)} of {len(info['corpora'])} corpora", found, otherwise)
    return corpora, replace(check, found=(*found, *missing))


def _models(info: dict[str, Any], corpora: dict[str, Corpus]) -> tuple[dict[str, FoldModels], Check]:
    models, found, missing = {}, [], []
    for name, card in info["models"].items():
        model, trained_on = card["recogniser"], card["corpus"]["name"]
        here = _models_here(model, corpora[trained_on]) if trained_on in corpora else None
        if here is None:
            missing.append(f"{name}: not checked: no such fold models here")
            continue
        models[name] = here
        found += [
            f"{name}: {field} {here.info.get(field)!r} here, {said!r} in the run"
            for field, said in card.items()
            if field in ("weights", "classes", "front_end", "network", "folds", "version") and here.info[field] != said
        ]
        for fold in here.folds.speakers:
            try:
                here.recogniser(fold)  # compares the weights with their SHA-256
            except InputError as error:
                found.append(f"{name}: {error}")
    otherwise = NOT_CHECKED if missing else PASS
    check = _check("models", f"fold models of {len(models)} of {len(info['models'])} trainings", found, otherwise)
    return models, replace(check, found=(*found, *missing))


def _models_here(model: str, corpus: Corpus) -> FoldModels | None:
    """Bundled or cached fold models; none are trained."""
    try:
        return find_fold_models(model, corpus)
    except InputError:
        return None


# -- scored again ------------------------------------------------------------------------------------------------------


def same_machine(info: dict[str, Any]) -> bool:
    """Whether a run was made with this machine's platform, processor and library versions, on the CPU."""
    machine = info.get("machine", {})
    if (machine.get("platform"), machine.get("processor")) != (platform.platform(), platform.machine()):
        return False
    return info.get("execution", {}).get("device", "cpu") == "cpu" and all(
        said == (platform.python_version() if name == "python" else _installed(name))
        for name, said in info.get("versions", {}).items()
        if name != "serxai"
    )


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _again(
    info: dict[str, Any],
    config: RunConfig,
    scores: pd.DataFrame,
    sample: int,
    seed: int,
    data_root: Path | None,
    report: Callable[[str, int, int], None],
    changed: bool,
) -> Iterable[Check]:
    """The plan made again, and a sample of its clips scored again; `changed` if versions are known to differ."""
    plan = make_plan(config, data_root)
    planned = {shard.key for shard in plan.shards}
    strange = [f"{key}: planned in the run, not here" for key in info["shards"] if key not in planned]
    yield Check(
        "plan",
        FAIL if strange and not changed else WARNING if strange else PASS,
        f"{len(planned)} shards, as configuration, corpora, models and versions give them here",
        tuple(strange),
    )
    everyone = sorted({(shard.corpus, clip) for shard in plan.shards for clip in shard.clips})
    drawn = rng("validate", seed).permutation(len(everyone))[:sample]
    chosen = [everyone[i] for i in sorted(drawn)]
    fresh = _scored_again(plan, config, chosen, data_root, report)
    yield _compared(scores, fresh, chosen, info)


def _scored_again(
    plan: Plan,
    config: RunConfig,
    chosen: list[tuple[str, str]],
    data_root: Path | None,
    report: Callable[[str, int, int], None],
) -> pd.DataFrame:
    threads = torch.get_num_threads()
    frames = []
    with tempfile.TemporaryDirectory(prefix="serxai-validate-") as folder:
        bench = Workbench(config, Execution(data_root=data_root), Path(folder))
        try:
            for done, (corpus, clip) in enumerate(chosen):
                report("clips scored again", done, len(chosen))
                for shard in plan.shards:
                    if shard.corpus == corpus and clip in shard.clips:
                        partner = shard.partners[shard.clips.index(clip)]
                        alone = replace(shard, key=f"{shard.model}-{clip}", clips=(clip,), partners=(partner,))
                        bench.compute(alone)
                        frames.append(bench.store.read_shard(alone.key))
        finally:
            torch.set_num_threads(threads)
    report("clips scored again", len(chosen), len(chosen))
    return pd.concat(frames, ignore_index=True)


def _compared(scores: pd.DataFrame, fresh: pd.DataFrame, chosen: list[tuple[str, str]], info: dict[str, Any]) -> Check:
    same = same_machine(info)
    on_cpu = info.get("execution", {}).get("device", "cpu") == "cpu"
    tolerance = 0.0 if same else CLOSE if on_cpu else CLOSE_ACROSS_DEVICES
    pairs = fresh.merge(scores, on=_ROW, how="left", suffixes=("", "_stored"), indicator=True)
    found = [f"{_row(row)}: not in the run" for row in _dicts(pairs[pairs["_merge"] == "left_only"])]
    pairs = pairs[pairs["_merge"] == "both"]
    older = (pairs["metric_version"] != pairs["metric_version_stored"]) | (
        pairs["method_version"] != pairs["method_version_stored"]
    )
    pairs = pairs[~older]
    stored, again = pairs["value_stored"].astype(float).to_numpy(), pairs["value"].astype(float).to_numpy()
    with np.errstate(invalid="ignore"):
        differences = np.where(stored == again, 0.0, np.abs(stored - again))
    largest = np.nanmax(differences, initial=0.0)
    differs = np.isnan(stored) != np.isnan(again)
    differs |= differences > tolerance
    for row in _dicts(pairs[differs]):
        found.append(f"{_row(row)}: value {row['value_stored']!r} in the run, {row['value']!r} again")
    others = [name for name in SCORE_COLUMNS if name not in (*_ROW, "value", "strength")]
    for name in others:
        ours, its = pairs[name], pairs[f"{name}_stored"]
        wrong = (ours.astype(object).fillna("") != its.astype(object).fillna("")).to_numpy()
        for row in _dicts(pairs[wrong]):
            found.append(f"{_row(row)}: {name} {row[f'{name}_stored']!r} in the run, {row[name]!r} again")
    how = "bit for bit, as on the same machine" if same else f"within {tolerance:g}, as on another machine"
    skipped = f", {int(older.sum())} of other versions left out" if older.any() else ""
    summary = (
        f"{len(chosen)} clips, {len(pairs)} rows{skipped}; compared {how}; largest difference {largest:.3g}; "
        f"clips: {', '.join(clip for _, clip in chosen)}"
    )
    return _check("scored again", summary, found)
