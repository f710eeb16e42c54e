"""Rescoring of a sample of a run's clips, compared with the rows of the run.

The same machine with the same library versions must give the same bits; another one values within 1e-6 (1e-4 if the
run was computed on another kind of device).
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...keys import digest, rng
from ...progress import Progress
from ..run.config import RunConfig
from ..run.execution import Execution
from ..run.plan import Plan, make_plan
from ..run.shard_worker import ShardWorker
from ..storage.derived import RECORD
from ..storage.score_rows import SCORE_COLUMNS
from .check_result import FAIL, NOT_CHECKED, PASS, ROW, WARNING, Check, concluded, dicts, row_name
from .given import NO_MODELS, GivenModels
from .record_rows import as_recorded

CLOSE, CLOSE_ACROSS_DEVICES = 1e-6, 1e-4


def same_machine(info: dict[str, Any]) -> bool:
    """Whether all of a run was computed with this machine's platform, processor and library versions, on the CPU."""
    sessions = [info, *info.get("sessions", [])]
    return all(_computed_here(session) for session in sessions if session.get("computed", {}).get("shards") != 0)


def _computed_here(info: dict[str, Any]) -> bool:
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


def score_again(
    info: dict[str, Any],
    config: RunConfig,
    scores: pd.DataFrame,
    sample: int,
    seed: int,
    data_root: Path | None,
    progress: Progress,
    changed: bool,
    given: GivenModels = NO_MODELS,
) -> Iterable[Check]:
    """Checks of a plan computed again, and of a sample of its clips scored again.

    Parameters
    ----------
    info : dict
        What run.json says.
    config : RunConfig
    scores : DataFrame
        Score rows of the run.
    sample : int
        Clips to score again.
    seed : int
        Which clips.
    data_root : Path or None
    progress : Progress
    changed : bool
        Whether versions are known to differ, so that another plan is no fault.
    given : GivenModels
    """
    execution = Execution(
        data_root=data_root,
        checkpoints=given.checkpoints,
        permission=given.permission,
        batch_memory=info["execution"].get("batch_memory"),
    )
    plan = make_plan(config, execution, measured=info.get("reach", []))
    planned = {shard.key for shard in plan.shards}
    recorded = RECORD in info  # whose rows were packed anew, in one shard
    strange = [f"{key}: planned in the run, not here" for key in info["shards"] if key not in planned and not recorded]
    clips = {clip for shard in plan.shards for clip in shard.clips}
    if recorded:
        strange += [f"clip {clip}: scored in the record, not planned here" for clip in {*scores["clip"]} - clips]
        strange += [f"clip {clip}: planned here, not in the record" for clip in clips - {*scores["clip"]}]
    yield Check(
        "plan",
        FAIL if strange and not changed else WARNING if strange else PASS,
        f"{len(planned)} shards, as configuration, corpora, models and versions give them here",
        tuple(strange),
    )
    known = {*scores["clip"]} if recorded else clips
    everyone = sorted({(shard.corpus, clip) for shard in plan.shards for clip in shard.clips if clip in known})
    drawn = rng("validate", seed).permutation(len(everyone))[:sample]
    chosen = [everyone[i] for i in sorted(drawn)]
    fresh = _scored_again(plan, config, chosen, execution, progress)
    fresh = as_recorded(fresh) if recorded else fresh
    yield _compared(scores, fresh, chosen, info)


def _scored_again(
    plan: Plan,
    config: RunConfig,
    chosen: list[tuple[str, str]],
    execution: Execution,
    progress: Progress,
) -> pd.DataFrame:
    threads = torch.get_num_threads()
    frames = []
    with tempfile.TemporaryDirectory(prefix="serxai-validate-") as folder:
        worker = ShardWorker(config, Path(folder), execution)
        try:
            for done, (corpus, clip) in enumerate(chosen):
                progress("clips scored again", done, len(chosen))
                for shard in plan.shards:
                    if shard.corpus == corpus and clip in shard.clips:
                        partner = shard.partners[shard.clips.index(clip)]
                        alone = replace(shard, key=digest(shard.model, clip), clips=(clip,), partners=(partner,))
                        worker.compute(alone)
                        frames.append(worker.store.read_shard(alone.key))
        finally:
            torch.set_num_threads(threads)
    progress("clips scored again", len(chosen), len(chosen))
    return pd.concat(frames, ignore_index=True)


def _compared(scores: pd.DataFrame, fresh: pd.DataFrame, chosen: list[tuple[str, str]], info: dict[str, Any]) -> Check:
    same = same_machine(info)
    on_cpu = info.get("execution", {}).get("device", "cpu") == "cpu"
    tolerance = 0.0 if same else CLOSE if on_cpu else CLOSE_ACROSS_DEVICES
    pairs = fresh.merge(scores, on=ROW, how="left", suffixes=("", "_stored"), indicator=True)
    different = [f"{row_name(row)}: not in the run" for row in dicts(pairs[pairs["_merge"] == "left_only"])]
    pairs = pairs[pairs["_merge"] == "both"]
    older = (pairs["metric_version"] != pairs["metric_version_stored"]) | (
        pairs["method_version"] != pairs["method_version_stored"]
    )
    pairs = pairs[~older]
    stored, again = pairs["value_stored"].astype(float).to_numpy(), pairs["value"].astype(float).to_numpy()
    with np.errstate(invalid="ignore"):
        differences = np.where(stored == again, 0.0, np.abs(stored - again))
        if RECORD in info:  # values in single precision: relative where they are large
            differences = differences / np.maximum(1.0, np.abs(again))
    largest = np.nanmax(differences, initial=0.0)
    differs = np.isnan(stored) != np.isnan(again)
    differs |= differences > tolerance
    for row in dicts(pairs[differs]):
        different.append(f"{row_name(row)}: value {row['value_stored']!r} in the run, {row['value']!r} again")
    others = [name for name in SCORE_COLUMNS if name not in (*ROW, "value", "strength")]
    for name in others:
        ours, its = pairs[name], pairs[f"{name}_stored"]
        wrong = (ours.astype(object).fillna("") != its.astype(object).fillna("")).to_numpy()
        for row in dicts(pairs[wrong]):
            different.append(f"{row_name(row)}: {name} {row[f'{name}_stored']!r} in the run, {row[name]!r} again")
    how = "bit for bit, as on the same machine" if same else f"within {tolerance:g}, as on another machine"
    skipped = f", {int(older.sum())} of other versions left out" if older.any() else ""
    summary = (
        f"{len(chosen)} clips, {len(pairs)} rows{skipped}; compared {how}; largest difference {largest:.3g}; "
        f"clips: {', '.join(clip for _, clip in chosen)}"
    )
    if pairs.empty and not different:
        return Check("scored again", NOT_CHECKED, f"no row of the versions that are registered here{skipped}")
    return concluded("scored again", summary, different)
