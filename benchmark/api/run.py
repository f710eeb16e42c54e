"""``serxai.run``: the benchmark with keywords in the place of the flags of ``serxai run``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...progress import Progress, no_progress
from ..run.request import RunRequest
from .keywords import in_keywords

if TYPE_CHECKING:
    from ...models.recogniser import Recogniser
    from .results import Run

    Names = str | Sequence[str]


def run(
    config: str | PathLike[str] | None = None,
    *,
    preset: str | None = None,
    corpus: Names = (),
    model: Names | Recogniser | Sequence[str | Recogniser] | Mapping[str, Any] = (),
    method: Names = (),
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    metric: Names = (),
    condition: Names = (),
    emotion: Names = (),
    fill: Names = (),
    target: str | None = None,
    trained_on: str | None = None,
    ensemble: bool | None = None,
    limit: int | None = None,
    seed: int | None = None,
    repeats: int | None = None,
    reexplain_calls: int | None = None,
    checkpoint: str | PathLike[str] | Mapping[str, str | PathLike[str]] | None = None,
    trust: bool = False,
    data_root: str | PathLike[str] | None = None,
    out: str | PathLike[str] | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    workers: int | None = None,
    device: str = "cpu",
    memory: float | None = None,
    batch_memory: float | None = None,
    executor: str = "local",
    ray_address: str | None = None,
    report: bool = True,
    progress: Progress | None = None,
) -> Run:
    """Explain, score and test; the same as ``serxai run`` with these flags.

    Keywords are named and checked as the flags are; what may be repeated there takes one name or several here.

    Parameters
    ----------
    config : path, optional
        TOML file of settings; keywords override them.
    preset : str, optional
        Shipped settings to start from (``serxai ls presets``); default ``quick``.
    corpus, method, metric, condition, emotion, fill : str or sequence of str
        Names; what is left out is the preset's.
    model : str, recogniser, a sequence of these, or mapping of str to recogniser
        Names of ``serxai ls models``, or recognisers themselves: what `serxai.load_model` returns, a torch module, a
        scikit-learn estimator or a function, as of ``python:MODULE:FACTORY``. An object is called ``object:NAME`` by
        its own name, or that of the mapping. Its weights, else its outputs on fixed sounds, are part of the identity of
        the scores. This process computes such a run; `workers` above 1 needs an object that can be pickled, of a class
        that other processes can import.
    parameters : mapping of str to mapping, optional
        Parameters of methods, as in ``{"emolime": {"alpha": 1}}``.
    target : str, optional
        ``predicted``, ``true``, a class, or a contrast ``A-B``.
    trained_on : str, optional
        Training corpus of the models; default the corpus explained.
    ensemble : bool, optional
        Whether speakers of other corpora are explained by the mean of the fold models.
    limit : int, optional
        At most so many clips a corpus; 0 for all.
    seed, repeats, reexplain_calls : int, optional
    checkpoint : path or mapping of str to path, optional
        Of the one model, or by model.
    trust : bool
        Whether code may run that a file names.
    data_root : path, optional
        Folder of the corpora.
    out : path, optional
        Run folder; default ``runs/PRESET``, or the next free one.
    resume, retry_failed : bool
        Whether the run in `out` is continued, and its failed rows computed again.
    workers : int, optional
        Processes; default the cores of this machine.
    device : str
    memory, batch_memory : float, optional
        In GB.
    executor : {'local', 'ray'}
    ray_address : str, optional
    report : bool
        Whether the report is written into the run's folder.
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    Run
        The finished run, see `serxai.open_run`.

    Raises
    ------
    InputError
        For anything that is wrong in the arguments; the message names the keyword.
    """
    if not (config is None or isinstance(config, str | PathLike)):
        raise InputError(
            f"config: give the path of a TOML file, got {type(config).__name__}; settings are keywords, as in "
            'serxai.run(corpus="emodb", method=["emolime", "random"]).'
        )
    if preset == "qualify":
        raise InputError("preset 'qualify' is the command `serxai qualify`; the library has no function for it.")
    with in_keywords():
        names, recognisers = _models(model, device)
        request = RunRequest(
            config=_path(config),
            preset=preset,
            corpora=_names("corpus", corpus),
            models=names,
            recognisers=recognisers,
            methods=_names("method", method),
            parameters=parameters or {},
            metrics=_names("metric", metric),
            conditions=_names("condition", condition),
            emotions=_names("emotion", emotion),
            fills=_names("fill", fill),
            target=target,
            trained_on=trained_on,
            ensemble=ensemble,
            limit=limit,
            repeats=repeats,
            reexplain_calls=reexplain_calls,
            seed=seed,
            checkpoints=_checkpoints(checkpoint),
            trust=trust,
            out=_path(out),
            resume=resume,
            retry_failed=retry_failed,
            data_root=_path(data_root),
            workers=workers,
            device=device,
            memory=memory,
            batch_memory=batch_memory,
            executor=executor,
            ray_address=ray_address,
        )
        settings, execution = request.settings(lambda message: warnings.warn(message, UserWarning, stacklevel=5))
        folder = request.folder()
        from ...models.given import identified
        from ..run.runner import run as compute
        from .results import Run

        with identified(recognisers):
            store = compute(settings, folder, execution, progress)
        if report:
            from ..report.run_report import write_run_report
            from ..storage.files import writing

            with writing(store.path):
                write_run_report(store, store.info, progress or no_progress)
    return Run(store.path)


def _path(given: str | PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)


def _names(keyword: str, given: Names) -> list[str]:
    """One name or several as a list."""
    if isinstance(given, str):
        return [given]
    names = list(given)
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise InputError(f"{keyword}: give a name or several, got {type(wrong[0]).__name__}; see: serxai ls.")
    return names


def _models(given: Any, device: str) -> tuple[list[str], dict[str, Recogniser]]:
    """Names of models, and the recognisers among them that are objects."""
    if isinstance(given, str):
        return [given], {}
    several = isinstance(given, Mapping | list | tuple)
    every = given if several else [given]
    objects = given if isinstance(given, Mapping) else [m for m in every if not isinstance(m, str)]
    if not objects:
        return [m for m in given if isinstance(m, str)], {}
    from ...models.given import named_objects

    found = named_objects(objects, device)
    if isinstance(given, Mapping) or not several:
        return list(found), found
    left = iter(found)
    return [m if isinstance(m, str) else next(left) for m in given], found


def _checkpoints(given: str | PathLike[str] | Mapping[str, str | PathLike[str]] | None) -> list[str]:
    """Values of ``--checkpoint``."""
    if given is None:
        return []
    if isinstance(given, Mapping):
        return [f"{model}={Path(path)}" for model, path in given.items()]
    return [str(Path(given))]
