"""Methods that remove parts: planted games on the waveform, shared tables, fills, odd clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from serxai.audio import Plane, fill_spectrum
from serxai.datasets.clip import Clip, Word
from serxai.errors import InputError, NotApplicable
from serxai.methods.emolime import EmoLime, EmoLimeSampled, EnergyLime, NmfLime, PatchLime, SegmentLime
from serxai.methods.explainer import SharedWork
from serxai.methods.masks import fill_effects
from serxai.methods.partitions import make_partition
from serxai.methods.shapley import (
    BandBanzhaf,
    BandForest,
    BandKernelShap,
    BandLeaveOneOut,
    BandShapley,
    WordLeaveOneOut,
)

LINEAR = [
    EmoLime(response="log-odds"),
    EmoLimeSampled(response="log-odds", alpha=0.0),
    SegmentLime("windows:0.04", masks=64),
    PatchLime("mel:4 x windows:0.1", masks=80),
    EnergyLime(),
    NmfLime("nmf:4"),
    BandShapley(),
    BandBanzhaf(),
    BandKernelShap(),
    BandLeaveOneOut(),
    WordLeaveOneOut(),
]
WORDS = (Word("one", 0.05, 0.15), Word("two", 0.15, 0.3))
FULL = (EmoLime, BandShapley, BandBanzhaf, BandForest)


@pytest.fixture
def clip(voice):
    return replace(voice(0, 0.4), words=WORDS)


def linear(white_box, clip, seed=0):
    weights = np.random.default_rng(seed).standard_normal(clip.samples.size) / 10
    return white_box(lambda waveform: float(waveform.double().numpy() @ weights)), weights


@pytest.mark.parametrize("method", LINEAR, ids=lambda method: method.name)
def test_additive_recogniser_gets_its_own_weights_back(method, clip, white_box, ask):
    """Log-odds linear in the samples: a part weighs what its difference signal takes away, however it is read."""
    recogniser, weights = linear(white_box, clip)
    found = method.attribute(ask(recogniser, clip))
    plane = Plane(clip.samples)
    partition = make_partition(method.partition, clip, plane)
    changes = partition.differences(plane, fill_spectrum("attenuate", plane, np.random.default_rng(0)))
    expected = partition.spread(-changes.double().numpy() @ weights, plane)
    np.testing.assert_allclose(found.values, expected, atol=2e-5)
    assert found.details["noise"] < 1e-4
    assert found.values.sum() == pytest.approx(found.details["full"] - found.details["none"], abs=2e-4)


@pytest.mark.parametrize("method", [*LINEAR, BandForest()], ids=lambda method: method.name)
def test_calls_seeds_and_targets(method, clip, tiny_cnn, ask):
    recogniser = tiny_cnn()
    asked = ask(recogniser, clip)
    before = recogniser.calls
    first = method.attribute(asked)
    assert recogniser.calls - before == method.calls_of(asked)
    again, other = (method.attribute(ask(recogniser, clip, seed)) for seed in (0, 1))
    assert first.values.tobytes() == again.values.tobytes()
    assert (first.values.tobytes() != other.values.tobytes()) == method.stochastic
    sampled = ("emolime-sampled", "segment-lime", "patch-lime", "band-kernelshap")
    assert (first.errors is None) == (method.name not in sampled)
    assert set(first.details) >= {"full", "none", "noise"}
    assert not np.allclose(first.values, method.attribute(ask(recogniser, clip, target="sadness")).values, atol=1e-7)


@pytest.mark.parametrize("match_level", [False, True])
@pytest.mark.parametrize("fill", ["attenuate", "spectral-mean", "noise"])
def test_shapley_values_add_up(fill, match_level, clip, tiny_cnn, ask):
    found = BandShapley(fill=fill, match_level=match_level).attribute(ask(tiny_cnn(), clip))
    assert found.values.sum() == pytest.approx(found.details["full"] - found.details["none"], abs=1e-6)


def test_one_table_serves_all_methods_that_read_it(clip, tiny_cnn, ask):
    """Asked for together they take 256 calls; what each costs alone is what it took plus what it was spared."""
    shared, recogniser = SharedWork(), tiny_cnn()
    for i, kind in enumerate(FULL):
        method = kind()
        asked = replace(ask(recogniser, clip, seed=i, target="sadness"), shared=shared)
        before = recogniser.calls + shared.spared
        found = method.attribute(asked)
        assert recogniser.calls + shared.spared - before == 256
        assert np.array_equal(found.values, kind().attribute(ask(tiny_cnn(), clip, i, "sadness")).values)
    assert recogniser.calls == 256 and shared.spared == 3 * 256
    EmoLime(fill="spectral-mean").attribute(replace(ask(recogniser, clip), shared=shared))
    assert recogniser.calls == 512
    EmoLime(fill="noise").attribute(replace(ask(recogniser, clip), shared=shared))
    EmoLime(fill="noise").attribute(replace(ask(recogniser, clip, 1), shared=shared))
    assert recogniser.calls == 1024, "a fill that is drawn is each explanation's own"


def test_level_matching(clip, white_box, ask):
    """Every copy has the clip's level; attenuating all of it then gives the clip back."""
    recogniser = white_box(lambda waveform: float(waveform.square().mean().sqrt()))
    level = float(np.sqrt(np.mean(np.square(clip.samples, dtype=np.float64))))
    plain = EmoLime(response="log-odds").table(ask(recogniser, clip)).outputs[:, 0]
    matched = EmoLime(response="log-odds", match_level=True).table(ask(recogniser, clip)).outputs[:, 0]
    assert plain.min() < 0.02 * level
    np.testing.assert_allclose(matched, level, rtol=1e-5)
    assert float((recogniser.seen[-1][-1] - torch.as_tensor(clip.samples)).abs().max()) < 1e-5


def test_fill_effects(clip, voice, tiny_cnn, ask):
    asked = ask(tiny_cnn(), clip)
    effects = {(effect.fill, effect.match_level): effect for effect in fill_effects(asked)}
    assert list(effects) == [
        ("none", False),
        ("resynthesis", False),
        ("attenuate", False),
        ("attenuate", True),
        ("noise", False),
        ("noise", True),
        ("spectral-mean", False),
        ("spectral-mean", True),
        ("zero", False),
        ("zero", True),
    ]
    itself = asked.recogniser.log_odds(clip.samples[None])[0, 0]
    for key in (("none", False), ("resynthesis", False), ("attenuate", True)):
        assert effects[key].log_odds == pytest.approx(itself, abs=1e-4)
    none = EmoLime(response="log-odds").attribute(asked).details["none"]
    assert effects["attenuate", False].log_odds == pytest.approx(none, abs=1e-5)
    assert effects["attenuate", False].probability == pytest.approx(1 / (1 + np.exp(-none)), abs=1e-5)
    assert any(effect.fill == "twin" for effect in fill_effects(ask(tiny_cnn(), voice(planted=True))))


def test_silent_bands_weigh_nothing(white_box, ask):
    """A source of 8 kHz holds nothing above 4 kHz: removing those bands changes no copy."""
    t = np.arange(8000) / 16000
    clip = Clip("narrow", (0.1 * np.sin(2 * np.pi * 500 * t) * np.hanning(8000)).astype(np.float32))
    recogniser = white_box(lambda waveform: float(torch.log(waveform.square().sum())))
    for method in (EmoLime(response="log-odds"), BandShapley(), BandKernelShap(), BandLeaveOneOut()):
        values = method.attribute(ask(recogniser, clip)).values[:, 0]
        assert values[1] > 1
        assert np.abs(values[7]) < 1e-4 * values[1]


def test_one_part(clip, tiny_cnn, ask):
    for kind in (EmoLime, EmoLimeSampled, BandShapley, BandBanzhaf, BandKernelShap, BandLeaveOneOut):
        extra = {"alpha": 0.0} if kind in (EmoLime, EmoLimeSampled) else {}
        found = kind(partition="mel:1", **extra).attribute(ask(tiny_cnn(), clip))
        assert found.values.shape == (1, 1)
        assert found.values[0, 0] == pytest.approx(found.details["full"] - found.details["none"], abs=1e-6)


def test_refusals(clip, voice, tiny_cnn, ask):
    asked = ask(tiny_cnn(), clip)
    with pytest.raises(InputError, match=r"band-shapley: partition 'mel:16' has 16 parts.*at most 10"):
        BandShapley("mel:16").attribute(asked)
    with pytest.raises(InputError, match="masks must be at least 4"):
        SegmentLime("windows:0.01", masks=2).attribute(asked)
    with pytest.raises(NotApplicable, match="no alignment"):
        WordLeaveOneOut().attribute(ask(tiny_cnn(), voice()))
    with pytest.raises(NotApplicable, match="no alignment"):
        WordLeaveOneOut().calls_of(ask(tiny_cnn(), voice()))


def test_more_parts_than_masks_draw_more(clip, white_box, ask):
    recogniser, _ = linear(white_box, clip)
    method = SegmentLime("windows:0.01", masks=16)
    method.attribute(ask(recogniser, clip))
    assert recogniser.calls == method.calls(clip.samples.size, recogniser) == 80


def test_word_by_word(clip, white_box, ask):
    """A recogniser that hears only the second word."""
    start, stop = 2400, 4800
    recogniser = white_box(lambda waveform: float(waveform[start:stop].square().sum()))
    found = WordLeaveOneOut().attribute(ask(recogniser, clip))
    np.testing.assert_allclose(found.grid.time_edges_s, [0, 0.05, 0.15, 0.3, 0.4])
    assert found.values[0].argmax() == 2 and found.values[0, 2] > 0.8 * np.abs(found.values).sum()
