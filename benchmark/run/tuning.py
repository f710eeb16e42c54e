"""Choosing the parameters of methods on clips that are not scored.

``[tuning]`` in a run's configuration names a metric and, for some methods, a grid of parameters. Every combination is
an ordinary run of its own below ``tuning/`` in the run's folder, on the clips that `split` sets apart: so it is costed,
resumed and inspected like any other. The combination with the best mean is what the scored clips are explained with;
as part of the method's parameters it enters all keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...datasets.corpora import load_corpus
from ...errors import InputError
from ...keys import digest
from ...metrics.records import METRICS
from ..stats.clustered import clustered_mean
from ..storage.store import Store
from .config import RunConfig
from .split import split

FOLDER = "tuning"
_UNIT = ["corpus", "model", "trained_on", "fill", "clip", "seed"]


def candidates(config: RunConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every method to be tuned with every combination of its grid, in the order of the grid."""
    grid = config.tuning.grid if config.tuning and config.part == "scored" else {}
    for method, values in grid.items():
        for combination in product(*values.values()):
            yield method, dict(zip(values, combination, strict=True))


def candidate_config(config: RunConfig, method: str, parameters: dict[str, Any]) -> RunConfig:
    """The run of one combination: this method and the tuning metric on the clips set apart, without any condition."""
    assert config.tuning is not None
    changed = {
        "methods": [method],
        "metrics": [config.tuning.metric],
        "conditions": ["clean"],
        "clean_only": [],
        "part": "tuning",
        "limit": 0,
        "parameters": _with(config, method, parameters),
    }
    return RunConfig.model_validate(config.model_dump() | changed)


def folder_of(out: Path, method: str, parameters: dict[str, Any]) -> Path:
    """Where the run of one combination lies."""
    return out / FOLDER / f"{method.replace(':', '-')}-{digest(method, parameters)[:12]}"


def tuned(config: RunConfig, chosen: dict[str, dict[str, Any]]) -> RunConfig:
    """A configuration with chosen parameters of each method."""
    for method, parameters in chosen.items():
        config = config.model_copy(update={"parameters": _with(config, method, parameters)})
    return config


def _with(config: RunConfig, method: str, parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return config.parameters | {method: config.parameters.get(method, {}) | parameters}


def tune(
    config: RunConfig, out: Path, compute: Callable[[RunConfig, Path], Store], data_root: Path | None = None
) -> tuple[RunConfig, dict[str, Any]]:
    """Compute what is missing of every combination, and choose.

    Parameters
    ----------
    config : RunConfig
        With `tuning`.
    out : Path
        Folder of the run.
    compute : callable
        Computes a run in a folder, or finishes it.
    data_root : Path, optional

    Returns
    -------
    config : RunConfig
        With the parameters chosen.
    description : dict
        What run.json says: the clips set apart, every combination with its mean, the choices, model calls in all.

    Raises
    ------
    InputError
        If no combination of a method has a score.
    """
    assert config.tuning is not None
    scored: dict[str, list[tuple[dict[str, Any], pd.DataFrame]]] = {}
    calls = 0
    for method, parameters in candidates(config):
        store = compute(candidate_config(config, method, parameters), folder_of(out, method, parameters))
        calls += store.info["model_calls"]
        scores = store.scores([*_UNIT, "speaker", "value", "status", "reason"])
        scored.setdefault(method, []).append((parameters, scores))
    methods: dict[str, Any] = {}
    for method, tried in scored.items():
        rows = compared([scores for _, scores in tried])
        place = best([row["mean"] for row in rows], METRICS.get(config.tuning.metric).direction)
        if place is None:
            reasons = sorted({str(reason) for _, scores in tried for reason in scores["reason"] if reason})
            raise InputError(
                f"tuning: no clip has a score of {config.tuning.metric!r} for method {method!r} under all combinations "
                f"({'; '.join(reasons) or 'no clips'}). Take another metric, or the method out of the grid."
            )
        methods[method] = {
            "chosen": tried[place][0],
            "candidates": [
                {"parameters": parameters, "run": str(folder_of(Path(), method, parameters))} | row
                for (parameters, _), row in zip(tried, rows, strict=True)
            ],
        }
    parts = {
        name: split(load_corpus(name, data_root), config.emotions, config.tuning.clips, config.seed)
        for name in config.corpora
    }
    description = {
        "metric": config.tuning.metric,
        "clips": {name: part.tuning for name, part in parts.items()},
        "speakers_apart": {name: part.by_speaker for name, part in parts.items()},
        "methods": methods,
        "model_calls": calls,
    }
    return tuned(config, {method: entry["chosen"] for method, entry in methods.items()}), description


def compared(tried: list[pd.DataFrame]) -> list[dict[str, Any]]:
    """Mean of each combination over the clips that all of them have a score for.

    Parameters
    ----------
    tried : list of DataFrame
        Score rows of each combination.

    Returns
    -------
    list of dict
        ``mean``, ``low`` and ``high`` (95 %, None below 6 speakers), ``clips`` that entered of ``planned``. Where no
        clip has all scores, the mean is None.
    """
    ok = [rows[rows["status"] == "ok"].groupby(_UNIT, dropna=False)["value"].mean() for rows in tried]
    table = pd.concat(ok, axis=1, join="inner", keys=range(len(ok)))
    speaker = pd.concat(tried).drop_duplicates(["corpus", "clip"]).set_index(["corpus", "clip"])["speaker"]
    places = zip(table.index.get_level_values("corpus"), table.index.get_level_values("clip"), strict=True)
    speakers = [f"{corpus}/{speaker[corpus, clip]}" for corpus, clip in places]
    counted = table.reset_index()[["corpus", "clip"]].drop_duplicates()
    means = []
    for number, rows in enumerate(tried):
        e = clustered_mean(table[number].to_numpy(), speakers)
        low, high = (None if np.isnan(bound) else bound for bound in e.bounds)  # JSON has no NaN
        planned = len(rows[["corpus", "clip"]].drop_duplicates())
        mean = e.mean if e.n else None
        means.append({"mean": mean, "low": low, "high": high, "clips": len(counted), "planned": planned})
    return means


def best(means: list[float | None], direction: str) -> int | None:
    """Place of the best mean, the first of equals; None where there is no mean."""
    worst = -np.inf if direction == "higher" else np.inf
    values = [worst if mean is None else mean for mean in means]
    if all(mean is None for mean in means):
        return None
    return int(np.argmax(values) if direction == "higher" else np.argmin(values))
