"""Heat map and HTML tables of the plausibility report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from ....cues.records import CUES
from ....errors import InputError
from ....methods.records import METHODS
from ....metrics.verdict import labelled
from ...analysis.leaderboard import ordered
from ...analysis.plausibility import COLUMNS, MEASURED, RANDOM, plausibility_table
from ...stats.clustered import MIN_SPEAKERS
from ...storage.store import Store
from ..tables import number
from .style import INK, PAPER, PAPER_DPI, SMALL, TWO_COLUMNS, new_page, save

if TYPE_CHECKING:
    from ...run.runner import Progress

PLANTED = {"cue-recall": "recall", "cue-precision": "precision"}
RIGHT_OR_WRONG = ": correct - wrong"
MOST_TOLD = 10  # methods whose numbers are printed in the heat map


def draw_plausibility(table: pd.DataFrame, picture: str | Path) -> Path:
    """Draw the gain in direction agreement as heat maps, one below the other, with the whole table as CSV.

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
    panels = [(str(emotion), part, list(_by_direction(part))) for emotion, part in shown.groupby("emotion", sort=True)]
    heading = f"Direction agreement of cues in salient windows: {first['corpus']}, {first['model']}"
    told = ", each with half its 95 % interval" if len(methods) <= MOST_TOLD else ""
    note = (
        "Share of clips whose cue, in the salient windows against the rest of the clip, has the direction that "
        f"sources expect, less that of matched random windows: 0 is chance{told} (speakers as clusters; none below "
        f"{MIN_SPEAKERS} speakers, nor where all clips agree). Sources that expect the same have the same numbers and "
        "share a row; measured: the direction in the corpus on the other speakers. Other measures and recognisers are "
        "in the CSV."
    )
    with rc_context(PAPER):
        heights = [len(rows) for _, _, rows in panels]
        figure, content = new_page(TWO_COLUMNS, 1.5 + 0.3 * len(panels) + 0.155 * sum(heights), heading, note)
        axes = content.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights).ravel()
        colours = ScalarMappable(Normalize(-1, 1), sns.color_palette("vlag", as_cmap=True))
        for ax, (emotion, part, rows) in zip(axes, panels, strict=True):
            _heat_map(ax, rows, methods, colours)
            least, most = part["clips"].min(), part["clips"].max()
            clips = f"{least:.0f}" if least == most else f"{least:.0f} to {most:.0f}"
            ax.set_title(f"{emotion}, {clips} of {part['planned'].max():.0f} clips", loc="left", fontweight="bold")
        axes[-1].set_xticks(range(len(methods)), methods, rotation=40, ha="right", rotation_mode="anchor")
        content.colorbar(colours, ax=list(axes), shrink=0.5, aspect=40, pad=0.01).set_label("gain over chance")
        return save(figure, table, picture, dpi=PAPER_DPI)


def _heat_map(ax: Any, rows: list[tuple[str, pd.DataFrame]], methods: list[str], colours: ScalarMappable) -> None:
    for y, (_, of_row) in enumerate(rows):
        by_method = of_row.set_index("method")
        for x, method in enumerate(methods):
            if method not in by_method.index:
                continue
            row = by_method.loc[method]
            half = (row["gain_high"] - row["gain_low"]) / 2
            ax.add_patch(Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, color=colours.to_rgba(row["gain"]), linewidth=0))
            if len(methods) <= MOST_TOLD:
                text = f"{row['gain']:+.2f}" + ("" if pd.isna(half) else f" ±{half:.2f}")
                ink = "white" if abs(row["gain"]) > 0.7 else INK
                ax.text(x, y, text, ha="center", va="center", fontsize=SMALL - 0.5, color=ink)
    ax.set(xlim=(-0.5, len(methods) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_yticks(range(len(rows)), [label for label, _ in rows])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _by_direction(part: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Label and rows, one a method, of each cue and direction of one emotion."""
    for rows in _same_direction(part):
        way = "higher" if rows["direction"].iloc[0] > 0 else "lower"
        sources = sorted(set(rows["source"]))
        named = MEASURED if sources == [MEASURED] else sources[0] if len(sources) == 1 else f"{len(sources)} sources"
        cue = CUES.get(rows["cue"].iloc[0]).label
        yield f"{cue}, {named if named == MEASURED else f'{way}: {named}'}", rows[rows["source"] == sources[0]]


def _same_direction(part: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Rows of each cue and direction; sources that expect the same, whose numbers are the same, together."""
    place = {cue: i for i, cue in enumerate(ordered(part["cue"], CUES.names()))}
    # the corpus' own direction differs from clip to clip with the speaker left out
    stands = part["source"].where(part["source"] == MEASURED, "")
    keys = part.assign(place=part["cue"].map(place), own=stands)
    for _, rows in keys.groupby(["place", "own", "direction"], sort=True):
        yield rows


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
    for rows in _same_direction(part):
        own = rows["source"].iloc[0] == MEASURED
        expects = "" if own else "more" if rows["direction"].iloc[0] > 0 else "less"
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
