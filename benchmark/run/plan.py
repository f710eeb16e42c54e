"""The plan of a run: cells and shards of a configuration.

A *cell* is one (corpus, fold, model, method, condition, metric, fill, seed). A *shard* is the work unit: a few clips of
one (corpus, fold, model) with all their conditions, methods and metrics, so that audio, predictions, explanations and
trajectories are shared inside it. Clips of one fold and emotion share a shard, because the floor of the consistency
metric compares a clip with the next one of its emotion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise, product
from typing import Any, NamedTuple

from ...datasets.corpus import Corpus
from ...datasets.shifts.conditions import CONDITIONS, Talkers
from ...errors import InputError, UnknownNameError
from ...keys import digest
from ...metrics.record import EARLIER_REEXPLAIN_CALLS
from ...metrics.records import METRICS
from ...models.bundled import REAL_SPEECH
from ...models.dimensional import no_class
from ...models.foldmodels import Models
from ...progress import Progress, no_progress
from ..storage.map_folder import MapFolder
from .config import RULES, RUNNER_UP, RunConfig
from .execution import Execution
from .fine_tuned import fine_tunes, training_clips
from .identity import clip_identity
from .method_spec import MethodSpec, resolve_methods
from .neutral import neutral_clips, reads_neutral
from .reach import Fills, choose_fills
from .split import split
from .workbench import Workbench

SHARD_CLIPS = 4


class Cell(NamedTuple):
    """One combination that is scored on each clip of a fold."""

    corpus: str
    fold: str
    model: str
    method: str
    condition: str
    metric: str
    fill: str
    seed: int


@dataclass(frozen=True)
class Shard:
    """One work unit; picklable, and enough for a worker that has the configuration.

    Attributes
    ----------
    key : str
        Digest of everything its scores depend on.
    clips : tuple of str
    partners : tuple of str
        For each clip, the next one of the same emotion by another speaker; empty where there is none.
    fills : tuple of str
        Fills of its scores; what is explained for metrics that remove nothing is explained against the first.
    mixed : tuple of str
        Other clips that its scores depend on: by other speakers, those that a condition mixes into its clips; neutral
        ones of its speakers where a metric reads them.
    barred : str
        Why no score with a fill is made; empty where they are made.
    training : tuple of str
        Clips that copies of the recogniser are fine-tuned on, where a metric measures on such copies.
    """

    key: str
    corpus: str
    fold: str
    model: str
    trained_on: str
    clips: tuple[str, ...]
    partners: tuple[str, ...]
    fills: tuple[str, ...]
    mixed: tuple[str, ...] = ()
    barred: str = ""
    training: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        both = sorted(set(self.clips) & set(self.training))
        if both:
            raise ValueError(f"shard {self.key}: {', '.join(both)} is explained and fine-tuned on.")


@dataclass
class Plan:
    """The cells and shards of a configuration, with the methods, corpora and fold models they use.

    Attributes
    ----------
    fills : dict of (str, str) to Fills
        Fills by corpus and model.
    maps : dict of (str, str) to MapFolder
        Maps that were made elsewhere, by corpus and model.
    """

    config: RunConfig
    specs: dict[str, MethodSpec]
    corpora: dict[str, Corpus]
    models: dict[tuple[str, str], Models]
    cells: list[Cell]
    shards: list[Shard]
    fills: dict[tuple[str, str], Fills]
    maps: dict[tuple[str, str], MapFolder] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Score rows planned."""
        every = {fills.names for fills in self.fills.values()}
        rows = {names: sum(1 for _ in rows_of(self.config, self.specs, names)) for names in every}
        return sum(len(shard.clips) * rows[shard.fills] for shard in self.shards)

    @property
    def reach_calls(self) -> int:
        """Model calls that planning made to measure the reach of fills."""
        return sum(fills.calls for fills in self.fills.values())

    @property
    def n_clips(self) -> int:
        """Clips planned, counted once per corpus."""
        return len({(shard.corpus, clip) for shard in self.shards for clip in shard.clips})


def cells_of(config: RunConfig, fills: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    """(condition, method, metric, fill) of one corpus and model, in the order of the score rows."""
    for condition, method, metric in product(config.conditions, config.methods, config.metrics):
        record = METRICS.get(metric)
        if condition != "clean" and metric in config.clean_only:
            continue
        if record.conditions == "any" or (record.conditions == "clean") == (condition == "clean"):
            for fill in fills if record.uses_fill else [""]:
                yield condition, method, metric, fill


def rows_of(
    config: RunConfig, specs: Mapping[str, MethodSpec], fills: Sequence[str]
) -> Iterator[tuple[str, str, str, str, int]]:
    """(condition, method, metric, fill, repeat) of one clip's score rows: one for each seed of a stochastic method."""
    for cell in cells_of(config, fills):
        spec = specs[cell[1]].scored_with(cell[3] or fills[0])
        for repeat in range(config.repeats if spec.stochastic else 1):
            yield *cell, repeat


def make_plan(
    config: RunConfig,
    execution: Execution | None = None,
    progress: Progress | None = None,
    train: bool = True,
    measured: Sequence[Mapping[str, Any]] = (),
) -> Plan:
    """Load corpora, obtain recognisers (training them where none are cached) and lay out cells and shards.

    Parameters
    ----------
    config : RunConfig
    execution : Execution, optional
        Its data root, checkpoints and permission to run a checkpoint's code are used.
    progress : Progress, optional
    train : bool
        Whether models that have not been trained on a corpus yet are trained; otherwise untrained ones stand in.
    measured : sequence of mapping
        Reach of fills that an earlier session measured (``reach`` of run.json); taken over where nothing it depends on
        has changed.

    Raises
    ------
    InputError
        If nothing is left to do: no clip of the emotions, no cell for the conditions; if a corpus has no clip of an
        emotion, or no recogniser the target; or if a Hugging Face backbone would have to be trained and must not be.
    """
    bench = Workbench(execution, progress, train, config.ensemble, stand_in=not train, settings=config.model_settings)
    specs = resolve_methods(config)
    models: dict[tuple[str, str], Models] = {}
    cells: list[Cell] = []
    shards: list[Shard] = []
    fills: dict[tuple[str, str], Fills] = {}
    # before models, which may have to be trained
    clips_of = {name: _chosen_clips(config, bench.corpus(name)) for name in config.corpora}
    pairs = {
        (corpus_name, model): bench.models(model, _trained_on(config, bench.corpus(corpus_name)))
        for corpus_name, model in product(config.corpora, config.models)
    }
    maps = {}
    if any(spec.external for spec in specs.values()):
        maps = {(corpus_name, model): bench.maps(corpus_name, model) for corpus_name, model in pairs}
    _refuse_unknown_targets(config, list(pairs.values()))
    for (corpus_name, model), used in pairs.items():
        models[model, used.trained_on] = used
        _check_target(config.target, used)
        corpus = bench.corpus(corpus_name)
        clips = clips_of[corpus_name]
        chosen = fills[corpus_name, model] = choose_fills(
            config, specs, corpus, model, used, partial(bench.recogniser, model, used.trained_on), clips, measured,
            progress or no_progress,
        )  # fmt: skip
        of_model = _shards(config, specs, corpus, model, used, clips, chosen, maps.get((corpus_name, model)))
        kinds = list(cells_of(config, chosen.names))
        if not kinds:
            raise InputError(
                f"no metric of {', '.join(config.metrics)} is defined under the conditions "
                f"{', '.join(config.conditions)}; add --condition noise-20db for metrics of shifted clips, "
                "--condition clean for the others."
            )
        for fold in dict.fromkeys(shard.fold for shard in of_model):
            cells += [
                Cell(corpus_name, fold, model, method, condition, metric, fill, config.seed)
                for condition, method, metric, fill in kinds
            ]
        shards += of_model
    return Plan(config, specs, bench.corpora, models, cells, shards, fills, maps)


def _trained_on(config: RunConfig, corpus: Corpus) -> str:
    """Corpus of training: as configured, else the one explained; of real speech for one without labels to learn."""
    return config.trained_on or (corpus.name if corpus.labelled else REAL_SPEECH)


def _refuse_unknown_targets(config: RunConfig, models: Sequence[Models]) -> None:
    """Refuse a target that is neither of the taxonomy nor a class of one of the recognisers."""
    for name in config.own_classes["target"]:
        known = {str(known) for used in models for known in used.info["classes"]}
        if name not in known:
            raise InputError(f"target: {UnknownNameError('class of these recognisers', name, known)}")


def _check_target(rule: str, models: Models) -> None:
    """Refuse a rule that needs a predicted class, or a true one, for a recogniser that predicts numbers."""
    outputs = models.info["classes"] if models.info.get("regression") else ()
    sides = rule.split("-")
    if outputs and {*RULES, RUNNER_UP} & set(sides):
        raise InputError(f"target {rule!r}: {no_class(models.name, outputs)}.")
    if outputs and not set(sides) <= set(outputs):
        raise InputError(f"target {rule!r}: recogniser {models.name!r} predicts {', '.join(outputs)}.")


def _shards(
    config: RunConfig,
    specs: Mapping[str, MethodSpec],
    corpus: Corpus,
    model: str,
    models: Models,
    chosen: list[str],
    fills: Fills,
    maps: MapFolder | None,
) -> list[Shard]:
    known = _known_clips(config, corpus)
    groups: dict[tuple[str, str], list[str]] = {}
    speakers, emotions = (corpus.table[column].to_dict() for column in ("speaker", "emotion"))
    folds = {clip: models.fold_for(corpus.name, speakers[clip], clip) for clip in known}
    for clip in known:
        groups.setdefault((folds[clip], emotions[clip]), []).append(clip)
    settings = _settings(config, specs, corpus, fills)
    mixing = [condition for condition in config.conditions if CONDITIONS.get(condition).others]
    talkers = Talkers(corpus, config.seed)
    wanted = set(chosen)
    partner = {
        clip: other
        for (_, emotion), members in groups.items()
        for clip, other in (_partners(members, speakers) if emotion else dict.fromkeys(members, "")).items()
        if clip in wanted
    }
    if config.clips:  # a partner that is explained as well, where there is one
        explained = set(config.clips)
        for members in groups.values():
            among = _partners([clip for clip in members if clip in explained], speakers)
            partner |= {c: other for c, other in among.items() if c in wanted and partner[c] not in explained}
    others = {clip: {m for condition in mixing for m in talkers.of(clip, condition)} for clip in chosen}
    if reads_neutral(config.metrics):
        others = {clip: mixed.union(neutral_clips(corpus, clip)) for clip, mixed in others.items()}
    explaining = sorted({folds[clip] for clip in chosen}) if fine_tunes(config.metrics) else []
    training_of: dict[str, tuple[str, ...]] = dict.fromkeys(folds.values(), ())
    training_of |= {fold: training_clips(corpus, models, fold) for fold in explaining}
    corpus.prepare(sorted({*chosen, *partner.values()}.union(*others.values(), *training_of.values()) - {""}))
    identities: dict[str, str] = {}
    shards = []
    for (fold, _), members in sorted(groups.items()):
        clips = [clip for clip in members if clip in wanted]
        training = training_of[fold] if clips else ()
        fingerprint = models.recogniser(fold).fingerprint
        for start in range(0, len(clips), SHARD_CLIPS):
            part = tuple(clips[start : start + SHARD_CLIPS])
            partners = tuple(partner[clip] for clip in part)
            mixed = tuple(sorted(set().union(*(others[clip] for clip in part))))
            for clip in {*part, *partners, *mixed, *training} - {""}:
                if clip not in identities:
                    identities[clip] = clip_identity(corpus, clip)
            key = digest(
                "shard", settings, corpus.name, fold, model, models.trained_on, fingerprint,
                [(clip, identities[clip]) for clip in part], [(p, identities.get(p)) for p in partners],
                *((m, identities[m]) for m in mixed),
                *(("fine-tuning", m, identities[m]) for m in training),
                *([] if maps is None else maps.contents_of({*part, *partners})),
            )  # fmt: skip
            names, barred = fills.names, fills.barred
            shards.append(
                Shard(key, corpus.name, fold, model, models.trained_on, part, partners, names, mixed, barred, training)
            )
    return shards


def _chosen_clips(config: RunConfig, corpus: Corpus) -> list[str]:
    """Clips that are explained, in canonical order.

    Raises
    ------
    InputError
        If there are none.
    """
    chosen = _known_clips(config, corpus)
    if config.clips:
        for clip in config.clips:
            if clip not in corpus.table.index:
                raise UnknownNameError(f"clip of corpus {corpus.name!r}", clip, map(str, corpus.table.index[:2000]))
        explained = set(config.clips)
        chosen = [clip for clip in chosen if clip in explained]
    chosen = chosen[: config.limit or None]
    if not chosen:
        raise InputError(f"corpus {corpus.name!r}: no clip of the emotions {', '.join(config.emotions)}.")
    return chosen


def _known_clips(config: RunConfig, corpus: Corpus) -> list[str]:
    """Clips of the part of a corpus that is explained, in canonical order."""
    if not corpus.labelled and config.emotions != RunConfig.model_fields["emotions"].default:
        raise InputError(
            f"--emotion: corpus {corpus.name!r} has no labels by which {', '.join(config.emotions)} could be chosen; "
            "leave out --emotion."
        )
    if config.tuning is None:
        return corpus.select(config.emotions)
    parts = split(corpus, config.emotions, config.tuning.clips, config.seed)
    return parts.tuning if config.part == "tuning" else parts.scored


def _partners(members: Sequence[str], speakers: Mapping[str, str]) -> dict[str, str]:
    """For each member the next one, round the end, by another speaker; empty where there is none. Linear in members."""
    found: dict[str, str] = {}
    other = ""
    for following, clip in pairwise(reversed([*members, *members, *members[:1]])):
        other = following if speakers[following] != speakers[clip] else other
        found[clip] = other
    return {clip: found[clip] for clip in members}


def _settings(config: RunConfig, specs: Mapping[str, MethodSpec], corpus: Corpus, fills: Fills) -> dict[str, Any]:
    """The part of a shard's key that all its clips share."""
    return (
        {
            "rows": list(cells_of(config, fills.names)),
            "fills": [fills.names, fills.barred],
            "methods": {name: specs[name].identity for name in config.methods},
            "metrics": {name: METRICS.get(name).version for name in config.metrics},
            "conditions": {name: CONDITIONS.get(name).version for name in config.conditions},
            "corpus": corpus.record.version,
            "target": config.target,
            "seed": config.seed,
        }
        | ({"repeats": config.repeats} if config.repeats > 1 else {})
        | _budget(config)
    )


def _budget(config: RunConfig) -> dict[str, int]:
    """The budget of explanations made again, which decides which rows are skipped; scores do not depend on it."""
    again = any(METRICS.get(name).explains for name in config.metrics)
    other = config.reexplain_calls != EARLIER_REEXPLAIN_CALLS  # the shards of earlier runs keep their keys
    return {"reexplain_calls": config.reexplain_calls} if again and other else {}
