"""What a user asks of a run, by the flags of ``serxai run`` or the keywords of ``serxai.run``, made into settings.

Everything that can be wrong is checked before torch and the audio libraries are imported. Messages name flags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...datasets.corpora import CORPORA
from ...errors import InputError
from ...models.trust import Permission
from ..storage.run_info import read_run_info
from .config import RunConfig, load_config, settings_of_run
from .execution import Execution, check_out, free_folder
from .options import check_permission, checkpoints_option, device_option, memory_option, workers_option


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Arguments of a run; what is None or empty keeps the value of file, preset or continued run.

    Attributes
    ----------
    config : Path or None
        TOML file of settings.
    preset : str or None
    corpora, models, methods, metrics, conditions, emotions, fills : list of str
    parameters : mapping of str to mapping
        Parameters of methods.
    target, trained_on, ensemble, limit, repeats, reexplain_calls, seed
        As in `RunConfig`.
    checkpoints : list of str
        ``[MODEL=]PATH``.
    trust : bool
        Whether code may run that a file names.
    out : Path or None
        Default ``runs/PRESET``, or the next free one.
    resume, retry_failed, dry_run : bool
    data_root, workers, device, memory, batch_memory, executor, ray_address
        As in `Execution`.
    recognisers : mapping of str to Recogniser
        Objects by their name in `models`; one process computes a run of them unless `workers` says otherwise.
    """

    config: Path | None = None
    preset: str | None = None
    corpora: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    emotions: list[str] = field(default_factory=list)
    fills: list[str] = field(default_factory=list)
    target: str | None = None
    trained_on: str | None = None
    ensemble: bool | None = None
    limit: int | None = None
    repeats: int | None = None
    reexplain_calls: int | None = None
    seed: int | None = None
    checkpoints: list[str] = field(default_factory=list)
    trust: bool = False
    out: Path | None = None
    resume: bool = False
    retry_failed: bool = False
    dry_run: bool = False
    data_root: Path | None = None
    workers: int | None = None
    device: str = "cpu"
    memory: float | None = None
    batch_memory: float | None = None
    executor: str = "local"
    ray_address: str | None = None
    recognisers: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, notify: Callable[[str], None]) -> tuple[RunConfig, Execution]:
        """Configuration and execution settings.

        Parameters
        ----------
        notify : callable
            Called with a sentence about settings that were neither given nor taken from the preset.

        Raises
        ------
        InputError
            For anything that is wrong in them; the message begins with the flag.
        """
        if self.retry_failed and not (self.resume or self.dry_run):
            raise InputError("--retry-failed continues a run; give --resume and --out as well.")
        if self.resume and self.out is None and not self.dry_run:
            raise InputError("--resume needs --out: the folder of the run to continue.")
        config = load_config(
            self.config,
            self.preset,
            self._earlier(),
            notify=notify,
            own_classes=bool(self.checkpoints),
            corpora=self.corpora,
            models=self.models,
            methods=self.methods,
            metrics=self.metrics,
            conditions=self.conditions,
            emotions=self.emotions,
            fills=self.fills,
            target=self.target,
            trained_on=self.trained_on,
            ensemble=self.ensemble,
            parameters={method: dict(given) for method, given in self.parameters.items()},
            limit=self.limit,
            repeats=self.repeats,
            reexplain_calls=self.reexplain_calls,
            seed=self.seed,
        )
        if self.recognisers:
            self._refuse_unsendable()
        checkpoints = checkpoints_option(self.checkpoints, config.models)
        self._refuse_other_weights(checkpoints)
        permission = Permission.of(self.models, self.trust)
        check_permission(permission, config.models)
        execution = Execution(
            workers=workers_option(1 if self.recognisers and self.workers is None else self.workers),
            data_root=_data_root(self.data_root, config),
            retry_failed=self.retry_failed,
            memory=memory_option("--memory", self.memory),
            batch_memory=memory_option("--batch-memory", self.batch_memory),
            executor=self.executor,
            ray_address=self._ray_address(),
            checkpoints=checkpoints,
            permission=permission,
            recognisers=self.recognisers,
            # last, since it may import torch; a Ray cluster may have what this machine has not
            device=self.device if self.executor == "ray" else device_option(self.device),
        )
        return config, execution

    def _refuse_unsendable(self) -> None:
        """Refuse objects where other processes need them and cannot get them."""
        from ...models.given import refuse_unsendable

        asked = {
            f"--workers {self.workers}": (self.workers or 1) > 1,
            "--memory": self.memory is not None,
            f"--executor {self.executor}": self.executor != "local",
        }
        for why in (why for why, given in asked.items() if given):
            refuse_unsendable(self.recognisers, why)
        if self.trained_on is not None and set(self.models) <= set(self.recognisers):
            raise InputError("--trained-on: the recogniser is given itself; its attribute trained_on says so.")
        if unclear := [text for text in self.checkpoints if text.rpartition("=")[0] not in self.models]:
            raise InputError(
                f"--checkpoint {unclear[0]}: say of which model that is named; objects have their weights."
            )

    def _refuse_other_weights(self, checkpoints: Mapping[str, Path]) -> None:
        """Refuse to continue a run of given weights without them: others would be trained first, and refused then."""
        if not self.resume or self.out is None or self.dry_run:
            return
        check_out(self.out, resume=True)
        made_with = read_run_info(self.out)["execution"].get("checkpoints", {})
        for model, path in made_with.items():
            if model not in checkpoints:
                told = f"--checkpoint {model}={path}"
                raise InputError(
                    f"--resume: the run was made with {told if told.isprintable() else '--checkpoint'}; give it again."
                )

    def folder(self) -> Path:
        """The run's folder: `out`, or a free one named after file or preset and corpora.

        Raises
        ------
        InputError
            If there is a run which is not to be resumed, or none to resume.
        """
        out = self.out or free_folder(Path("runs") / self._name())
        check_out(out, self.resume)
        return out

    def _earlier(self) -> dict[str, Any] | None:
        """Settings of the run that is continued, unless the request names settings of its own to start from."""
        if not self.resume or self.out is None or self.config is not None or self.preset is not None:
            return None
        check_out(self.out, resume=True)
        from ..storage.store import Store

        info = Store(self.out).info
        config = settings_of_run(info["config"])
        if self.fills and not config.get("fills"):  # to those that were chosen by their reach
            chosen = [str(reach["fill"]) for reach in info.get("reach", []) if reach.get("used") and "fill" in reach]
            config = config | {"fills": list(dict.fromkeys(chosen))}
        return config

    def _name(self) -> str:
        return self.config.stem if self.config is not None else "-".join([self.preset or "quick", *self.corpora])

    def _ray_address(self) -> str | None:
        if self.ray_address is not None and self.executor != "ray":
            raise InputError(f"--ray-address {self.ray_address} needs --executor ray.")
        return self.ray_address


def _data_root(folder: Path | None, config: RunConfig) -> Path | None:
    """The folder of corpora, which must be there unless all corpora can be rendered into it."""
    trained_on: Sequence[str] = [config.trained_on] if config.trained_on else []
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
