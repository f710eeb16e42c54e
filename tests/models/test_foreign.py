"""Models that are used as they come, and models of fold-trained heads, through the one door `obtain_models`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from serxai.errors import InputError
from serxai.models import foldmodels
from serxai.models.factory import model_kind
from serxai.models.foldmodels import ALL, ForeignModel
from serxai.models.obtain import obtain_models
from serxai.models.recogniser import Recogniser
from serxai.models.record import ModelRecord
from serxai.models.records import MODELS


class Constant(Recogniser):
    """Says the same of every waveform."""

    def __init__(self, name: str, trained_on: str) -> None:
        self.name, self.trained_on, self.classes, self.fingerprint = name, trained_on, ("anger", "sadness"), "constant"

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[1.0, -1.0]]).expand(len(waveforms), 2)


def load_constant(record: ModelRecord, checkpoint: Path | None, trust: bool, device: str) -> Recogniser:
    return Constant(record.name, "" if checkpoint is None else checkpoint.read_text())


class OneClip:
    """A corpus of one clip, whose file is known to be the publisher's or not."""

    def __init__(self, name: str, authentic: bool) -> None:
        self.name, self.record = (
            name,
            SimpleNamespace(twinned=authentic, folder="", name="unpublished", rendered_from=""),
        )
        self.table = pd.DataFrame({"speaker": ["03"], "file": ["c.wav"]}, index=["c"])


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> str:
    record = ModelRecord(
        name="constant", target=f"{__name__}:load_constant", summary="s", version="1", licence="MIT", citation="none",
        kind="foreign", differentiable=False,
    )  # fmt: skip
    monkeypatch.setitem(MODELS._records, "constant", record)
    monkeypatch.setattr(ModelRecord, "load", lambda self: load_constant)
    return "constant"


def no_corpus():
    pytest.fail("a foreign model needs no corpus")


@pytest.mark.parametrize(
    ("says", "seen"), [(None, {"emodb": "unknown", "tess": "unknown"}), ("tess", {"emodb": "no", "tess": "yes"})]
)
def test_a_foreign_model_says_what_it_may_have_heard(foreign: str, tmp_path: Path, says: str | None, seen: dict):
    checkpoint = None
    if says is not None:
        checkpoint = tmp_path / "file"
        checkpoint.write_text(says)
    models = obtain_models(foreign, no_corpus, checkpoint=checkpoint)
    assert isinstance(models, ForeignModel) and models.trained_on == (says or "unknown")
    for corpus, answer in seen.items():
        assert models.seen_in_training(OneClip(corpus, authentic=True), ["c"]) == {"c": answer}
    # where nobody vouches for the file, it may be anyone's
    expected = {"c": "yes" if says == "tess" else "unknown"}
    assert models.seen_in_training(OneClip("tess", authentic=False), ["c"]) == expected
    assert models.seen_in_training(OneClip("emodb", authentic=False), ["c"]) == {"c": "unknown"}
    assert models.fold_for("emodb", "03") == models.default_fold == ALL
    assert models.recogniser().log_odds(np.zeros((3, 800))).shape == (3, 2)
    assert models.recogniser() is models.recogniser()  # loaded once
    with pytest.raises(InputError, match="no folds"):
        models.recogniser("0")


def test_a_model_that_is_not_shipped_asks_for_its_file():
    with pytest.raises(InputError, match="--checkpoint"):
        obtain_models("beyond-saliency-tess", no_corpus)
    assert model_kind("cnn") == "network" and model_kind("praat-svc") == "head"


def test_a_checkpoint_must_hold_the_model_that_is_asked_for():
    folder = foldmodels.BUNDLED / "cnn-planted"
    models = obtain_models("cnn", no_corpus, checkpoint=folder)
    assert models is not None and models.fold_for("planted", "Max") == "0"
    with pytest.raises(InputError, match="holds model 'cnn'"):
        obtain_models("praat-svc", no_corpus, checkpoint=folder)
