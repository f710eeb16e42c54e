"""``serxai.explain``: explanations of a recogniser's prediction for a sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...audio.fill_records import FILL_NAMES
from ...datasets.clip import Clip
from ...datasets.corpora import CORPORA, load_corpus
from ...errors import ClipError, InputError, NotApplicable, UnknownNameError
from ...keys import Seed, digest
from ...methods.attribution import Attribution
from ...methods.beyond_saliency import with_norms
from ...methods.explainer import Explainer, Request, SharedWork
from ...methods.masks import fill_effects
from ...methods.records import METHODS, make_method
from ...models.bundled import REAL_SPEECH, corpus_of_samples
from ...models.dimensional import no_class
from ...models.foldmodels import GivenRecogniser, Models
from ...models.given import as_recogniser
from ...models.obtain import load_models
from ...models.recogniser import Recogniser
from ...models.training_distance import Deviation
from ...models.trust import Permission
from ...progress import Progress, no_progress
from ..analysis.speaker_reference import speaker_norms
from ..run.options import device_option
from .clip_explanation import ClipExplanation
from .keywords import in_keywords
from .sound import Sound, sound_of

if TYPE_CHECKING:
    from .sound import Audio

DEFAULT_METHODS = ("saliency", "emolime", "beyond-saliency")


def explain(
    audio: Audio,
    methods: str | Sequence[str] = DEFAULT_METHODS,
    model: str | Recogniser | Any = "cnn",
    *,
    rate: float | None = None,
    target: str = "predicted",
    fill: str | None = None,
    trained_on: str | None = None,
    checkpoint: str | Path | None = None,
    trust: bool = False,
    ensemble: bool = False,
    device: str = "cpu",
    data_root: str | Path | None = None,
    seed: int = 0,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> ClipExplanation:
    """Explain a recogniser's prediction for one sound.

    Parameters
    ----------
    audio : str, path, array or Clip
        A file that libsndfile reads; samples with their `rate` (floats in -1..1, int16 or int32, channels along the
        shorter axis); or a clip of a corpus, ``serxai.load_corpus(NAME).clip(ID)``. At most 60 s.
    methods : str or sequence of str
        One name or several, from ``serxai ls methods``.
    model : str or Recogniser
        Name from ``serxai ls models``, or a recogniser such as `serxai.load_model` returns, or a torch module, an
        estimator or a function with the attribute ``classes``, as of ``python:MODULE:FACTORY``.
    rate : float, optional
        Sampling rate of an array in Hz.
    target : str
        ``predicted``, a class of the recogniser, or ``A-B``: why class A rather than class B.
    fill : str, optional
        What replaces removed parts, for methods that explain against a fill; default that of each method.
    trained_on : str, optional
        Training corpus of the model; default EMODB, real speech. A clip of that corpus is explained by the fold model
        trained without its speaker, any other by the model refitted on all speakers.
    checkpoint : path, optional
        Folder written by ``serxai train``, or the file of a foreign model, instead of `trained_on`.
    trust : bool
        Whether code in a foreign checkpoint may run.
    ensemble : bool
        Whether the mean of the fold models' log-odds takes the place of the refitted model.
    device : str
        Where a recogniser that is named runs, ``cpu`` or ``cuda``.
    data_root : path, optional
    seed : int
    parameters : mapping of str to mapping, optional
        Parameters that are not their defaults, by method.
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    ClipExplanation
        Of one method as of several: ``explanation[NAME]`` is a method's attribution, ``explanation.attribution`` the
        only one's; ``explanation.plot()`` draws, ``to_frame()`` and ``to_xarray()`` give tables.

    Raises
    ------
    ClipError
        If the sound cannot be read or is too short.
    InputError
        For an unknown name or target; for an array without a rate; if the model of `checkpoint` was trained on
        synthetic speech, the sound is none of it, and `trained_on` does not name that corpus.

    Examples
    --------
    >>> import numpy as np, serxai
    >>> noise = np.random.default_rng(0).normal(0, 0.1, 8000)
    >>> explanation = serxai.explain(noise, "saliency", rate=8000)
    >>> explanation.attribution.values.shape
    (128, 67)
    """
    with in_keywords():
        names = [methods] if isinstance(methods, str) else list(methods)
        making = Making(names, fill, seed, parameters or {}, data_root)
        sound = sound_of(audio, rate)
        if not isinstance(model, str):
            given = {"trained_on": trained_on, "checkpoint": checkpoint}
            if beside := [name for name, value in given.items() if value is not None]:
                raise InputError(f"{', '.join(beside)}: the recogniser is given itself; leave it out, or name a model.")
            models: Models = GivenRecogniser(as_recogniser(model, device_option(device)))
        else:
            models = models_for(model, trained_on, checkpoint, trust, ensemble, data_root, progress)
        (explanation,) = explain_each([sound], models, making, target, trained_on, device_option(device), progress)
        return explanation


def models_for(
    model: str,
    trained_on: str | None = None,
    checkpoint: str | Path | None = None,
    trust: bool = False,
    ensemble: bool = False,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> Models:
    """Recognisers of a model for `explain_each`; arguments as those of `explain`."""
    return load_models(
        model,
        trained_on,
        data_root=data_root,
        checkpoint=checkpoint,
        permission=Permission.of([model], trust),
        ensemble=ensemble,
        progress=progress or no_progress,
    )


@dataclass(frozen=True)
class Making:
    """Methods of an explanation and how they are run; made before a model is loaded, so that wrong names cost nothing.

    Attributes
    ----------
    methods : sequence of str
    fill : str or None
        For methods that explain against a fill, unless `parameters` set it.
    seed : int
    parameters : mapping of str to mapping
    data_root : path or None
    explainers : dict of str to Explainer
        By method.

    Raises
    ------
    InputError
        For no method, one named twice, an unknown one, or an unknown fill or parameter.
    """

    methods: Sequence[str]
    fill: str | None = None
    seed: int = 0
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    data_root: str | Path | None = None
    explainers: dict[str, Explainer] = field(init=False)

    def __post_init__(self) -> None:
        if not self.methods:
            raise InputError("methods: give at least one name; see: serxai ls methods.")
        if wrong := [name for name in self.methods if not isinstance(name, str)]:
            raise InputError(f"methods: give names of `serxai ls methods`, got {wrong[0]!r}.")
        if self.fill is not None and self.fill not in FILL_NAMES:
            raise InputError(f"--fill: {UnknownNameError('fill', self.fill, FILL_NAMES)}")
        if strange := sorted(set(self.parameters) - set(self.methods)):
            raise InputError(f"--param: {UnknownNameError('method of this call', strange[0], self.methods)}")
        object.__setattr__(self, "explainers", {name: self.explainer(name) for name in dict.fromkeys(self.methods)})

    def explainer(self, name: str) -> Explainer:
        """A method with its parameters, against the fill if it takes one."""
        given = dict(self.parameters.get(name, {}))
        explainer = make_method(name, **given)
        parameter = explainer.fill_parameter
        if self.fill is None or parameter is None or parameter in given:
            return explainer
        return make_method(name, **given, **{parameter: self.fill})


def explain_each(
    sounds: Iterable[Sound],
    models: Models,
    making: Making,
    target: str = "predicted",
    trained_on: str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Iterator[ClipExplanation]:
    """Explain sounds one after the other with the same recognisers.

    Parameters
    ----------
    sounds : iterable of Sound
    models : FoldModels or ForeignModel
    making : Making
    target : str
    trained_on : str, optional
        Corpus that the user named.
    device : str
    progress : callable, optional

    Raises
    ------
    ClipError, InputError
        As `explain`.
    """
    for sound in sounds:
        yield _explained(sound, models, making, target, trained_on, device, progress or no_progress)


def _explained(
    sound: Sound,
    models: Models,
    making: Making,
    target: str,
    trained_on: str | None,
    device: str,
    report: Progress,
) -> ClipExplanation:
    clip, fold, seen = _match_corpus(sound, models, making.data_root)
    recogniser = models.recogniser(fold, device)
    origin = clip.corpus or corpus_of_samples(clip.samples)
    if not isinstance(models, GivenRecogniser):
        _check_named(models, trained_on, origin, sound)
    statistics = models.statistics
    deviations = () if statistics is None else statistics.deviations(clip.samples)
    try:
        recogniser.check_length(clip.samples.size)
    except ClipError as error:
        raise ClipError(f"{sound}: {error}") from None
    probabilities, outputs = _predictions(recogniser, clip)
    if target == "predicted" and recogniser.regression:
        raise InputError(f"target {target!r}: {no_class(recogniser.name, recogniser.classes)}.")
    predicted = max(probabilities, key=probabilities.__getitem__, default="")
    chosen, contrast = (predicted, None) if target == "predicted" else recogniser.target_named(target)
    attributions: dict[str, Attribution] = {}
    failures: dict[str, str] = {}
    shared = SharedWork()
    for done, (name, explainer) in enumerate(making.explainers.items()):
        report(f"explaining {sound.name}", done, len(making.explainers))
        of_truth = any(METHODS.get(n).needs == "truth" for n in (name, explainer.base) if n)
        told = clip if of_truth else clip.unnamed_with_twin
        request = Request(recogniser, told, chosen, _seed(making, clip, name), None, contrast, shared)
        before = recogniser.calls + shared.spared
        try:
            based = replace(request, base=_base(making, explainer, request, attributions, clip))
            attribution = explainer.attribute(based)
        except (NotApplicable, ClipError) as error:
            failures[name] = str(error)
            continue
        computed = attributions.get(explainer.base or "")
        base_calls = computed.model_calls if computed else 0
        attributions[name] = replace(attribution, model_calls=recogniser.calls + shared.spared - before + base_calls)
    report(f"explaining {sound.name}", len(making.explainers), len(making.explainers))
    if any(attribution.cues for attribution in attributions.values()):
        reference = speaker_norms(clip, making.data_root, report)
        attributions = {name: with_norms(attribution, reference) for name, attribution in attributions.items()}
    return ClipExplanation(
        clip,
        recogniser,
        probabilities,
        chosen,
        seen,
        attributions,
        failures,
        contrast,
        sound.remarks,
        {name: explainer.get_params() for name, explainer in making.explainers.items()},
        outputs,
        models.described,
        deviations,
        _warnings(models, origin, deviations),
        fill_effects(Request(recogniser, clip, chosen, ("fills", making.seed, clip.sha256))),
        sound.name,
    )


def _seed(making: Making, clip: Clip, method: str) -> Seed:
    return Seed("explain", making.seed, clip.sha256, method)


def _base(
    making: Making, explainer: Explainer, request: Request, made: Mapping[str, Attribution], clip: Clip
) -> Attribution | None:
    """Attribution of the base method where it is made already, or must be made against a fill; else None."""
    if explainer.base is None or explainer.base in made:
        return made.get(explainer.base or "")
    base = making.explainer(explainer.base)
    if making.fill is None or base.fill_parameter is None:
        return None
    return base.attribute(replace(request, seed=_seed(making, clip, explainer.base)))  # as if it were asked for


def _predictions(recogniser: Recogniser, clip: Clip) -> tuple[dict[str, float], dict[str, float]]:
    """Probabilities of the classes, or the outputs of a recogniser that predicts numbers; the other is empty."""
    if recogniser.regression:
        return {}, dict(zip(recogniser.classes, map(float, recogniser.log_odds(clip.samples[None])[0]), strict=True))
    proba = recogniser.predict_proba(clip.samples[None])[0]
    return dict(zip(recogniser.classes, map(float, proba), strict=True)), {}


def _synthetic(corpus: str) -> bool:
    """Whether a corpus is synthetic speech."""
    return corpus in CORPORA and CORPORA.get(corpus).twinned


def _check_named(models: Models, named: str | None, origin: str, sound: Sound) -> None:
    """Refuse a model of synthetic speech for other sounds, unless its corpus was named."""
    known = _synthetic(origin) or models.fold_for_samples(sound.clip.samples) != models.default_fold
    if not _synthetic(models.trained_on) or named == models.trained_on or known:
        return
    raise InputError(
        f"{sound}: model {models.name!r} was trained on synthetic speech ({models.trained_on}), and this file is none "
        "of its clips; what it hears in real speech is not emotion. Leave the checkpoint out, and the model trained on "
        f"{REAL_SPEECH} explains it, or name the corpus to explain it nonetheless: --trained-on {models.trained_on}."
    )


def _warnings(models: Models, origin: str, deviations: Sequence[Deviation]) -> tuple[str, ...]:
    """Why a recogniser may not know speech like this, with numbers."""
    found = []
    corpus = models.trained_on
    if _synthetic(corpus) and not _synthetic(origin):
        found.append(f"the model was trained on synthetic speech ({corpus}); on real speech it does not hear emotion")
    if _synthetic(origin) and corpus in CORPORA and not _synthetic(corpus):
        found.append(
            f"the file is synthetic speech ({origin}), the model was trained on {corpus}; "
            f"the model trained on it: --trained-on {origin}"
        )
    if deviations:
        values = "; ".join(deviation.text for deviation in deviations)
        found.append(f"far from the training corpus {corpus}, so the held-out UAR does not speak for it: {values}")
    return tuple(found)


def _match_corpus(sound: Sound, models: Models, data_root: str | Path | None) -> tuple[Clip, str, str]:
    """The clip, with its facts if it is one of the training corpus; the fold that explains it; whether it was seen."""
    clip = sound.clip
    try:
        corpus = load_corpus(models.trained_on, data_root)
        names = [name for name in corpus.table.index if name == clip.id]
    except InputError:  # the corpus is not here, or not known
        names = []
    for known in names:
        try:
            candidate = corpus.clip(known)
        except ClipError:  # a clip that a run refuses; the file is explained as one of no corpus, with a warning
            continue
        if digest(candidate.samples) == digest(clip.samples):
            fold = models.fold_for(corpus.name, candidate.speaker, known)
            seen = models.seen_in_training(corpus, [known], fold)[known]
            return clip if clip.corpus else candidate, fold, seen
    fold = models.fold_for_samples(clip.samples)
    return clip, fold, models.seen_file(sound.path, clip.samples, fold)
