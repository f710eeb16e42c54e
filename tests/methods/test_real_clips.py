"""What must hold on every clip, on every clip of a real corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from serxai.datasets.corpora import load_corpus
from serxai.methods.explainer import Request, SharedWork
from serxai.methods.shapley import BandBanzhaf, BandShapley
from serxai.models.recogniser import Recogniser


def level_and_peaks(waveform: torch.Tensor) -> float:
    """Nothing that bands could be added up to: a level in dB, a bent peak, and their product."""
    level = 10 * torch.log10(waveform.double().square().mean() + 1e-10)
    peak = torch.tanh(5 * waveform.double().abs().max())
    return float(level + 3 * peak + 0.1 * level * peak)


@pytest.mark.real_data
@pytest.mark.parametrize("limit", [12, pytest.param(None, marks=pytest.mark.long)])
def test_shapley_values_add_up_on_real_clips(limit: int | None, data_root: Path, white_box: Callable[..., Recogniser]):
    """Efficiency: their sum is the response of the clip less that of all fill; Banzhaf values have no such sum."""
    corpus, off = load_corpus("emodb", data_root), []
    for clip_id in corpus.select(limit=limit):
        clip, shared = corpus.clip(clip_id), SharedWork()
        recogniser = white_box(level_and_peaks)
        asked = Request(recogniser, clip, "yes", ("test", clip_id), shared=shared)
        found, banzhaf = (method.attribute(asked) for method in (BandShapley(), BandBanzhaf()))
        gained = found.details["full"] - found.details["none"]
        assert found.details["full"] == pytest.approx(level_and_peaks(torch.as_tensor(clip.samples)), abs=1e-9)
        assert found.values.sum(dtype=np.float64) == pytest.approx(gained, rel=1e-6)
        off.append(banzhaf.values.sum(dtype=np.float64) / gained - 1)
    assert len(off) == (limit or len(corpus.table)) and np.abs(off).max() > 0.01
