"""Heat map and HTML tables of the plausibility report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import seaborn as sns
from matplotlib import rc_context

from ....cues.records import CUES
from ....errors import InputError
from ....methods.records import METHODS
from ....metrics.verdict import labelled
from ...analysis.leaderboard import ordered
from ...analysis.plausibility import COLUMNS, MEASURED, RANDOM, plausibility_table
from ...stats.clustered import MIN_SPEAKERS
from ...storage.store import Store
from ..tables import number
from .style import STYLE, footnote, new_figure, save, title

if TYPE_CHECKING:
    from ...run.runner import Progress

PLANTED = {"cue-recall": "recall", "cue-precision": "precision"}
RIGHT_OR_WRONG = ": correct - wrong"


def draw_plausibility(table: pd.DataFrame, picture: str | Path) -> Path:
    """Draw the gain in direction agreement as heat maps, one per emotion, with the whole table as CSV.

    Parameters
    ----------
    table : DataFrame
        Of `plausibility_table`; its first corpus and model are drawn.
    picture : path

    Raises
    ------
    InputError
        If no source speaks of any emotion explained.
    """
    shown = table[table["measure"] == "direction-agreement"]
    if shown.empty:
        raise InputError(
            "figure plausibility: no source expects anything of the emotions explained (neutral has none)."
        )
    first = shown.iloc[0]
    shown = shown[(shown["corpus"] == first["corpus"]) & (shown["model"] == first["model"])]
    methods = _methods(shown)
    panels = [
        (emotion, part.assign(row=part["cue"] + "  " + part["source"]))
        for emotion, part in shown.groupby("emotion", sort=True)
    ]
    tallest = max(part["row"].nunique() for _, part in panels)
    with rc_context(STYLE):
        figure = new_figure(1.2 + len(panels) * (2.3 + 0.75 * len(methods)), 2.6 + 0.2 * tallest)
        for ax, (emotion, part) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            rows = list(dict.fromkeys(part.sort_values(["cue", "source"], kind="stable")["row"]))
            half = (part["gain_high"] - part["gain_low"]) / 2
            pairs = zip(part["gain"], half, strict=True)
            part = part.assign(text=[f"{gain:+.2f}" + ("" if pd.isna(h) else f" ±{h:.2f}") for gain, h in pairs])
            gains, text = (
                part.pivot(index="row", columns="method", values=name).reindex(index=rows, columns=methods)
                for name in ("gain", "text")
            )
            least, most = part["clips"].min(), part["clips"].max()
            clips = f"{least:.0f}" if least == most else f"{least:.0f} to {most:.0f}"
            sns.heatmap(
                gains,
                annot=text.fillna("").to_numpy(),
                fmt="",
                cmap="vlag",
                vmin=-1,
                vmax=1,
                cbar=False,
                linewidths=0.5,
                ax=ax,
                annot_kws={"fontsize": 7},
                xticklabels=methods,
                yticklabels=rows,
            )
            ax.set(xlabel="", ylabel="")
            ax.set_title(f"{emotion}, {clips} of {part['planned'].max():.0f} clips", loc="left", fontweight="bold")
            ax.tick_params(length=0)
            ax.tick_params(axis="x", rotation=90)
        title(
            figure,
            f"direction agreement of cues, gain over matched random windows: {first['corpus']}, {first['model']}",
        )
        footnote(
            figure,
            f"0 is chance; ± half the 95 % interval, speakers as clusters (none below {MIN_SPEAKERS} speakers, nor "
            "where all clips agree); other measures and other recognisers in the CSV; sources are never merged",
        )
        return save(figure, table, picture)


def plausibility_of_run(
    store: Store, picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """Draw `draw_plausibility` of a run."""
    return draw_plausibility(plausibility_table(store, data_root, progress), picture)


def page_tables(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Tables of the plausibility report for the HTML page.

    Parameters
    ----------
    table : DataFrame
        Of `plausibility_table`, or the rows of `correctness_rows` alone.

    Returns
    -------
    list of dict
        With ``caption``, ``note`` (how to read it), ``header``, ``rows`` (of text) and ``folded`` (long ones are).
        Tables without rows are left out.
    """
    result = []
    for (corpus, model), part in table.reindex(columns=COLUMNS).groupby(["corpus", "model"], sort=False):
        where = f"{corpus}, {model}"
        result += [
            {
                "caption": f"Planted cues: {where}",
                "note": "Which families of cues (pitch, loudness, spectrum, voice quality) stand out where a method "
                "points, over the clips of one speaker and emotion, and are they those that were planted? Recall: of "
                "the planted ones; precision: of the claimed ones. In brackets 95 % with speakers as clusters; by "
                "chance: what random shifts of the same windows claim.",
                "header": ["method", "recall", "by chance", "precision", "by chance", "planted", "claimed", "clips"],
                "rows": list(_planted(part)),
                "folded": False,
            },
            {
                "caption": f"Right and wrong predictions: {where}",
                "note": "Mean score of clips that the recogniser got right less that of those it got wrong, within "
                "speaker and class heard; t test over speakers, Holm over methods. Positive: explanations of wrong "
                "predictions are less plausible. –: no speaker has a right and a wrong clip heard as the same class "
                f"(no p: fewer than {MIN_SPEAKERS} have).",
                "header": [
                    "metric",
                    "method",
                    "correct - wrong",
                    "95 % interval",
                    "p",
                    "p (Holm)",
                    "clips",
                    "speakers",
                ],
                "rows": list(_right_or_wrong(part)),
                "folded": False,
            },
        ]
        agreement = part[part["measure"] == "direction-agreement"]
        for emotion, of_class in agreement.groupby("emotion", sort=True):
            methods = _methods(of_class)
            result.append(
                {
                    "caption": f"Direction agreement in {emotion}, by cue and source: {where}",
                    "note": "Share of clips whose cue, where a method points against the rest of the clip, has the "
                    "direction that the source expects, less that of matched random windows: 0 is chance. In brackets "
                    "95 %, speakers as clusters; then clips of those planned. Sources that expect the same have the "
                    "same numbers.",
                    "header": ["cue", "expects", "sources", *methods],
                    "rows": list(_agreement(of_class, methods)),
                    "folded": True,
                }
            )
        scores = part[part["measure"].str.startswith("score of ") & (part["emotion"] != "")]
        if len(scores):
            methods = _methods(scores)
            result.append(
                {
                    "caption": f"Mean scores by emotion explained: {where}",
                    "note": "In brackets 95 %, speakers as clusters; then clips of those planned.",
                    "header": ["metric", "of", "emotion", *methods],
                    "rows": list(_scores(scores, methods)),
                    "folded": True,
                }
            )
    return [one for one in result if one["rows"]]


def _planted(part: pd.DataFrame) -> Iterator[list[str]]:
    rows = part[part["measure"].isin(PLANTED)].set_index(["method", "measure"])
    for method in _methods(rows.reset_index()):
        recall, precision = (rows.loc[(method, measure)] for measure in PLANTED)
        yield [
            method,
            _with_interval(recall),
            number(recall["chance"]),
            _with_interval(precision),
            number(precision["chance"]),
            f"{recall['counted']:.0f}",
            f"{precision['counted']:.0f}",
            _clips(recall),
        ]


def _right_or_wrong(part: pd.DataFrame) -> Iterator[list[str]]:
    for _, row in part[part["measure"].str.endswith(RIGHT_OR_WRONG)].iterrows():
        interval = "–" if pd.isna(row.get("low")) else f"{number(row['low'])} … {number(row['high'])}"
        p, p_holm = ("–" if pd.isna(row.get(name)) else f"{row[name]:.3f}" for name in ("p", "p_holm"))
        difference = "–" if pd.isna(row["value"]) else f"{row['value']:+.3f}"
        counts = [_clips(row), f"{row['speakers']:.0f}"]
        yield [
            labelled(row["measure"].removesuffix(RIGHT_OR_WRONG)),
            row["method"],
            difference,
            interval,
            p,
            p_holm,
            *counts,
        ]


def _agreement(part: pd.DataFrame, methods: Iterable[str]) -> Iterator[list[str]]:
    """Rows of direction agreement by cue and direction; sources that expect the same share a row."""
    place = {cue: i for i, cue in enumerate(ordered(part["cue"], CUES.names()))}
    # the corpus' own direction differs from clip to clip with the speaker left out
    stands = part["source"].where(part["source"] == MEASURED, "")
    keys = part.assign(place=part["cue"].map(place), own=stands)
    for (_, own, direction), rows in keys.groupby(["place", "own", "direction"], sort=True):
        expects = "" if own else "more" if direction > 0 else "less"
        sources = ", ".join(sorted(set(rows["source"])))
        one = rows[rows["source"] == rows["source"].iloc[0]]
        yield [
            CUES.get(rows["cue"].iloc[0]).label,
            expects,
            sources,
            *_cells(one, methods, "gain", "gain_low", "gain_high"),
        ]


def _scores(part: pd.DataFrame, methods: Iterable[str]) -> Iterator[list[str]]:
    of = part["cue"].fillna("").where(part["cue"].fillna("") != "", part["source"].fillna(""))
    named = part.assign(of=of.where(of != "", "all"), metric=part["measure"].str.removeprefix("score of "))
    for (metric, what, emotion), rows in named.groupby(["metric", "of", "emotion"], sort=False):
        yield [labelled(metric), what, emotion, *_cells(rows, methods, "value", "low", "high")]


def _cells(rows: pd.DataFrame, methods: Iterable[str], *columns: str) -> list[str]:
    by_method = rows.set_index("method")
    return [
        f"{_with_interval(by_method.loc[m], *columns)} ({_clips(by_method.loc[m])})" if m in by_method.index else "–"
        for m in methods
    ]


def _clips(row: pd.Series) -> str:
    return f"{row['clips']:.0f} of {row['planned']:.0f}"


def _with_interval(row: pd.Series, value: str = "value", low: str = "low", high: str = "high") -> str:
    if pd.isna(row[value]):
        return "–"
    interval = "" if pd.isna(row[low]) else f" [{row[low]:+.2f}, {row[high]:+.2f}]"
    return f"{row[value]:+.2f}{interval}"


def _methods(rows: pd.DataFrame) -> list[str]:
    """Methods in registry order, random windows last."""
    methods = ordered(set(rows["method"]) - {RANDOM}, METHODS.names())
    return [*methods, *([RANDOM] if (rows["method"] == RANDOM).any() else [])]
