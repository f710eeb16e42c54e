"""Voices, sentences and cue recipes of the planted corpora. Plain data, imports nothing heavy.

`VARIANTS` has one entry per corpus: three levels of difficulty, one with cues in known frequency bands, one in German.
All have the same 16 voices and the same number of sentences, and therefore the same clip ids.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Voice:
    """A voice variant of Praat's synthesiser.

    Attributes
    ----------
    variant : str
        Its name in Praat.
    sex : {'female', 'male'}
        Perceived sex of the voice.
    pitch, range : float
        Multipliers of the synthesiser's default pitch level and pitch range, chosen to make the voices distinct.
    """

    variant: str
    sex: str
    pitch: float = 1.0
    range: float = 1.0


VOICES = MappingProxyType(
    {
        "Andy": Voice("Andy", "male", 1.3, 1.2),
        "Boris": Voice("boris", "male", 1.4),
        "Denis": Voice("Denis", "male", 1.2),
        "Lee": Voice("Lee", "male", 1.55, 1.2),
        "Male3": Voice("Male3", "male", 1.5),
        "Male7": Voice("Male7", "male", 1.7, 0.8),
        "Max": Voice("Max", "male", 1.65, 1.2),
        "Michael": Voice("Michael", "male", 1.25),
        "Annie": Voice("Annie", "female", 1.0, 0.6),
        "Female1": Voice("Female1", "female", 1.0),
        "Female2": Voice("Female2", "female", 1.05),
        "Female3": Voice("Female3", "female", 1.0, 0.8),
        "Female4": Voice("Female4", "female", 0.9),
        "Female5": Voice("Female5", "female", 1.15),
        "Linda": Voice("linda", "female", 1.05, 1.5),
        "Steph": Voice("steph", "female", 0.95, 1.6),
    }
)

# content words, which may carry the emotion, are in capitals
SENTENCES = (
    "The LETTER is LYING on the GREEN TABLE",
    "My BROTHER will ARRIVE in LONDON on MONDAY",
    "We LEFT the BROWN DOG in the GARDEN",
    "The YELLOW BALLOON is FLYING over the RIVER",
    "She WEARS a BLUE GOWN every MORNING",
    "The MAN is READING a NOVEL by the WINDOW",
    "They are DRIVING to the MARKET in the RAIN",
    "The WAITER will BRING a BOWL of MELON",
)

GERMAN_SENTENCES = (
    "Der BRIEF liegt auf dem GRÜNEN TISCH",
    "Mein BRUDER kommt am MONTAG aus LONDON",
    "Wir LIESSEN den BRAUNEN HUND im GARTEN",
    "Der GELBE BALLON fliegt langsam über den RHEIN",
    "Sie TRÄGT jeden MORGEN ein BLAUES KLEID",
    "Der MANN liest am ABEND einen langen ROMAN",
    "Heute FAHREN alle im REGEN nach BERLIN",
    "Der KELLNER bringt eine SCHALE mit MELONEN",
)

EMOTIONS = ("anger", "happiness", "sadness", "neutral")

# e.g. Female2-s3-anger
CLIP_IDS = tuple(f"{voice}-s{number}-{emotion}" for voice in VOICES for number in range(8) for emotion in EMOTIONS)


@dataclass(frozen=True)
class Recipe:
    """Acoustic changes by which an emotion is planted on words, before the random variation of 15 % per clip.

    Attributes
    ----------
    level_db : float
        Change of the words' level.
    shelf_db : float
        Gain above 1.2 kHz relative to below (smooth shelf); the level is then set according to `level_db`.
    pitch_st : float
        Change of pitch level, in semitones.
    pitch_range : float
        Factor on the pitch contour about its mean, in semitones.
    jitter : float
        Relative standard deviation of random changes of the glottal periods.
    breath_db : float
        Level of breath noise with the word's spectrum, relative to the word; -inf for none.
    """

    level_db: float
    shelf_db: float
    pitch_st: float
    pitch_range: float
    jitter: float = 0.0
    breath_db: float = float("-inf")

    def scaled(self, size: float) -> Recipe:
        """Recipe with all cues multiplied by `size`, and the breath noise's power too."""
        return Recipe(
            self.level_db * size,
            self.shelf_db * size,
            self.pitch_st * size,
            self.pitch_range**size,
            self.jitter * size,
            self.breath_db + 10 * math.log10(size),
        )


@dataclass(frozen=True)
class BandRecipe:
    """Gain in one frequency band by which an emotion is planted on words, without any other change.

    Attributes
    ----------
    low_hz, high_hz : float
        Edges of the band; nothing changes outside.
    gain_db : float
    """

    low_hz: float
    high_hz: float
    gain_db: float


RECIPES = MappingProxyType(
    {
        "anger": Recipe(level_db=8.0, shelf_db=9.0, pitch_st=1.5, pitch_range=1.2, jitter=0.05),
        "happiness": Recipe(level_db=5.0, shelf_db=6.0, pitch_st=8.0, pitch_range=2.0),
        "sadness": Recipe(level_db=-12.0, shelf_db=-18.0, pitch_st=-3.0, pitch_range=0.4, breath_db=-3.0),
    }
)

# three of the eight bands of an EmoLIME explanation (`audio.band_edges_hz(8)`), rounded inwards
BAND_RECIPES = MappingProxyType(
    {
        "anger": BandRecipe(2500.0, 3640.0, gain_db=15.0),
        "happiness": BandRecipe(1160.0, 1680.0, gain_db=12.0),
        "sadness": BandRecipe(390.0, 750.0, gain_db=-20.0),
    }
)


def _scaled(size: float) -> Mapping[str, Recipe]:
    return MappingProxyType({emotion: recipe.scaled(size) for emotion, recipe in RECIPES.items()})


@dataclass(frozen=True)
class Variant:
    """Settings of one planted corpus.

    Attributes
    ----------
    seed : str
        Prefix of the clip's id in every random seed, so that clips of two variants vary independently.
    language : str
        Of the synthesiser, as Praat names it.
    sentences : tuple of str
        Eight; words that may carry the emotion in capitals.
    recipes : dict of str to Recipe or BandRecipe
        By emotion; `neutral` has none.
    words : tuple of float
        Probabilities that the emotion is planted on one, two or three words.
    spread : float
        Factor on the range of the distractors (level, pitch, rate, tilt, background noise), independent of the emotion.
    """

    seed: str = ""
    language: str = "English (America)"
    sentences: tuple[str, ...] = SENTENCES
    recipes: Mapping[str, Recipe] | Mapping[str, BandRecipe] = field(default_factory=lambda: RECIPES)
    words: tuple[float, float, float] = (0.2, 0.4, 0.4)
    spread: float = 1.0


VARIANTS = MappingProxyType(
    {
        "planted": Variant(),
        "planted-medium": Variant("medium/", recipes=_scaled(0.7), words=(0.4, 0.4, 0.2), spread=1.5),
        "planted-hard": Variant("hard/", recipes=_scaled(0.45), words=(0.7, 0.3, 0.0), spread=2.0),
        "planted-band": Variant("band/", recipes=BAND_RECIPES),
        "planted-de": Variant("de/", language="German", sentences=GERMAN_SENTENCES),
    }
)
