"""Checks of a command's arguments that need neither torch nor pandas, so that a wrong one is refused at once.

Each function takes the parsed arguments and returns nothing. Errors begin with the flag they are about.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...audio.fill_records import FILL_NAMES
from ...cues.records import CUES
from ...datasets.corpora import CORPORA, layout_of
from ...datasets.corpus import not_found
from ...datasets.schemes import find_scheme, kept_first
from ...errors import InputError, UnknownNameError
from ...methods.records import METHODS
from ...models.backbone_settings import LAYERS
from ...models.bundled import BUNDLED, REAL_SPEECH
from ...models.card import load_card
from ...models.records import MODELS
from ...registry import Registry
from ..analysis.shown_names import shown_names
from ..report.catalogue import FIGURES, refuse_choice
from ..report.figures.choice import Choice
from ..storage.result_tree import run_folders
from ..storage.run_info import read_run_info
from .train_config import complete


def explain(arguments: Namespace) -> None:
    """Names, checkpoint, output folder, target, fill and sound files of ``serxai explain``."""
    _registered("--model", MODELS, [arguments.model])
    _registered("--trained-on", CORPORA, [arguments.trained_on or REAL_SPEECH])
    _methods(arguments.method)
    if arguments.checkpoint is not None and not arguments.checkpoint.exists():
        raise InputError(f"--checkpoint {arguments.checkpoint}: no such file or folder; give one that exists.")
    _folder("--out", arguments.out)
    if arguments.fill is not None and arguments.fill not in FILL_NAMES:
        raise InputError(f"--fill: {UnknownNameError('fill', arguments.fill, FILL_NAMES)}")
    named: dict[str, Path] = {}
    for audio in arguments.audio:
        if audio.stem in named:
            raise InputError(
                f"AUDIO: {named[audio.stem]} and {audio} would be written to files of one name, {audio.stem}.*; "
                "explain them one by one, each with an --out of its own."
            )
        named[audio.stem] = audio
    from ...audio import load_audio

    for audio in arguments.audio:
        load_audio(audio)
    _target(arguments.target, arguments.model, arguments.trained_on or REAL_SPEECH, arguments.checkpoint)


def score(arguments: Namespace) -> None:
    """Folder of maps, corpus, model, methods and metrics of ``serxai score``."""
    if (arguments.maps is None) == (arguments.statements is None):
        raise InputError("score: give a folder of MAPS, or --statements FILE.csv, and not both.")
    if arguments.statements is not None:
        if arguments.corpus is None:
            raise InputError("--corpus: say of which corpus the clips of --statements are.")
    elif not arguments.maps.is_dir():
        raise InputError(f"MAPS {arguments.maps}: no such folder; give one that holds a manifest and maps.")
    if arguments.corpus is not None:
        _corpora("--corpus", [arguments.corpus], arguments.data_root)
    _registered("--model", MODELS, [arguments.model] if arguments.model else [])
    _methods(arguments.method)
    _folder("--out", arguments.out or Path())


def train(arguments: Namespace) -> None:
    """Model, corpus and folds of ``serxai train``; what the configuration says is filled in."""
    complete(arguments)
    _registered("MODEL", MODELS, [arguments.model])
    if arguments.dimension and arguments.emotion:
        raise InputError("--dimension predicts numbers and --emotion classes; give one of them.")
    published = [scheme for scheme in kept_first(arguments.folds) if isinstance(scheme, str)]
    if arguments.folds_root is not None and not arguments.folds_root.is_dir():
        raise InputError(f"--folds-root {arguments.folds_root}: no such folder; give one that exists.")
    for scheme in published:
        find_scheme(scheme, arguments.folds_root)
    if arguments.layer is not None and not (arguments.layer.isdecimal() or arguments.layer in LAYERS):
        raise InputError(f"--layer {arguments.layer}: give a number of a hidden state, or {', '.join(LAYERS)}.")
    if not arguments.model.startswith("hf:"):
        for flag, given in (("--layer", arguments.layer), ("--pooling", arguments.pooling)):
            if given is not None:
                raise InputError(f"{flag}: a setting of Hugging Face backbones; model {arguments.model!r} has none.")
    if arguments.out is not None:
        _folder("--out", arguments.out)
    _corpora("--corpus", [arguments.corpus], arguments.data_root)


def transfer(arguments: Namespace) -> None:
    """Model and corpora of ``serxai transfer``."""
    _registered("MODEL", MODELS, [arguments.model])
    names = list(dict.fromkeys(arguments.corpus))
    if len(names) < 2:
        raise InputError(f"--corpus: transfer needs at least 2 corpora, got {', '.join(names) or 'none'}; repeat it.")
    _folder("--out", arguments.out)
    _corpora("--corpus", names, arguments.data_root)


def corpus(arguments: Namespace) -> None:
    """Corpus of a ``serxai corpus`` action; only a corpus to fetch need not be there."""
    _registered("NAME", CORPORA, [arguments.name])
    _registered("--cue", CUES, getattr(arguments, "cue", []))
    if arguments.action != "fetch":
        _corpora("NAME", [arguments.name], arguments.data_root)


def status(arguments: Namespace) -> None:
    """Run folders of ``serxai status``: the one that is named, or those below it."""
    arguments.runs = run_folders([arguments.run])
    for folder in arguments.runs:
        read_run_info(folder)


def leaderboard(arguments: Namespace) -> None:
    """Run folders of ``serxai leaderboard``."""
    arguments.runs = run_folders(arguments.runs)
    for folder in arguments.runs:
        read_run_info(folder)
    if arguments.clips < 0:
        raise InputError(f"--clips: must be 0 or more, got {arguments.clips}; 0 shows no single clip.")
    _folder("--out", arguments.out)


def study(arguments: Namespace) -> None:
    """Run folder and methods of ``serxai study``."""
    if arguments.run == "score":
        return
    if arguments.answers:
        raise InputError(
            f"study: {arguments.answers[0]!r} is not expected; to score answers: serxai study score STUDY FILE."
        )
    info = read_run_info(Path(arguments.run))
    _of_run("--method", "method", arguments.method, info["config"]["methods"])
    if arguments.out is None:
        raise InputError("study: --out is missing; give a folder for the page and its key.")
    if arguments.clips < 1:
        raise InputError(f"--clips: must be 1 or more, got {arguments.clips}.")
    _folder("--out", arguments.out)


def figures(arguments: Namespace) -> None:
    """Figure, run folders and choice of ``serxai figures``."""
    if arguments.name not in FIGURES:
        raise InputError(f"NAME: {UnknownNameError('figure', arguments.name, FIGURES)}")
    arguments.run = run_folders(arguments.run)
    infos = [read_run_info(folder) for folder in arguments.run]
    refuse_choice(arguments.name, len(infos), figure_choice(arguments))
    _of_run("--method", "method", arguments.method, _methods_of(infos))
    _folder("--out", arguments.out)


def figure_choice(arguments: Namespace) -> Choice:
    """What the flags of ``serxai figures`` choose."""
    return Choice(tuple(arguments.method), tuple(arguments.clip), arguments.corpus or "", arguments.model or "")


def compare(arguments: Namespace) -> None:
    """Run folders, metric, and what is chosen of them, of ``serxai compare``."""
    arguments.runs = run_folders(arguments.runs)
    infos = [read_run_info(folder) for folder in arguments.runs]
    keys = ("metrics", "corpora", "conditions")
    known = {key: [name for info in infos for name in info["config"].get(key, ())] for key in keys}
    _of_run("--metric", "metric", [arguments.metric], known["metrics"])
    _of_run("--method", "method", arguments.method, _methods_of(infos))
    if len(infos) == 1:  # of several, a corpus may stand apart under a name with a digest
        _of_run("--corpus", "corpus", arguments.corpus, known["corpora"])
    _of_run("--condition", "condition", arguments.condition, ["clean", *known["conditions"]])
    if arguments.margin is not None and not arguments.margin > 0:
        raise InputError(f"--margin must be above 0, got {arguments.margin}.")
    if arguments.difference == 0:
        raise InputError("--difference must not be 0: no number of clips shows that nothing is there.")
    if len(set(arguments.method)) == 1:
        raise InputError(f"--method must name two or more methods, got {arguments.method[0]}; repeat it, or leave out.")


def robustness(arguments: Namespace) -> None:
    """Run folders, methods and output folder of ``serxai robustness``."""
    arguments.runs = run_folders(arguments.runs)
    infos = [read_run_info(folder) for folder in arguments.runs]
    _of_run("--method", "method", arguments.method, _methods_of(infos))
    if arguments.out is not None:
        _folder("--out", arguments.out)


claims = robustness  # the same arguments are checked


def export(arguments: Namespace) -> None:
    """Run folder and methods of ``serxai export``."""
    config = read_run_info(arguments.run).get("config", {})
    _of_run("--method", "method", arguments.method, config.get("methods"))
    _folder("--out", arguments.out)


def conventions(arguments: Namespace) -> None:
    """Run folder, metrics and numbers of ``serxai conventions``."""
    config = read_run_info(arguments.run).get("config", {})
    _of_run("--metric", "metric", arguments.metric, config.get("metrics"))
    if arguments.limit < 0:
        raise InputError(f"--limit must be at least 0, got {arguments.limit}; 0 means all clips.")
    if arguments.out is not None:
        _folder("--out", arguments.out)


def validate(arguments: Namespace) -> None:
    """Run folder and numbers of ``serxai validate``."""
    if (arguments.sample or 0) < 0 or arguments.seed < 0:
        raise InputError(f"--sample and --seed must be at least 0, got {arguments.sample} and {arguments.seed}.")
    if not arguments.run.is_dir():
        read_run_info(arguments.run)


def results_add(arguments: Namespace) -> None:
    """Run folders and folder of results of ``serxai results add``."""
    arguments.runs = run_folders(arguments.runs)
    for folder in arguments.runs:
        read_run_info(folder)
    if len(arguments.runs) > 1 and (arguments.name or getattr(arguments, "as")):
        raise InputError("--name and --as name one record; add the runs one by one.")
    _folder("--to", arguments.to)


def results_build(arguments: Namespace) -> None:
    """Folder of results and output folder of ``serxai results build``."""
    run_folders([arguments.results])
    _folder("--out", arguments.out)


def _registered(flag: str, registry: Registry[Any], names: Iterable[str]) -> None:
    for name in names:
        try:
            registry.get(name)
        except InputError as error:
            raise InputError(f"{flag}: {error}") from None


def _methods(names: Iterable[str]) -> None:
    for name in names:
        _registered("--method", METHODS, [name])
        if name.endswith(":"):
            raise InputError(f"--method {name}: name the base method behind the colon, as in {name}saliency.")
        base = METHODS.get(name).argument
        if base:
            _registered(f"--method {name}", METHODS, [base])


def _methods_of(infos: Sequence[Mapping[str, Any]]) -> list[str]:
    """Methods of runs, by their own names and by those under which they stand apart."""
    return [
        method
        for info, names in zip(infos, shown_names(infos), strict=True)
        for name in info["config"]["methods"]
        for method in dict.fromkeys((name, names.method(name)))
    ]


def _corpora(flag: str, names: Iterable[str], data_root: Path | None) -> None:
    """Refuse unknown corpora, and those whose folder is missing."""
    for name in names:
        _registered(flag, CORPORA, [name])
        record = CORPORA.get(name)
        if record.rendered_from:
            record = CORPORA.get(record.rendered_from)
        root = record.root(data_root)
        layout = None if root.is_dir() else layout_of(record)
        if layout is not None:
            raise InputError(f"{flag}: {not_found(record, layout, root)}")


def _folder(flag: str, path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise InputError(f"{flag} {path} is a file; give a folder.")


def _of_run(flag: str, kind: str, names: Iterable[str], known: Iterable[str] | None) -> None:
    """Refuse what the run was not planned with; `known` is None where ``run.json`` does not say."""
    for name in names:
        if known is not None and name not in known:
            raise InputError(f"{flag}: {UnknownNameError(f'{kind} of this run', name, known)}")


def _target(target: str, model: str, trained_on: str, checkpoint: Path | None) -> None:
    """Refuse a damaged card, and a class that it does not list; without a card, the loaded recogniser refuses it."""
    if checkpoint is not None and MODELS.get(model).kind != "foreign":
        classes = load_card(checkpoint).classes
    else:
        bundled = BUNDLED / f"{model}-{trained_on}"
        if checkpoint is not None or not bundled.is_dir():
            return
        classes = load_card(bundled).classes
    if target == "predicted":
        return
    if target not in {*classes, *(f"{a}-{b}" for a in classes for b in classes if a != b)}:
        raise InputError(
            f"--target {target!r}: recogniser {model!r} knows {', '.join(classes)}; give one, or two as A-B."
        )
