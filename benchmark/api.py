"""Public functions of the library: ``serxai.run`` and ``serxai.explain``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Plane, fill_spectrum, scoring_grid
from ..audio.load import load_recording
from ..audio.quality import Remark
from ..datasets.clip import Clip
from ..datasets.corpora import CORPORA, load_corpus
from ..errors import ClipError, InputError, NotApplicable
from ..keys import digest, rng
from ..methods.attribution import Attribution
from ..methods.beyond_saliency import with_norms
from ..methods.caveats import Caveat, caveats, largest_response
from ..methods.explainer import Request, SharedWork
from ..methods.masks import FillEffect, fill_effects
from ..methods.reading import reading
from ..methods.records import make_method
from ..models.bundled import REAL_SPEECH, corpus_of_samples
from ..models.dimensional import no_class
from ..models.foldmodels import Models
from ..models.obtain import load_models
from ..models.recogniser import Recogniser
from ..models.training_distance import Deviation
from ..models.trust import Permission
from .analysis.speaker_reference import speaker_norms
from .run.runner import Progress, run

__all__ = ["ClipExplanation", "explain", "kept_and_removed", "run"]

DEFAULT_METHODS = ("saliency", "emolime", "beyond-saliency")
KEPT_SHARE = 0.25  # of the scoring grid's cells, for the waveform of the most relevant part


@dataclass(frozen=True)
class ClipExplanation:
    """Explanations of one audio file by several methods.

    Attributes
    ----------
    clip : Clip
    recogniser : Recogniser
    probabilities : dict of str to float
        By class.
    target : str
        The class explained.
    seen_in_training : {'no', 'yes', 'unknown'}
        Whether the recogniser was trained on the clip or its speaker.
    attributions : dict of str to Attribution
        By method.
    failures : dict of str to str
        Methods that could not explain the clip, with the reason.
    contrast : str or None
        The class that the target is explained against.
    remarks : tuple of Remark
        What is wrong with the recording.
    parameters : dict of str to dict
        Every parameter of each method, defaults included.
    outputs : dict of str to float
        By dimension, of a recogniser that predicts numbers; it has no probabilities.
    trained : str
        Corpus of training, number of classes and held-out UAR of the recogniser, in words.
    deviations : tuple of Deviation
        Quantities in which the file lies outside the range of the training clips.
    warnings : tuple of str
        Why the recogniser may not know speech like this.
    fills : tuple of FillEffect
        What each fill does to the prediction where it replaces the whole clip.
    """

    clip: Clip
    recogniser: Recogniser
    probabilities: dict[str, float]
    target: str
    seen_in_training: str
    attributions: dict[str, Attribution]
    failures: dict[str, str] = field(default_factory=dict)
    contrast: str | None = None
    remarks: tuple[Remark, ...] = ()
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, float] = field(default_factory=dict)
    trained: str = ""
    deviations: tuple[Deviation, ...] = ()
    warnings: tuple[str, ...] = ()
    fills: tuple[FillEffect, ...] = ()

    @property
    def caveats(self) -> dict[str, tuple[Caveat, ...]]:
        """Reasons not to read an explanation, or not as evidence for a class, by method (`methods.caveats`).

        What the recogniser responds to is judged by all that was removed from the clip, by fills and by any method.
        """
        response = largest_response(self.fills, (each.table for each in self.attributions.values()))
        return {name: caveats(each, response, bool(self.outputs)) for name, each in self.attributions.items()}

    @property
    def sentences(self) -> dict[str, str]:
        """What each explanation says, or why it is not to be read, by method (`methods.reading`)."""
        found = self.caveats
        return {name: reading(each, found[name], bool(self.outputs)) for name, each in self.attributions.items()}


def explain(
    audio: str | Path,
    methods: Sequence[str] = DEFAULT_METHODS,
    model: str = "cnn",
    *,
    target: str = "predicted",
    trained_on: str | None = None,
    checkpoint: str | Path | None = None,
    trust: bool = False,
    ensemble: bool = False,
    data_root: str | Path | None = None,
    seed: int = 0,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> ClipExplanation:
    """Explain a recogniser's prediction for one audio file.

    Parameters
    ----------
    audio : str or Path
        Any file that libsndfile reads.
    methods : sequence of str
        Names from ``serxai ls methods``.
    model : str
        Name from ``serxai ls models``.
    target : str
        ``predicted``, a class of the recogniser, or ``A-B``: why class A rather than class B.
    trained_on : str, optional
        Training corpus of the model; default EMODB, real speech. A clip of that corpus is explained by the fold model
        trained without its speaker, any other by the model refitted on all speakers.
    checkpoint : path, optional
        Folder written by ``serxai train``, or the file of a foreign model, instead of `trained_on`.
    trust : bool
        Whether code in a foreign checkpoint may run.
    ensemble : bool
        Whether the mean of the fold models' log-odds takes the place of the refitted model.
    data_root : path, optional
    seed : int
    parameters : mapping of str to mapping, optional
        Parameters that are not their defaults, by method.
    progress : callable, optional
        Called with (what, done, total).

    Raises
    ------
    ClipError
        If the file cannot be read or is too short.
    InputError
        For an unknown name or target; if the model of `checkpoint` was trained on synthetic speech, the file is none of
        it, and `trained_on` does not name that corpus.
    """
    explainers = {name: make_method(name, **(parameters or {}).get(name, {})) for name in methods}
    path = Path(audio)
    recording = load_recording(path)
    clip = Clip(id=path.stem, samples=recording.samples)
    report = progress or (lambda what, done, total: None)
    models = load_models(
        model,
        trained_on,
        data_root=data_root,
        checkpoint=checkpoint,
        permission=Permission.of([model], trust),
        ensemble=ensemble,
        progress=report,
    )
    clip, recogniser, seen = _match_corpus(clip, path, models, data_root)
    origin = clip.corpus or corpus_of_samples(clip.samples)
    _check_named(models, trained_on, origin, clip, path)
    statistics = models.statistics
    deviations = () if statistics is None else statistics.deviations(clip.samples)
    try:
        recogniser.check_length(clip.samples.size)
    except ClipError as error:
        raise ClipError(f"{path}: {error}") from None
    probabilities, outputs = _predictions(recogniser, clip)
    if target == "predicted" and recogniser.regression:
        raise InputError(f"target {target!r}: {no_class(recogniser.name, recogniser.classes)}.")
    predicted = max(probabilities, key=probabilities.__getitem__, default="")
    chosen, contrast = (predicted, None) if target == "predicted" else recogniser.target_named(target)
    attributions: dict[str, Attribution] = {}
    failures: dict[str, str] = {}
    shared = SharedWork()
    for done, (name, explainer) in enumerate(explainers.items()):
        report(f"explaining {path.name}", done, len(explainers))
        before = recogniser.calls + shared.spared
        identity = ("explain", seed, clip.sha256, name)
        base = attributions.get(explainer.base or "")
        request = Request(recogniser, clip, chosen, identity, base, contrast, shared)
        try:
            attribution = explainer.attribute(request)
        except (NotApplicable, ClipError) as error:
            failures[name] = str(error)
            continue
        base_calls = request.base.model_calls if request.base else 0
        attributions[name] = replace(attribution, model_calls=recogniser.calls + shared.spared - before + base_calls)
    report(f"explaining {path.name}", len(explainers), len(explainers))
    if any(attribution.cues for attribution in attributions.values()):
        reference = speaker_norms(clip, data_root, report)
        attributions = {name: with_norms(attribution, reference) for name, attribution in attributions.items()}
    used = {name: explainer.get_params() for name, explainer in explainers.items()}
    fills = fill_effects(Request(recogniser, clip, chosen, ("fills", seed, clip.sha256)))
    return ClipExplanation(
        clip,
        recogniser,
        probabilities,
        chosen,
        seen,
        attributions,
        failures,
        contrast,
        recording.remarks,
        used,
        outputs,
        models.described,
        deviations,
        _warnings(models, origin, deviations),
        fills,
    )


def _predictions(recogniser: Recogniser, clip: Clip) -> tuple[dict[str, float], dict[str, float]]:
    """Probabilities of the classes, or the outputs of a recogniser that predicts numbers; the other is empty."""
    if recogniser.regression:
        return {}, dict(zip(recogniser.classes, map(float, recogniser.log_odds(clip.samples[None])[0]), strict=True))
    proba = recogniser.predict_proba(clip.samples[None])[0]
    return dict(zip(recogniser.classes, map(float, proba), strict=True)), {}


def _synthetic(corpus: str) -> bool:
    """Whether a corpus is synthetic speech."""
    return corpus in CORPORA and CORPORA.get(corpus).twinned


def _check_named(models: Models, named: str | None, origin: str, clip: Clip, path: Path) -> None:
    """Refuse a model of synthetic speech for other sounds, unless its corpus was named."""
    known = _synthetic(origin) or models.fold_for_samples(clip.samples) != models.default_fold
    if not _synthetic(models.trained_on) or named == models.trained_on or known:
        return
    raise InputError(
        f"{path}: model {models.name!r} was trained on synthetic speech ({models.trained_on}), and this file is none "
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


def _match_corpus(clip: Clip, path: Path, models: Models, data_root: str | Path | None) -> tuple[Clip, Recogniser, str]:
    """Find the file in the training corpus, if it is one of its clips, and choose the model that explains it."""
    try:
        corpus = load_corpus(models.trained_on, data_root)
        names = [name for name in corpus.table.index if name == path.stem]
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
            return candidate, models.recogniser(fold), seen
    fold = models.fold_for_samples(clip.samples)
    return clip, models.recogniser(fold), models.seen_file(path, clip.samples, fold)


def kept_and_removed(clip: Clip, attribution: Attribution, share: float = KEPT_SHARE) -> tuple[np.ndarray, np.ndarray]:
    """Waveforms of the most relevant cells and of the rest (the other part attenuated by 40 dB).

    Parameters
    ----------
    clip : Clip
    attribution : Attribution
    share : float
        Share of the scoring grid's cells that is kept, highest relevance first.

    Returns
    -------
    kept, removed : arrays, float32, shape (n_samples,)
    """
    plane = Plane(clip.samples)
    grid = scoring_grid(clip.duration_s)
    relevance = attribution.on(grid)
    top = np.zeros(relevance.size, dtype=bool)
    top[np.argsort(-relevance, axis=None, kind="stable")[: max(1, round(share * relevance.size))]] = True
    keep = np.stack([top, ~top]).reshape(2, *grid.shape)
    fill = fill_spectrum("attenuate", plane, rng("kept", clip.sha256))
    kept, removed = plane.render(keep, grid, fill).cpu().numpy()
    return kept, removed
