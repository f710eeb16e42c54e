"""``serxai score``: maps that were made elsewhere, scored by the ordinary runner like a method of serxai."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ...errors import InputError
from ...models.trust import Permission
from ..run.config import load_config
from ..run.execution import Execution, check_out, free_folder
from ..run.options import check_permission, checkpoints_option, device_option, workers_option
from ..storage.map_folder import MapFolder, read_map_folder

BESIDE = ("random", "energy")  # baselines that every board needs


def score(arguments: Namespace) -> int:
    """Score the maps of a folder, write a report, print the ranked table; or score statements."""
    if arguments.statements is not None:
        from .statements import score_file

        return score_file(arguments)
    folder = read_map_folder(arguments.maps)
    corpus = arguments.corpus or _only(folder, "corpus")
    model = arguments.model or _only(folder, "model")
    if folder.path.resolve() == (arguments.out or Path("runs/score")).resolve():
        raise InputError(f"--out {arguments.out}: is the folder of the maps; give another one for the scores.")
    chosen = folder.of(corpus, model)
    chosen.check()
    methods = chosen.methods()
    config = load_config(
        corpora=[corpus],
        models=[model],
        methods=list(dict.fromkeys([*methods, *BESIDE, *arguments.method])),
        metrics=arguments.metric,
        conditions=arguments.condition or chosen.conditions,
        emotions=arguments.emotion,
        fills=arguments.fill,
        target=arguments.target,
        trained_on=arguments.trained_on,
        parameters=methods,
        clips=chosen.clips,
        limit=arguments.limit or None,
        repeats=arguments.repeats,
        seed=arguments.seed,
    )
    if arguments.limit is None:
        config = config.model_copy(update={"limit": 0})
    # a name in the manifest is data: only one that was typed may run code
    permission = Permission.of([arguments.model] if arguments.model else [], arguments.trust)
    check_permission(permission, config.models)
    if arguments.resume and arguments.out is None:
        raise InputError("--resume needs --out: the folder of the run to continue.")
    out = arguments.out or free_folder(Path("runs/score"))
    check_out(out, arguments.resume)
    execution = Execution(
        workers=workers_option(arguments.workers),
        data_root=arguments.data_root,
        checkpoints=checkpoints_option(arguments.checkpoint, config.models),
        permission=permission,
        maps=arguments.maps,
        device=device_option(arguments.device),
    )
    from .run_result import compute

    return compute(config, execution, out, arguments.json)


def _only(folder: MapFolder, what: str) -> str:
    """The one corpus or model that the manifest names."""
    named = sorted({getattr(row, what) for row in folder.rows} - {""})
    if len(named) != 1:
        told = f"names {', '.join(named)}" if named else "names none"
        raise InputError(f"--{what}: the manifest {told}; say of which {what} the maps are: --{what} NAME.")
    return named[0]
