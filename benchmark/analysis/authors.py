"""Numbers that the authors of the two reproduced papers published, or that their own programs gave.

They are committed as data (folder ``reference``), so that tests and `serxai reproduce` need neither program; each file
says how its numbers were made.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

EMOLIME, BEYOND_SALIENCY = "authors_emolime.json", "authors_beyond_saliency.json"
DIGITISED = "emolime_robustness_digitised.csv"
# label of the Beyond Saliency authors' TESS code: emotion of the common taxonomy
EMOTION = {
    "angry": "anger", "happy": "happiness", "sad": "sadness", "neutral": "neutral", "fear": "fear",
    "disgust": "disgust", "surprise": "surprise",
}  # fmt: skip
# cue name of the Beyond Saliency authors: cue of `cues.records`
CUES = {
    "Loudness": "loudness", "Shrillness": "slope_500_1500", "Freq_var": "jitter", "Amp_var": "shimmer",
    "Pitch_lvl": "f0_level", "Breathiness": "hnr",
}  # fmt: skip


def emolime_numbers() -> list[dict[str, Any]]:
    """What the EmoLIME authors' program gave for seven clips and two black boxes with known weights.

    Returns
    -------
    list of dict
        ``clip``, ``seconds``, and for black box X (``linear``, ``logband``) and repeat N ``authors_X_N`` (8 weights),
        ``authors_X_int_N``, ``authors_X_r2_N``; ``authors_mask_cpu_N``, CPU seconds a mask.
    """
    return list(_read(EMOLIME)["clips"])


def beyond_saliency_numbers() -> list[dict[str, Any]]:
    """What the Beyond Saliency authors' program gave for eight clips of TESS with their TESS checkpoint.

    Returns
    -------
    list of dict
        ``clip``, the emotions that either front end predicts, and for the halves ``os`` and ``crp_channel_35`` the
        ``windows_s`` (five, on the authors' clock), ``cues_mean_sd`` and ``lld_frames``; for the latter also
        ``map_sum`` and ``share_in_padding``.
    """
    return list(_read(BEYOND_SALIENCY)["clips"])


def digitised_weights() -> pd.DataFrame:
    """Mean band weights read off the EmoLIME paper's robustness figure (error .002), with the bands' true edges.

    Returns
    -------
    DataFrame
        192 rows: ``model``, ``emotion``, ``corpus``, ``band``, ``low_hz``, ``high_hz``, ``weight``. The corpora are
        named as in the figure (EMODB, RAVDESS, IEMOCAP).
    """
    import pandas as pd

    with _open(DIGITISED) as file:
        return pd.read_csv(file)


def _read(name: str) -> dict[str, Any]:
    with _open(name) as file:
        content: dict[str, Any] = json.load(file)
    return content


def _open(name: str) -> Any:
    return resources.files(__package__).joinpath("reference", name).open(encoding="utf-8")
