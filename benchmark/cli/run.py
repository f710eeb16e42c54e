"""``serxai run``: flags to configuration and execution settings."""

from __future__ import annotations

import sys
from argparse import Namespace

from ..run.params import parameters_option
from ..run.request import RunRequest


def run(arguments: Namespace) -> int:
    """Compute a run, write its report, print the ranked table."""
    if arguments.preset == "qualify":
        from .qualify import run_preset

        return run_preset(arguments)
    request = RunRequest(
        config=arguments.config,
        preset=arguments.preset,
        corpora=arguments.corpus,
        models=arguments.model,
        methods=arguments.method,
        parameters=parameters_option(arguments.param),
        metrics=arguments.metric,
        conditions=arguments.condition,
        emotions=arguments.emotion,
        fills=arguments.fill,
        target=arguments.target,
        trained_on=arguments.trained_on,
        ensemble=arguments.ensemble,
        limit=arguments.limit,
        repeats=arguments.repeats,
        reexplain_calls=arguments.reexplain_calls,
        seed=arguments.seed,
        checkpoints=arguments.checkpoint,
        trust=arguments.trust,
        out=arguments.out,
        resume=arguments.resume,
        retry_failed=arguments.retry_failed,
        dry_run=arguments.dry_run,
        data_root=arguments.data_root,
        workers=arguments.workers,
        device=arguments.device,
        memory=arguments.memory,
        batch_memory=arguments.batch_memory,
        executor=arguments.executor,
        ray_address=arguments.ray_address,
    )
    config, execution = request.settings(_note)
    if arguments.dry_run:
        from .dry_run import dry_run

        return dry_run(config, execution, arguments.out, as_json=arguments.json)
    out = request.folder()
    from .run_result import compute

    return compute(config, execution, out, arguments.json)


def _note(message: str) -> None:
    """Print a message that is not part of the results."""
    print(f"serxai: {message}", file=sys.stderr)
