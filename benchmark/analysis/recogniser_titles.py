"""Titles of the recognisers of a table, with the training corpus where that is another one than they hear."""

from __future__ import annotations

import pandas as pd

from .shown_names import recogniser_title


def recogniser_titles(table: pd.DataFrame) -> pd.Series:
    """Title of each row's recogniser, with its training corpus where that is another one than it hears.

    Parameters
    ----------
    table : DataFrame
        Columns ``model``, ``trained_on`` and ``corpus``.
    """
    names = (table[name].astype(str) for name in ("model", "trained_on", "corpus"))
    titles = [recogniser_title(*of_row) for of_row in zip(*names, strict=True)]
    return pd.Series(titles, table.index, dtype=object)
