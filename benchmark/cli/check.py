"""``serxai check KIND NAME``: whether a method, metric, recogniser or corpus keeps to its interface."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict
from functools import partial

from ...models.obtain import load_model
from ..run.params import parameters_option
from ..validation.check_result import FAIL, Check
from ..validation.conformance import check_explainer
from ..validation.conformance_others import check_corpus, check_metric, check_recogniser
from .console import Console, styled

COLOURS = {"pass": "green", "fail": "red"}


def check(arguments: Namespace) -> int:
    """Print what was checked; returns 1 if a check failed."""
    checks = _checks(arguments)
    failed = sum(one.result == FAIL for one in checks)
    if arguments.json:
        print(
            json.dumps(
                {"name": arguments.name, "conforms": not failed, "checks": [asdict(c) for c in checks]}, indent=2
            )
        )
        return 1 if failed else 0
    console = Console()
    for one in checks:
        console.print(
            styled(COLOURS.get(one.result, "yellow"), one.result, f"  {one.name}: {one.summary}"), soft_wrap=True
        )
        for found in one.found:
            console.print(f"      {found}", highlight=False, markup=False, soft_wrap=True)
    told = f"{failed} of {len(checks)} checks failed" if failed else f"{len(checks)} checks, none failed"
    console.print(f"{arguments.kind} {arguments.name}: {told}", highlight=False, markup=False)
    return 1 if failed else 0


def _checks(arguments: Namespace) -> list[Check]:
    if arguments.kind == "method":
        given = parameters_option(arguments.param).get(arguments.name, {})
        used = load_model(arguments.model, arguments.trained_on or "planted") if arguments.model else None
        return check_explainer(arguments.name, used, raises=False, **given)
    checks = {
        "metric": partial(check_metric, arguments.name),
        "recogniser": partial(check_recogniser, arguments.name, arguments.trained_on),
        "corpus": partial(check_corpus, arguments.name, arguments.data_root),
    }
    return checks[arguments.kind](raises=False)
