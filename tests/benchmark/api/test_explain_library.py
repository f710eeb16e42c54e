"""``serxai.explain`` in a notebook: what it takes, what it gives, what it says of wrong input."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

import serxai
from serxai.audio import Grid
from serxai.corpora import Clip
from serxai.errors import ClipError, InputError
from serxai.models.recogniser import Recogniser

mpl.use("Agg")


@pytest.fixture(scope="module")
def clip() -> Clip:
    corpus = serxai.load_corpus("planted")
    return corpus.clip(corpus.table.index[corpus.table["emotion"] == "anger"][0])


@pytest.fixture(scope="module")
def planted_cnn() -> Recogniser:
    return serxai.load_model("cnn", trained_on="planted")


@pytest.fixture(scope="module")
def explained(clip: Clip, planted_cnn: Recogniser) -> serxai.ClipExplanation:
    return serxai.explain(clip, ["saliency", "emolime"], planted_cnn)


def test_path_array_and_clip_give_the_same_map(clip: Clip, planted_cnn: Recogniser, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, clip.samples, 16_000, subtype="FLOAT")
    ways = {
        "path": serxai.explain(path, "saliency", planted_cnn),
        "text": serxai.explain(str(path), ["saliency"], planted_cnn),
        "array": serxai.explain(clip.samples, "saliency", planted_cnn, rate=16_000),
        "tensor": serxai.explain(torch.from_numpy(clip.samples), "saliency", planted_cnn, rate=16_000),
        "clip": serxai.explain(clip, "saliency", planted_cnn),
    }
    maps = [explanation.attribution.values for explanation in ways.values()]
    for values in maps[1:]:
        np.testing.assert_array_equal(values, maps[0])
    assert ways["clip"].clip.emotion == "anger" and ways["array"].clip.corpus == ""
    assert [e.name for e in ways.values()] == ["sound.wav", "sound.wav", "array", "array", clip.id]


def test_samples_are_not_changed_and_integers_and_channels_are_read(clip: Clip, planted_cnn: Recogniser) -> None:
    integers = np.round(clip.samples * 32767).astype(np.int16)
    stereo = np.stack([integers, integers])
    kept = stereo.copy()
    by_rows = serxai.explain(stereo, "saliency", planted_cnn, rate=16_000)
    by_columns = serxai.explain(stereo.T, "saliency", planted_cnn, rate=16_000)
    np.testing.assert_array_equal(stereo, kept)
    np.testing.assert_array_equal(by_rows.attribution.values, by_columns.attribution.values)
    np.testing.assert_allclose(by_rows.clip.samples, integers / 32768, atol=1e-7)


def test_a_rate_is_resampled(clip: Clip, planted_cnn: Recogniser) -> None:
    import soxr

    fast = soxr.resample(clip.samples, 16_000, 44_100, quality="VHQ")
    back = serxai.explain(fast, "saliency", planted_cnn, rate=44_100)
    assert back.clip.samples.size == clip.samples.size
    # what lies above 0.95 of 8 kHz does not survive two filters
    assert np.corrcoef(back.clip.samples, clip.samples)[0, 1] > 0.99


def test_a_name_and_the_recogniser_it_stands_for_agree(clip: Clip, planted_cnn: Recogniser) -> None:
    named = serxai.explain(clip, "saliency", "cnn", trained_on="planted", ensemble=False)
    models_fold = named.recogniser
    given = serxai.explain(clip, "saliency", models_fold)
    np.testing.assert_array_equal(named.attribution.values, given.attribution.values)
    assert named.seen_in_training == "no" and given.seen_in_training == "unknown"


def test_fill_reaches_methods_that_have_one_and_bases(clip: Clip, planted_cnn: Recogniser) -> None:
    noise = serxai.explain(clip, ["saliency", "emolime"], planted_cnn, fill="noise")
    assert noise.parameters["emolime"]["fill"] == "noise" and "fill" not in noise.parameters["saliency"]
    fixed = serxai.explain(clip, "emolime", planted_cnn, fill="noise", parameters={"emolime": {"fill": "zero"}})
    assert fixed.parameters["emolime"]["fill"] == "zero"
    based = serxai.explain(clip, "beyond-saliency:occlusion", planted_cnn, fill="noise")
    beside = serxai.explain(clip, ["occlusion", "beyond-saliency:occlusion"], planted_cnn, fill="noise")
    plain = serxai.explain(clip, "beyond-saliency:occlusion", planted_cnn)
    np.testing.assert_array_equal(based.attribution.values, beside["beyond-saliency:occlusion"].values)
    assert beside.parameters["occlusion"]["fill"] == "noise"
    assert not np.array_equal(based.attribution.values, plain.attribution.values)
    assert based.attribution.model_calls == plain.attribution.model_calls


def test_one_or_several(explained: serxai.ClipExplanation) -> None:
    assert list(explained) == ["saliency", "emolime"] and len(explained) == 2
    assert explained["emolime"] is explained.attributions["emolime"]
    with pytest.raises(InputError, match=r"several \(saliency, emolime\)"):
        _ = explained.attribution
    with pytest.raises(InputError, match="Did you mean 'saliency'"):
        explained["salency"]


def test_reprs_are_short(explained: serxai.ClipExplanation) -> None:
    said = repr(explained)
    assert len(said) < 160 and "saliency, emolime" in said and "anger (p = " in said
    assert len(repr(explained["emolime"])) < 120 and "8 x 1 cells" in repr(explained["emolime"])
    assert len(repr(explained.clip)) < 120 and "emotion='anger'" in repr(explained.clip)


def test_table_holds_every_cell(explained: serxai.ClipExplanation) -> None:
    table = explained.to_frame()
    sizes = {name: attribution.values.size for name, attribution in explained.attributions.items()}
    assert table.groupby("method").size().to_dict() == sizes
    bands = table[table["method"] == "emolime"]
    np.testing.assert_array_equal(bands["relevance"], explained["emolime"].values.ravel())
    np.testing.assert_array_equal(bands["low_hz"], explained["emolime"].grid.freq_edges_hz[:-1])
    assert isinstance(table, pd.DataFrame) and (table["high_hz"] > table["low_hz"]).all()


def test_labelled_arrays(explained: serxai.ClipExplanation) -> None:
    pytest.importorskip("xarray")
    one = explained["emolime"].to_xarray()
    assert one.dims == ("frequency", "time") and one.attrs["target"] == "anger"
    np.testing.assert_array_equal(one.values, explained["emolime"].values)
    both = explained.to_xarray()
    assert both.dims == ("explainer", "frequency", "time") and both.sizes["frequency"] == 16
    for name, attribution in explained.attributions.items():
        assert float(both.sel(explainer=name).sum()) == pytest.approx(float(attribution.values.sum()), rel=1e-5)
    coarse = Grid(np.array([0.0, 1000, 8000]), np.array([0.0, explained.clip.duration_s]))
    assert explained.to_xarray(coarse).shape == (2, 2, 1)


def test_without_xarray_the_extra_is_named(explained: serxai.ClipExplanation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(InputError) as error:
        explained["emolime"].to_xarray()
    assert "pip install 'serxai[xarray]'" in str(error.value)


def test_an_axes_in_the_axes_out(explained: serxai.ClipExplanation) -> None:
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2)
    assert explained.plot(left, "emolime") is left
    assert left.get_title(loc="left").startswith("emolime: anger") and left.get_xlabel() == "time / s"
    assert not right.has_data()
    panels = explained.plot()
    assert [ax.get_title(loc="left").split(":")[0] for ax in panels] == ["saliency", "emolime"]
    with pytest.raises(InputError, match="one Axes for several methods"):
        explained.plot(ax=right)
    single = explained.plot(method="saliency")
    assert single.figure is not figure
    plt.close("all")


def test_page_of_a_notebook(explained: serxai.ClipExplanation) -> None:
    page = explained._repr_html_()
    assert "data:image/png;base64,iVBOR" in page and "<b>emolime</b>" in page
    hostile = serxai.ClipExplanation(
        explained.clip, explained.recogniser, explained.probabilities, "anger", "no", {},
        {"m": "<script>alert(1)</script>"}, name="<img src=x>",
    )  # fmt: skip
    assert "<script" not in hostile._repr_html_() and "<img" not in hostile._repr_html_()


def test_what_failed_says_why(clip: Clip, planted_cnn: Recogniser) -> None:
    failed = serxai.explain(clip, "attention-rollout", planted_cnn)
    assert "attention-rollout" in failed.failures and "failed: attention-rollout" in repr(failed)
    with pytest.raises(InputError, match="could not explain the clip"):
        _ = failed.attribution
    with pytest.raises(InputError, match="see failures"):
        failed.plot()


NOISE = np.random.default_rng(0).normal(0, 0.1, 16_000)
WRONG = {
    "no rate": (lambda: serxai.explain(NOISE), "rate=16000"),
    "rate of a file": (lambda: serxai.explain("a.wav", rate=8000), "leave rate out"),
    "rate of text": (lambda: serxai.explain(NOISE, rate="16000"), "got '16000'"),
    "rate of 0": (lambda: serxai.explain(NOISE, rate=0), "between 1000 and"),
    "three axes": (lambda: serxai.explain(np.zeros((2, 2, 2)), rate=8000), r"of shape \(2, 2, 2\)"),
    "text": (lambda: serxai.explain(np.array(["a"]), rate=8000), "array of floats"),
    "a number": (lambda: serxai.explain(3.0), "give a path, an array"),
    "bytes": (lambda: serxai.explain(b"RIFF", rate=8000), "got bytes"),
    "a gradient": (lambda: serxai.explain(torch.zeros(9, requires_grad=True), rate=8000), "as an array"),
    "method": (lambda: serxai.explain(NOISE, "salency", rate=16_000), "Did you mean 'saliency'"),
    "no method": (lambda: serxai.explain(NOISE, [], rate=16_000), "at least one"),
    "method object": (lambda: serxai.explain(NOISE, [3], rate=16_000), "got 3"),
    "model": (lambda: serxai.explain(NOISE, "saliency", "cnnn", rate=16_000), "Did you mean 'cnn'"),
    "model object": (lambda: serxai.explain(NOISE, "saliency", torch.nn.Linear(1, 1), rate=16_000), "name its classes"),
    "fill": (lambda: serxai.explain(NOISE, "emolime", fill="nois", rate=16_000), "^fill: .*Did you mean 'noise'"),
    "target": (lambda: serxai.explain(NOISE, "random", target="boredom", rate=16_000), "boredom"),
    "parameters": (
        lambda: serxai.explain(NOISE, "random", parameters={"emolime": {}}, rate=16_000),
        "^parameters: unknown method of this call 'emolime'",
    ),
    "device": (lambda: serxai.explain(NOISE, "random", device="cud", rate=16_000), "^device cud"),
    "trained_on": (lambda: serxai.explain(NOISE, "random", trained_on="emod", rate=16_000), "Did you mean 'emodb'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_named(case: str) -> None:
    call, said = WRONG[case]
    with pytest.raises(InputError, match=said):
        call()


def test_a_recogniser_and_its_checkpoint_are_refused_together(planted_cnn: Recogniser) -> None:
    with pytest.raises(InputError, match="trained_on: the recogniser is given itself"):
        serxai.explain(NOISE, "random", planted_cnn, rate=16_000, trained_on="planted")


@pytest.mark.parametrize(
    ("samples", "said"),
    [(np.zeros(0), "0 samples"), (np.full(16_000, np.nan), "NaN"), (NOISE * 32768, "integers"),
     (np.zeros(61 * 16_000), "longer than 60 s"), (NOISE[:20], "array: ")],
)  # fmt: skip
def test_unusable_samples_are_refused_as_files_are(samples: np.ndarray, said: str, planted_cnn: Recogniser) -> None:
    with pytest.raises(ClipError, match=said):
        serxai.explain(samples, "random", planted_cnn, rate=16_000)
