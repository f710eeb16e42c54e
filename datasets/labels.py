"""Labels of emotions: one vocabulary for tables, checkpoints and the user's own models.

`known_emotion` maps a spelling to the common taxonomy, or says that it does not know it. What the vocabulary does not
know may be a class of its own name (`class_names` for models; ``[labels]`` of ``corpus.toml`` for tables).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from itertools import takewhile

from ..errors import InputError
from .corpus import TAXONOMY

# unambiguous spellings only; single letters, "excited", "frustrated" and the like mean different things to publishers
SYNONYMS = {emotion: emotion for emotion in TAXONOMY} | {
    "angry": "anger", "ang": "anger", "anger/angry": "anger",
    "happy": "happiness", "hap": "happiness", "joy": "happiness", "joyful": "happiness", "happiness/joy": "happiness",
    "sad": "sadness", "sadness/sad": "sadness",
    "neu": "neutral", "neutrality": "neutral",
    "fearful": "fear", "afraid": "fear", "scared": "fear", "fea": "fear",
    "disgusted": "disgust", "dis": "disgust",
    "surprised": "surprise", "sur": "surprise", "ps": "surprise", "pleasant_surprise": "surprise",
    "bored": "boredom", "bor": "boredom",
    "calmness": "calm", "cal": "calm",
}  # fmt: skip
HINT_LETTERS = 5  # shorter words are one letter from many others: "mad" is no misspelt "sad"


def folded(label: str) -> str:
    """Label as it is compared: NFC, lower case, underscores for spaces and hyphens."""
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFC", label).strip().casefold())


def known_emotion(label: str) -> str | None:
    """Emotion of the common taxonomy that a label is a spelling of; None where it is not known to be one."""
    return SYNONYMS.get(folded(label))


def class_name(label: str) -> str:
    """Emotion of the common taxonomy, or the label itself in lower case: a class of its own name."""
    return known_emotion(label) or unicodedata.normalize("NFC", label).strip().lower()


def class_names(labels: Iterable[str], what: str, remedy: str) -> tuple[str, ...]:
    """Classes of a model from its labels, in their order.

    Parameters
    ----------
    labels : iterable of str
    what : str
        The model, for messages.
    remedy : str
        What to do about wrong labels, for messages.

    Raises
    ------
    InputError
        If fewer than two labels are emotions of the taxonomy, or two labels mean one class.
    """
    labels = list(labels)
    classes = tuple(class_name(label) for label in labels)
    listed = ", ".join(map(repr, labels))
    if sum(name in TAXONOMY for name in classes) < 2:
        raise InputError(
            f"{what}: fewer than 2 of its labels ({listed}) are emotions of the taxonomy {', '.join(TAXONOMY)}; "
            f"{remedy}."
        )
    if len(set(classes)) < len(classes):
        raise InputError(f"{what}: two of its labels ({listed}) mean one emotion; {remedy}.")
    return classes


def misspelt(label: str, known: Collection[str] = SYNONYMS) -> str | None:
    """Known label that a label is probably a misspelling of; None where that would be a guess.

    The first letter must agree, and at least four in five of the letters; words of fewer than `HINT_LETTERS` letters
    have no hint.
    """
    word = folded(label)
    if len(word) < HINT_LETTERS:
        return None

    def likeness(name: str) -> tuple[float, int]:
        return SequenceMatcher(None, word, folded(name)).ratio(), sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(word, folded(name), strict=False))
        )

    best = max(known, key=likeness, default="")
    return best if likeness(best) >= (0.8, 1) and folded(best)[:1] == word[:1] else None
