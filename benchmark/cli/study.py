"""``serxai study``: write a listening study of a run, and score its answers."""

from __future__ import annotations

import io
import json
from argparse import Namespace
from pathlib import Path

import pandas as pd

from ...errors import InputError
from ...methods.records import baselines
from ..analysis.listening import KEY_COLUMNS, KINDS, study_scores
from ..analysis.merge import merged
from ..report.escape import csv_safe
from ..report.html import page_environment
from ..report.page.examples import Recordings, examples_of
from ..report.page.payload import settings_of
from ..report.study import KEY, trials, write_study
from ..report.tables import number
from ..storage.bounds import MAX_FILE_BYTES
from ..storage.files import read_bytes, refuse_links, write_atomically, writing
from ..storage.store import Store
from .console import Console

SCORES = "listening.csv"


def run(arguments: Namespace) -> int:
    """Write a study, or score one where the first argument is ``score``."""
    return _score(arguments) if arguments.run == "score" else _write(arguments)


def _write(arguments: Namespace) -> int:
    store = Store(Path(arguments.run))
    scores, _, _ = merged([store], False)
    methods = list(dict.fromkeys(arguments.method)) or sorted(set(scores["method"]) - set(baselines()))
    recordings = Recordings(arguments.data_root)
    examples = list(examples_of([store], scores, settings_of(scores), arguments.clips))
    found = list(trials(examples, recordings, methods, arguments.seed))
    refuse_links(arguments.out, ["page", "page/assets"])
    with writing(arguments.out, resumable=False):
        page = write_study(arguments.out, page_environment(), found, arguments.seed)
    console = Console()
    clips = len({trial.clip for trial in found})
    console.print(
        f"{len(found)} trials: {clips} clips, {len(methods)} methods; and checks of attention", highlight=False
    )
    for reason in recordings.reasons.values():
        console.print(reason, style="yellow", soft_wrap=True)
    console.print(f"page for listeners: {page.resolve()}", highlight=False, soft_wrap=True)
    console.print(f"key, not for them: {(arguments.out / KEY).resolve()}", highlight=False, soft_wrap=True)
    return 0


def _score(arguments: Namespace) -> int:
    if len(arguments.answers) < 2:
        raise InputError("study score: needs the folder of the study and one or more files of answers.")
    folder, *files = map(Path, arguments.answers)
    key = _read(folder / KEY)
    if not set(KEY_COLUMNS) <= set(key.columns) or key.empty:
        raise InputError(f"{folder / KEY}: not the key of a study; write the study again.")
    result = study_scores(key, [(str(file), _read(file)) for file in files])
    with writing(folder, resumable=False):
        text = csv_safe(result.table).to_csv(index=False, float_format="%.10g", lineterminator="\n")
        write_atomically(folder / SCORES, text.encode())
    if arguments.json:
        told = {"scores": json.loads(result.table.to_json(orient="records")), "excluded": result.excluded}
        print(json.dumps(told, indent=2))
        return 0
    console = Console()
    for row in result.table.to_dict("records"):
        interval = "" if pd.isna(row["low"]) else f" [{number(row['low'])}, {number(row['high'])}]"
        shares = ", ".join(f"{kind} {row[kind]:.0%}" for kind in KINDS)
        counts = f"{shares} of {row['n_trials']} choices; {row['n_listeners']} listeners, {row['scope']}"
        text = f"{row['method']}: {row['score']:+.2f}{interval} ({counts})"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{result.listeners} listeners, {len(result.excluded)} left out: they failed a check of attention. Score: "
        "share of choices for the kept part less that for a random part of the same size; 0 is chance.",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    return 0


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(io.BytesIO(read_bytes(path, MAX_FILE_BYTES)), dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error}).") from None
