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
from ...models.records import MODELS
from ..run.config import RunConfig, load_config
from ..run.execution import Execution, check_out, default_workers, free_folder


def run(arguments: Namespace) -> int:
    """Compute a run, write its report, print the ranked table."""
    if arguments.retry_failed and not (arguments.resume or arguments.dry_run):
        raise InputError("--retry-failed continues a run; give --resume and --out as well.")
    if arguments.resume and arguments.out is None and not arguments.dry_run:
        raise InputError("--resume needs --out: the folder of the run to continue.")
    config = load_config(
        arguments.config,
        arguments.preset,
        _earlier(arguments),
        notify=_note,
        corpora=arguments.corpus,
        models=arguments.model,
        methods=arguments.method,
        metrics=arguments.metric,
        conditions=arguments.condition,
        emotions=arguments.emotion,
        fills=arguments.fill,
        target=arguments.target,
        trained_on=arguments.trained_on,
        limit=arguments.limit,
        repeats=arguments.repeats,
        seed=arguments.seed,
    )
    execution = Execution(
        workers=_workers(arguments.workers),
        data_root=_data_root(arguments.data_root, config),
        retry_failed=arguments.retry_failed,
        memory=_memory("--memory", arguments.memory),
        batch_memory=_memory("--batch-memory", arguments.batch_memory),
        executor=arguments.executor,
        ray_address=_ray_address(arguments),
        checkpoints=_checkpoints(arguments.checkpoint, config.models),
        trust=arguments.trust,
        # last, since it may import torch; a Ray cluster may have what this machine has not
        device=arguments.device if arguments.executor == "ray" else _device(arguments.device),
    )
    if arguments.preset == "qualify":
        return _qualify(arguments, config, execution)
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

    return Store(arguments.out).info["config"]


def _qualify(arguments: Namespace, config: RunConfig, execution: Execution) -> int:
    """Run the preset ``qualify``, which scores metrics, not methods, with a runner and a report of its own."""
    if config.tuning is not None:
        raise InputError("[tuning]: the preset qualify tries metrics, not methods; leave the table out.")
    if execution.executor != "local":
        raise InputError(f"--executor {execution.executor}: the preset qualify runs on this machine; leave it out.")
    out = arguments.out or (Path("runs/qualify") if arguments.dry_run else free_folder(Path("runs/qualify")))
    if not arguments.dry_run:
        check_out(out, arguments.resume)
    from .qualify import run as qualify

    return qualify(config, execution, out, arguments.dry_run, arguments.json)


def _name(arguments: Namespace) -> str:
    if arguments.config is not None:
        return arguments.config.stem
    return "-".join([arguments.preset or "quick", *arguments.corpus])


def _workers(given: int | None) -> int:
    if given is not None and given < 1:
        raise InputError(f"--workers must be at least 1, got {given}.")
    return given or default_workers()


def _memory(flag: str, given: float | None) -> float | None:
    if given is not None and not given > 0:
        raise InputError(f"{flag} must be a number of GB above 0, got {given:g}.")
    return given


def _checkpoints(given: list[str], models: list[str]) -> dict[str, Path]:
    """Which model each ``--checkpoint [MODEL=]PATH`` belongs to."""
    by_model: dict[str, Path] = {}
    for text in given:
        model, _, path = text.rpartition("=")
        if model not in models:
            model, path = "", text  # a path may hold an equals sign
        wanting = [name for name in models if MODELS.get(name).checkpoint] or models
        if not model and len(wanting) > 1:
            raise InputError(
                f"--checkpoint {text}: of which model, {' or '.join(wanting)}? Write --checkpoint {wanting[0]}={text}."
            )
        model = model or wanting[0]
        if model in by_model:
            raise InputError(f"--checkpoint: two for model {model!r}, {by_model[model]} and {path}; give one.")
        if not Path(path).exists():
            raise InputError(
                f"--checkpoint {text}: no such file or folder; give a folder written by `serxai train {model}`, or the "
                "file of a foreign model."
            )
        by_model[model] = Path(path)
    return by_model


def _ray_address(arguments: Namespace) -> str | None:
    if arguments.ray_address is not None and arguments.executor != "ray":
        raise InputError(f"--ray-address {arguments.ray_address} needs --executor ray.")
    return arguments.ray_address


def _device(name: str) -> str:
    """A device that torch can use.

    Raises
    ------
    InputError
    """
    if name == "cpu":
        return name
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name}: torch cannot use it here ({reason}). Use --device cpu.") from None
    return name


def _data_root(folder: Path | None, config: RunConfig) -> Path | None:
    """The folder of corpora, which must be there unless all corpora can be rendered into it."""
    trained_on = [config.trained_on] if config.trained_on else []
    publishers = [name for name in (*config.corpora, *trained_on) if not CORPORA.get(name).twinned]
    if folder is not None and not folder.is_dir() and any(":" not in name for name in publishers):
        raise InputError(
            f"--data-root {folder}: no such folder; give the one that holds a sub-folder for each of "
            f"{', '.join(publishers)}."
        )
    return folder
