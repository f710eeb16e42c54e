"""How alike do two methods explain the same clips? Read from stored explanations, without any model call.

Similarity is Spearman's rank correlation over the cells of the scoring grid. High agreement is no quality: methods can
share a fault. It says which methods are near-copies, and where the choice of the method decides what one sees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import combinations_with_replacement
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context

from ..audio import scoring_grid
from ..datasets.corpora import load_corpus
from ..errors import ClipError, InputError, NotApplicable
from ..methods.attribution import Attribution
from ..methods.records import METHODS
from ..metrics.case import summed_on
from ..metrics.robustness import rank_correlation
from .figures_board import STYLE, footnote, new_figure, save, title
from .leaderboard import ordered
from .statistics import MIN_SPEAKERS, clustered_mean
from .store import Explanation, Store

if TYPE_CHECKING:
    from .runner import Progress

COLUMNS = ["corpus", "model", "condition", "method", "other", "mean", "low", "high", "clips", "planned", "speakers"]


def similarities(maps: Mapping[str, Attribution], duration_s: float | None = None) -> dict[tuple[str, str], float]:
    """Rank correlation of each pair of maps of one clip, on its scoring grid.

    Parameters
    ----------
    maps : mapping of str to Attribution
        By method.
    duration_s : float, optional
        Length of the clip. Front ends pad: without it, the clip is taken to end where the first of its maps does.

    Returns
    -------
    dict of (str, str) to float
        Each pair once, in the order of `maps`; without pairs of which a map is constant.
    """
    grid = scoring_grid(duration_s or min(float(map_.grid.time_edges_s[-1]) for map_ in maps.values()))
    moved = {name: summed_on(map_.values, map_.grid, grid) for name, map_ in maps.items()}
    found = {}
    for one, other in combinations_with_replacement(moved, 2):
        try:
            found[one, other] = rank_correlation(moved[one], moved[other])
        except NotApplicable:
            continue
    return found


def agreement(
    explanations: Iterable[Explanation],
    speakers: Mapping[tuple[str, str], str],
    progress: Progress | None = None,
    durations: Callable[[str, str], float | None] = lambda corpus, clip: None,
) -> pd.DataFrame:
    """Mean similarity of each pair of methods over the clips and targets that both explained.

    Parameters
    ----------
    explanations : iterable of Explanation
        Repeats other than the first are left out.
    speakers : mapping of (str, str) to str
        Speaker of each (corpus, clip); clips of one speaker are not independent.
    progress : callable, optional
        Called with (what, done, total).
    durations : callable, optional
        Length of a clip (corpus, clip) in seconds, None where it is not known; see `similarities`.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row per (corpus, model, condition) and unordered pair of methods, in the order of the
        registry; ``low`` and ``high`` bound the mean with 95 % (missing below 6 speakers). ``clips`` are the maps
        compared, of ``planned`` clips and targets that any method explained.
    """
    by_clip: dict[tuple[str, ...], dict[str, Attribution]] = {}
    for e in explanations:
        if e.repeat == 0:
            what = (e.corpus, e.model, e.condition, e.clip, e.attribution.target)
            by_clip.setdefault(what, {})[e.attribution.method] = e.attribution
    rows = []
    for done, ((corpus, model, condition, clip, _), maps) in enumerate(sorted(by_clip.items(), key=lambda i: i[0]), 1):
        named = {name: maps[name] for name in ordered(maps, METHODS.names())}
        rows += [
            (corpus, model, condition, *pair, value, speakers[corpus, clip])
            for pair, value in similarities(named, durations(corpus, clip)).items()
        ]
        if progress is not None:
            progress("comparing maps", done, len(by_clip))
    table = pd.DataFrame(rows, columns=[*COLUMNS[:5], "value", "speaker"])
    planned = Counter(what[:3] for what in by_clip)
    found = []
    for names, part in table.groupby(COLUMNS[:5], sort=False):
        mean = clustered_mean(part["value"], part["speaker"].tolist())
        found.append((*names, mean.mean, *mean.bounds, mean.n, planned[names[:3]], mean.clusters))
    places = {name: i for i, name in enumerate(ordered({*table["method"], *table["other"]}, METHODS.names()))}
    result = pd.DataFrame(found, columns=COLUMNS)
    by = [*COLUMNS[:3], "method", "other"]
    return result.sort_values(
        by, key=lambda c: c.map(places) if c.name in ("method", "other") else c, ignore_index=True
    )


def agreement_matrix(table: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Square and symmetric matrix of the means of one setting; NaN where two methods share no clip."""
    pairs = table.set_index(["method", "other"])["mean"].to_dict()
    values = [[pairs.get((a, b), pairs.get((b, a), np.nan)) for b in methods] for a in methods]
    return pd.DataFrame(values, index=list(methods), columns=list(methods))


def draw_agreement(table: pd.DataFrame, picture: str | Path) -> Path:
    """Heat map of the agreement of methods in the first setting of a table, and all its numbers as CSV.

    Parameters
    ----------
    table : DataFrame
        As `agreement` returns it.
    picture : path

    Raises
    ------
    InputError
        If the table is empty.
    """
    if table.empty:
        raise InputError(
            "figure: the run holds no explanations to compare; finish it with `serxai run --resume` first."
        )
    setting = table.iloc[0][["corpus", "model", "condition"]]
    part = table[(table[setting.index] == setting).all(axis=1)]
    methods = ordered({*part["method"], *part["other"]}, METHODS.names())
    matrix = agreement_matrix(part, methods)
    half = agreement_matrix(part.assign(mean=(part["high"] - part["low"]) / 2), methods)
    texts = [
        ["" if np.isnan(m) else f"{m:.2f}" + ("" if np.isnan(h) else f"\n±{h:.2f}") for m, h in zip(*row, strict=True)]
        for row in zip(matrix.round(2).to_numpy() + 0.0, half.to_numpy(), strict=True)  # without -0.00
    ]
    least, most = part["clips"].min(), part["clips"].max()
    size = 0.62 * len(methods)
    with rc_context(STYLE):
        figure = new_figure(3.4 + size, 2.2 + size)
        ax = figure.subplots()
        labels = [shorten(name, 28, placeholder="…") for name in methods]
        sns.heatmap(
            matrix, annot=np.array(texts), fmt="", cmap="vlag", vmin=-1, vmax=1, square=True, linewidths=1,
            ax=ax, annot_kws={"fontsize": 8}, xticklabels=labels, yticklabels=labels,
            cbar_kws={"label": "rank correlation", "shrink": 0.6},
        )  # fmt: skip
        ax.tick_params(length=0)
        ax.tick_params(axis="x", rotation=90)
        title(figure, f"agreement of methods: {setting['corpus']}, {setting['model']}, {setting['condition']}")
        over = f"{most}" if least == most else f"{least} to {most}"
        footnote(
            figure,
            f"mean ± half its 95 % interval (speakers as clusters; none below {MIN_SPEAKERS} speakers) over {over} of "
            f"{part['planned'].max()} clips; agreement is no quality",
        )
        return save(figure, part, picture)


def agreement_of_run(
    store: Store, picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """`draw_agreement` of a run's explanations of clean clips; where the corpora are at hand they tell the lengths."""
    root = data_root or store.info["execution"]["data_root"]
    known = store.scores(["corpus", "clip", "speaker"]).drop_duplicates(["corpus", "clip"])
    speakers = {(str(r.corpus), str(r.clip)): str(r.speaker) for r in known.itertuples()}
    corpora = {}
    for name in known["corpus"].unique():
        with suppress(InputError):
            corpora[name] = load_corpus(name, root)

    def duration(corpus: str, clip: str) -> float | None:
        try:
            return corpora[corpus].clip(clip).duration_s
        except (KeyError, InputError, ClipError):
            return None

    found = (e for e in store.explanations(condition="clean") if (e.corpus, e.clip) in speakers)
    return draw_agreement(agreement(found, speakers, progress, duration), picture)
