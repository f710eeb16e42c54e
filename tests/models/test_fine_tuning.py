"""Fine-tuned copies: what is learned, what they depend on, and what of the cache is not used."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from serxai.audio import Plane, scoring_grid
from serxai.errors import NotApplicable
from serxai.models.cnn import ResidualCNN
from serxai.models.fine_tuning import (
    CARD,
    MAX_CARD_BYTES,
    WEIGHTS,
    FineTuning,
    copy_key,
    fine_tune,
    obtain_copy,
    random_masks,
)
from serxai.models.front_end import LogMel
from serxai.models.recogniser import Recogniser, TorchRecogniser

CLASSES = ("anger", "neutral", "sadness")
SHORT = FineTuning(steps=3, clips=4, learning_rate=1e-3)


class BlackBox(Recogniser):
    name, classes, fingerprint = "black-box", CLASSES, "0"

    def _raw_log_odds(self, waveforms: torch.Tensor) -> torch.Tensor:
        return torch.zeros((len(waveforms), 3))


@pytest.fixture(scope="module")
def clips(make_tiny_corpus):
    corpus = make_tiny_corpus(speakers=2, takes=2)
    return [corpus.clip(name) for name in corpus.table.index]


@pytest.fixture
def recogniser() -> TorchRecogniser:
    torch.manual_seed(0)
    return TorchRecogniser("cnn", CLASSES, LogMel(), ResidualCNN(3, width=4, dropout=0.5), fingerprint="random")


@pytest.fixture
def obtain(recogniser, clips, tmp_path, monkeypatch):
    """`obtain_copy` of the same copy, with an empty cache."""
    monkeypatch.setenv("SERXAI_CACHE", str(tmp_path / "cache"))
    by_id = {clip.id: clip for clip in clips}
    contents = {clip.id: clip.identity for clip in clips}
    return lambda: obtain_copy(recogniser, "attenuate", contents, by_id.__getitem__, SHORT)


def weights(recogniser: Recogniser) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in recogniser.network.state_dict().items()}


def test_masks_remove_a_uniform_share_up_to_the_limit():
    removed = random_masks((16, 25), 0.1, 4000, np.random.default_rng(0))
    counts = removed.sum(axis=(1, 2))
    assert removed.dtype == bool and counts.min() == 0 and counts.max() == 40
    assert np.bincount(counts)[:40] == pytest.approx(np.full(40, 4000 / 40.1), abs=45)
    assert removed.mean(axis=0) == pytest.approx(0.05, abs=0.025)  # no cell is preferred


def test_a_copy_learns_masked_clips_and_leaves_the_recogniser_alone(recogniser, clips):
    before, calls, state = weights(recogniser), recogniser.calls, torch.random.get_rng_state()
    settings = FineTuning(share=0.3, steps=16, clips=6, learning_rate=5e-3)
    copy, loss = fine_tune(recogniser, clips, "attenuate", settings, "seed")
    assert weights(recogniser) == before and recogniser.calls == calls
    assert torch.equal(torch.random.get_rng_state(), state)
    assert loss[1] < 0.9 * loss[0]
    assert copy.calls - calls == settings.calls and not copy.network.training
    assert not any(p.requires_grad or p.grad is not None for p in copy.network.parameters())
    # the reported loss is that of masked clips: measured here by hand, on masks of other draws
    losses = []
    for clip in clips:
        grid, plane = scoring_grid(clip.duration_s), Plane(clip.samples)
        keep = ~random_masks(grid.shape, 0.3, 4, np.random.default_rng(1))
        p = copy.predict_proba(plane.render(keep, grid, plane.spectrum * 0.01))[:, CLASSES.index(clip.emotion)]
        losses.append(-np.log(p).mean())
    assert np.mean(losses) < loss[0]


def test_a_copy_is_the_same_each_time_and_another_for_another_seed_or_fill(recogniser, clips):
    made = [weights(fine_tune(recogniser, clips, fill, SHORT, seed)[0])
            for fill, seed in (("attenuate", 1), ("attenuate", 1), ("noise", 1), ("attenuate", 2))]  # fmt: skip
    assert made[0] == made[1] != made[2] and made[0] != made[3]


def test_what_gives_no_gradient_cannot_be_fine_tuned(recogniser, clips, obtain):
    with pytest.raises(NotApplicable, match="'black-box' gives no gradient of its weights"):
        fine_tune(BlackBox(), clips, "noise", SHORT, 0)
    with pytest.raises(NotApplicable, match="at least 8 clips outside the fold, got 7"):
        fine_tune(recogniser, clips[:7], "noise", SHORT, 0)
    recogniser.regression = True
    with pytest.raises(NotApplicable, match="predicts numbers"):
        obtain()


def test_the_key_is_of_all_that_a_copy_depends_on(recogniser):
    contents = {"a": "1", "b": "2"}
    keys = {
        copy_key(recogniser, "noise", contents, SHORT),
        copy_key(recogniser, "twin", contents, SHORT),
        copy_key(recogniser, "noise", contents | {"b": "3"}, SHORT),
        copy_key(recogniser, "noise", contents, replace(SHORT, share=0.2)),
        copy_key(recogniser, "noise", contents, SHORT, 1),
    }
    recogniser.fingerprint = "other"
    keys.add(copy_key(recogniser, "noise", contents, SHORT))
    assert len(keys) == 6
    assert copy_key(recogniser, "noise", dict(reversed(contents.items())), SHORT) in keys


def test_a_copy_is_kept_and_found(obtain, recogniser, tmp_path):
    first, second = obtain(), obtain()
    assert not first.cached and second.cached
    assert weights(first.recogniser) == weights(second.recogniser) != weights(recogniser)
    assert (first.calls, first.loss) == (second.calls, second.loss) and first.calls == 24 and first.seconds > 0
    assert first.recogniser.fingerprint == second.recogniser.fingerprint != recogniser.fingerprint
    assert first.recogniser.calls == second.recogniser.calls == 0
    (folder,) = (tmp_path / "cache" / "models").iterdir()  # no work folder is left
    assert sorted(path.name for path in folder.iterdir()) == [CARD, WEIGHTS]


def forge(folder: Path, data: bytes, **card: object) -> None:
    """Replace the weights, with a card that vouches for them."""
    (folder / WEIGHTS).write_bytes(data)
    known = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(known | {"sha256": hashlib.sha256(data).hexdigest()} | card))


def other_network(folder: Path) -> None:
    forge(folder, save({k: v.contiguous() for k, v in ResidualCNN(3, width=8).state_dict().items()}))


def not_finite(folder: Path) -> None:
    state = ResidualCNN(3, width=4).state_dict()
    forge(folder, save({k: (v * np.nan if v.is_floating_point() else v).contiguous() for k, v in state.items()}))


def moved(folder: Path) -> None:
    """A link to a good copy elsewhere."""
    elsewhere = folder.parent.parent / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1]),
        lambda folder: (folder / WEIGHTS).unlink(),
        lambda folder: forge(folder, pickle.dumps({"network": 1})),
        lambda folder: forge(folder, b"\xff" * 64),
        other_network,
        not_finite,
        lambda folder: forge(folder, (folder / WEIGHTS).read_bytes(), key="of another recogniser"),
        lambda folder: forge(folder, (folder / WEIGHTS).read_bytes(), loss=None),
        lambda folder: forge(folder, (folder / WEIGHTS).read_bytes(), calls="many"),
        lambda folder: (folder / CARD).write_text("[" * 30_000),
        lambda folder: (folder / CARD).write_text(" " * MAX_CARD_BYTES + (folder / CARD).read_text()),
        lambda folder: (folder / CARD).write_text("[]"),
        moved,
    ],
)
def test_what_is_not_the_copy_is_not_used_and_made_anew(obtain, tmp_path, damage):
    first = obtain()
    (folder,) = (tmp_path / "cache" / "models").iterdir()
    damage(folder)
    again = obtain()
    assert not again.cached and weights(again.recogniser) == weights(first.recogniser)
    assert obtain().cached and not folder.is_symlink()
