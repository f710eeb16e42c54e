"""The recognisers by name. Listing them imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..registry import Record, Registry

if TYPE_CHECKING:
    from .recogniser import Recogniser


@dataclass(frozen=True, kw_only=True)
class ModelRecord(Record):
    """A kind of recogniser.

    Attributes
    ----------
    kind : {'network', 'head', 'foreign', 'hf'}
        ``network``: trained here on log-mel features; the target is its class, ``Network(n_classes, width, dropout)``.
        ``head``: a linear head trained here on fixed features; the target makes the `extractor.Extractor`.
        ``foreign``: used as it comes; the target is ``load(record, checkpoint, trust, device) -> Recogniser``.
        ``hf``: ``foreign`` for a checkpoint with a classifier, ``head`` for a backbone without.
    checkpoint : bool
        Whether a foreign model must be given a file or folder.
    differentiable : bool or None
        Whether gradient and relevance methods apply; None where only the loaded recogniser tells
        (`Recogniser.differentiable`, which is what methods ask).
    needs : str
        Extra that must be installed (``pip install 'serxai[NAME]'``); empty for none.
    """

    kind: str
    differentiable: bool | None
    needs: str = ""
    checkpoint: bool = False


MODELS: Registry[ModelRecord] = Registry(
    "model",
    ModelRecord,
    [
        ModelRecord(
            name="cnn",
            target=".models.cnn:ResidualCNN",
            summary="residual CNN on log-mel spectrograms (the Beyond Saliency network)",
            version="1",
            licence="MIT",
            citation="Nasr, Ren, Johnson (2025), Beyond saliency, arXiv 2511.11691; network from its description",
            kind="network",
            differentiable=True,
        ),
        ModelRecord(
            name="praat-svc",
            target=".models.praat_features:PraatFeatures",
            summary="linear support vector machine on functionals of acoustic cues (Praat, librosa)",
            version="1",
            licence="MIT (Praat: GPL-3.0-or-later)",
            citation="serxai; Jadoul et al. 2018, Parselmouth, J. Phonetics 71; Platt 1999 for the probabilities",
            kind="head",
            differentiable=False,
        ),
        ModelRecord(
            name="opensmile-svc",
            target=".models.opensmile_features:OpenSmile",
            summary="linear support vector machine on the 6,373 functionals of ComParE 2016 (non-commercial licence)",
            version="1",
            licence="openSMILE's own: non-commercial research only",
            citation="Eyben, Wöllmer, Schuller 2010, openSMILE, ACM Multimedia; Schuller et al. 2016, ComParE",
            kind="head",
            differentiable=False,
            needs="opensmile",
        ),
        ModelRecord(
            name="opensmile-svc-egemaps",
            target=".models.opensmile_features:egemaps",
            summary="linear support vector machine on the 88 functionals of eGeMAPSv02 (non-commercial licence)",
            version="1",
            licence="openSMILE's own: non-commercial research only",
            citation="Eyben et al. 2016, The Geneva minimalistic acoustic parameter set, IEEE TAC 7(2)",
            kind="head",
            differentiable=False,
            needs="opensmile",
        ),
        ModelRecord(
            name="embedding",
            target=".models.speaker_encoder:SpeakerEmbedding",
            summary="linear head on the states of Resemblyzer's speaker encoder (LSTM)",
            version="1",
            licence="Apache-2.0 (the encoder's weights)",
            citation="Wan et al. 2018, Generalized end-to-end loss for speaker verification, ICASSP; Resemblyzer 0.1.4",
            kind="head",
            differentiable=True,
            needs="embedding",
        ),
        ModelRecord(
            name="beyond-saliency-tess",
            target=".models.beyond_saliency:load",
            summary="the Beyond Saliency authors' checkpoint of TESS, with the front end of its training",
            version="1",
            licence="GPL-3.0 (the checkpoint; not shipped, give it with --checkpoint)",
            citation="Nasr, Ren, Johnson (2025), Beyond saliency, arXiv 2511.11691",
            kind="foreign",
            differentiable=True,
            checkpoint=True,
        ),
        ModelRecord(
            name="beyond-saliency-crema",
            target=".models.beyond_saliency:load",
            summary="the Beyond Saliency authors' checkpoint of CREMA-D, with the front end of its training",
            version="1",
            licence="GPL-3.0 (the checkpoint; not shipped, give it with --checkpoint)",
            citation="Nasr, Ren, Johnson (2025), Beyond saliency, arXiv 2511.11691",
            kind="foreign",
            differentiable=True,
            checkpoint=True,
        ),
        ModelRecord(
            name="planted-rule",
            target=".models.planted_rule:load",
            summary="white box for the planted corpus: fixed weights on band levels, its explanation known exactly",
            version="1",
            licence="MIT",
            citation="serxai, docs/qualification",
            kind="foreign",
            differentiable=True,
        ),
        ModelRecord(
            name="hf:",
            target=".models.hf:load",
            summary="hf:PATH_OR_HUB_ID, a Hugging Face audio classifier, or a backbone to train a linear head on",
            version="1",
            licence="the checkpoint's own",
            citation="Wolf et al. 2020, Transformers, EMNLP demonstrations; the checkpoint's own",
            kind="hf",
            differentiable=True,
            needs="hf",
        ),
        ModelRecord(
            name="python:",
            target=".models.own:load_python",
            summary="python:MODULE:FACTORY, your own torch module, scikit-learn pipeline or function on waveforms",
            version="1",
            licence="the user's own",
            citation="none: a recogniser of the user's own",
            kind="foreign",
            differentiable=None,
        ),
        ModelRecord(
            name="onnx:",
            target=".models.own:load_onnx",
            summary="onnx:FILE, your own network in ONNX format",
            version="1",
            licence="the user's own",
            citation="none: a recogniser of the user's own",
            kind="foreign",
            differentiable=False,
            needs="onnx",
        ),
    ],
)


def model_kind(name: str) -> str:
    """``network``, ``head`` or ``foreign``; for ``hf:`` what its checkpoint is.

    Raises
    ------
    UnknownNameError
    InputError
        If a checkpoint cannot be read.
    """
    record = MODELS.get(name)
    if record.kind != "hf":
        return record.kind
    from .hf import has_classifier

    return "foreign" if has_classifier(record.argument) else "head"


def load_model(
    name: str,
    trained_on: str = "planted",
    fold: str | None = None,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    data_root: str | Path | None = None,
    trust: bool = False,
) -> Recogniser:
    """One recogniser.

    Parameters
    ----------
    name : str
        Name in `MODELS`.
    trained_on : str
        Corpus. Models of the planted corpus are bundled; others are taken from the user's cache, or trained now.
    fold : str, optional
        Which fold's model; default the first. To explain a clip of the training corpus take the fold that holds its
        speaker out (`FoldModels.for_speaker`).
    checkpoint : path, optional
        Folder written by ``serxai train``, or file or folder of a foreign model; `trained_on` is then read from it.
    device : str
    data_root : path, optional
        Where the corpora lie, if the model must be trained.
    trust : bool
        Whether code in a foreign checkpoint may run.

    Raises
    ------
    UnknownNameError
        For an unknown model or corpus.
    InputError
        If the checkpoint is missing, damaged, or of another model; for an unknown fold.
    """
    from .foldmodels import load_models

    models = load_models(name, trained_on, data_root=data_root, checkpoint=checkpoint, trust=trust)
    return models.recogniser(models.default_fold if fold is None else fold, device)
