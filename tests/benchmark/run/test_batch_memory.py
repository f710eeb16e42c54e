"""``--batch-memory``: batches pass in pieces, and scores move by rounding alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serxai.benchmark.cli.main import main
from serxai.benchmark.storage.store import Store
from serxai.models.recogniser import TorchRecogniser

COMMAND = [
    "run", "--method", "integrated-gradients", "--method", "random", "--metric", "deletion", "--condition", "clean",
    "--limit", "2", "--workers", "1",
]  # fmt: skip


@pytest.mark.long
def test_pieces_move_scores_by_rounding_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sizes: set[int] = set()
    passed = TorchRecogniser.feature_log_odds

    def seen(self: TorchRecogniser, features):
        sizes.add(len(features))
        return passed(self, features)

    monkeypatch.setattr(TorchRecogniser, "feature_log_odds", seen)
    tables, most = [], []
    for name, bound in (("free", []), ("bound", ["--batch-memory", "0.008"])):
        sizes.clear()
        assert main([*COMMAND, *bound, "--out", str(tmp_path / name)]) == 0
        tables.append(Store(tmp_path / name).scores())
        most.append(max(sizes))
    free, bound = tables
    assert most[0] == 8 and most[1] < 8
    np.testing.assert_allclose(bound["value"], free["value"], rtol=0, atol=1e-5)
    assert set(bound["key"]).isdisjoint(free["key"])
    assert (bound["model_calls"] == free["model_calls"]).all()
    assert Store(tmp_path / "bound").info["execution"]["batch_memory"] == 0.008


def test_a_bound_below_nothing_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main([*COMMAND, "--batch-memory", "0"]) == 2
    assert "--batch-memory must be a number of GB above 0, got 0." in capsys.readouterr().err
