"""A listening study: a static page with sounds, and the key by which its answers are scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jinja2 import Environment

from ...audio import scoring_grid
from ...audio.loudness import matched_levels
from ...datasets.clip import Clip
from ...errors import InputError
from ...keys import digest, rng
from ...methods.kept import kept_and_removed
from ..analysis.listening import CHECK, KEY_COLUMNS, KINDS
from ..storage.files import write_atomically
from .escape import csv_safe
from .page.encode import safe_json
from .page.examples import Example, Recordings, flac
from .page.write import content_hash

CHECKS = 2  # attention checks of a study
PAGE, KEY, SOUNDS = "page", "key.csv", "assets"


class Trial(NamedTuple):
    """Three sounds of a clip with their kinds, in an order that says nothing."""

    name: str
    method: str
    clip: str
    target: str
    sounds: dict[str, bytes]
    kinds: dict[str, str]


def trials(examples: Sequence[Example], recordings: Recordings, methods: Sequence[str], seed: int) -> Iterator[Trial]:
    """Trials of each clip and method whose recording may be played.

    Parameters
    ----------
    examples : sequence of Example
    recordings : Recordings
    methods : sequence of str
    seed : int
        Of the random maps and of the names of sounds.
    """
    for example in examples:
        clip = recordings.clip(example.corpus, example.clip)
        if clip is None:
            continue
        for method in methods:
            if method in example.explanations:
                trial = _trial(example, clip, method, seed)
                if len(trial.sounds) == len(KINDS):  # equal sounds leave nothing to choose
                    yield trial


def _trial(example: Example, clip: Clip, method: str, seed: int) -> Trial:
    attribution = example.explanations[method].attribution
    kept, removed = kept_and_removed(clip, attribution)
    grid = scoring_grid(clip.duration_s)
    draw = rng("random map of a study", seed, clip.sha256, method).standard_normal(grid.shape)
    chance = kept_and_removed(clip, replace(attribution, values=draw, grid=grid, errors=None, table=None, cues=()))[0]
    bodies = [flac(samples) for samples in matched_levels([kept, removed, chance])]
    # names are of the bytes alone: one made of method or kind could be found again by trying all of them
    name = digest("trial", seed, example.setting, *sorted(digest("sound", body) for body in bodies))[:12]
    sounds, kinds = {}, {}
    for kind, body in zip(KINDS, bodies, strict=True):
        file = digest("sound of a trial", name, body)[:16]
        sounds[file], kinds[file] = body, kind
    return Trial(name, method, example.clip, attribution.target, sounds, kinds)


def with_checks(found: Sequence[Trial], seed: int) -> list[Trial]:
    """Trials and `CHECKS` repeated ones in which the page names the sound to choose."""
    out = list(found)
    for number in range(min(CHECKS, len(found))):
        base = found[number * len(found) // CHECKS]
        name = digest("check", seed, base.name)[:12]
        files = {file: digest("sound of a check", name, file)[:16] for file in base.sounds}
        right = sorted(files.values())[number % len(files)]
        sounds = {new: base.sounds[old] for old, new in files.items()}
        kinds = {new: "right" if new == right else "wrong" for new in files.values()}
        out.append(Trial(name, CHECK, base.clip, base.target, sounds, kinds))
    return out


def write_study(out: Path, environment: Environment, found: Sequence[Trial], seed: int) -> Path:
    """Write ``page/`` for listeners and ``key.csv``, which stays with those who made the study; return the page.

    Raises
    ------
    InputError
        If there is no trial.
    """
    if not found:
        raise InputError(
            "study: no clip can be played. Sounds are made of corpora in the public domain only (emodb, planted) whose "
            "recordings must be found (--data-root), and of explanations of clips as recorded."
        )
    every = with_checks(found, seed)
    folder = out / PAGE / SOUNDS
    folder.mkdir(parents=True, exist_ok=True)
    study = digest("study", seed, [trial.name for trial in every])[:12]
    key = pd.DataFrame(
        [
            (study, t.name, t.method, t.clip, t.target, sound, kind)
            for t in every
            for sound, kind in sorted(t.kinds.items())
        ],
        columns=list(KEY_COLUMNS),
    )
    for trial in every:
        for name, body in trial.sounds.items():
            write_atomically(folder / f"{name}.flac", body)
    payload = {"study": study, "trials": [_shown(trial) for trial in every]}
    page = out / PAGE / "index.html"
    write_atomically(page, _rendered(environment, payload).encode())
    write_atomically(out / KEY, csv_safe(key).to_csv(index=False, lineterminator="\n").encode())
    return page


def _shown(trial: Trial) -> dict[str, Any]:
    """What the page knows of a trial: neither method nor kinds, but which sound a check asks for."""
    right = next((file for file, kind in trial.kinds.items() if kind == "right"), "")
    return {"trial": trial.name, "target": trial.target, "sounds": sorted(trial.sounds), "check": right}


def _rendered(environment: Environment, payload: dict[str, Any]) -> str:
    loader = environment.loader
    assert loader is not None
    script, style = (loader.get_source(environment, name)[0] for name in ("study.js", "style.css"))
    return environment.get_template("study.html.j2").render(
        style=style, style_hash=content_hash(style), script=script, script_hash=content_hash(script),
        data=safe_json(payload), trials=len(payload["trials"]), minutes=int(np.ceil(len(payload["trials"]) / 3)),
    )  # fmt: skip
