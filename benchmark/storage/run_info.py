"""``run.json``, the description of a run. Reading it imports neither pandas nor torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import InputError
from .schema import QualificationInfo, RunInfo, faults, read_json

FILE = "run.json"


def read_run_info(folder: Path) -> dict[str, Any]:
    """Content of a run folder's ``run.json``, checked against `schema.RunInfo`.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    InputError
        If the folder is not a run, its ``run.json`` is damaged, or it is a qualification of metrics.
    """
    path = folder / FILE
    if not path.exists():
        raise InputError(f"{folder}: not a run folder (it has no run.json). Give a folder made by `serxai run`.")
    advice = "to mend it, name the run's --preset or CONFIG.toml with --resume"
    try:
        info = read_json(path)
    except ValueError as error:
        raise InputError(f"{error}; {advice}.") from None
    if "qualification" in info:
        raise InputError(
            f"{folder}: a qualification of metrics, which holds no scores of methods. Read its "
            "qualification.html and verdicts.csv, continue it with `serxai qualify --resume`, or give the folder "
            "of a run."
        )
    if wrong := faults(info, RunInfo):
        raise InputError(f"{path}: damaged, or not a run of this version ({wrong}); {advice}.")
    return info


def read_qualification_info(folder: Path) -> dict[str, Any]:
    """Content of the ``run.json`` of a qualification, checked against `schema.QualificationInfo`.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    InputError
        If the folder holds no qualification.
    ValueError
        If the file is damaged; the message names the field.
    """
    path = folder / FILE
    if not path.exists():
        raise InputError(f"{folder} holds no qualification (no run.json); leave out --resume.")
    info = read_json(path)
    if "qualification" not in info:
        raise InputError(
            f"{folder} holds a run of methods; continue it with `serxai run --resume`, or give the folder of a "
            "qualification."
        )
    if wrong := faults(info, QualificationInfo):
        raise ValueError(f"{path}: damaged ({wrong})")
    return info
