"""The released checkpoints: their front ends against librosa, their network, what files are refused, TESS."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from serxai.audio.load import load_audio
from serxai.errors import ClipError, InputError
from serxai.models.beyond_saliency import CLASSES, RELEASED, NotebookFrontEnd, ReleasedCNN, load
from serxai.models.records import MODELS

TESS, CREMA = (NotebookFrontEnd(**RELEASED[f"beyond-saliency-{name}"][2]) for name in ("tess", "crema"))


def speech_like(generator: np.random.Generator, n: int) -> np.ndarray:
    t = np.arange(n) / 16000
    pitch = np.cumsum(generator.uniform(80, 300) * (1 + 0.2 * np.sin(2 * np.pi * 3 * t))) / 16000
    voiced = sum(np.sin(2 * np.pi * k * pitch) / k**1.5 for k in range(1, 20))
    level = 10 ** generator.uniform(-2.5, -0.5)
    return (level * (voiced * np.abs(np.sin(8 * np.pi * t)) + 1e-2 * generator.standard_normal(n))).astype(np.float32)


def as_tess_notebook(samples: np.ndarray) -> np.ndarray:
    """What the TESS notebook does, by librosa."""
    kept, _ = librosa.effects.trim(samples, top_db=55)
    each = 32_000 - len(kept) // 2
    mel = librosa.feature.melspectrogram(
        y=np.pad(kept, (each, each)), sr=16000, n_fft=1024, win_length=512, hop_length=512, n_mels=128
    )
    return librosa.power_to_db(mel, ref=np.max)


def as_crema_notebook(samples: np.ndarray) -> np.ndarray:
    """What the CREMA-D notebook does to a clip without silence, by librosa: 16 kHz integers taken for 24 kHz."""
    integers = np.round(samples * 2**15).astype(np.float32)
    placed = librosa.util.fix_length(integers, size=48_000)
    mel = librosa.feature.melspectrogram(y=placed, sr=24000, n_fft=1024, win_length=480, hop_length=240, n_mels=128)
    return librosa.power_to_db(mel, ref=np.max)


@pytest.mark.filterwarnings("ignore:n_fft=1024 is too large")
@pytest.mark.parametrize("front_end, twin, frames", [(TESS, as_tess_notebook, 126), (CREMA, as_crema_notebook, 201)])
def test_front_end_is_the_notebooks(front_end: NotebookFrontEnd, twin, frames: int) -> None:
    generator = np.random.default_rng(0)
    for _ in range(5):
        samples = speech_like(generator, int(generator.integers(600, 60_000)))
        samples = np.round(samples * 2**15).astype(np.float32) / 2**15  # as read from a 16-bit file
        ours, theirs = front_end(torch.from_numpy(samples)[None])[0, 0].numpy(), twin(samples)
        assert ours.shape == theirs.shape == (128, frames)
        assert np.abs(ours - theirs)[theirs > -60].max() < 1e-2
        assert np.abs(ours - theirs).max() < 0.1  # single precision, near the lower end of the range


@pytest.mark.parametrize("front_end", [TESS, CREMA])
def test_cells_lie_where_the_grid_says(front_end: NotebookFrontEnd) -> None:
    for n, frequency, at in [(30_000, 300.0, 0.3), (30_001, 1000.0, 1.1), (47_999, 5000.0, 2.8)]:
        t = np.arange(n) / 16_000
        burst = np.sin(2 * np.pi * frequency * t) * np.exp(-(((t - at) / 0.015) ** 2))
        features = front_end(torch.from_numpy(burst.astype(np.float32))[None])
        grid = front_end.grid(n)
        assert grid.shape == tuple(features.shape[2:])
        row, column = np.unravel_index(int(features.argmax()), grid.shape)
        assert abs(row - grid.rows_of(np.array([frequency]))[0]) <= 1
        assert abs(column - grid.columns_of(np.array([at]))[0]) <= 1
        np.testing.assert_allclose(grid.freq_edges_hz[[0, -1]], [0, 8000])


def test_cells_of_padding_lie_outside_the_clip() -> None:
    grid = TESS.grid(16_000)
    assert grid.time_edges_s[0] == pytest.approx(-1.5 - 0.016) and grid.time_edges_s[-1] == pytest.approx(2.5 + 0.016)
    grid = CREMA.grid(16_000)
    assert grid.time_edges_s[0] == pytest.approx(-0.0075) and grid.time_edges_s[-1] == pytest.approx(3.0075)


@pytest.mark.parametrize("front_end", [TESS, CREMA])
def test_gradient_is_the_slope(front_end: NotebookFrontEnd) -> None:
    """Through the loudest cell too: raising the level of everything changes nothing."""
    generator = np.random.default_rng(1)
    samples = torch.from_numpy(speech_like(generator, 8000))[None].double().requires_grad_()
    exact = NotebookFrontEnd(**front_end.params).double()
    weights = torch.from_numpy(generator.standard_normal(exact.grid(8000).shape))
    (weights * exact(samples)[0, 0]).sum().backward()
    direction = torch.from_numpy(generator.standard_normal(8000))[None] * samples.detach().abs()
    with torch.no_grad():
        high, low = ((weights * exact(samples + sign * 1e-6 * direction)[0, 0]).sum() for sign in (1, -1))
    assert samples.grad is not None
    assert float((samples.grad * direction).sum()) == pytest.approx(float(high - low) / 2e-6, rel=1e-3)
    terms = samples.grad * samples.detach()
    assert abs(float(terms.sum())) < 1e-6 * float(terms.abs().sum())


def test_rows_do_not_share_their_loudest_cell() -> None:
    quiet, loud = (torch.from_numpy(speech_like(np.random.default_rng(seed), 9000))[None] for seed in (2, 3))
    together = TESS(torch.cat([quiet, 10 * loud]))
    torch.testing.assert_close(together[:1], TESS(quiet), atol=1e-4, rtol=0)
    assert together.amax(dim=(1, 2, 3)).tolist() == [0, 0]
    assert together[1].amin() == TESS.floor == -80


# -- network -----------------------------------------------------------------------------------------------------------


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under the names and in the shapes of the released files."""
    generator = torch.Generator().manual_seed(seed)
    state = {}

    def norm(name: str, n: int) -> None:
        state[f"{name}.weight"] = 1 + 0.2 * torch.randn(n, generator=generator)
        state[f"{name}.bias"] = 0.2 * torch.randn(n, generator=generator)
        state[f"{name}.running_mean"] = 0.2 * torch.randn(n, generator=generator)
        state[f"{name}.running_var"] = 0.5 + torch.rand(n, generator=generator)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def convolution(name: str, out: int, into: int, size: int) -> None:
        state[f"{name}.weight"] = torch.randn(out, into, size, size, generator=generator) / (into * size**2) ** 0.5

    convolution("conv1", 32, 1, 7)
    norm("bn1", 32)
    for layer, into, out in [("layer1", 32, 64), ("layer2", 64, 128)]:
        convolution(f"{layer}.conv1", out, into, 3)
        convolution(f"{layer}.conv2", out, out, 3)
        convolution(f"{layer}.shortcut", out, into, 1)
        norm(f"{layer}.bn1", out)
        norm(f"{layer}.bn2", out)
    state["fc.weight"] = torch.randn(7, 128, generator=generator) / 10
    state["fc.bias"] = torch.randn(7, generator=generator)
    return state


def forward_by_hand(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, scale, bias = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt() * scale[:, None, None] + bias[
            :, None, None
        ]

    x = F.max_pool2d(torch.relu(norm(F.conv2d(x, state["conv1.weight"], stride=2, padding=3), "bn1")), 3, 2, 1)
    for layer, stride in [("layer1", 1), ("layer2", 2)]:
        y = torch.relu(norm(F.conv2d(x, state[f"{layer}.conv1.weight"], stride=stride, padding=1), f"{layer}.bn1"))
        y = norm(F.conv2d(y, state[f"{layer}.conv2.weight"], padding=1), f"{layer}.bn2")
        x = torch.relu(y + F.conv2d(x, state[f"{layer}.shortcut.weight"], stride=stride))
    return x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]


def test_network_computes_what_the_released_one_does() -> None:
    for seed in range(2):
        state = weights(seed)
        network = ReleasedCNN().eval()
        network.load_released(state)
        x = torch.randn(3, 1, 128, 40, generator=torch.Generator().manual_seed(seed)) * 20 - 40
        torch.testing.assert_close(network(x), forward_by_hand(state, x), atol=1e-4, rtol=1e-4)


def test_batch_norms_follow_their_convolution_and_relus_are_used_once() -> None:
    network = ReleasedCNN().eval()
    network.load_released(weights())
    leaves = [m for m in network.modules() if not list(m.children())]
    for before, norm in pairwise(leaves):
        if isinstance(norm, nn.BatchNorm2d):
            assert isinstance(before, nn.Conv2d) and before.out_channels == norm.num_features
    used: list[nn.Module] = []
    for module in leaves:
        module.register_forward_hook(lambda m, i, o: used.append(m))
    network(torch.zeros(1, 1, 128, 30))
    assert len(used) == len(set(used)) and sum(isinstance(m, nn.ReLU) for m in used) == 5


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def record():
    return MODELS.get("beyond-saliency-tess")


def save(folder: Path, state: object) -> Path:
    path = folder / "model.pth"
    torch.save(state, path)
    return path


def test_weights_of_others_are_taken_but_their_training_is_unknown(record, tmp_path: Path) -> None:
    model = load(record, save(tmp_path, weights()))
    assert (model.name, model.classes, model.trained_on) == ("beyond-saliency-tess", CLASSES, "")
    other = load(record, save(tmp_path, weights(1)))
    assert other.fingerprint != model.fingerprint
    crema = load(MODELS.get("beyond-saliency-crema"), save(tmp_path, weights(1)))
    assert crema.fingerprint != other.fingerprint
    samples = speech_like(np.random.default_rng(0), 20_000)
    expected = forward_by_hand(weights(1), torch.from_numpy(as_tess_notebook(samples))[None, None])
    np.testing.assert_allclose(other.predict_proba(samples[None])[0], expected.softmax(1)[0].numpy(), atol=2e-3)


def test_batch_equals_single_and_gradients_reach_the_waveform(record, tmp_path: Path) -> None:
    model = load(record, save(tmp_path, weights()))
    waveforms = np.stack([speech_like(np.random.default_rng(i), 20_000) for i in range(11)])
    single = np.concatenate([model.log_odds(row[None]) for row in waveforms])
    np.testing.assert_allclose(model.log_odds(waveforms), single, atol=1e-4, rtol=0)
    tensor = torch.from_numpy(waveforms[:1]).requires_grad_()
    model.feature_log_odds(model.front_end(tensor))[0, 3].backward()
    assert tensor.grad is not None and torch.isfinite(tensor.grad).all() and tensor.grad.abs().max() > 0
    assert tuple(model.features(waveforms[0]).shape[2:]) == model.feature_grid(20_000).shape


def test_clips_longer_than_the_training_are_refused_by_one_and_cut_by_the_other(record, tmp_path: Path) -> None:
    path = save(tmp_path, weights())
    model = load(record, path)
    assert np.isfinite(model.log_odds(np.full((1, 64_000), 0.1, np.float32))).all()
    with pytest.raises(ClipError, match=r"longer than the 4 s"):
        model.log_odds(np.zeros((1, 64_001), np.float32))
    crema = load(MODELS.get("beyond-saliency-crema"), path)
    samples = speech_like(np.random.default_rng(0), 60_000)
    np.testing.assert_array_equal(crema.log_odds(samples[None]), crema.log_odds(samples[None, :48_000]))


class Bomb:
    def __reduce__(self):
        return open, (str(Path(__file__).parent / "bomb-went-off"), "w")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("how", [torch.save, lambda bomb, path: path.write_bytes(pickle.dumps(bomb))])
def test_code_is_refused_and_not_run(record, tmp_path: Path, trust: bool, how) -> None:
    path = tmp_path / "model.pth"
    how({"conv1.weight": Bomb()}, path)
    with pytest.raises(InputError, match="not a file of tensors alone"):
        load(record, path, trust=trust)
    assert not (Path(__file__).parent / "bomb-went-off").exists()


def change(**tensors: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = weights() | {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (change(fc__bias=torch.zeros(6), fc__weight=torch.zeros(6, 128)), r"has \(6,\) outputs, not the 7 classes"),
        (change(conv1__weight=torch.zeros(16, 1, 7, 7)), r"'conv1.weight' is \(16, 1, 7, 7\).*\(32, 1, 7, 7\)"),
        (change(fc__bias=None), "'fc.bias' is absent"),
        (change(extra=torch.zeros(1)), "'extra'.*none of this name"),
        (change(bn1__bias=torch.full((32,), torch.nan)), "'bn1.bias' holds NaN"),
        ([torch.zeros(1)], "holds list"),
        ({"state": {"conv1.weight": torch.zeros(1)}}, "holds dict"),
    ],
)
def test_files_that_do_not_fit_are_refused(record, tmp_path: Path, state: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load(record, save(tmp_path, state))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 torn"])
def test_damaged_files_are_refused(record, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a file of tensors"):
        load(record, path)


def test_missing_files_are_named(record, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--checkpoint"):
        load(record, None)
    with pytest.raises(InputError, match="no such file"):
        load(record, tmp_path / "nothing.pth")
    with pytest.raises(InputError, match="is a folder"):
        load(record, tmp_path)


# -- the authors' files ------------------------------------------------------------------------------------------------


@pytest.mark.real_data
def test_the_authors_files_say_what_they_heard(data_root: Path) -> None:
    files = data_root / "beyond-saliency-checkpoints"
    for name, file, corpus in [
        ("beyond-saliency-tess", "best_model_tess.pth", "tess"),
        ("beyond-saliency-crema", "best_model_crema.pth", "crema-d"),
        ("beyond-saliency-tess", "random_weights.pth", ""),
    ]:
        assert load(MODELS.get(name), files / file).trained_on == corpus
    with pytest.raises(InputError, match="ask for 'beyond-saliency-crema'"):
        load(MODELS.get("beyond-saliency-tess"), files / "best_model_crema.pth")


@pytest.mark.real_data
@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.long)])
def test_tess_is_named_without_a_mistake(record, data_root: Path, every: int) -> None:
    model = load(record, data_root / "beyond-saliency-checkpoints" / "best_model_tess.pth")
    names = {"angry": "anger", "happy": "happiness", "sad": "sadness", "ps": "surprise"}
    files = sorted((data_root / "tess").rglob("*.wav"))
    assert len(files) == 560
    for path in files[::every]:
        label = path.stem.rpartition("_")[2]
        samples = load_audio(path)
        assert len(librosa.effects.trim(samples, top_db=55)[0]) == len(samples)  # what is left out cuts nothing
        assert model.classes[int(model.log_odds(samples[None]).argmax())] == names.get(label, label), path.name
