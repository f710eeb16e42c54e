"""Scores under other conventions of a map, by size of relevance, and beside the attainable best, from a stored run.

Conventions
-----------
Core metrics read the order of the cells of the scoring grid (`MetricRecord.invariant`), but native cells are summed
onto it first, and that sum depends on conventions of a method which no metric can judge: whether a map shows effects,
their squares, or their roots. Here every stored map is scored again with its native values raised to the *powers* 1/2,
1 and 2 (sign kept), in two *views*: ``signed``, as stored, and ``size``, absolute values before they are summed, as
methods without signs have them. The *range of convention* of a method is that of its mean scores over the powers.

Metrics of the map alone (localisation, complexity) need clips but no model. Others cost their model calls once more
for each power other than 1 (`extra_calls`), so they are scored on request.

The attainable best (`metrics.resolution`) is the score of the truth at the resolution measured on each map.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...errors import InputError, NotApplicable
from ...keys import rng
from ...methods.attribution import Attribution
from ...metrics.case import Case, Explained
from ...metrics.localisation import case_truth_mask
from ...metrics.record import UNJUDGED_FAMILIES
from ...metrics.records import METRICS, MetricRecord, is_ranked, make_metric
from ...metrics.resolution import AGAINST_TRUTH, Resolution, expected_at_random, resolution_of, truth_at
from ...models.recogniser import Recogniser
from ...progress import Progress, no_progress
from ..run.backend import ComputeBackend
from ..run.clip_conditions import ConditionedClips, Memo
from ..run.config import RunConfig, config_of_run
from ..run.execution import Execution
from ..run.identity import Keys
from ..run.workbench import Workbench
from ..stats.clustered import clustered_mean
from ..storage.store import Store
from .references import AGAINST

POWERS = (0.5, 1.0, 2.0)
VIEWS = SIGNED, SIZE = ("signed", "size")
MIN_RANGE = 0.1  # least mean difference of attainable and random score; below it a share of it would be noise
SETTING = [
    "corpus", "model", "trained_on", "seen_in_training", "space", "target_rule", "condition", "fill", "family",
    "metric", "direction",
]  # fmt: skip
# what tells stored explanations apart
_EXPLAINED = ["corpus", "model", "condition", "clip", "repeat", "method", "target", AGAINST]
_KEPT = [*SETTING, "method", "clip", "speaker", "emotion", "repeat"]
VALUE_COLUMNS = [
    *_KEPT,
    "sentence",
    "view",
    "power",
    "value",
    "negative",
    "random",
    "attainable",
    "cells",
    "coefficients",
]


class _MapOnly(Recogniser):
    """Stand-in for the recogniser of metrics that read the map alone; it cannot be called.

    It takes every target for a class: rows of metrics that are defined for one class alone name one.
    """

    name, classes, fingerprint = "none", (), "none"

    def target_named(self, text: str) -> tuple[str, str | None]:
        """See `Recogniser.target_named`."""
        return text, None

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        raise InputError("a metric of the map alone asked for the recogniser; its record must state a cost.")


def of_map_alone(record: MetricRecord) -> bool:
    """Whether a metric of localisation or complexity reads nothing but the map and the clip."""
    return (
        record.family in ("localisation", "complexity")
        and record.cost == "0"
        and not (record.uses_fill or record.explains or record.companions)
    )


def powered(values: np.ndarray, power: float, view: str = SIGNED) -> np.ndarray:
    """Native values under one convention: ``sign(x) |x| ** power``, or ``|x| ** power`` for view ``size``.

    Parameters
    ----------
    values : array, any shape
    power : float
    view : {'signed', 'size'}

    Returns
    -------
    array, float64, same shape
        Relative to the largest absolute value, so that no power overflows.
    """
    values = np.asarray(values, dtype=np.float64)
    largest = np.abs(values).max(initial=0.0)
    size = (np.abs(values) / (largest if largest > 0 else 1.0)) ** power
    changed: np.ndarray = size if view == SIZE else np.sign(values) * size
    return changed


def scores_of_convention(
    store: Store,
    metrics: Sequence[str] = (),
    execution: Execution | None = None,
    limit: int = 0,
    progress: Progress = no_progress,
) -> pd.DataFrame:
    """Score the stored maps of a run under every convention.

    Parameters
    ----------
    store : Store
        A run with its explanations.
    metrics : sequence of str
        Metrics of the run; default those of the map alone. Others call the recogniser (see `extra_calls`) and are
        scored in view ``signed`` alone.
    execution : Execution, optional
        Data root, device and checkpoints. Default: as in the run.
    limit : int
        At most so many clips per corpus, drawn at random; 0 for all.
    progress : callable
        Called with what is done, maps done, and all.

    Returns
    -------
    DataFrame
        Columns `VALUE_COLUMNS`: one row per scored row of the run, view and power. ``negative``: whether the map holds
        a negative value. For localisation against the planted truth, at power 1 of view ``signed``: ``random``, the
        expected score of a random map, ``attainable``, the score of the truth at the map's resolution, and that
        resolution, as cells and as DCT coefficients where these limit it. A score that is undefined is missing.

    Raises
    ------
    InputError
        If the run holds no score of these metrics, a metric explains again, or explanations are not there.
    """
    rows = _wanted(store, metrics, limit)
    info = store.info
    config = config_of_run(info["config"])
    bench = Workbench(execution or _execution(info), progress, train=False, settings=config.model_settings)
    scorer = _Scorer(bench, config)
    by_map: dict[tuple[Hashable, ...], list[dict[str, Any]]] = {}
    for row in rows.to_dict("records"):
        by_map.setdefault(tuple(row[name] for name in _EXPLAINED), []).append(row)
    total = len(by_map)
    found: list[dict[str, Any]] = []
    for e in store.explanations():
        facts = e._asdict() | {"method": e.attribution.method, "target": e.attribution.target}
        facts[AGAINST] = e.against
        for row in by_map.pop(tuple(facts[name] for name in _EXPLAINED), ()):
            found += scorer.values(row, e.attribution)
        progress("maps scored under other conventions", total - len(by_map), total)
    if not found:
        raise InputError(f"{store.path}: has scores but no explanations; read conventions where the run was made.")
    return pd.DataFrame(found, columns=VALUE_COLUMNS)


def extra_calls(store: Store, metrics: Sequence[str], limit: int = 0) -> int:
    """Model calls that `scores_of_convention` may take: at most those of the rows, for each power other than 1.

    Metrics that share copies (all of one deletion trajectory) take less.
    """
    rows = _wanted(store, metrics, limit)
    calling = [not of_map_alone(METRICS.get(str(name))) for name in rows["metric"]]
    return (len(POWERS) - 1) * int(rows.loc[calling, "model_calls"].sum())


def _wanted(store: Store, metrics: Sequence[str], limit: int) -> pd.DataFrame:
    """Score rows of the metrics that have a score, of at most `limit` clips per corpus."""
    columns = [*_KEPT, *_EXPLAINED, "fold", "status", "value", "model_calls"]
    scores = store.scores(list(dict.fromkeys(columns)))
    known = [name for name in scores["metric"].unique() if name in METRICS]
    chosen = list(metrics) or [name for name in known if of_map_alone(METRICS.get(name))]
    for name in chosen:
        record = METRICS.get(name)
        if record.explains or record.companions or record.family in (*UNJUDGED_FAMILIES, "plausibility"):
            raise InputError(
                f"conventions: metric {name!r} reads more than one stored map; take metrics of faithfulness, "
                "localisation or complexity that do not explain again."
            )
    rows = scores[scores["metric"].isin(chosen) & (scores["status"] == "ok")]
    if rows.empty:
        raise InputError(
            f"{store.path}: holds no score of {', '.join(chosen) or 'a metric of the map alone'}. It holds: "
            f"{', '.join(sorted(known)) or 'none'}."
        )
    if limit:
        clips = rows.groupby("corpus")["clip"].unique()
        kept = {
            (corpus, clip)
            for corpus, names in clips.items()
            for clip in rng("conventions", limit).permutation(sorted(names))[:limit]
        }
        rows = rows[[key in kept for key in zip(rows["corpus"], rows["clip"], strict=True)]]
    return rows


def _execution(info: dict[str, Any]) -> Execution:
    told = info.get("execution", {})
    root = told.get("data_root")
    return Execution(data_root=None if root is None else Path(root), batch_memory=told.get("batch_memory"))


class _Scorer:
    """Scores the maps of one run; keeps what belongs to the clip at hand, since a shard's maps come clip by clip."""

    def __init__(self, bench: Workbench, config: RunConfig) -> None:
        self.bench, self.config = bench, config
        self._at: tuple[str, str] | None = None
        self._clips: ConditionedClips | None = None
        self._cases: dict[tuple[str, ...], Case] = {}

    def values(self, row: dict[str, Any], map_: Attribution) -> Iterator[dict[str, Any]]:
        """Rows of one score row under every convention."""
        record = METRICS.get(row["metric"])
        alone = of_map_alone(record)
        case = self.case(row, alone)
        metric = make_metric(row["metric"])
        kept = {name: row[name] for name in _KEPT} | {"sentence": case.clip.sentence}
        kept["negative"] = bool((map_.values < 0).any())
        for view in VIEWS if alone else (SIGNED,):
            for power in POWERS:
                values: dict[str, Any] = {"view": view, "power": power, "value": row["value"]}
                if (view, power) != (SIGNED, 1.0):
                    changed = Attribution(powered(map_.values, power, view), map_.grid, map_.target, map_.method)
                    try:
                        values["value"] = metric.score(case, Explained(changed, draw=row["repeat"])).value
                    except NotApplicable:
                        values["value"] = np.nan
                elif row["metric"] in AGAINST_TRUTH:
                    values |= self.best(row["metric"], case, map_)
                yield kept | values

    def case(self, row: dict[str, Any], alone: bool) -> Case:
        """The case of a row; those of one clip share what they compute."""
        if self._at != (row["corpus"], row["clip"]) or self._clips is None:
            self._at, self._cases = (row["corpus"], row["clip"]), {}
            self._clips = ConditionedClips(self.config, self.bench.corpus(row["corpus"]), Memo(), ComputeBackend())
        of_model = () if alone else ("model", "trained_on", "fold", "target")
        key = tuple(str(row[name]) for name in ("condition", *of_model))
        if key not in self._cases:
            recogniser: Recogniser = _MapOnly()
            seed: tuple = ()
            if not alone:
                recogniser = self.bench.recogniser(row["model"], row["trained_on"], row["fold"])
                keys = Keys(self.config, {}, self._clips.corpus, recogniser, self._clips)
                seed = keys.case_seed(row["clip"], row["condition"])
            clip = self._clips.clip(row["clip"], row["condition"])
            self._cases[key] = Case(recogniser, clip, row["target"], seed=seed, condition=row["condition"])
        return replace(self._cases[key], target=row["target"], fill=row["fill"] or self._cases[key].fill)

    def best(self, metric: str, case: Case, map_: Attribution) -> dict[str, Any]:
        """Random and attainable score of a map by one metric, and its resolution."""
        resolution = resolution_of(map_.values, map_.grid, case.grid)
        shown = case.shared(("truth at", _resolution_key(resolution)), lambda: truth_at(case, resolution))
        mask = case_truth_mask(case)
        rows, columns = resolution.grid.shape
        limited = resolution.limited_rows or resolution.limited_columns
        try:
            attainable = AGAINST_TRUTH[metric](shown, mask)
        except NotApplicable:
            attainable = np.nan
        return {
            "random": expected_at_random(metric, mask),
            "attainable": attainable,
            "cells": f"{rows} x {columns}",
            "coefficients": f"{resolution.rows} x {resolution.columns}" if limited else "",
        }


def _resolution_key(resolution: Resolution) -> tuple[Hashable, ...]:
    return (resolution.grid.freq_edges_hz.tobytes(), resolution.grid.time_edges_s.tobytes(), *resolution[1:])


# -- summaries ---------------------------------------------------------------------------------------------------------


def convention_ranges(values: pd.DataFrame) -> pd.DataFrame:
    """Mean score of each method at each power, and their range.

    Parameters
    ----------
    values : DataFrame
        As `scores_of_convention` returns it.

    Returns
    -------
    DataFrame
        One row per setting (columns `SETTING`), view and method: ``rank`` at power 1 (missing where the metric's record
        says ``ranked=False``), ``root``, ``plain`` and ``square``, the mean scores at powers 1/2, 1 and 2, ``low``,
        ``high`` and ``range`` over them, ``signed``: whether a map of the method holds a negative value, and
        ``n_clips`` of ``n_planned`` with a score at every power. Best method first.
    """
    frames = []
    for names, part in values.groupby([*SETTING, "view"], dropna=False, sort=False):
        rows = []
        for method, of_method in part.groupby("method", sort=True):
            by_power = _by_clip(of_method)
            known = by_power.dropna()
            root, plain, square = known.mean().tolist() if len(known) else [np.nan] * len(POWERS)
            rows.append(
                {
                    "method": method, "root": root, "plain": plain, "square": square,
                    "low": min(root, plain, square), "high": max(root, plain, square),
                    "signed": bool(of_method["negative"].any()), "n_clips": len(known), "n_planned": len(by_power),
                }
            )  # fmt: skip
        frame = pd.DataFrame(rows).assign(**dict(zip([*SETTING, "view"], names, strict=True)))
        frame["range"] = frame["high"] - frame["low"]
        metric = str(frame["metric"].iloc[0])
        order = frame["plain"].rank(method="min", ascending=frame["direction"].iloc[0] == "lower")
        frame["rank"] = order.astype("Int64") if is_ranked(metric) else pd.Series(pd.NA, frame.index, "Int64")
        frames.append(frame.assign(order=order).sort_values(["order", "method"], na_position="last"))
    columns = [*SETTING, "view", "rank", "method", "signed", "root", "plain", "square", "low", "high", "range",
               "n_clips", "n_planned"]  # fmt: skip
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def convention_pairs(values: pd.DataFrame) -> pd.DataFrame:
    """Pairs of methods, and whether their order lies within the range of convention.

    Parameters
    ----------
    values : DataFrame
        As `scores_of_convention` returns it.

    Returns
    -------
    DataFrame
        One row per setting (columns `SETTING`), view and pair, on the ``n_clips`` clips that both have scores for at
        every power: ``difference`` at power 1 in favour of a (oriented: positive is better), ``least`` and ``most``,
        the extremes over all choices of a power for a and one for b, and ``within_convention``: whether these include
        0, so that a choice of powers can turn the order.
    """
    rows = []
    for names, part in values.groupby([*SETTING, "view"], dropna=False, sort=False):
        setting = dict(zip([*SETTING, "view"], names, strict=True))
        sign = -1 if setting["direction"] == "lower" else 1
        tables = {str(method): _by_clip(of_method).dropna() for method, of_method in part.groupby("method", sort=True)}
        for a, b in combinations(tables, 2):
            clips = tables[a].index.intersection(tables[b].index)
            of_a, of_b = (sign * tables[name].loc[clips].mean().to_numpy() for name in (a, b))
            between = of_a[:, None] - of_b
            least, most = (between.min(), between.max()) if len(clips) else (np.nan, np.nan)
            rows.append(
                setting
                | {
                    "method_a": a, "method_b": b, "difference": between[1, 1], "least": least, "most": most,
                    "within_convention": bool(least <= 0 <= most), "n_clips": len(clips),
                }
            )  # fmt: skip
    columns = [*SETTING, "view", "method_a", "method_b", "difference", "least", "most", "within_convention", "n_clips"]
    return pd.DataFrame(rows, columns=columns)


def attainable_best(values: pd.DataFrame) -> pd.DataFrame:
    """Localisation relative to what a map of the same resolution can attain.

    Parameters
    ----------
    values : DataFrame
        As `scores_of_convention` returns it.

    Returns
    -------
    DataFrame
        One row per setting (columns `SETTING`) and method: the means ``score``, ``random`` and ``attainable``,
        ``share`` = (score - random) / (attainable - random), a ratio of means over the same ``n_clips`` clips, with
        ``low`` and ``high`` (95 %, linearised ratio, clusters by speaker and sentence as `stats.clustered`; missing
        where there is no claim), ``cells`` and ``coefficients``: the most frequent resolution, ``note``. The share is
        missing where the mean of attainable - random is below `MIN_RANGE`.
    """
    told = values[(values["view"] == SIGNED) & (values["power"] == 1.0) & values["attainable"].notna()]
    told = told[told["value"].notna()]
    rows = []
    for names, part in told.groupby([*SETTING, "method"], dropna=False, sort=False):
        clips = part.groupby("clip", sort=True).agg(
            value=("value", "mean"), random=("random", "mean"), attainable=("attainable", "mean"),
            speaker=("speaker", "first"), sentence=("sentence", "first"),
        )  # fmt: skip
        rows.append(
            dict(zip([*SETTING, "method"], names, strict=True))
            | {
                "score": clips["value"].mean(),
                "random": clips["random"].mean(),
                "attainable": clips["attainable"].mean(),
            }
            | _share(clips)
            | {"n_clips": len(clips), "cells": _most_frequent(part["cells"])}
            | {"coefficients": _most_frequent(part["coefficients"])}
        )
    columns = [*SETTING, "method", "score", "random", "attainable", "share", "low", "high", "n_clips", "cells",
               "coefficients", "note"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _share(clips: pd.DataFrame) -> dict[str, Any]:
    """Ratio of means with its interval; see `attainable_best`."""
    above = (clips["value"] - clips["random"]).to_numpy()
    reach = (clips["attainable"] - clips["random"]).to_numpy()
    if reach.mean() < MIN_RANGE:
        note = f"attainable - random = {reach.mean():.3f}, below {MIN_RANGE:g}"
        return {"share": np.nan, "low": np.nan, "high": np.nan, "note": note}
    ratio = float(above.mean() / reach.mean())
    influence = ratio + (above - ratio * reach) / reach.mean()  # their mean is the ratio, their spread its own
    sentences = clips["sentence"].to_numpy() if (clips["sentence"] != "").any() else None
    low, high = clustered_mean(influence, clips["speaker"].to_numpy(), sentences).bounds
    return {"share": ratio, "low": low, "high": high, "note": ""}


def _by_clip(of_method: pd.DataFrame) -> pd.DataFrame:
    """Scores of one method in one view: clips x powers, means over repeats."""
    table = of_method.pivot_table(index="clip", columns="power", values="value", aggfunc="mean", dropna=False)
    return table.reindex(columns=list(POWERS))


def _most_frequent(names: Iterable[str]) -> str:
    counts = pd.Series(list(names)).value_counts()
    return str(counts.index[0]) if len(counts) else ""
