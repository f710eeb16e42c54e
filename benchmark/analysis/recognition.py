"""How well recognisers recognise: what their cards say, their explained clips, and published numbers beside them.

Unweighted average recall (UAR, the mean recall of the classes) of three origins, told apart by ``source``:

- ``card``: held-out folds of the training corpus, as the recogniser's card has it; also under other divisions into
  folds, where it was trained with several (docs/models.md, published folds);
- ``explained clips``: predictions on the recorded clips whose explanations were scored, a small and balanced sample;
- published: `reference/published_recognition.csv`, with its source. Divisions, classes and encoders differ from ours,
  so these numbers are no baseline of ours; ``folds``, ``n_classes`` and ``speakers_shared`` say in what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from ...models.scores import score
from .shown_names import plain_name
from .stored_maps import CLEAN

COLUMNS = [
    "source", "corpus", "model", "trained_on", "uar", "low", "high", "accuracy", "n_classes", "n_clips", "n_speakers",
    "n_folds", "speakers_shared", "folds",
]  # fmt: skip
CARD, EXPLAINED = "card", "explained clips"
OWN_FOLDS = "folds of whole speakers"


def recognition_table(scores: pd.DataFrame, infos: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """UAR of the recognisers of runs, on held-out folds and on explained clips, and published ones.

    Parameters
    ----------
    scores : DataFrame
        Score rows of the runs, with shown names (`merge.merged`).
    infos : sequence of mapping
        Content of each run's run.json, with the same names.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. ``low`` and ``high`` bound the UAR with 95 %, speakers as clusters (`models.scores`);
        ``speakers_shared`` counts speakers that are both in training and test parts. Published rows are of corpora that
        the runs have.
    """
    rows: list[dict[str, Any]] = []
    for info in infos:
        for title, card in info.get("models", {}).items():
            rows += _of_card(title, card)
    cards = {title: card for info in infos for title, card in info.get("models", {}).items()}
    rows += _of_explained(scores, cards)
    table = pd.DataFrame(rows, columns=COLUMNS).drop_duplicates(ignore_index=True)
    published = published_recognition()
    corpora = {*table["corpus"], *(str(name) for name in scores["corpus"].unique())}
    published = published[published["corpus"].isin(corpora)]
    parts = [part for part in (table, published) if len(part)]
    whole = pd.concat(parts, ignore_index=True)[COLUMNS] if parts else table
    counts = ["n_classes", "n_clips", "n_speakers", "n_folds", "speakers_shared"]
    return whole.astype(dict.fromkeys(counts, "Int64"))


def published_recognition() -> pd.DataFrame:
    """Published UAR, and this project's under several divisions, each with its source."""
    with resources.files(__package__).joinpath("reference", "published_recognition.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file).assign(trained_on=lambda t: t["corpus"], accuracy=np.nan)


def _of_card(title: str, card: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    found = card.get("scores")
    if not isinstance(found, Mapping) or "pooled" not in found:
        return
    model, _, trained_on = title.rpartition(" trained on ")
    facts = {
        "source": CARD, "corpus": card.get("corpus", {}).get("name", trained_on), "model": model,
        "trained_on": trained_on, "n_classes": len(card.get("classes", ())),
    }  # fmt: skip
    scheme = card.get("scheme") or {"name": OWN_FOLDS, "shared_speakers": 0}
    kept = {"scheme": scheme["name"], "folds": len(card.get("folds", ())), "kept": True}
    kept |= {"shared_speakers": scheme["shared_speakers"]} | dict(found["pooled"])
    others = [one for one in found.get("schemes", ()) if not one.get("kept")]
    for one in (kept, *others):
        yield facts | _measured(one) | {
            "n_folds": one["folds"], "speakers_shared": one["shared_speakers"],
            "folds": one["scheme"] if one["kept"] else f"{one['scheme']}; scored beside, not explained",
        }  # fmt: skip


def _of_explained(scores: pd.DataFrame, cards: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    clean = scores[(scores["condition"] == CLEAN) & scores["predicted"].astype(str).ne("") & scores["correct"].notna()]
    for names, part in clean.groupby(["corpus", "model", "trained_on"], sort=True, observed=True):
        corpus, model, trained_on = map(str, names)
        clips = part.drop_duplicates("clip")
        measured = explained_score(clips)
        card = cards.get(f"{model} trained on {trained_on}", {})
        seen = set(part["seen_in_training"].astype(str))
        yield {
            "source": EXPLAINED, "corpus": corpus, "model": model, "trained_on": trained_on,
            "n_classes": len(card.get("classes", ())) or measured["classes"], "n_folds": None, "speakers_shared": None,
            "folds": _heard(corpus, trained_on, seen),
        } | _measured(measured)  # fmt: skip


def explained_score(clips: pd.DataFrame) -> dict[str, Any]:
    """`models.scores.score` of explained clips, speakers as clusters, with the number of ``classes``.

    Parameters
    ----------
    clips : DataFrame
        Columns ``emotion``, ``predicted`` and ``speaker``, a row for each clip.
    """
    classes = sorted({*clips["emotion"].astype(str), *clips["predicted"].astype(str)})
    true, predicted = (
        np.array([classes.index(str(name)) for name in clips[column]]) for column in ("emotion", "predicted")
    )
    found = score(true, predicted, clips["speaker"].to_numpy(dtype=str), len(classes))
    return dict(found) | {"classes": len(classes)}


def _heard(corpus: str, trained_on: str, seen: set[str]) -> str:
    """What a recogniser's training had of the clips that it is explained on."""
    if plain_name(corpus) != plain_name(trained_on):
        return "another corpus than that of the training"
    return "not the fold's training part" if seen == {"no"} else f"seen in training: {', '.join(sorted(seen))}"


def _measured(found: Mapping[str, Any]) -> dict[str, Any]:
    low, high = found.get("uar_interval") or (np.nan, np.nan)
    return {
        "uar": found["uar"], "low": low, "high": high, "accuracy": found["accuracy"], "n_clips": found["n"],
        "n_speakers": found["speakers"],
    }  # fmt: skip
