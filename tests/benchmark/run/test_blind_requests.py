"""A method is told samples, alignment and a seed that cannot be read: with a clip's name it would win consistency."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from serxai.audio import scoring_grid
from serxai.benchmark.run import again, scoring
from serxai.benchmark.run.config import load_config
from serxai.benchmark.run.method_spec import resolve_method
from serxai.benchmark.run.runner import Execution, run
from serxai.datasets.clip import Clip, Plant, Word
from serxai.keys import Seed, rng
from serxai.methods.attribution import Attribution
from serxai.methods.explainer import Explainer, Request
from serxai.methods.records import METHODS

GOOD = ("03a01Wa", "08a01Wa", "09a02Wa", "10a02Wa")
ALIGNMENT = {"samples", "words", "phones"}


class Cheat(Explainer):
    """Noise drawn by whatever names the clip, and says nothing of its condition or sound."""

    stochastic = False

    def attribute(self, request: Request) -> Attribution:
        clip = request.clip
        left_out = ("samples", "strength", "_measured")
        known: list[Any] = [getattr(clip, f.name) for f in fields(clip) if f.name not in left_out]
        if isinstance(request.seed, tuple):
            known += [part for part in request.seed if part not in ("clean", "noise-20db")]
        grid = scoring_grid(clip.duration_s)
        noise = rng([str(part) for part in known]).standard_normal(grid.shape)
        return Attribution(noise, grid, request.label, "cheat")


def a_voice(seed: int) -> np.ndarray:
    t = np.arange(16000) / 16000
    phase = 2 * np.pi * np.cumsum(120 + 10 * seed + 20 * np.sin(4 * np.pi * t)) / 16000
    x = sum(np.sin(h * phase) / h for h in range(1, 25)) * (1.2 + np.sin(2 * np.pi * 3 * t))
    return (0.05 * x).astype(np.float32)


def consistency(place: Path, name: str, methods: list[str]) -> pd.DataFrame:
    config = load_config(
        corpora=["emodb"], trained_on="planted", emotions=["anger"], conditions=["clean", "noise-20db"],
        methods=methods, metrics=["consistency"],
    )  # fmt: skip
    return run(config, place / name, Execution(data_root=place / "data")).scores()


def test_noise_by_the_clips_name_is_perfect_where_the_name_is_told_and_nothing_where_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    record = replace(METHODS.get("random"), name="cheat", target=f"{__name__}:Cheat")
    monkeypatch.setitem(METHODS._records, "cheat", record)
    monkeypatch.setattr(type(record), "load", lambda self: Cheat if self.name == "cheat" else load(self))
    folder = tmp_path / "data" / "emodb" / "wav"
    folder.mkdir(parents=True)
    for seed, name in enumerate(GOOD):
        soundfile.write(folder / f"{name}.wav", a_voice(seed), 16000)
    blind = consistency(tmp_path, "blind", ["cheat"])
    # all clips of this length get the same noise: a floor as high as the ceiling
    assert (blind["status"] == "skipped").all() and blind["reason"].str.contains("ceiling - floor").all()

    def told_all(spec: Any, recogniser: Any, clip: Clip, target: str, seed: tuple, **more: Any) -> Request:
        name, contrast = recogniser.target_named(target)
        return Request(recogniser, clip, name, seed, contrast=contrast, **more)

    monkeypatch.setattr(scoring, "request_for", told_all)
    monkeypatch.setattr(again, "request_for", told_all)
    named = consistency(tmp_path, "named", ["cheat"])
    assert (named["status"] == "ok").all() and named["value"].mean() == 1.0


def load(record: Any) -> Any:
    from serxai.registry import Record

    return Record.load(record)


def whole_clip() -> Clip:
    word = (Word("a", 0.0, 0.5),)
    return Clip(
        "id", np.ones(16000, np.float32), "anger", "speaker", "f", "text", "corpus", word, Plant(np.zeros(16000), word),
        ((0.0, 0.0), (1.0, 1.0)), 20.0, word, {"stress": word},
    )  # fmt: skip


def test_what_is_told_of_a_clip():
    clip, nothing = whole_clip(), Clip("", np.zeros(1, np.float32))
    for field in fields(Clip):
        if field.name not in (*ALIGNMENT, "_measured"):
            told, default = getattr(clip.unnamed, field.name), getattr(nothing, field.name)
            assert told == default or (told != told and default != default), field.name
            assert getattr(clip, field.name) != default, "a field of this test's clip says nothing"
    assert clip.unnamed.samples is clip.samples and clip.unnamed.words == clip.words
    assert clip.unnamed is clip.unnamed and clip.unnamed.cue_tracks is clip.cue_tracks
    assert clip.unnamed_with_twin.plant is clip.plant and clip.unnamed_with_twin.emotion == ""


@pytest.mark.parametrize(
    ("name", "fill", "sees"),
    [
        ("saliency", "twin", "samples"), ("occlusion", "noise", "samples"), ("occlusion", "twin", "twin"),
        ("oracle", "noise", "truth"), ("rule-truth", "noise", "truth"), ("beyond-saliency", "noise", "samples"),
        ("beyond-saliency:oracle", "noise", "truth"), ("random", "twin", "samples"),
    ],
)  # fmt: skip
def test_who_is_told_the_truth(name: str, fill: str, sees: str):
    config = load_config(methods=[name], fills=[fill], limit=1)
    assert resolve_method(name, config).scored_with(fill).sees == sees


def test_a_seed_draws_the_same_and_cannot_be_read():
    seed = Seed("explain", 0, "emodb", "03a01Wa", "random", "noise-20db", 0)
    parts = ("explain", 0, "emodb", "03a01Wa", "random", "noise-20db", 0)
    for more in ((), ("phase", 3), (np.arange(3),)):
        assert seed.rng(*more).random() == rng(*parts, *more).random()
    assert seed.rng(1).random() == seed.rng(1).random() != seed.rng(2).random()
    assert seed == Seed(*parts) != Seed(*parts, 1) and hash(seed) == hash(Seed(*parts))
    assert not any(word in repr(seed) for word in ("03a01Wa", "emodb", "noise"))
    request = Request(None, whole_clip(), "anger", seed)  # type: ignore[arg-type]
    assert request.generator("x").random() == rng(*parts, "x").random()
