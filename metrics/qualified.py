"""Which metrics put explanations of known worth in order: the verdicts of the last committed qualification.

``qualified.csv`` beside this module is ``verdicts.csv`` of ``serxai run --preset qualify`` (docs/qualification.md). A
verdict holds for the version of the metric it was reached with. This module imports nothing heavy.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

ONE_FILL = "one fill"  # the grade of a metric that is right under each fill, but whose order changes with the fill


@cache
def verdicts() -> dict[tuple[str, str], dict[str, str]]:
    """Rows of ``qualified.csv`` by metric and version."""
    text = (files(__package__) / "qualified.csv").read_text("utf-8")
    return {(row["metric"], row["version"]): row for row in csv.DictReader(text.splitlines())}


def grade(metric: str, version: str) -> str:
    """What the trial of a metric ended with: ``yes``, ``one fill``, ``no``, ``no claim``, ``not tested``; empty: none.

    Parameters
    ----------
    metric, version : str
    """
    return verdicts().get((metric, version), {}).get("qualified", "")


def qualified(metric: str, version: str) -> bool | None:
    """Whether a metric is qualified over all fills; None where it was not on trial, or nothing could be claimed.

    Parameters
    ----------
    metric, version : str
    """
    return {"yes": True, "no": False, ONE_FILL: False}.get(grade(metric, version))


def fails(metric: str, version: str) -> str:
    """What a metric failed in its qualification, worst first; empty where it passed, or was not put to it.

    Parameters
    ----------
    metric, version : str

    Returns
    -------
    str
        Such as ``fills on cnn (0.71 [0.59, 0.82], 48 clips: anger 0.92 [0.88, 0.95], sadness 0.31 [0.13, 0.48]);
        monotone on cnn (0.91 [0.82, 1.00], 48 clips)``: estimate and 95 % interval, behind the colon of each emotion.
    """
    return verdicts().get((metric, version), {}).get("fails", "")


def failing(told: str) -> str:
    """Names of the properties in the text of `fails`, each once."""
    return ", ".join(dict.fromkeys(part.split(" on ")[0] for part in told.split("; ") if part))
