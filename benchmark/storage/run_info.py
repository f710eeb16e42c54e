"""``run.json``, the description of a run. Reading it imports neither pandas nor torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import InputError

FILE = "run.json"


def read_run_info(folder: Path) -> dict[str, Any]:
    """Content of a run folder's ``run.json``.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    InputError
        If the folder is not a run, its ``run.json`` is damaged, or it is a qualification of metrics.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{folder}: not a run folder (it has no run.json). Give a folder made by `serxai run`.")
    try:
        info: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        advice = "to mend it, name the run's --preset or CONFIG.toml with --resume"
        raise InputError(f"{path}: damaged ({error}); {advice}.") from None
    if "qualification" in info:
        raise InputError(
            f"{folder}: a qualification of metrics, which holds no scores of methods. Read its "
            "qualification.html and verdicts.csv, continue it with `serxai qualify --resume`, or give the folder "
            "of a run."
        )
    return info
