"""``serxai qualify``: qualification of the metrics on explanations of known quality."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...models.records import MODELS
from ...models.trust import Permission
from ..qualification.config import QualifyConfig, load_qualify_config
from ..storage.run_info import read_qualification_info

if TYPE_CHECKING:
    import pandas as pd

    from ..run.execution import Execution

LEAST_UAR = 0.85  # of a network, for its verdicts to be informative
DEFAULT_OUT = Path("runs/qualify")
# arguments of `serxai run` that a qualification does not have: default value and flag
_NOT_USED: dict[str, tuple[Any, str]] = {
    "method": ([], "--method"), "condition": ([], "--condition"), "target": (None, "--target"),
    "repeats": (None, "--repeats"), "retry_failed": (False, "--retry-failed"), "executor": ("local", "--executor"),
    "ray_address": (None, "--ray-address"), "memory": (None, "--memory"), "batch_memory": (None, "--batch-memory"),
    "param": ([], "--param"), "reexplain_calls": (None, "--reexplain-calls"),
}  # fmt: skip


def run(arguments: Namespace) -> int:
    """Qualify metrics, write the report, print the table; exit status 1 if trials failed."""
    config = load_qualify_config(
        arguments.config,
        _earlier_settings(arguments),
        corpora=arguments.corpus,
        models=arguments.model,
        metrics=arguments.metric,
        fills=arguments.fill,
        emotions=arguments.emotion,
        trained_on=arguments.trained_on,
        limit=arguments.limit,
        seed=arguments.seed,
    )
    # after the settings: a wrong one is refused before torch is imported
    from ..run.execution import Execution, check_out, free_folder
    from ..run.options import check_permission, checkpoints_option, device_option, workers_option

    permission = Permission.of(arguments.model, arguments.trust)
    check_permission(permission, config.models)
    execution = Execution(
        workers=workers_option(arguments.workers),
        device=device_option(arguments.device),
        data_root=arguments.data_root,
        checkpoints=checkpoints_option(arguments.checkpoint, config.models),
        permission=permission,
    )
    out = arguments.out or (DEFAULT_OUT if arguments.dry_run else free_folder(DEFAULT_OUT))
    retrained = retrained_option(getattr(arguments, "retrained", []))
    if arguments.dry_run:
        return _print_forecast(config, execution, out, arguments.json, retrained)
    check_out(out, arguments.resume)
    return _qualify(config, execution, out, arguments.json, retrained)


def retrained_option(given: Sequence[str]) -> list[tuple[str, Path]]:
    """Models and folders of values ``MODEL=DIR``.

    Raises
    ------
    InputError
        For another form, an unknown model, or a folder that is not there.
    """
    found = []
    for text in given:
        model, equals, path = text.partition("=")
        if not equals or not Path(path).is_dir():
            raise InputError(
                f"--retrained {text}: takes MODEL=DIR, a model and a folder that `serxai train` wrote, as in "
                "--retrained cnn=models/cnn-seed-1."
            )
        found.append((MODELS.get(model).name, Path(path)))
    return found


def run_preset(arguments: Namespace) -> int:
    """Run ``serxai run --preset qualify`` as ``serxai qualify``, and name that command on standard error.

    Raises
    ------
    InputError
        For flags of ``serxai run`` that a qualification does not have.
    """
    given = [flag for name, (default, flag) in _NOT_USED.items() if getattr(arguments, name) != default]
    if given:
        raise InputError(
            f"{', '.join(given)}: not an option of the qualification of metrics, which makes its own explanations of "
            "clean clips on this machine; leave it out (see serxai qualify --help)."
        )
    print("serxai: --preset qualify runs `serxai qualify`; see serxai qualify --help.", file=sys.stderr)
    return run(arguments)


def _earlier_settings(arguments: Namespace) -> Mapping[str, Any] | None:
    """Settings of the qualification that is continued; None where the command names settings to start from.

    Raises
    ------
    InputError
        If ``--resume`` has no folder, or one that holds no qualification.
    """
    if not arguments.resume:
        return None
    if arguments.out is None:
        raise InputError("--resume needs --out: the folder of the qualification to continue.")
    try:
        settings: Mapping[str, Any] = read_qualification_info(arguments.out)["config"]
    except InputError as error:
        raise InputError(f"--resume: {error}") from None
    except ValueError as error:
        if arguments.config is not None:
            return None
        raise InputError(f"{error}; to mend it, name CONFIG.toml with --resume.") from None
    from_start = arguments.config is not None or getattr(arguments, "preset", None) is not None
    return None if from_start else settings


def _qualify(
    config: QualifyConfig, execution: Execution, out: Path, as_json: bool, retrained: Sequence[tuple[str, Path]]
) -> int:

    from ..qualification.estimates import estimate_properties
    from ..qualification.report import qualification_table, write_qualification
    from ..qualification.runner import qualify
    from ..storage.files import writing
    from .console import Bars, Console, styled

    with Bars() as bars:
        rows, info = qualify(config, out, execution, bars, retrained)
        bars("report", 0, 1)
        table = estimate_properties(rows)
        with writing(out):
            files = write_qualification(table, info, out)
        bars("report", 1, 1)
    failed = int((rows["status"] == "failed").sum())
    if as_json:
        print(files["json"].read_text("utf-8"))
        return 1 if failed else 0
    console = Console()
    console.print(qualification_table(table))
    for warning in weak_recognisers(info):
        console.print(styled("yellow", "warning:", f" {warning}"))
    console.print(_summary(table, rows, info, failed), highlight=False)
    for reason in rows.loc[rows["status"] == "failed", "reason"].unique()[:5]:
        console.print(styled("red", "failed:", f" {reason}"))
    console.print(f"report: {files['html'].resolve()}", highlight=False, soft_wrap=True)
    return 1 if failed else 0


def _summary(table: pd.DataFrame, rows: pd.DataFrame, info: Mapping[str, Any], failed: int) -> str:
    from ...metrics.qualified import IN_SCOPE, NO, NO_CLAIM, NOT_TESTED, YES
    from ..qualification.verdicts import verdicts

    grades = [verdict.grade for verdict in verdicts(table)]
    return (
        f"{grades.count(YES)} metrics qualified, {grades.count(IN_SCOPE)} in a narrower scope, {grades.count(NO)} not, "
        f"{grades.count(NO_CLAIM)} without a claim, {grades.count(NOT_TESTED)} not tested; {rows['clip'].nunique()} "
        f"clips, {len(rows)} trials ({failed} failed), {info['model_calls']:.0f} model calls."
    )


def weak_recognisers(info: Mapping[str, Any]) -> list[str]:
    """One sentence for each network whose accuracy is known and too low for informative verdicts.

    Parameters
    ----------
    info : dict
        Content of run.json.
    """
    warnings = []
    for name, facts in info.get("models", {}).items():
        uar = ((facts.get("scores") or {}).get("pooled") or {}).get("uar")
        if uar is not None and uar < LEAST_UAR:
            warnings.append(
                f"{name} has a UAR of {uar:.2f}, less than {LEAST_UAR}: where a metric fails on it, the cause may be "
                "the network, which may not use what was planted."
            )
    return warnings


def _print_forecast(
    config: QualifyConfig, execution: Execution, out: Path, as_json: bool, retrained: Sequence[tuple[str, Path]]
) -> int:

    from ..qualification.runner import forecast
    from .console import Bars, Console

    with Bars() as bars:
        forecasts = forecast(config, out, execution, bars, retrained)
    if as_json:
        print(json.dumps([vars(one) for one in forecasts], indent=2))
        return 0
    console = Console()
    for one in forecasts:
        console.print(
            f"{one.recogniser}: {one.clips} clips to do, {one.model_calls} model calls, about {one.recogniser_s:.0f} s "
            f"inside the recogniser, {one.recogniser_s / execution.workers:.0f} s with {execution.workers} workers; "
            "rendering and scoring come on top.",
            highlight=False,
        )
    return 0
