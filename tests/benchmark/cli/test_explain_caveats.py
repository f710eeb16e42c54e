"""What ``explain`` writes where there is nothing to explain: sentence, page, picture and JSON say the same."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from matplotlib.colors import to_hex
from rich.console import Console

from serxai.audio import SAMPLE_RATE
from serxai.benchmark.api.clip_explanation import ClipExplanation
from serxai.benchmark.api.explain import explain
from serxai.benchmark.cli.console import reach_lines
from serxai.benchmark.cli.explain import as_json, interaction_table, write_explanation
from serxai.benchmark.report.figures.interactions import interaction_matrix, part_labels
from serxai.benchmark.report.figures.maps import AGAINST, FOR, colour_legend, tint
from serxai.benchmark.report.figures.style import BLUE, new_figure
from serxai.errors import InputError
from serxai.keys import rng
from serxai.methods.caveats import INTERACTIONS, UNSIGNED, Caveat
from serxai.methods.explainer import Request
from serxai.methods.masks import fill_effects
from serxai.methods.reading import NO_SIGN, left_unsaid, reading
from serxai.models.cnn import ResidualCNN
from serxai.models.front_end import LogMel
from serxai.models.recogniser import TorchRecogniser

METHODS = ["saliency", "emolime", "band-interactions"]


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("caveats") / "noise.wav"
    t = np.arange(14_000) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 25)) * (0.6 + 0.4 * np.sin(20 * t))
    soundfile.write(path, 0.1 * tone + 0.003 * rng("caveats").standard_normal(t.size), SAMPLE_RATE)
    return path


@pytest.fixture(scope="module")
def trained(audio: Path) -> ClipExplanation:
    return explain(audio, METHODS)


def effects(explained: ClipExplanation):
    return fill_effects(Request(explained.recogniser, explained.clip, explained.target, ("fills",)))


def test_the_normal_case_reads_as_before_but_for_maps_without_sign(trained, audio, tmp_path):
    written = write_explanation(trained, audio, tmp_path, "not here")
    told = json.loads(written["numbers"].read_text())["explanations"]
    assert [c["kind"] for c in told["saliency"]["caveats"]] == ["unsigned"]
    assert "whether for or against it" in told["saliency"]["sentence"]
    assert not any(c["unreadable"] for c in told["band-interactions"]["caveats"])
    assert told["band-interactions"]["sentence"].startswith(f"What speaks most for {trained.target} lies at ")
    page = written["page"].read_text("utf-8")
    target = trained.target
    assert f"Green: for {target}, vermilion: against it; blue: relevant, for or against (a map without sign)" in page
    assert "Unsigned: " not in page and page.count(NO_SIGN) == 1 and 'class="warn">There is nothing' not in page
    assert [c["in_sentence"] for c in told["saliency"]["caveats"]] == [True]
    assert {c.kind for c in trained.caveats["saliency"]} == {"unsigned"}  # the same as data, for users of the library
    assert trained.sentences == {name: found["sentence"] for name, found in told.items()}


def test_interactions_are_drawn_and_tabled(trained, audio, tmp_path):
    found = trained.attributions["band-interactions"]
    written = write_explanation(trained, audio, tmp_path, "not here")
    assert written["interactions of band-interactions"].read_bytes()[:4] == b"\x89PNG"
    table = pd.read_csv(written["interactions of band-interactions"].with_suffix(".csv"))
    assert len(table) == 36 and (table["kind"] == "main effect").sum() == 8
    assert table["effect"].sum() == pytest.approx(found.details["full"] - found.details["none"], rel=1e-4)
    told = json.loads(written["numbers"].read_text())["explanations"]
    np.testing.assert_allclose(told["band-interactions"]["interactions"]["effects"], found.interactions)
    assert told["band-interactions"]["parameters"]["index"] == "shapley" and told["emolime"]["interactions"] is None
    page = written["page"].read_text("utf-8")
    assert page.count("<caption>Main effects (diagonal) and interactions of the bands</caption>") == 1
    assert f"<strong>{found.interactions[2, 2]:+.2f}</strong>" in page and "plus half of its interactions" in page
    buffer = io.StringIO()
    Console(file=buffer, width=80, markup=False).print(interaction_table(found))
    lines = buffer.getvalue().splitlines()[2:]
    assert [line.split("Hz")[0] + "Hz" for line in lines] == [f"{i + 1} {x}" for i, x in enumerate(part_labels(found))]
    assert lines[3].split("Hz")[1].split() == [f"{x:+.2f}" for x in found.interactions[3]]
    with pytest.raises(InputError, match="emolime has no interactions"):
        interaction_matrix(trained.attributions["emolime"], "t", tmp_path / "x.png")


def test_an_untrained_network_gets_no_confident_sentence(trained, audio, tmp_path):
    """The case that was found: p = .28 whatever is removed, and a sentence on what speaks most for the class."""
    torch.manual_seed(1)
    classes = trained.recogniser.classes
    network = TorchRecogniser("cnn", classes, LogMel(), ResidualCNN(len(classes)).eval(), fingerprint="untrained")
    from serxai.methods.records import make_method

    request = Request(network, trained.clip, classes[0], ("untrained",))
    maps = {name: make_method(name).attribute(request) for name in ("saliency", "emolime")}
    explained = replace(trained, recogniser=network, attributions=maps, target=classes[0])
    explained = replace(explained, fills=effects(explained))
    told = as_json(explained, audio)["explanations"]
    for name in maps:
        first = {key: value for key, value in told[name]["caveats"][0].items() if key != "detail"}
        assert first == {"kind": "no response", "unreadable": True, "in_sentence": True}
        assert told[name]["sentence"].startswith("There is nothing to explain: ")
    page = write_explanation(explained, audio, tmp_path, "not here")["page"].read_text("utf-8")
    assert "speaks most" not in page and "matters most" not in page
    assert (
        page.count('<p class="warn">There is nothing to explain: ') == 2
        and "Not to be read: saliency, emolime." in page
    )
    assert {c[0].kind for c in explained.caveats.values()} == {"no response"}


def test_a_poor_surrogate_says_so_on_the_page(trained, audio, tmp_path):
    poor = trained.attributions["emolime"]
    poor = replace(poor, details=poor.details | {"r2": 0.096})
    explained = replace(trained, attributions={"emolime": poor})
    page = write_explanation(explained, audio, tmp_path, "not here")["page"].read_text("utf-8")
    assert page.count("its surrogate explains 10% of what the masked copies do (R² 0.096)") == 1
    assert '<p class="warn">The map is not to be read: its surrogate' in page and "speaks most" not in page


def test_a_map_without_sign_has_a_colour_of_its_own():
    ax = new_figure(2, 2).subplots()
    for unsigned, colours in ((True, {BLUE}), (False, {FOR, AGAINST})):
        tint(ax, (np.array([0, 500, 8000]), np.array([0, 1.0])), np.array([[1.0], [0.5 if unsigned else -0.5]]), 1.0,
             unsigned)  # fmt: skip
        assert {to_hex(colour).upper() for colour in ax.collections[-1].get_facecolor()} == colours


def test_a_legend_of_maps_without_sign_speaks_of_no_evidence():
    assert "vermilion" not in colour_legend([True]) and "blue" not in colour_legend([False], "fear")


def test_an_output_is_raised_and_lowered_in_the_legend():
    told = colour_legend([True, False], "arousal", number=True)
    assert told.startswith("green: raises arousal, vermilion: lowers it; blue: moves it up or down")
    assert "for" not in told.split() and "against" not in told


@pytest.mark.parametrize("number", [False, True])
def test_what_the_sentence_says_is_not_said_again(trained, number):
    found = [Caveat(INTERACTIONS, "single parts explain 40%"), Caveat(UNSIGNED, "the map of x holds magnitudes")]
    sentence = reading(trained.attributions["saliency"], found, number)
    assert left_unsaid(sentence, found) == ()
    assert left_unsaid("Another sentence.", found) == tuple(found)


def test_falls_of_an_output_are_in_its_units():
    one = {"fill": "noise", "mean": 0.4, "low": None, "high": None, "used": True, "model": "m", "corpus": "c"}
    assert reach_lines([one]) == ["fall of log-odds with the whole clip replaced, m on c: noise 0.40"]
    told = reach_lines([one], {"m"})[0]
    assert "the output, in its own units," in told and "log-odds" not in told
