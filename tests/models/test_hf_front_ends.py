"""Log-mel front ends of Hugging Face checkpoints beside transformers' own feature extractors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from serxai import _torchvision  # noqa: F401

transformers = pytest.importorskip("transformers")

from serxai.errors import InputError  # noqa: E402
from serxai.models.hf_files import read_config  # noqa: E402
from serxai.models.hf_front_ends import KaldiLogMel, WhisperLogMel, make_front_end  # noqa: E402
from serxai.models.hf_states import inputs_of  # noqa: E402
from serxai.tests.models.tiny_checkpoints import (  # noqa: E402
    noise,
    speech_like,
    write_ast,
    write_w2v_bert,
    write_wav2vec2,
    write_whisper,
)

LENGTHS = (400, 1_042, 15_999, 16_161)
LONG = 16_000 * 31  # beyond what Whisper and AST take


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    writers = {"whisper": write_whisper, "ast": write_ast, "w2v-bert": write_w2v_bert}
    return {name: write(root / name) for name, write in writers.items()}


def front_end(folder: Path, padded: bool = False) -> Any:
    return make_front_end(str(folder), read_config(str(folder), False), padded)


def waveforms(length: int) -> list[np.ndarray]:
    quiet = 1e-3 * speech_like(length, seed=1)
    half_silent = speech_like(length, seed=2)
    half_silent[length // 2 :] = 0
    return [noise(1, length)[0], speech_like(length), quiet, half_silent, np.zeros(length, dtype=np.float32)]


def theirs(folder: Path, samples: np.ndarray, name: str, **options: Any) -> torch.Tensor:
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    return extractor(samples, sampling_rate=16_000, return_tensors="pt", **options)[name][0].float()


def ours(module: Any, samples: np.ndarray) -> torch.Tensor:
    return module(torch.from_numpy(samples)[None])


def close(left: torch.Tensor, right: torch.Tensor) -> None:
    assert left.shape == right.shape
    torch.testing.assert_close(left, right, atol=1e-4, rtol=0)


@pytest.mark.parametrize("length", LENGTHS)
def test_whisper_equals_its_extractor_at_the_clip_s_length(folders: dict[str, Path], length: int) -> None:
    module = front_end(folders["whisper"])
    for samples in waveforms(length):
        close(ours(module, samples)[0, 0], theirs(folders["whisper"], samples, "input_features", padding=False))


@pytest.mark.parametrize("length", [400, 16_161, 479_900, LONG])
def test_whisper_padded_equals_its_extractor_of_30_s(folders: dict[str, Path], length: int) -> None:
    """The front end gives the frames that hear the clip, the encoder's inputs add those of silence."""
    module = front_end(folders["whisper"], padded=True)
    for samples in waveforms(length)[:: 1 if length < 20_000 else 3]:
        features = ours(module, samples)
        assert features.shape[3] == min(3000, -(-(length + 200) // 160))
        close(inputs_of(module)(features)[0], theirs(folders["whisper"], samples, "input_features"))


@pytest.mark.parametrize("length", [*LENGTHS, 3 * 16_000])
def test_ast_equals_its_extractor(folders: dict[str, Path], length: int) -> None:
    module = front_end(folders["ast"])
    for samples in waveforms(length):
        close(inputs_of(module)(ours(module, samples))[0], theirs(folders["ast"], samples, "input_values"))


def test_ast_without_normalisation(tmp_path: Path) -> None:
    folder = write_ast(tmp_path)
    transformers.ASTFeatureExtractor(num_mel_bins=64, max_length=256, do_normalize=False).save_pretrained(folder)
    module = front_end(folder)
    samples = speech_like(16_000)
    close(inputs_of(module)(ours(module, samples))[0], theirs(folder, samples, "input_values"))


@pytest.mark.parametrize("length", LENGTHS[1:])
def test_w2v_bert_equals_its_extractor(folders: dict[str, Path], length: int) -> None:
    """Apart from an odd last frame, which their attention mask leaves out."""
    module = front_end(folders["w2v-bert"])
    for samples in waveforms(length)[:4]:
        given = inputs_of(module)(ours(module, samples))[0]
        close(given, theirs(folders["w2v-bert"], samples, "input_features")[: len(given)])
        mask = theirs(folders["w2v-bert"], samples, "attention_mask")
        assert int(mask.sum()) == len(given)


@pytest.mark.parametrize("name", ["whisper", "ast", "w2v-bert"])
@pytest.mark.parametrize("padded", [False, True])
def test_a_row_does_not_depend_on_the_batch(folders: dict[str, Path], name: str, padded: bool) -> None:
    """Whisper's range follows the maximum of the row alone."""
    module = front_end(folders[name], padded)
    rows = torch.from_numpy(np.stack([10.0**-k * speech_like(8_000, seed=k) for k in range(4)]))
    single = torch.cat([module(row[None]) for row in rows])
    torch.testing.assert_close(module(rows), single, atol=1e-5, rtol=0)
    assert (single[0] - single[3]).abs().max() > 0.1 or name == "w2v-bert"


@pytest.mark.parametrize("name", ["whisper", "ast", "w2v-bert"])
def test_gradient_is_the_slope(folders: dict[str, Path], name: str) -> None:
    module = front_end(folders[name]).double()
    samples = torch.from_numpy(noise(1, 2_000)).double().requires_grad_()
    weights = torch.randn(module(samples).shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (module(samples) * weights).sum().backward()
    step = torch.randn(1, 2_000, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        high, low = ((module(samples + sign * 1e-7 * step) * weights).sum() for sign in (1, -1))
    assert samples.grad is not None
    assert float((samples.grad * step).sum()) == pytest.approx(float(high - low) / 2e-7, rel=1e-3)


@pytest.mark.parametrize("name", ["whisper", "ast", "w2v-bert"])
@pytest.mark.parametrize("length", [1_000, 16_123])
def test_grid_fits_the_features_and_a_click_lights_up_its_column(
    folders: dict[str, Path], name: str, length: int
) -> None:
    module = front_end(folders[name])
    grid = module.grid(length)
    features = ours(module, 1e-3 * noise(1, length)[0])
    assert features.shape[2:] == (len(grid.freq_edges_hz) - 1, len(grid.time_edges_s) - 1)
    assert grid.freq_edges_hz[0] == 0 and grid.freq_edges_hz[-1] == 8000
    assert (np.diff(grid.freq_edges_hz) > 0).all() and (np.diff(grid.time_edges_s) > 0).all()
    click, at = np.zeros(length, dtype=np.float32), length // 2
    click[at] = 1
    lit = ours(module, click)[0, 0].mean(0)
    column = int(np.searchsorted(grid.time_edges_s, at / 16_000) - 1)
    assert float(lit[column]) >= float(lit.max()) - 0.05 * float(lit.max() - lit.min())


def test_silence_has_the_floor(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        module = front_end(folder)
        features = ours(module, np.zeros(2_000, dtype=np.float32))
        torch.testing.assert_close(features, torch.full_like(features, module.floor), atol=1e-5, rtol=0)


def test_parameters_rebuild_the_module(folders: dict[str, Path]) -> None:
    kinds = {"whisper": WhisperLogMel, "kaldi": KaldiLogMel}
    for folder in folders.values():
        module = front_end(folder)
        params = dict(module.params)
        again = kinds[params.pop("kind")](**params)
        samples = speech_like(8_000)
        assert again.params == module.params and torch.equal(ours(again, samples), ours(module, samples))


@pytest.mark.parametrize(
    ("write", "settings", "says"),
    [
        (write_whisper, {"feature_size": 40}, "gives 40 mel bands, its model takes 80"),
        (write_whisper, {"feature_extractor_type": "ASTFeatureExtractor"}, "takes the features of WhisperFeature"),
        (write_whisper, {"sampling_rate": 8000}, "made for 8000 Hz"),
        (write_whisper, {"n_fft": "many"}, "do not fit"),
        (write_ast, {"max_length": 1024}, "gives 1024 frames, its model takes 256"),
        (write_w2v_bert, {"stride": 1}, "gives 80 features a frame, its model takes 160"),
        (write_wav2vec2, {"feature_extractor_type": "WhisperFeatureExtractor"}, "takes plain waveforms"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, write: Any, settings: dict[str, Any], says: str) -> None:
    import json

    folder = write(tmp_path)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(InputError, match=says):
        front_end(folder)
