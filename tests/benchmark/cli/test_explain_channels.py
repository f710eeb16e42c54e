"""What ``explain`` shows of a method that tells channels apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.audio import SAMPLE_RATE
from serxai.benchmark.api.explain import explain
from serxai.benchmark.cli.explain import as_json, write_explanation
from serxai.benchmark.report.figures.maps import channel_maps
from serxai.errors import InputError
from serxai.keys import rng


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory):
    audio = tmp_path_factory.mktemp("channels") / "noise.wav"
    soundfile.write(audio, 0.1 * rng("channels").standard_normal(12_000), SAMPLE_RATE)
    return explain(audio, ["crp", "saliency"]), audio


def test_channels_are_named_with_their_share_and_drawn(explained, tmp_path: Path):
    found, audio = explained
    files = write_explanation(found, audio, tmp_path, withheld="not here")
    crp = found.attributions["crp"]
    told = as_json(found, audio)["explanations"]["crp"]["details"]
    assert len(crp.channels) == 8 and {name: told[name] for name in crp.channels} == pytest.approx(
        {name: values.sum(dtype=float) / told["start"] for name, values in crp.channels.items()}, rel=1e-3
    )
    assert [name for name in files if "channels" in name] == ["channels of crp"]
    table = pd.read_csv(files["channels of crp"].with_suffix(".csv"))
    sums = table.groupby("channel", sort=False)["relevance"].sum()
    assert list(sums.index) == list(crp.channels)
    np.testing.assert_allclose(sums, [values.sum(dtype=float) for values in crp.channels.values()], rtol=1e-4)
    page = files["page"].read_text()
    assert page.count("flows through each of the chosen channels") == 1
    assert f"through the channels chosen {100 * told['chosen_share']:.0f} %" in page


def test_maps_without_channels_are_refused(explained, tmp_path: Path):
    found, _ = explained
    with pytest.raises(InputError, match="an explanation by saliency has no channels"):
        channel_maps(found.clip.samples, found.attributions["saliency"], "", tmp_path / "none.png")
