"""Explanations of single clips for the page: map, spectrogram and sounds of a few clips of each setting.

Clips are drawn by a hash of their names, balanced over emotions, so that no score has a say. Spectrograms and sounds
are written only for corpora in the public domain whose recordings are found; of all others the map alone, which is
numbers.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import soundfile
from matplotlib.image import imsave

from ....audio import SAMPLE_RATE, Plane, scoring_grid
from ....audio.loudness import matched_levels
from ....datasets.clip import Clip
from ....datasets.corpora import CORPORA, load_corpus
from ....datasets.corpus import Corpus
from ....errors import ClipError, InputError
from ....keys import digest
from ....methods.attribution import Attribution
from ....methods.caveats import is_unsigned
from ....methods.kept import KEPT_SHARE, kept_and_removed
from ...analysis.shown_names import shown_names
from ...storage.store import Explanation, Store
from ..figures.maps import FLOOR_DB, MAX_HZ, from_mel, mel
from .clip_data import clips_of
from .encode import numbers
from .payload import Setting

MEL_ROWS = 96  # of a spectrogram's picture
LEVELS = 100  # steps of relevance in a map


class Example(NamedTuple):
    """Clip of a setting with its explanations, by method."""

    setting: int
    clip: str
    corpus: str
    explanations: dict[str, Explanation]


class Files(NamedTuple):
    """What is written for one example: the chunk of data, and files by name."""

    chunk: dict[str, Any]
    files: dict[str, bytes]


def chosen_clips(rows: pd.DataFrame, count: int) -> list[str]:
    """Clips drawn by a hash of their names, one of each emotion in turn.

    Parameters
    ----------
    rows : DataFrame
        Score rows of one setting.
    count : int
    """
    clips = clips_of(rows)
    clips = clips.assign(draw=[digest("example of a page", clip) for clip in clips["clip"]]).sort_values("draw")
    turn = clips.groupby("emotion", sort=False).cumcount()
    emotion = clips["emotion"].astype(str)
    return clips.assign(turn=turn, emotion=emotion).sort_values(["turn", "emotion"])["clip"].head(count).tolist()


def examples_of(
    stores: Sequence[Store], scores: pd.DataFrame, settings: Sequence[Setting], count: int
) -> Iterator[Example]:
    """Clips of each setting with their stored explanations, as recorded, against the run's first fill."""
    wanted = {(n, clip) for n, setting in enumerate(settings) for clip in chosen_clips(setting.of(scores), count)}
    clips = {clip for _, clip in wanted}
    found: dict[tuple[int, str], tuple[str, dict[str, Explanation]]] = {}
    for store, names in zip(stores, shown_names([store.info for store in stores]), strict=True):
        titles = [title.rpartition(" trained on ")[::2] for title in store.info.get("models", {})]
        for e in _readable(store, clips):
            shown = {(names.model(m, t), t) for m, t in titles if m == e.model}
            for n, s in enumerate(settings):
                here = (s.model, s.trained_on) in shown and s.corpus == names.corpus(e.corpus)
                if here and (n, e.clip) in wanted:
                    maps = found.setdefault((n, e.clip), (e.corpus, {}))[1]
                    maps.setdefault(names.method(e.attribution.method), e)
    for (n, clip), (corpus, maps) in sorted(found.items()):
        yield Example(n, clip, corpus, maps)


def _readable(store: Store, clips: set[str]) -> Iterator[Explanation]:
    """Explanations of these clips as recorded, up to the first damaged file; the page shows those."""
    with suppress(InputError):
        yield from store.explanations(condition="clean", first=True, clip=frozenset(clips))


def may_sound(corpus: str) -> bool:
    """Whether sounds and spectrograms of a corpus may stand in a page: it is in the public domain."""
    if corpus not in CORPORA:
        return False
    record = CORPORA.get(corpus)
    return record.derivatives_allowed and record.licence.startswith("CC0")


class Recordings:
    """Clips of corpora in the public domain, as far as they are found; why not, in `reasons`.

    Parameters
    ----------
    data_root : path, optional
    """

    def __init__(self, data_root: str | Path | None = None) -> None:
        self.data_root = data_root
        self.reasons: dict[str, str] = {}
        self._corpora: dict[str, Corpus | None] = {}

    def clip(self, corpus: str, name: str) -> Clip | None:
        """A clip, None where it may not be shown or is not found."""
        if corpus not in self._corpora:
            self._corpora[corpus] = self._load(corpus)
        loaded = self._corpora[corpus]
        if loaded is None or name not in loaded.table.index:
            return None
        try:
            return loaded.clip(name)
        except (ClipError, OSError):
            return None

    def _load(self, corpus: str) -> Corpus | None:
        if not may_sound(corpus):
            licence = f" ({CORPORA.get(corpus).licence})" if corpus in CORPORA else ""
            self.reasons[corpus] = f"{corpus} is not in the public domain{licence}: maps without sound or spectrogram"
            return None
        try:
            return load_corpus(corpus, self.data_root)
        except (InputError, OSError):
            self.reasons[corpus] = f"the recordings of {corpus} were not found: no sound (--data-root says where)"
            return None


def example_files(example: Example, clip: Clip | None, start: str) -> Files:
    """Maps of a clip as numbers and, where its recording may be shown, spectrogram and sounds.

    Parameters
    ----------
    example : Example
    clip : Clip or None
    start : str
        Start of the files' names.
    """
    files: dict[str, bytes] = {}
    maps: dict[str, dict[str, Any]] = {}
    sounds: dict[str, np.ndarray] = {}
    for number, (method, e) in enumerate(sorted(example.explanations.items())):
        duration = e.duration_s or float(e.attribution.grid.time_edges_s[-1])
        maps[method] = _map(e.attribution, clip.duration_s if clip else duration)
        if clip is not None:
            names = [f"{start}-{number}-{kind}.flac" for kind in ("kept", "removed")]
            sounds |= dict(zip(names, kept_and_removed(clip, e.attribution), strict=True))
            maps[method]["sounds"] = names
    chunk: dict[str, Any] = {
        "clip": example.clip,
        "maps": [list(entry) for entry in maps.items()],
        "kept_share": KEPT_SHARE,
    }
    if clip is not None:
        chunk |= {"picture": f"{start}.png", "original": f"{start}-original.flac"}
        files[chunk["picture"]] = spectrogram_png(clip.samples)
        sounds[chunk["original"]] = clip.samples
        # all sounds of a clip have one level, so that methods too can be compared by ear
        files |= {name: flac(each) for name, each in zip(sounds, matched_levels(list(sounds.values())), strict=True)}
    return Files(chunk, files)


def _map(attribution: Attribution, duration_s: float) -> dict[str, Any]:
    """Relevance on the scoring grid in steps of the largest, with edges as shares of the plane's height and width."""
    grid = scoring_grid(duration_s)
    values = attribution.on(grid)
    largest = float(np.abs(values).max())
    steps = np.rint(values / largest * LEVELS).astype(int) if largest > 0 else np.zeros(values.shape, int)
    return {
        "target": attribution.target, "duration_s": round(duration_s, 4), "steps": steps.tolist(), "of": LEVELS,
        "freq": numbers(mel(grid.freq_edges_hz) / mel(MAX_HZ)), "time": numbers(grid.time_edges_s / duration_s),
        "unsigned": is_unsigned(attribution), "calls": int(attribution.model_calls),
    }  # fmt: skip


def spectrogram_png(samples: np.ndarray) -> bytes:
    """Grey spectrogram on a mel axis without margins, 0 to 8 kHz from bottom to top, as PNG."""
    plane = Plane(samples)
    power = plane.spectrum.abs().square().numpy()
    centres = from_mel((np.arange(MEL_ROWS) + 0.5) / MEL_ROWS * mel(MAX_HZ))
    rows = np.abs(np.subtract.outer(centres, np.asarray(plane.freqs_hz))).argmin(axis=1)
    db = 10 * np.log10(np.maximum(power[rows] / max(float(power.max()), 1e-20), 1e-12))
    buffer = io.BytesIO()
    imsave(
        buffer, db, vmin=FLOOR_DB, vmax=0, cmap="Greys", origin="lower", format="png",
        metadata={"Software": None},  # type: ignore[dict-item]  # None leaves it out
    )  # fmt: skip
    return buffer.getvalue()


def flac(samples: np.ndarray) -> bytes:
    """Mono samples at the project's rate as FLAC, 16 bit."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def example_index(examples: Sequence[tuple[Example, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """What the page knows of examples before one is opened: setting, clip, name of the chunk, whether it sounds."""
    return [
        {"setting": e.setting, "clip": e.clip, "sounds": "picture" in chunk, "methods": sorted(e.explanations)}
        for e, chunk in examples
    ]
