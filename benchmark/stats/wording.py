"""Statistics as text."""

from __future__ import annotations

import pandas as pd


def p_text(p: float) -> str:
    """Format a p-value, a dash where there is none.

    Examples
    --------
    >>> p_text(0.0002), p_text(0.031), p_text(float("nan"))
    ('< .001', '0.031', '–')
    """
    return "–" if pd.isna(p) else "< .001" if p < 0.001 else f"{p:.3f}"
