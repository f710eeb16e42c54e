"""A miniature of EMODB: two talkers, five voiced syllables a clip, names in the corpus' scheme."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from serxai.audio import SAMPLE_RATE

SYLLABLES = [(0.10, 0.28), (0.34, 0.56), (0.62, 0.80), (0.86, 1.12), (1.18, 1.40), (1.46, 1.70), (1.76, 2.05)]
STRESSES = [0.1, 2.0, 0.2, 1.5, 0.0, 1.2, 0.4]
ANNOTATED = "03a01Na"
PITCH = {"03": 115.0, "08": 205.0}
CLIPS = ["03a01Na", "03a02Nb", "08a01Nb", "08a02Na", *(f"{s}a01{e}a" for s in ("03", "08") for e in "WFT")]


def _sound(name: str) -> np.ndarray:
    """Voiced syllables in faint noise, the stressed ones louder; higher and brighter in an emotional clip."""
    generator = np.random.default_rng(int.from_bytes(name.encode(), "big") % 2**32)
    times = np.arange(round(2.2 * SAMPLE_RATE)) / SAMPLE_RATE
    level = np.zeros(times.size)
    for (start, end), stress in zip(SYLLABLES, STRESSES, strict=True):
        inside = (times >= start) & (times < end)
        level[inside] = np.sin(np.pi * (times[inside] - start) / (end - start)) * (0.5 + 0.3 * stress)
    pitch = PITCH[name[:2]] * (1.0 if name[5] == "N" else 1.3) * (1 + 0.08 * np.sin(2 * np.pi * 0.9 * times))
    voice = np.diff(np.floor(np.cumsum(pitch) / SAMPLE_RATE), prepend=0.0)
    for formant in (600.0, 1300.0, 2500.0):
        r, angle = np.exp(-np.pi * 90 / SAMPLE_RATE), 2 * np.pi * formant / SAMPLE_RATE
        voice = lfilter([1 - r], [1, -2 * r * np.cos(angle), r * r], voice)
    sound = level * voice / np.abs(voice).max() + 3e-4 * generator.standard_normal(times.size)
    return 0.9 * sound / np.abs(sound).max()


def write_emodb(root: Path) -> Path:
    """Write the miniature below a data root."""
    folder = root / "emodb"
    (folder / "wav").mkdir(parents=True)
    for name in CLIPS:
        soundfile.write(folder / "wav" / f"{name}.wav", _sound(name), SAMPLE_RATE, subtype="PCM_16")
    starts = [f"{start:.6f}\tsyl{i}" for i, (start, _) in enumerate(SYLLABLES)]
    (folder / f"{ANNOTATED}.silb").write_text("\n".join([*starts, f"{SYLLABLES[-1][1]:.6f}\t."]) + "\n")
    rated = [
        f"    {start:.6f}   -1 syl{i}\t{stress}"
        for i, ((start, _), stress) in enumerate(zip(SYLLABLES, STRESSES, strict=True))
    ]
    lines = ["signal x", "#", *rated, f"    {SYLLABLES[-1][1]:.6f}   -1 .\t"]
    (folder / f"{ANNOTATED}.labsilb").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data root that holds the miniature."""
    return write_emodb(tmp_path_factory.mktemp("mini"))
