"""``serxai validate``: checks of a run as table or JSON."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from ...errors import InputError
from ...models.records import MODELS
from ...models.trust import Permission
from ..results.check import Checked, check_results
from ..run.options import checkpoints_option
from ..storage.derived import RECORD
from ..storage.run_info import FILE, read_run_info
from ..validation.check_result import FAIL, NOT_CHECKED, PASS, WARNING, Check
from ..validation.given import GivenModels
from ..validation.validate import validate
from .console import Bars, Console, styled

SHOWN = 10  # discrepancies of one check; --json has all
_STYLES = {PASS: "green", FAIL: "red", WARNING: "yellow", NOT_CHECKED: "dim"}


def run(arguments: Namespace) -> int:
    """Validate a run; exit status 1 if a check fails."""
    given = given_models(arguments.model, arguments.checkpoint, arguments.trust)
    if not (arguments.run / FILE).exists() or RECORD in read_run_info(arguments.run):
        return _results(arguments, given)
    sample = 2 if arguments.sample is None else arguments.sample
    with Bars() as bars:
        checks = validate(arguments.run, sample, arguments.seed, arguments.data_root, bars, given)
    failed = any(check.result == FAIL for check in checks)
    if arguments.json:
        result = {"run": str(arguments.run), "valid": not failed, "checks": [asdict(check) for check in checks]}
        print(json.dumps(result, indent=2))
    else:
        _print(Console(), checks)
    return 1 if failed else 0


def _results(arguments: Namespace, given: GivenModels) -> int:
    """Check a folder of results; exit status 1 if a check fails."""
    with Bars() as bars:
        found = check_results(arguments.run, arguments.sample or 0, arguments.seed, arguments.data_root, bars, given)
    failed = any(check.result == FAIL for one in found for check in one.checks)
    if arguments.json:
        told = [{"folder": str(one.folder), "checks": [asdict(check) for check in one.checks]} for one in found]
        print(json.dumps({"results": str(arguments.run), "valid": not failed, "folders": told}, indent=2))
        return 1 if failed else 0
    console = Console()
    for one in found:
        console.print(f"\n{one.folder}", style="bold", highlight=False, markup=False)
        _print(console, one.checks)
    console.print(f"\n{_conclusion(arguments.run, found)}", style="red" if failed else "green", highlight=False)
    return 1 if failed else 0


def _conclusion(root: Path, found: Sequence[Checked]) -> str:
    """One line on all pieces; `found` are the folder as a whole, then each piece."""
    whole, *each = (any(check.result == FAIL for check in one.checks) for one in found)
    if not each:
        return f"{root}: fails as a whole; no piece was opened"
    pieces = "1 piece" if len(each) == 1 else f"{len(each)} pieces"
    told = f"{sum(each)} of {pieces} fail" if any(each) else f"{pieces}, all pass"
    return f"{told}; the folder as a whole fails" if whole else told


def given_models(models: list[str], checkpoints: list[str], trust: bool) -> GivenModels:
    """Models that this command's flags give; a checkpoint names its model as ``MODEL=PATH``.

    Raises
    ------
    InputError
        For a checkpoint whose model is ambiguous, or that is not there.
    """
    named = [*models, *(text.rpartition("=")[0] for text in checkpoints)]
    names = list(dict.fromkeys(name for name in named if name in MODELS))
    if checkpoints and not names:
        raise InputError(f"--checkpoint {checkpoints[0]}: of which model? Write --checkpoint MODEL={checkpoints[0]}.")
    return GivenModels(checkpoints_option(checkpoints, names), Permission.of(models, trust))


def _print(console: Console, checks: list[Check]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("check", "result", "what"):
        table.add_column(column, no_wrap=column != "what")
    for check in checks:
        style = _STYLES[check.result]
        table.add_row(check.name, styled(style, check.result), check.summary)
    console.print(table)
    for check in checks:
        if check.found:
            more = len(check.found) - SHOWN
            console.print(styled(_STYLES[check.result], f"\n{check.name}", f" ({len(check.found)})"))
            for line in check.found[:SHOWN]:
                console.print(f"  {line}", highlight=False, soft_wrap=True)
            if more > 0:
                console.print(f"  ... and {more} more (--json lists all)", highlight=False)
