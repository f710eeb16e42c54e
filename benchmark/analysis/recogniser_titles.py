"""Titles of recognisers that name the training corpus, such as ``cnn (emodb)``."""

from __future__ import annotations

import pandas as pd

from .shown_names import plain_name


def recogniser_title(model: str, trained_on: str, corpus: str = "") -> str:
    """Model with its training corpus in brackets, where there is one and it is not `corpus`.

    Parameters
    ----------
    model, trained_on : str
    corpus : str
        Whose recognisers go without it; default none.

    Examples
    --------
    >>> recogniser_title("cnn", "emodb"), recogniser_title("cnn", "emodb", "emodb")
    ('cnn (emodb)', 'cnn')
    """
    return model if trained_on in ("", plain_name(corpus)) else f"{model} ({trained_on})"


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
