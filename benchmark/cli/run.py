"""``serxai run``: flags to configuration and execution settings.

Everything that can be wrong with the input is checked before torch and the audio libraries are imported.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from ...datasets.corpora import CORPORA
from ...errors import InputError
from ...models.trust import Permission
from ..run.config import RunConfig, load_config, settings_of_run
from ..run.execution import Execution, check_out, free_folder
from .options import check_permission, checkpoints_option, device_option, memory_option, workers_option
from .params import parameters_option


def run(arguments: Namespace) -> int:
    """Compute a run, write its report, print the ranked table."""
    if arguments.preset == "qualify":
        from .qualify import run_preset

        return run_preset(arguments)
    if arguments.retry_failed and not (arguments.resume or arguments.dry_run):
        raise InputError("--retry-failed continues a run; give --resume and --out as well.")
    if arguments.resume and arguments.out is None and not arguments.dry_run:
        raise InputError("--resume needs --out: the folder of the run to continue.")
    config = load_config(
        arguments.config,
        arguments.preset,
        _earlier(arguments),
        notify=_note,
        own_classes=bool(arguments.checkpoint),
        corpora=arguments.corpus,
        models=arguments.model,
        methods=arguments.method,
        metrics=arguments.metric,
        conditions=arguments.condition,
        emotions=arguments.emotion,
        fills=arguments.fill,
        target=arguments.target,
        trained_on=arguments.trained_on,
        ensemble=arguments.ensemble,
        parameters=parameters_option(arguments.param),
        limit=arguments.limit,
        repeats=arguments.repeats,
        reexplain_calls=arguments.reexplain_calls,
        seed=arguments.seed,
    )
    permission = Permission.of(arguments.model, arguments.trust)
    check_permission(permission, config.models)
    execution = Execution(
        workers=workers_option(arguments.workers),
        data_root=_data_root(arguments.data_root, config),
        retry_failed=arguments.retry_failed,
        memory=memory_option("--memory", arguments.memory),
        batch_memory=memory_option("--batch-memory", arguments.batch_memory),
        executor=arguments.executor,
        ray_address=_ray_address(arguments),
        checkpoints=checkpoints_option(arguments.checkpoint, config.models),
        permission=permission,
        # last, since it may import torch; a Ray cluster may have what this machine has not
        device=arguments.device if arguments.executor == "ray" else device_option(arguments.device),
    )
    if arguments.dry_run:
        from .dry_run import dry_run

        return dry_run(config, execution, arguments.out, as_json=arguments.json)
    out = arguments.out or free_folder(Path("runs") / _name(arguments))
    check_out(out, arguments.resume)
    from .run_result import compute

    return compute(config, execution, out, arguments.json)


def _note(message: str) -> None:
    """Print a message that is not part of the results."""
    print(f"serxai: {message}", file=sys.stderr)


def _earlier(arguments: Namespace) -> dict[str, Any] | None:
    """Settings of the run that is continued, unless the command names settings of its own to start from."""
    if not arguments.resume or arguments.out is None or arguments.config is not None or arguments.preset is not None:
        return None
    check_out(arguments.out, resume=True)
    from ..storage.store import Store

    info = Store(arguments.out).info
    config = settings_of_run(info["config"])
    if arguments.fill and not config.get("fills"):  # to those that were chosen by their reach
        chosen = [reach["fill"] for reach in info.get("reach", []) if reach.get("used")]
        config = config | {"fills": list(dict.fromkeys(chosen))}
    return config


def _name(arguments: Namespace) -> str:
    if arguments.config is not None:
        return arguments.config.stem
    return "-".join([arguments.preset or "quick", *arguments.corpus])


def _ray_address(arguments: Namespace) -> str | None:
    if arguments.ray_address is not None and arguments.executor != "ray":
        raise InputError(f"--ray-address {arguments.ray_address} needs --executor ray.")
    return arguments.ray_address


def _data_root(folder: Path | None, config: RunConfig) -> Path | None:
    """The folder of corpora, which must be there unless all corpora can be rendered into it."""
    trained_on = [config.trained_on] if config.trained_on else []
    records = [(name, CORPORA.get(name)) for name in (*config.corpora, *trained_on)]
    publishers = [
        record.rendered_from or name for name, record in records if record.rendered_from or not record.twinned
    ]
    if folder is not None and not folder.is_dir() and any(":" not in name for name in publishers):
        raise InputError(
            f"--data-root {folder}: no such folder; give the one that holds a sub-folder for each of "
            f"{', '.join(publishers)}."
        )
    return folder
