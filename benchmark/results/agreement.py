"""Agreement about the order of methods with one thing varied: a table of what is committed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ...methods.records import baselines
from ..analysis.recogniser_titles import recogniser_titles
from ..analysis.shown_names import plain_name
from ..stats.concordance import concordance, opposed
from .tables import CLEAN, core_metrics, oriented

AGREEMENT = [
    "varied", "over", "corpus", "model", "metric", "fill", "n_raters", "n_methods", "w", "opposed", "w_random", "p",
]  # fmt: skip
_VARIED = {"corpora": "corpus", "recognisers": "model", "fills": "fill", "metrics": "metric"}
_VIEWS = {"emotion": "emotions", "sex": "sexes"}


def agreement(table: pd.DataFrame, groups: pd.DataFrame | None = None) -> pd.DataFrame:
    """How far the order of methods agrees, with one thing varied and all others held fixed.

    Parameters
    ----------
    table : DataFrame
        Of `tables.headline`.
    groups : DataFrame, optional
        Of `analysis.rank_agreement.rank_agreement`: orders of emotions and sexes.

    Returns
    -------
    DataFrame
        Columns `AGREEMENT`: Kendall's W over ``n_raters``, and ``opposed``: the share of pairs of methods that two
        raters order differently, mean over pairs of raters. Baselines, references and methods without a mean for
        every rater are left out. No interval: raters are fixed. Emotions and sexes are of other clips and of fewer, so
        W of random groups of the same sizes stands beside theirs, with the p of `rank_agreement`.
    """
    table = table[~table["method"].map(plain_name).isin(baselines()) & table["mean"].notna()]
    table = table.assign(oriented=oriented(table), model=recogniser_titles(table))
    rows: list[dict[str, Any]] = []
    for varied, column in _VARIED.items():
        fixed = [name for name in _VARIED.values() if name != column]
        pool = table[table["family"] == "faithfulness"] if column in ("metric", "fill") else table
        for place, part in pool.groupby(fixed, sort=False):
            wide = part.pivot_table(index=column, columns="method", values="oriented", sort=False).dropna(axis=1)
            if len(wide) > 1 and wide.shape[1] > 2:
                values = wide.to_numpy()
                rows.append(
                    dict(zip(fixed, place, strict=True))
                    | {"varied": varied, "over": " ".join(map(str, wide.index)), "n_raters": len(wide),
                       "n_methods": wide.shape[1], "w": concordance(values), "opposed": opposed(values),
                       "w_random": np.nan, "p": np.nan}
                )  # fmt: skip
    if groups is not None:
        rows += _of_groups(groups)
    return pd.DataFrame(rows, columns=AGREEMENT).fillna({name: "" for name in _VARIED.values()})


def _of_groups(groups: pd.DataFrame) -> list[dict[str, Any]]:
    chosen = groups["condition"].eq(CLEAN) & groups["metric"].isin(core_metrics(groups["metric"].unique()))
    chosen = groups[chosen & groups["view"].isin(_VIEWS) & groups["w"].notna()]
    table = chosen.assign(
        varied=chosen["view"].map(_VIEWS), over=chosen["groups"].str.replace(", ", " "), n_raters=chosen["n_groups"],
        model=recogniser_titles(chosen),
    ).sort_values("varied", kind="stable")  # fmt: skip
    return table[AGREEMENT].astype(dict.fromkeys(("metric", "fill", "corpus"), str)).to_dict("records")
