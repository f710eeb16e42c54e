"""The speaker encoder: its front end against librosa, its states against an LSTM written out, gradients, EMODB."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from serxai.audio.load import load_audio
from serxai.errors import ClipError, InputError
from serxai.models import speaker_encoder
from serxai.models.head import LinearHead
from serxai.models.speaker_encoder import MelPower, SpeakerEmbedding, weights_path

CLASSES = ("anger", "happiness", "neutral", "sadness")
needs_weights = pytest.mark.skipif(
    speaker_encoder.find_spec("resemblyzer") is None, reason="the extra 'embedding' is not installed"
)


@pytest.fixture(scope="module")
def embedding() -> SpeakerEmbedding:
    return SpeakerEmbedding()


def waveforms(n: int, samples: int = 3000, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    t = np.arange(samples) / 16_000
    pitch = generator.uniform(90, 300, (n, 1))
    voiced = sum(np.sin(2 * np.pi * k * pitch * t) / k for k in range(1, 12))
    noise = generator.standard_normal((n, samples))
    return (0.05 * voiced * np.abs(np.sin(9 * np.pi * t)) + 0.003 * noise).astype(np.float32)


def head(seed: int = 0, dim: int = 512) -> LinearHead:
    generator = torch.Generator().manual_seed(seed)
    made = LinearHead(len(CLASSES), dim)
    random = {name: torch.randn(old.shape, generator=generator).double() for name, old in made.state_dict().items()}
    random["weight"] /= dim**0.5
    made.load_state_dict(random | {name: random[name].abs() + 0.5 for name in ("scale", "platt_a")})
    return made


def by_librosa(samples: np.ndarray) -> np.ndarray:
    return librosa.feature.melspectrogram(y=samples, sr=16000, n_fft=400, hop_length=160, n_mels=40)


def states_by_hand(frames: np.ndarray, state: dict[str, np.ndarray]) -> np.ndarray:
    """Three LSTM layers, step by step in float64: (T, 40) -> (T, 256)."""
    for layer in range(3):
        w, u = state[f"weight_ih_l{layer}"], state[f"weight_hh_l{layer}"]
        b = state[f"bias_ih_l{layer}"] + state[f"bias_hh_l{layer}"]
        h = c = np.zeros(256)
        rows = []
        for x in frames:
            i, f, g, o = np.split(w @ x + u @ h + b, 4)
            i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
            c = f * c + i * np.tanh(g)
            h = o * np.tanh(c)
            rows.append(h)
        frames = np.stack(rows)
    return frames


# -- front end ---------------------------------------------------------------------------------------------------------


def test_front_end_is_librosas() -> None:
    front_end = MelPower()
    for seed, n in enumerate([400, 401, 559, 560, 16_000, 24_321] * 4):
        samples = waveforms(1, n, seed)
        expected = by_librosa(samples[0])
        found = front_end(torch.from_numpy(samples))[0, 0].numpy()
        assert found.shape == expected.shape == front_end.grid(n).shape
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6 * expected.max())


def test_cells_lie_where_the_grid_says() -> None:
    for frequency, at in [(300.0, 0.3), (1000.0, 0.51), (5000.0, 0.8)]:
        t = np.arange(16_000) / 16_000
        burst = np.sin(2 * np.pi * frequency * t) * np.exp(-(((t - at) / 0.01) ** 2))
        features = MelPower()(torch.from_numpy(burst.astype(np.float32))[None])[0, 0]
        grid = MelPower().grid(16_000)
        row, column = np.unravel_index(int(features.argmax()), grid.shape)
        assert row == grid.rows_of(np.array([frequency]))[0]
        assert abs(column - grid.columns_of(np.array([at]))[0]) <= 1


def test_silence_is_the_floor() -> None:
    assert MelPower()(torch.zeros(2, 800)).unique().tolist() == [MelPower.floor]


# -- embedding ---------------------------------------------------------------------------------------------------------


@needs_weights
def test_features_are_the_states_of_an_lstm_on_librosas_mels(embedding: SpeakerEmbedding) -> None:
    stored = torch.load(weights_path(), map_location="cpu", weights_only=True)["model_state"]
    state = {name.removeprefix("lstm."): tensor.double().numpy() for name, tensor in stored.items()}
    batch = waveforms(6, 5000)
    found = embedding.features(batch)
    assert found.shape == (6, 512) and found.dtype == np.float64
    for row, samples in zip(found, batch, strict=True):
        states = states_by_hand(by_librosa(samples).T, state)
        np.testing.assert_allclose(row, np.concatenate([states.mean(0), states.std(0)]), atol=2e-5)


@needs_weights
def test_batch_equals_single(embedding: SpeakerEmbedding) -> None:
    batch = waveforms(11)
    single = np.concatenate([embedding.features(row[None]) for row in batch])
    np.testing.assert_allclose(embedding.features(batch), single, atol=1e-5)
    model = embedding.recogniser("embedding", CLASSES, head(), "f")
    single = np.concatenate([model.log_odds(row[None]) for row in batch])
    np.testing.assert_allclose(model.log_odds(batch), single, atol=1e-4)


@needs_weights
def test_recogniser_is_the_head_on_the_features(embedding: SpeakerEmbedding) -> None:
    linear, batch = head(), waveforms(9)
    model = embedding.recogniser("embedding", CLASSES, linear, "print", "somewhere")
    assert (model.fingerprint, model.trained_on, model.differentiable) == ("print", "somewhere", True)
    z = linear(torch.from_numpy(embedding.features(batch))).numpy()
    np.testing.assert_allclose(model.raw(batch), z, atol=1e-4)
    p = 1 / (1 + np.exp(-z))
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(batch), p, atol=1e-5)
    np.testing.assert_allclose(model.log_odds(batch), np.log(p / (1 - p)), atol=1e-4)
    assert tuple(model.features(batch[0]).shape[2:]) == model.feature_grid(batch.shape[1]).shape


@needs_weights
def test_gradient_is_the_slope(embedding: SpeakerEmbedding) -> None:
    model = embedding.recogniser("embedding", CLASSES, head(), "f")
    model.front_end.double(), model.network.double()
    try:
        samples = torch.from_numpy(waveforms(1, 2000)).double().requires_grad_()

        def score(x: torch.Tensor) -> torch.Tensor:
            return model.feature_log_odds(model.front_end(x))[0, 1]

        score(samples).backward()
        direction = torch.randn(1, 2000, generator=torch.Generator().manual_seed(0)).double() * 0.01
        with torch.no_grad():
            slope = float(score(samples + 1e-5 * direction) - score(samples - 1e-5 * direction)) / 2e-5
        assert samples.grad is not None
        assert float((samples.grad * direction).sum()) == pytest.approx(slope, rel=1e-4)
    finally:  # the fixture is shared
        model.front_end.float(), embedding.body.float()


@needs_weights
def test_gradient_of_silence_is_finite(embedding: SpeakerEmbedding) -> None:
    model = embedding.recogniser("embedding", CLASSES, head(), "f")
    features = torch.zeros(1, 1, 40, 3, requires_grad=True)
    model.feature_log_odds(features).sum().backward()
    assert features.grad is not None and torch.isfinite(features.grad).all() and features.grad.abs().max() > 0


@needs_weights
def test_too_short_is_refused(embedding: SpeakerEmbedding) -> None:
    assert embedding.min_samples == 400
    assert np.isfinite(embedding.features(waveforms(1, 400))).all()
    with pytest.raises(ClipError, match="399 samples"):
        embedding.features(waveforms(1, 399))


@needs_weights
def test_parameters_rebuild_it(embedding: SpeakerEmbedding) -> None:
    again = SpeakerEmbedding(**embedding.params)
    assert again.fingerprint == embedding.fingerprint
    np.testing.assert_array_equal(again.features(waveforms(2)), embedding.features(waveforms(2)))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker_encoder, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'serxai\[embedding\]'"):
        SpeakerEmbedding()


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "pretrained.pt"
    torch.save({"model_state": {"lstm.weight_ih_l0": torch.zeros(4, 4)}}, path)
    monkeypatch.setattr(speaker_encoder, "weights_path", lambda: path)
    with pytest.raises(InputError, match=r"lstm.weight_ih_l0.*1024, 40"):
        SpeakerEmbedding()


@needs_weights
@pytest.mark.real_data
@pytest.mark.long
def test_emodb_leave_one_speaker_out(embedding: SpeakerEmbedding, data_root: Path) -> None:
    """Measured .887 with this plain classifier: scaler and linear support vector machine, 339 clips."""
    from sklearn.metrics import recall_score
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    files = [path for path in sorted((data_root / "emodb" / "wav").glob("*.wav")) if path.stem[5] in "WFNT"]
    assert len(files) == 339
    X = np.concatenate([embedding.features(load_audio(path)[None]) for path in files])
    y = np.array([path.stem[5] for path in files])
    classifier = make_pipeline(StandardScaler(), LinearSVC(C=1e-3, class_weight="balanced", max_iter=20_000))
    speakers = [path.stem[:2] for path in files]
    predicted = cross_val_predict(classifier, X, y, groups=speakers, cv=LeaveOneGroupOut())
    assert recall_score(y, predicted, average="macro") >= 0.84
