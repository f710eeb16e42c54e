"""openSMILE's functionals: those of its own package, for any number of threads, and defined for any sound."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from serxai.errors import ClipError, InputError
from serxai.keys import rng
from serxai.models.opensmile_features import MIN_SAMPLES, OpenSmile

opensmile = pytest.importorskip("opensmile")
DIMS = {"ComParE_2016": 6373, "eGeMAPSv02": 88}


def vowel(seconds: float = 0.6, f0: float = 150.0, seed: int = 0) -> np.ndarray:
    """A harmonic tone in noise, on the grid of 16 bit."""
    t = np.arange(round(seconds * 16_000)) / 16_000
    tone = sum(np.sin(2 * np.pi * k * f0 * t * (1 + 0.1 * t)) / k for k in range(1, 9))
    samples = 0.1 * tone + 0.002 * rng("vowel", seed).standard_normal(t.size)
    return (np.round(samples * 32768) / 32768).astype(np.float32)


@pytest.fixture(scope="module", params=DIMS)
def extractor(request: pytest.FixtureRequest) -> OpenSmile:
    return OpenSmile(request.param, n_jobs=1)


def test_equals_the_package_bit_by_bit(extractor: OpenSmile):
    """Also after clips of other lengths went through the same machine."""
    theirs = opensmile.Smile(getattr(opensmile.FeatureSet, extractor.params["feature_set"]))
    for seconds in (0.6, 0.9, 0.5):
        samples = vowel(seconds)
        wanted = theirs.process_signal(samples, 16_000).to_numpy(dtype=np.float64)
        assert wanted.shape == (1, DIMS[extractor.params["feature_set"]])
        assert np.array_equal(extractor.features(samples[None]), wanted)
    assert extractor.names == tuple(theirs.feature_names)


def test_threads_and_neighbours_change_nothing(extractor: OpenSmile):
    x = np.stack([vowel(0.5, f0, seed) for seed, f0 in enumerate((110, 160, 220, 300, 140))])
    one = np.concatenate([extractor.features(samples[None]) for samples in x])
    threads = OpenSmile(**extractor.params, n_jobs=2)
    assert np.array_equal(threads.features(x), one)
    assert np.array_equal(threads.features(x[::-1].copy())[::-1], one)
    assert len(threads._idle) <= 2  # a machine a thread, used again
    assert threads.fingerprint == extractor.fingerprint


def test_loud_samples_are_limited_and_do_not_wrap(extractor: OpenSmile):
    loud = np.clip(20 * vowel(), -3, 3)
    limited = np.clip(loud, -1, 32767 / 32768).astype(np.float32)
    assert (loud > 1).sum() > 100
    assert np.array_equal(extractor.features(loud[None]), extractor.features(limited[None]))


@pytest.mark.parametrize("what", ["silence", "click", "noise", "shortest"])
def test_every_sound_has_finite_functionals(extractor: OpenSmile, what: str):
    samples = {
        "silence": np.zeros(8000, dtype=np.float32),
        "click": np.eye(1, 8000, 4000, dtype=np.float32)[0],
        "noise": (0.1 * rng("noise").standard_normal(8000)).astype(np.float32),
        "shortest": vowel()[:MIN_SAMPLES],
    }[what]
    assert np.isfinite(extractor.features(samples[None])).all()


def test_no_waveforms_give_no_rows(extractor: OpenSmile):
    assert extractor.features(np.zeros((0, 8000), dtype=np.float32)).shape == (0, len(extractor.names))


def test_survives_pickling(extractor: OpenSmile):
    again = pickle.loads(pickle.dumps(extractor))
    assert np.array_equal(again.features(vowel()[None]), extractor.features(vowel()[None]))


def test_refusals(extractor: OpenSmile, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ClipError, match="1599 samples"):
        extractor.features(np.zeros((1, MIN_SAMPLES - 1), dtype=np.float32))
    with pytest.raises(ClipError, match="NaN or infinite"):
        extractor.features(np.full((1, 8000), np.nan, dtype=np.float32))
    with pytest.raises(InputError, match="choose ComParE_2016 or eGeMAPSv02"):
        OpenSmile("GeMAPS")
    with pytest.raises(InputError, match="n_jobs=0"):
        OpenSmile(n_jobs=0)
    monkeypatch.setitem(__import__("sys").modules, "opensmile", None)
    with pytest.raises(InputError, match=r"serxai\[opensmile\]"):
        OpenSmile()
