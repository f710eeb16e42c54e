"""Independent check that the planted cues are present in rendered clips, with Praat and librosa only.

Conventions
-----------
A measure is computed on the planted words of a clip and of its neutral twin; its change is clip minus twin. Pitch is in
semitones, levels are in dB, jitter in %. The expected direction of a change follows from the recipe; a corpus without
recipes (``spliced``) expects the level of the words to stay, direction 0. A measure that cannot be computed (too few
voiced frames) is NaN and not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from ...audio import SAMPLE_RATE
from ...errors import InputError
from ..clip import Clip, Plant, Word
from .truth import CROSSFADE_S
from .voices import BandRecipe, Recipe

if TYPE_CHECKING:
    import pandas as pd

    from .corpus import RenderedCorpus

PITCH_RANGE_HZ = {"male": (60.0, 350.0), "female": (90.0, 500.0)}
HOP = 160
SAME_LEVEL_DB = 1.0  # a smaller change of level is none
UNCHANGED_LEVEL = {"intensity (librosa)": 0}  # where nothing but the speech itself is planted


def planted_directions(recipe: Recipe | BandRecipe) -> dict[str, int]:
    """Expected direction, 1 or -1, of each measure that a recipe changes."""
    if isinstance(recipe, BandRecipe):
        return {"band level (librosa)": int(np.sign(recipe.gain_db))}
    spread = np.log(recipe.pitch_range)
    changes = {
        "pitch level (Praat)": recipe.pitch_st,
        "pitch level (librosa)": recipe.pitch_st,
        "pitch range (Praat)": spread,
        "intensity (Praat)": recipe.level_db,
        "intensity (librosa)": recipe.level_db,
        "alpha ratio (Praat)": recipe.shelf_db,
        "alpha ratio (librosa)": recipe.shelf_db,
        "jitter (Praat)": recipe.jitter,
        "HNR (Praat)": -1.0 if recipe.jitter > 0 or np.isfinite(recipe.breath_db) else 0.0,
    }
    return {name: int(np.sign(change)) for name, change in changes.items() if change != 0}


def measure(
    samples: np.ndarray, words: Iterable[Word], sex: str, band_hz: tuple[float, float] | None = None
) -> dict[str, float]:
    """All measures of the words of a clip.

    Parameters
    ----------
    samples : array, float32, shape (n_samples,)
    words : iterable of Word
    sex : {'female', 'male'}
        Selects the search range of the pitch trackers.
    band_hz : tuple of float, optional
        Band for ``band level (librosa)``.

    Returns
    -------
    dict of str to float
        NaN where missing.
    """
    spans = [(word.start_s, word.end_s) for word in words]
    pitch_hz = PITCH_RANGE_HZ[sex]
    return _praat(samples, spans, pitch_hz) | _librosa(samples, spans, pitch_hz, band_hz)


def _praat(samples: np.ndarray, spans: list[tuple[float, float]], pitch_hz: tuple[float, float]) -> dict[str, float]:
    import parselmouth
    from parselmouth.praat import call

    sound = parselmouth.Sound(samples.astype(np.float64), SAMPLE_RATE)
    low, high = pitch_hz
    pitch = sound.to_pitch_ac(time_step=0.01, pitch_floor=low, pitch_ceiling=high)
    hertz = pitch.selected_array["frequency"][_inside(pitch.xs(), spans)]
    semitones = 12 * np.log2(hertz[hertz > 0] / 100)
    harmonicity = call(sound, "To Harmonicity (cc)", 0.01, low, 0.1, 1.0)
    hnr = harmonicity.values[0][_inside(harmonicity.xs(), spans)]
    pulses = call([sound, pitch], "To PointProcess (cc)")
    # the concatenated words, for measures of a whole sound
    cut = parselmouth.Sound(np.concatenate([_cut(samples, span) for span in spans]).astype(np.float64), SAMPLE_RATE)
    spectrum = cut.to_spectrum()
    ratio = call(spectrum, "Get band energy difference", 50, 1000, 1000, 5000)  # high minus low
    jitter = [call(pulses, "Get jitter (local)", *span, 0.0001, 0.02, 1.3) for span in spans]
    weights = [end - start for start, end in spans]
    known = np.isfinite(jitter)
    return {
        "pitch level (Praat)": _mean(semitones),
        "pitch range (Praat)": float(semitones.std(ddof=1)) if semitones.size > 2 else np.nan,
        "intensity (Praat)": call(cut, "Get intensity (dB)"),
        "alpha ratio (Praat)": ratio,
        "jitter (Praat)": 100 * float(np.average(np.array(jitter)[known], weights=np.array(weights)[known]))
        if known.any()
        else np.nan,
        "HNR (Praat)": _mean(hnr[hnr > -200]),
    }


def _librosa(
    samples: np.ndarray,
    spans: list[tuple[float, float]],
    pitch_hz: tuple[float, float],
    band_hz: tuple[float, float] | None,
) -> dict[str, float]:
    import librosa

    power = np.abs(librosa.stft(samples, n_fft=512, hop_length=HOP)) ** 2
    times = librosa.frames_to_time(np.arange(power.shape[1]), sr=SAMPLE_RATE, hop_length=HOP)
    inside = _inside(times, spans)
    mean = power[:, inside].mean(axis=1)
    freqs = librosa.fft_frequencies(sr=SAMPLE_RATE, n_fft=512)

    def level(low: float, high: float) -> float:
        return float(10 * np.log10(mean[(freqs >= low) & (freqs < high)].sum()))

    low, high = pitch_hz
    hertz = librosa.yin(samples, fmin=low, fmax=high, sr=SAMPLE_RATE, frame_length=1024, hop_length=HOP)[: times.size]
    loud = power.sum(axis=0)
    voiced = inside & (loud > 10**-2.5 * np.percentile(loud[inside], 95)) & (hertz < 0.98 * high)
    return {
        "pitch level (librosa)": float(np.median(12 * np.log2(hertz[voiced] / 100))) if voiced.any() else np.nan,
        "intensity (librosa)": level(0, SAMPLE_RATE),
        "alpha ratio (librosa)": level(1000, 5000) - level(50, 1000),
        "band level (librosa)": np.nan if band_hz is None else level(*band_hz),
    }


def _inside(times: np.ndarray, spans: list[tuple[float, float]]) -> np.ndarray:
    return np.any([(times >= start) & (times < end) for start, end in spans], axis=0)


def _cut(samples: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    return samples[round(span[0] * SAMPLE_RATE) : round(span[1] * SAMPLE_RATE)]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan


def outside_words(clip: Clip) -> np.ndarray:
    """Mask of the samples outside the planted words and their crossfades, bool, shape (n_samples,).

    Raises
    ------
    InputError
        If the clip is not planted.
    """
    plant = plant_of(clip)
    times = np.arange(clip.samples.size) / SAMPLE_RATE
    margin = CROSSFADE_S + 1e-6  # word edges are stored to the microsecond
    near = [(times > word.start_s - margin) & (times < word.end_s + margin) for word in plant.words]
    return ~np.any([np.zeros(times.shape, dtype=bool), *near], axis=0)


def plant_of(clip: Clip) -> Plant:
    """Ground truth of a planted clip.

    Raises
    ------
    InputError
        If the clip is not planted.
    """
    if clip.plant is None:
        raise InputError(f"clip {clip.id!r} has no planted cues; take a clip of a planted corpus.")
    return clip.plant


def measured_changes(
    corpus: RenderedCorpus, clip_ids: Iterable[str], progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Change of each measure in the planted words of each emotional clip.

    Parameters
    ----------
    corpus : RenderedCorpus
    clip_ids : iterable of str
        Neutral clips among them are skipped.
    progress : callable, optional
        Called with (done, total) clips.

    Returns
    -------
    DataFrame
        Columns ``clip``, ``emotion``, ``measure``, ``direction`` (expected), ``change``; ``outside`` is the largest
        absolute difference of samples outside the words, the same in all rows of a clip.
    """
    import pandas as pd

    names = [clip_id for clip_id in clip_ids if corpus.table.at[clip_id, "emotion"] != "neutral"]
    corpus.prepare(names)
    rows = []
    for done, name in enumerate(names, 1):
        clip = corpus.clip(name)
        plant = plant_of(clip)
        recipe = corpus.recipes.get(clip.emotion)
        directions = UNCHANGED_LEVEL if recipe is None else planted_directions(recipe)
        band = (recipe.low_hz, recipe.high_hz) if isinstance(recipe, BandRecipe) else None
        after, before = (measure(samples, plant.words, clip.sex, band) for samples in (clip.samples, plant.twin))
        beyond = float(np.abs(clip.samples - plant.twin)[outside_words(clip)].max(initial=0.0))
        for what, direction in directions.items():
            rows.append((name, clip.emotion, what, direction, after[what] - before[what], beyond))
        if progress is not None:
            progress(done, len(names))
    return pd.DataFrame(rows, columns=["clip", "emotion", "measure", "direction", "change", "outside"])


def cue_table(changes: pd.DataFrame) -> pd.DataFrame:
    """Share of clips in which each planted cue changes in the expected direction.

    Parameters
    ----------
    changes : DataFrame
        From `measured_changes`.

    Returns
    -------
    DataFrame
        Columns ``emotion``, ``measure``, ``direction``, ``share`` (0..1), ``median`` (change, in the measure's unit),
        ``n`` (clips in which it could be measured).
    """
    import pandas as pd

    known = changes.dropna(subset="change")
    rows = []
    for (emotion, what, direction), part in known.groupby(["emotion", "measure", "direction"], sort=False):
        as_expected = np.sign(part["change"]) == direction if direction else part["change"].abs() < SAME_LEVEL_DB
        share = float(as_expected.mean())
        rows.append((emotion, what, direction, share, part["change"].median(), len(part)))
    return pd.DataFrame(rows, columns=["emotion", "measure", "direction", "share", "median", "n"])
