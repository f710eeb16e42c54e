"""Robustness on the four axes as columns of a board: shift, recognisers, corpora, and seeds and retrainings.

Each column is the score of `robustness.pooled` over all comparisons of the axis together: all shifted conditions, all
other recognisers, all other trainings. Means and jackknife run over all rows, so that speakers count once. Corpora
share no clips: their column sets the correlation of band profiles of an emotion across corpora between that of two
emotions (0) and that of two halves of the speakers (1), all from disjoint speakers (`corpus_axis`), without interval.
Synthesised and edited speech counts as a corpus only where there are not two recorded ones, and corpora explained
against another fill than most only where there are not two of one fill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from .axis_rows import AxisTables
from .band_table import crossed, kinds, made_speech
from .corpus_axis import profile_contrast, profiles_of
from .leaderboard import leaderboard
from .robustness import AXES, pooled
from .same_fill import of_other_fills
from .shown_names import plain_name, recogniser_title, title_parts

CORPORA = "corpora"
COLUMNS = [
    "corpus", "model", "method", "axis", "score", "low", "high", "changed", "n_clips", "n_speakers", "compared",
    "passes", "rank", "note",
]  # fmt: skip
BAR_METRIC = "abpc"  # whose bar a method must pass to be ranked by robustness
MIN_RANGE = 0.1  # least difference of split half and other emotions


def passed_bar(scores: pd.DataFrame) -> dict[tuple[str, str], set[str]]:
    """Methods that pass the bar on abpc, clean, under the first fill, by corpus and recogniser that have it."""
    chosen = scores[(scores["metric"] == BAR_METRIC) & (scores["condition"] == "clean")]
    if chosen.empty:
        return {}
    board = leaderboard(chosen)
    first = chosen.groupby(["corpus", "model"], observed=True)["fill"].first()
    found: dict[tuple[str, str], set[str]] = {}
    for row in board.to_dict("records"):
        if row["fill"] == first[row["corpus"], row["model"]]:
            title = recogniser_title(row["model"], row["trained_on"])
            passed = found.setdefault((row["corpus"], title), set())
            passed |= {row["method"]} if row["passes_bar"] == "yes" else set()
    return found


def axis_clips(rows: pd.DataFrame) -> pd.DataFrame:
    """Comparisons (`robustness.clip_rows`), those of two recognisers or trainings once for each of the two."""
    mirrored = rows[rows["axis"].isin(["model", "retraining"])]
    mirrored = mirrored.assign(model=mirrored["other"], other=mirrored["model"])
    return pd.concat([rows, mirrored], ignore_index=True)


def axis_board(
    tables: AxisTables,
    passed: Mapping[tuple[str, str], Iterable[str]] | None = None,
) -> pd.DataFrame:
    """Robustness of each method on each axis that the tables allow.

    Parameters
    ----------
    tables : AxisTables
    passed : mapping of (str, str) to iterable of str
        Methods that beat `random` and `energy` in faithfulness, by corpus and recogniser. Only they are ranked, and
        where two or more do: a map that does not look at the recogniser is robust for the wrong reason.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`; ``axis`` is one of `robustness.AXES` or ``corpora``, whose ``corpus`` is empty; ``compared``
        names conditions, recognisers or corpora.
    """
    rows = axis_clips(tables.rows)
    others = rows.groupby(["axis", "corpus", "model", "method"])["other"].agg(
        lambda names: ", ".join(sorted(set(names)))
    )
    found = []
    for row in pooled(rows.assign(other="")).to_dict("records"):
        place = (row["axis"], row["corpus"], row["model"], row["method"])
        found.append({name: row[name] for name in COLUMNS if name in row} | {"compared": others[place]})
    found += _corpora(tables.bands)
    board = pd.DataFrame(found, columns=COLUMNS)
    names = zip(board["corpus"], board["model"], board["method"], strict=True)
    board["passes"] = [method in set((passed or {}).get((corpus, model), ())) for corpus, model, method in names]
    groups = ["axis", "corpus", "model"]
    scored = board["score"].where(board["passes"])
    enough = scored.groupby([board[name] for name in groups]).transform("count") > 1
    ranks = scored.groupby([board[name] for name in groups]).rank(ascending=False, method="min")
    board["rank"] = ranks.where(enough).astype("Int64")
    return board


def _corpora(bands: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of axis ``corpora``, by kind of recogniser and method."""
    found = []
    # of recognisers of the corpus itself: one of another corpus is another recogniser
    bands = bands[~crossed(bands)].assign(kind=kinds(bands))
    for kind, of_kind in bands.groupby("kind", sort=False):
        for method in dict.fromkeys(of_kind["method"]):
            own = of_kind[of_kind["method"] == method]
            # speech made from another corpus, or from none, is no further corpus; profiles against another fill are
            # not compared
            for left_out in (made_speech, of_other_fills):
                kept = own[~left_out(own)]
                own = kept if kept["corpus"].nunique() > 1 else own
            profiles = profiles_of(own, method)
            if len(profiles.speakers) < 2:
                continue
            means = profile_contrast(profiles, interval=False).means
            span = means["split half"] - means["emotions"]
            row: dict[str, Any] = {
                "corpus": "", "model": kind, "method": method, "axis": CORPORA, "n_clips": profiles.n_clips,
                "n_speakers": sum(profiles.speakers.values()), "compared": ", ".join(sorted(profiles.speakers)),
                "note": f"corpora {means['corpora']:.2f}, emotions {means['emotions']:.2f}, "
                f"split half {means['split half']:.2f}",
            }  # fmt: skip
            if span > MIN_RANGE:
                row["score"] = (means["corpora"] - means["emotions"]) / span
            else:
                row["note"] += ": two halves are hardly more alike than two emotions"
            found.append(row)
    return found


def axis_grid(board: pd.DataFrame) -> list[list[str]]:
    """Header and lines of a board: methods of each corpus and recogniser, axes as columns, as text.

    Axis ``corpora`` stands beside recognisers of the corpus itself, of which it is.

    Parameters
    ----------
    board : DataFrame
        Of `axis_board`.
    """
    axes = [axis for axis in (*AXES[:2], CORPORA, *AXES[2:]) if (board["axis"] == axis).any()]
    of_corpora = board[board["axis"] == CORPORA].set_index(["model", "method"])
    lines = []
    for (corpus, model, method), part in board[board["axis"] != CORPORA].groupby(
        ["corpus", "model", "method"], sort=False
    ):
        by_axis = {row["axis"]: row for row in part.to_dict("records")}
        name, trained_on = title_parts(str(model))
        kind, own = plain_name(name), trained_on in ("", plain_name(str(corpus)))
        if own and (kind, method) in of_corpora.index:
            by_axis[CORPORA] = of_corpora.loc[(kind, method)].to_dict()
        passes = "▲" if part["passes"].any() else ""
        lines.append([f"{method}{passes}", str(corpus), str(model), *(_cell(by_axis.get(axis)) for axis in axes)])
    return [["method", "corpus", "recogniser", *axes], *lines]


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None or not np.isfinite(row["score"]):
        return "–"
    interval = f" [{row['low']:.2f}, {row['high']:.2f}]" if np.isfinite(row["low"]) else ""
    rank = f", rank {row['rank']}" if pd.notna(row["rank"]) else ""
    return f"{row['score']:.2f}{interval}{rank}"


AXIS_LEGEND = (
    "Robustness on the four axes: (similarity - floor) / (ceiling - floor), 0: as alike as other clips, 1: as a "
    "repeat; clips whose predicted class is the same, [95 %] by a jackknife over speakers. Shift: all shifted "
    "conditions; model: all other recognisers; corpora: band profiles of an emotion across corpora, of the kind of "
    "recogniser; retraining, seed: another training, another seed of the method. ▲ beats random and energy on abpc; "
    "only these are ranked, where two or more do. All numbers: axes.csv; by condition: `serxai robustness`."
)
