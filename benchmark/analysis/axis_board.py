"""Robustness on the four axes as columns of a board: shift, recognisers, corpora, and seeds and retrainings.

Each column is the score of `robustness.pooled` over comparisons of the axis together: shifted conditions, other
recognisers, other trainings. Means and jackknife run over all rows, so that speakers count once. Within a corpus and
recogniser they are the comparisons that its methods share (`shared_comparisons`); a method outside has its own, and no
rank.

Corpora share no clips: their column is `corpora_score`, of profiles of emotions by one kind of recogniser, from the
explanations that its methods share. Synthesised and edited speech counts as a corpus only where there are not two
recorded ones, and corpora explained against another fill than most only where there are not two of one fill.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...methods.records import baselines
from ...metrics.records import METRICS
from .axis_rows import AxisTables
from .band_table import crossed, kinds, made_speech
from .corpora_score import corpora_score
from .corpus_axis import profiles_of
from .leaderboard import leaderboard
from .robustness import AXES, pooled
from .same_fill import of_other_fills
from .shared_comparisons import SHARED, as_bits, pooled_alike, shared_by_most
from .shown_names import plain_name, recogniser_title, title_parts

CORPORA = "corpora"
COLUMNS = [
    "corpus", "model", "method", "axis", "score", "low", "high", "changed", "n_clips", "n_speakers", "compared",
    "shared", "passes", "rank", "note",
]  # fmt: skip
PLACE = ["axis", "corpus", "model", "method"]
OWN = "°"  # behind a score over other comparisons than those of the methods beside it
MOST_NAMED = 6  # conditions, recognisers or corpora that a line names
BAR_METRIC = "abpc"  # whose bar a method must pass to be ranked by robustness
EXPLAINED = ["corpus", "clip", "target"]  # what names an explanation of a kind of recogniser


def passed_bar(scores: pd.DataFrame, board: pd.DataFrame | None = None) -> dict[tuple[str, str], set[str]]:
    """Methods that pass the bar on abpc, clean, under the first fill, by corpus and recogniser that have it.

    Parameters
    ----------
    scores : DataFrame
    board : DataFrame, optional
        Their `leaderboard`; where it is not given, that of the bar's family, over which p is corrected.
    """
    chosen = scores[(scores["metric"] == BAR_METRIC) & (scores["condition"] == "clean")]
    if chosen.empty:
        return {}
    if board is None:
        board = leaderboard(scores[scores["family"] == METRICS.get(BAR_METRIC).family])
    board = board[(board["metric"] == BAR_METRIC) & (board["condition"] == "clean")]
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
        names conditions, recognisers or corpora; ``n_clips`` counts comparisons, of corpora clips; ``shared`` says
        whether a score is over the comparisons that the methods of its corpus, recogniser and axis share, which alone
        are ranked.
    """
    rows = axis_clips(tables.rows)
    alike = pooled_alike(rows)
    others = alike.groupby(PLACE)["other"].agg(lambda names: ", ".join(sorted(set(names))))
    all_own = rows.dropna(subset=["similarity", "floor", "ceiling"])
    all_own = all_own[all_own["unchanged"].ne(False)].groupby(PLACE).size()
    inside = alike.groupby(PLACE)[SHARED].first()
    sharing = inside.groupby(level=PLACE[:-1]).sum()
    found = []
    for row in pooled(alike.assign(other="")).to_dict("records"):
        place = tuple(row[name] for name in PLACE)
        told = {name: row[name] for name in COLUMNS if name in row}
        told |= {"compared": others[place], "shared": bool(inside[place])}
        told["note"] = _noted(row["note"], told, int(all_own.get(place, 0)), int(sharing[place[:-1]]), "comparisons")
        found.append(told)
    found += _corpora(tables.bands)
    return ranked_axes(pd.DataFrame(found, columns=COLUMNS), passed or {})


def ranked_axes(board: pd.DataFrame, passed: Mapping[tuple[str, str], Iterable[str]]) -> pd.DataFrame:
    """Columns ``passes`` and ``rank`` of an `axis_board`, by the methods that passed; the others are as they were."""
    board = board.copy()
    names = zip(board["corpus"], board["model"], board["method"], strict=True)
    board["passes"] = [method in set(passed.get((corpus, model), ())) for corpus, model, method in names]
    scored = board["score"].where(board["passes"] & board["shared"].eq(True))
    groups = [board[name] for name in PLACE[:-1]]
    enough = scored.groupby(groups).transform("count") > 1
    ranks = scored.groupby(groups).rank(ascending=False, method="min")
    board["rank"] = ranks.where(enough).astype("Int64")
    return board


def _noted(note: str, row: Mapping[str, Any], n_own: int, n_methods: int, what: str) -> str:
    """Note of a row, with what it is pooled over where that is not all it has, or not what the others have."""
    aside = ""
    if row["shared"] and row["n_clips"] < n_own:
        aside = f"over the {row['n_clips']} of its {n_own} {what} that {n_methods} methods share"
    elif not row["shared"] and n_own and n_methods:
        aside = f"over {what} of its own, not those that {n_methods} methods share: not ranked"
    return "; ".join(text for text in (note, aside) if text)


def _corpora(bands: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of axis ``corpora``, by kind of recogniser and method."""
    found = []
    # of recognisers of the corpus itself: one of another corpus is another recogniser
    bands = bands[~crossed(bands)].assign(kind=kinds(bands))
    for kind, of_kind in bands.groupby("kind", sort=False):
        tables = {method: _comparable(of_kind[of_kind["method"] == method]) for method in of_kind["method"].unique()}
        comparisons, places = as_bits({method: _explained(table) for method, table in tables.items()})
        sharing, shared = shared_by_most(comparisons, _PairsOfCorpora(places), baselines())
        for method, table in tables.items():
            n_own = table[["corpus", "clip"]].drop_duplicates().shape[0]
            if method in sharing:
                table = table[[bool(shared >> places[key] & 1) for key in _explained(table)]]
            profiles = profiles_of(table, method)
            if len(profiles.speakers) < 2:
                continue
            told = corpora_score(profiles)
            means = f"corpora {told.corpora:.2f}, emotions {told.emotions:.2f}, split half {told.split_half:.2f}"
            row: dict[str, Any] = {
                "corpus": "", "model": kind, "method": method, "axis": CORPORA, "score": told.score, "low": told.low,
                "high": told.high, "n_clips": profiles.n_clips, "n_speakers": sum(profiles.speakers.values()),
                "compared": ", ".join(sorted(profiles.speakers)), "shared": method in sharing,
            }  # fmt: skip
            note = "; ".join(text for text in (means, told.note) if text)
            found.append(row | {"note": _noted(note, row, n_own, len(sharing), "clips")})
    return found


def _comparable(table: pd.DataFrame) -> pd.DataFrame:
    """Explanations of a method whose profiles are compared across corpora.

    Speech made from another corpus, or from none, is no further corpus; profiles against another fill are not compared.
    Both are left out where two corpora remain.
    """
    for left_out in (made_speech, of_other_fills):
        kept = table[~left_out(table)]
        table = kept if kept["corpus"].nunique() > 1 else table
    return table


def _explained(table: pd.DataFrame) -> list[tuple[Hashable, ...]]:
    return list(table[EXPLAINED].itertuples(index=False, name=None))


class _PairsOfCorpora:
    """Number of pairs of explanations of one emotion in two corpora.

    Parameters
    ----------
    places : mapping of tuple to int
        Bit of each explanation, `EXPLAINED`.
    """

    def __init__(self, places: Mapping[tuple[Hashable, ...], int]) -> None:
        self._of_emotion: dict[Hashable, dict[Hashable, int]] = {}
        for (corpus, _, emotion), place in places.items():
            of_corpus = self._of_emotion.setdefault(emotion, {})
            of_corpus[corpus] = of_corpus.get(corpus, 0) | 1 << place

    def __call__(self, some: int) -> int:
        """Count the pairs among some explanations."""
        total = 0
        for of_corpus in self._of_emotion.values():
            sizes = [(some & bits).bit_count() for bits in of_corpus.values()]
            total += (sum(sizes) ** 2 - sum(n**2 for n in sizes)) // 2
        return total


def shared_texts(board: pd.DataFrame) -> list[str]:
    """What the methods of each corpus, recogniser and axis are pooled over, a line each.

    Parameters
    ----------
    board : DataFrame
        Of `axis_board`.
    """
    found = []
    for (axis, corpus, model), part in board[board["shared"].eq(True)].groupby(PLACE[:-1], sort=False):
        first, others = part.iloc[0], [name for name in part["compared"].iloc[0].split(", ") if name]
        named = ", ".join(others) if len(others) <= MOST_NAMED else f"{len(others)} of them (axes.csv)"
        what = "clips" if axis == CORPORA else "comparisons"
        setting = ", ".join(name for name in (str(axis), str(corpus), str(model)) if name)
        found.append(f"{setting}: {first['n_clips']} {what}, {len(part)} methods{': ' * bool(named)}{named}")
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
    own = "" if row["shared"] else OWN
    return f"{row['score']:.2f}{own}{interval}{rank}"


AXIS_LEGEND = (
    "Robustness on the four axes: (similarity - floor) / (ceiling - floor), 0: as alike as other clips, 1: as a "
    "repeat; clips whose predicted class is the same, [95 %] by a jackknife over speakers. Shift: shifted conditions; "
    "model: other recognisers; corpora: band profiles of an emotion across corpora, of the kind of recogniser, between "
    "other emotions (0) and two halves of the speakers (1); retraining, seed: another training, another seed of the "
    f"method. Methods of one corpus and recogniser are pooled over the comparisons that they share; {OWN} over others. "
    "▲ beats random and energy on abpc; only these are ranked, where two or more do and share their comparisons. All "
    "numbers: axes.csv; by condition: `serxai robustness`."
)
