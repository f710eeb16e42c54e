"""Tables of scores under other conventions of a map: ranges over powers, maps by size, and the attainable best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import InputError
from ..analysis.conventions import SETTING, SIGNED, SIZE, attainable_best, convention_pairs, convention_ranges
from ..storage.bounds import MAX_FILE_BYTES
from ..storage.files import read_bytes, write_atomically
from .escape import csv_safe, markdown_text
from .tables import ARROWS, number, setting_title
from .text import markdown_table

RANGES, PAIRS, BEST = "conventions.csv", "convention_pairs.csv", "attainable.csv"
# types of the columns read from these files, beside those of `SETTING`, which are texts
_READ: dict[str, dict[str, type]] = {
    RANGES: dict.fromkeys(("rank", "root", "plain", "square", "range", "n_clips", "n_planned"), float)
    | {"view": str, "method": str, "signed": bool},
    PAIRS: {"view": str, "method_a": str, "method_b": str, "within_convention": bool},
    BEST: dict.fromkeys(("share", "low", "high"), float) | {"method": str, "cells": str, "coefficients": str},
}
UNSIGNED = " (unsigned)"  # mark of a method whose maps hold no negative value
LEGEND = (
    "Mean scores of the same maps with native values raised to the powers ½, 1 and 2 before they are summed onto the "
    "scoring grid (signs kept), ranked by power 1; range: largest less smallest. Unsigned: no stored map of the method "
    "holds a negative value. By size: rank and mean of all maps by absolute value, so that signed and unsigned ones "
    "are compared alike. Of attainable: (score - random) / (attainable - random), where attainable is the score of "
    "the truth at the resolution measured on each map, as a ratio of means [95 %]; – where attainable - random is "
    "below .1, or there is no planted truth. Metrics of complexity are described, not ranked."
)


@dataclass(frozen=True)
class ConventionTable:
    """Table of one metric in one setting.

    Attributes
    ----------
    title : str
        With the setting.
    head : list of str
    lines : list of list of str
        Best method first.
    pairs : list of (str, str)
        Methods whose order lies within the range of convention.
    """

    title: str
    head: list[str]
    lines: list[list[str]]
    pairs: list[tuple[str, str]]

    @property
    def note(self) -> str:
        """Pairs as a sentence; empty where there are none."""
        if not self.pairs:
            return ""
        return f"Order within the range of convention: {'; '.join(f'{a} and {b}' for a, b in self.pairs)}."


def convention_tables(values: pd.DataFrame) -> Iterator[ConventionTable]:
    """Tables of scores under other conventions, one per setting and metric.

    Parameters
    ----------
    values : DataFrame
        As `analysis.conventions.scores_of_convention` returns it.
    """
    yield from _tables(convention_ranges(values), convention_pairs(values), attainable_best(values))


def read_conventions(folder: Path) -> list[ConventionTable]:
    """`convention_tables` from the files that `write_conventions` wrote; empty where there are none.

    Raises
    ------
    InputError
        If a file is missing beside the others, or is none that `write_conventions` wrote.
    """
    if not (folder / RANGES).is_file():
        return []
    path = folder
    try:
        frames = []
        for name, types in _READ.items():
            path = folder / name
            kinds = dict.fromkeys(SETTING, str) | types
            numbers = {column: [""] for column, kind in types.items() if kind is float}
            frames.append(
                pd.read_csv(
                    BytesIO(read_bytes(path, MAX_FILE_BYTES)), dtype=kinds, keep_default_na=False, na_values=numbers,
                    usecols=list(kinds),
                )
            )  # fmt: skip
        return list(_tables(*frames))
    except (OSError, ValueError, KeyError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: damaged ({text}). Run `serxai conventions` again, or delete it.") from None


def _tables(ranges: pd.DataFrame, pairs: pd.DataFrame, best: pd.DataFrame) -> Iterator[ConventionTable]:
    marked = pairs[(pairs["view"] == SIGNED) & pairs["within_convention"]]
    best = best.set_index([*SETTING, "method"])
    by_size = ranges[ranges["view"] == SIZE].set_index([*SETTING, "method"])
    for names, part in ranges[ranges["view"] == SIGNED].groupby(SETTING, dropna=False, sort=False):
        setting = dict(zip(SETTING, names, strict=True))
        ranked = part["rank"].notna().any()
        lines = []
        for row in part.to_dict("records"):
            key = (*names, row["method"])
            size = by_size.loc[key] if key in by_size.index else None
            share = best.loc[key] if key in best.index else None
            lines.append(
                [
                    _rank(row["rank"]),
                    row["method"] + ("" if row["signed"] else UNSIGNED),
                    *(number(row[name]) for name in ("root", "plain", "square", "range")),
                    "–" if size is None else _rank(size["rank"]),
                    "–" if size is None else number(size["plain"]),
                    _share(share),
                    "" if share is None else share["coefficients"] or share["cells"],
                    f"{row['n_clips']:.0f}/{row['n_planned']:.0f}",
                ]
            )
        of_pairs = marked[(marked[SETTING].astype(str) == [str(name) for name in names]).all(axis=1)]
        title = f"{setting_title(setting)}; {setting['metric']} {ARROWS[setting['direction']]}, {setting['condition']}"
        title += f", fill {setting['fill']}" if setting["fill"] else ""
        head = ["rank", "method", "power ½", "power 1", "power 2", "range", "by size: rank", "by size: mean",
                "of attainable", "resolution", "clips"]  # fmt: skip
        chosen = of_pairs[["method_a", "method_b"]].itertuples(index=False, name=None) if ranked else ()
        yield ConventionTable(title, head, lines, [(str(a), str(b)) for a, b in chosen])


def as_markdown(values: pd.DataFrame) -> str:
    """All tables of `convention_tables` as Markdown."""
    parts = ["# Conventions and the attainable best", markdown_text(LEGEND)]
    for table in convention_tables(values):
        parts.append(f"## {markdown_text(table.title)}\n\n{markdown_table([table.head, *table.lines], texts=2)}")
        parts += [markdown_text(table.note)] if table.note else []
    return "\n\n".join(parts) + "\n"


def write_conventions(values: pd.DataFrame, out: str | Path) -> dict[str, Path]:
    """Write ``conventions.csv``, ``convention_pairs.csv``, ``attainable.csv`` and ``conventions.md``.

    Parameters
    ----------
    values : DataFrame
        As `analysis.conventions.scores_of_convention` returns it.
    out : str or Path
        Folder.

    Returns
    -------
    dict of str to Path
        By file name.
    """
    frames = {
        RANGES: convention_ranges(values),
        PAIRS: convention_pairs(values),
        BEST: attainable_best(values),
    }
    texts = {
        name: csv_safe(frame).to_csv(index=False, float_format="%.10g", lineterminator="\n")
        for name, frame in frames.items()
    }
    files = {}
    for name, text in (texts | {"conventions.md": as_markdown(values)}).items():
        files[name] = Path(out) / name
        write_atomically(files[name], text.encode())
    return files


def _rank(rank: Any) -> str:
    return "–" if pd.isna(rank) else f"{rank:.0f}"


def _share(row: pd.Series | None) -> str:
    if row is None or pd.isna(row["share"]):
        return "–"
    interval = "" if pd.isna(row["low"]) else f" [{number(row['low'])}, {number(row['high'])}]"
    return f"{number(row['share'])}{interval}"
