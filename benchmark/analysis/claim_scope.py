"""Which settings the verdicts on the papers' claims are counted over.

Conventions
-----------
A *setting* is one corpus explained by one recogniser. Every setting is decided and shown; verdicts are counted, and
settings pooled, over those whose scope is ``counted``. The others say why not, the first reason that holds:

- ``synthesised or edited speech``: its markers were put there;
- ``fewer than 6 speakers``;
- ``trained on another corpus``: the recogniser is not the corpus' own;
- ``recogniser at chance``: the 95 % interval of its UAR on the explained clips reaches 1 / number of their emotions,
  which is the most that predictions without regard to the clip can have. Its verdict is *described only* whatever
  else holds;
- ``same maps as with another recogniser``: methods that ask no recogniser (baselines whose record needs none) explain
  a clip alike whoever hears it, and are counted once for each corpus, with the recogniser that has most clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...methods.records import METHODS, baselines
from ..stats.cluster_variance import MIN_SPEAKERS
from .band_table import crossed, kind_titles, made_speech
from .recogniser_titles import recogniser_titles
from .recognition import explained_score
from .shown_names import plain_name

COUNTED = "counted"
POOLED = "all counted settings"  # scope of what they say together
MADE = "synthesised or edited speech"
FEW = f"fewer than {MIN_SPEAKERS} speakers"
CROSSED = "trained on another corpus"
CHANCE = "recogniser at chance"
REPEATED = "same maps as with another recogniser"
READING = "another reading of the same explanations"
UNHEARD = "the recogniser does not hear emotion here beyond chance"
TOGETHER = "all: "  # begins the name of the pooled setting


def asks_no_recogniser(method: str) -> bool:
    """Whether a method explains a clip without the recogniser, and so alike for all recognisers."""
    name = plain_name(method)
    return name in baselines() and METHODS.get(name).needs == "none"


# -- recognisers at chance ---------------------------------------------------------------------------------------------


class Recognition(NamedTuple):
    """UAR of a recogniser on the clips explained, speakers as clusters.

    Attributes
    ----------
    uar, low, high : float
        With 95 %; NaN bounds below 6 speakers.
    n_emotions : int
        Emotions of the clips.
    """

    uar: float
    low: float
    high: float
    n_emotions: int

    @property
    def at_chance(self) -> bool:
        """Whether the interval reaches 1 / number of emotions; False where there is none, or one emotion."""
        return bool(self.n_emotions > 1 and self.low <= 1 / self.n_emotions)

    @property
    def note(self) -> str:
        """Remark on a recogniser at chance."""
        return f"{UNHEARD}: UAR {self.uar:.2f} [{self.low:.2f}, {self.high:.2f}], chance {1 / self.n_emotions:.2f}"


Heard = Mapping[tuple[str, str], Recognition]  # by corpus and title of the recogniser
_FACTS = ["corpus", "model", "trained_on", "clip", "speaker", "emotion", "predicted"]


def recognition_of(*tables: pd.DataFrame) -> Heard:
    """Recognition of the explained clips, by corpus and title of the recogniser.

    Parameters
    ----------
    *tables : DataFrame
        With a row for each explanation of a clip as recorded; a clip counts once for each recogniser. Those whose
        prediction is not known are left out.

    Returns
    -------
    dict of (str, str) to Recognition
        Under titles as of `recogniser_titles`, and of `kind_titles`, under which several trainings are one.
    """
    parts = [table[_FACTS].astype(str) for table in tables if len(table)]
    facts = pd.concat(parts, ignore_index=True).drop_duplicates(_FACTS[:4]) if parts else pd.DataFrame(columns=_FACTS)
    facts = facts[facts["predicted"].ne("")]
    found: dict[tuple[str, str], Recognition] = {}
    for titles in (kind_titles(facts), recogniser_titles(facts)):
        for (corpus, title), part in facts.groupby([facts["corpus"], titles], sort=True):
            found[str(corpus), str(title)] = _recognition(part)
    return found


def _recognition(part: pd.DataFrame) -> Recognition:
    found = explained_score(part)
    low, high = found["uar_interval"] if found["speakers"] >= MIN_SPEAKERS else (np.nan, np.nan)
    return Recognition(float(found["uar"]), low, high, part["emotion"].nunique())


# -- scopes ------------------------------------------------------------------------------------------------------------


def scopes(table: pd.DataFrame, titles: pd.Series, heard: Heard | None = None) -> pd.Series:
    """Scope of each row's setting: `COUNTED`, or why its verdict is not counted; see the module.

    Parameters
    ----------
    table : DataFrame
        Rows of explanations, of one or several methods; index without duplicates.
    titles : Series
        Title of each row's recogniser.
    heard : mapping, optional
        Of `recognition_of`; default that of the table.
    """
    found = reasons(table, titles, heard)
    unasking = [method for method in table["method"].unique() if asks_no_recogniser(method)]
    blind = found.eq(COUNTED) & table["method"].isin(unasking)
    for _, part in table[blind].groupby(["corpus", "method"]):
        of_part = titles[part.index]
        chosen = part.groupby(of_part)["clip"].nunique().idxmax()  # of several the first by name
        found[part.index[of_part != chosen]] = REPEATED
    return found


def reasons(table: pd.DataFrame, titles: pd.Series, heard: Heard | None = None) -> pd.Series:
    """As `scopes`, whatever the method."""
    heard = recognition_of(table) if heard is None else heard
    found = pd.Series(COUNTED, table.index, dtype=object)
    for reason, rows in (
        (CHANCE, heard_at_chance(table, titles, heard)), (CROSSED, crossed(table)), (FEW, of_few_speakers(table)),
        (MADE, made_speech(table)),
    ):  # fmt: skip
        found[rows.astype(bool)] = reason
    return found


def of_few_speakers(table: pd.DataFrame) -> pd.Series:
    """Whether the corpus of each row has fewer than `MIN_SPEAKERS` speakers in the table."""
    return table.groupby("corpus")["speaker"].transform("nunique") < MIN_SPEAKERS


def heard_at_chance(table: pd.DataFrame, titles: pd.Series, heard: Heard) -> pd.Series:
    """Whether each row's recogniser is at chance on the corpus."""
    at_chance = {place for place, found in heard.items() if found.at_chance}
    rows = [place in at_chance for place in zip(table["corpus"], titles, strict=True)]
    return pd.Series(rows, table.index, dtype=bool)


class Setting(NamedTuple):
    """Explanations that a claim is decided on at once.

    Attributes
    ----------
    name : str
        Corpus and recogniser; of several after `TOGETHER`.
    rows : DataFrame
    scope : str
    unheard : str
        Remark on a recogniser at chance; empty for others.
    """

    name: str
    rows: pd.DataFrame
    scope: str
    unheard: str = ""


def settings(table: pd.DataFrame, titles: pd.Series, scope: pd.Series, heard: Heard) -> Iterator[Setting]:
    """Settings of one method: those counted together, where there are two or more, then each alone.

    Together, speakers and sentences are those of their corpus.

    Parameters
    ----------
    table : DataFrame
        Rows of one method.
    titles, scope : Series
        Title of each row's recogniser, and scope (`scopes`).
    heard : mapping
    """
    counted = table[scope == COUNTED]
    if len(set(zip(counted["corpus"], titles[counted.index], strict=True))) > 1:
        told = counted.assign(speaker=counted["corpus"] + "/" + counted["speaker"])
        if counted["sentence"].ne("").all():
            told = told.assign(sentence=counted["corpus"] + "/" + counted["sentence"])
        name = setting_of(counted["corpus"].unique(), titles[counted.index].unique())
        yield Setting(f"{TOGETHER}{name}", told, POOLED)
    for (corpus, title), part in table.groupby([table["corpus"], titles], sort=True):
        place = str(corpus), str(title)
        unheard = heard[place].note if place in heard and heard[place].at_chance else ""
        yield Setting(setting_of(*((name,) for name in place)), part, str(scope[part.index[0]]), unheard)


def setting_of(corpora: Iterable[str], models: Iterable[str]) -> str:
    """Corpora and recognisers of a finding, in words."""
    return "; ".join(part for part in (", ".join(sorted(corpora)), ", ".join(sorted(models))) if part)
