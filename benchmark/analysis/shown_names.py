"""Names under which corpora, recognisers and methods of several runs are shown side by side.

Names are not identities. One that stands for several things over the runs gets an addition: a corpus or a recogniser a
short digest (``cnn@3f2a91``), a method its parameters that are not the defaults (``occlusion@bands=4``). Runs that
agree keep the plain names.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...keys import digest
from ...methods.records import METHODS
from ..run.method_spec import described_method, method_with

SHORT = 6  # digits of a digest in a shown name
APART = "@"  # between a name and what tells its bearers apart
MAX_SETTINGS = 60  # characters of parameters in a shown name; a digest stands for longer ones
_CARD = ("version", "classes", "front_end", "network", "fingerprint")  # of a model; `weights` and `folds` go by fold


def plain_name(shown: str) -> str:
    """Name in the registry of a corpus, recogniser or method that may stand apart."""
    return shown.partition(APART)[0]


def recogniser_title(model: str, trained_on: str, corpus: str = "") -> str:
    """Model with its training corpus in brackets, where there is one and it is not `corpus`.

    Parameters
    ----------
    model, trained_on : str
    corpus : str
        Whose recognisers go without it; default none.

    Examples
    --------
    >>> recogniser_title("cnn", "emodb"), recogniser_title("cnn", "emodb", "emodb")
    ('cnn (emodb)', 'cnn')
    """
    return model if trained_on in ("", plain_name(corpus)) else f"{model} ({trained_on})"


def title_parts(title: str) -> tuple[str, str]:
    """Model and training corpus of a `recogniser_title`; the corpus is empty where the title names none.

    Examples
    --------
    >>> title_parts("cnn (emodb)"), title_parts("cnn")
    (('cnn', 'emodb'), ('cnn', ''))
    """
    model, _, trained_on = title.removesuffix(")").rpartition(" (") if title.endswith(")") else ("", "", "")
    return (model, trained_on) if model else (title, "")


def is_chosen(shown: str, chosen: Collection[str]) -> bool:
    """Whether a shown name is among those chosen, itself or by its plain name; all are if none is chosen."""
    return not chosen or shown in chosen or plain_name(shown) in chosen


@dataclass(frozen=True)
class ShownNames:
    """Names of one run's corpora, recognisers and methods that stand apart beside other runs'.

    Attributes
    ----------
    corpora : dict of str to str
        Shown name by name.
    models : dict of (str, str) to str
        Shown name by model and training corpus.
    methods : dict of str to str
    """

    corpora: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[tuple[str, str], str] = field(default_factory=dict)
    methods: Mapping[str, str] = field(default_factory=dict)

    def corpus(self, name: str) -> str:
        """Shown name of a corpus."""
        return self.corpora.get(name, name)

    def model(self, name: str, trained_on: str) -> str:
        """Shown name of a recogniser."""
        return self.models.get((name, trained_on), name)

    def method(self, name: str) -> str:
        """Shown name of a method."""
        return self.methods.get(name, name)

    def apart(self) -> set[str]:
        """All names that stand apart."""
        return {*self.corpora.values(), *self.models.values(), *self.methods.values()}


def shown_names(infos: Sequence[Mapping[str, Any]]) -> list[ShownNames]:
    """Names under which the corpora, recognisers and methods of each run are shown beside the others.

    Parameters
    ----------
    infos : sequence of mapping
        Content of each run's run.json.
    """
    of_runs = zip(_corpus_labels(infos), _model_labels(infos), _method_labels(infos), strict=True)
    return [ShownNames(*labels) for labels in of_runs]


def _corpus_labels(infos: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Shown name of each run's corpora that have several digests over the runs."""
    digests: dict[str, set[str]] = {}
    for info in infos:
        for name, facts in info["corpora"].items():
            digests.setdefault(name, set()).add(facts["digest"])
    return [
        {
            name: f"{name}{APART}{facts['digest'][:SHORT]}"
            for name, facts in info["corpora"].items()
            if len(digests[name]) > 1
        }
        for info in infos
    ]


def _model_labels(infos: Sequence[Mapping[str, Any]]) -> list[dict[tuple[str, str], str]]:
    """Shown name of each run's (model, training corpus) of which there are several over the runs."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}  # facts of each distinct recogniser
    members: list[dict[tuple[str, str], int]] = []
    for info in infos:
        of_run = {}
        for name, facts in _model_facts(info):
            known = groups.setdefault(name, [])
            place = next((i for i, its in enumerate(known) if _agree(its, facts)), len(known))
            if place == len(known):
                known.append({})
            known[place] |= facts
            of_run[name] = place
        members.append(of_run)
    return [
        {
            name: f"{name[0]}{APART}{digest(sorted(groups[name][place].items()))[:SHORT]}"
            for name, place in of_run.items()
            if len(groups[name]) > 1
        }
        for of_run in members
    ]


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two recognisers are one as far as both are described; folds that only one has used say nothing."""
    common = one.keys() & other.keys()
    return bool(common) and all(one[fact] == other[fact] for fact in common)


def same_recogniser(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the recognisers of the same name in two run.json are one, as far as both describe them."""
    its = dict(_model_facts(other))
    return all(_agree(facts, its[name]) for name, facts in _model_facts(one) if name in its)


def _model_facts(info: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Facts that identify each (model, training corpus) of a run: its card, weights and fingerprints by fold."""
    for title, card in info["models"].items():
        name, _, trained_on = title.rpartition(" trained on ")
        facts = {fact: card[fact] for fact in _CARD if fact in card}
        for by_fold in ("weights", "folds"):
            if isinstance(card.get(by_fold), dict):
                facts |= {f"{by_fold} {fold}": value for fold, value in card[by_fold].items()}
        prefix = f"{title}, fold "
        facts |= {
            f"fingerprint {place.removeprefix(prefix)}": fingerprint
            for place, fingerprint in info.get("fingerprints", {}).items()
            if place.startswith(prefix)
        }
        yield (name, trained_on), facts


def _method_labels(infos: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Shown name of each run's methods whose parameters differ over the runs, and are not the defaults."""
    settings = [{name: settings_of(facts) for name, facts in info.get("methods", {}).items()} for info in infos]
    known: dict[str, list[dict[str, Any]]] = {}
    for of_run in settings:
        for name, its in of_run.items():
            if its not in known.setdefault(name, []):
                known[name].append(its)
    labels = []
    for of_run in settings:
        apart = {
            name: _label(its, configured_settings(name, {})) for name, its in of_run.items() if len(known[name]) > 1
        }
        labels.append({name: f"{name}{APART}{label}" for name, label in apart.items() if label})
    return labels


def settings_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a method, and under ``base.name`` those of the method that it starts from, as run.json says."""
    found = dict(facts.get("parameters") or {})
    for base, its in (facts.get("base") or {}).items():
        found |= {f"{base}.{name}": value for name, value in settings_of(its).items()}
    return found


def configured_settings(name: str, parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """What `settings_of` a method is in a run with these parameters by method; None if the method is not installed.

    Raises
    ------
    InputError
        For an unknown parameter.
    """
    if name not in METHODS:
        return None
    described = described_method(method_with(name, parameters))
    return settings_of(json.loads(json.dumps(described, default=str)))


def _label(its: Mapping[str, Any], defaults: Mapping[str, Any] | None) -> str:
    """What is not default in a method's parameters, as text; empty if nothing is."""
    if defaults is None:
        return digest("parameters of a method", sorted(map(str, its.items())))[:SHORT]
    other = {name: value for name, value in its.items() if name not in defaults or defaults[name] != value}
    text = ",".join(f"{name}={value}" for name, value in sorted(other.items()))
    if len(text) > MAX_SETTINGS or not text.isprintable():
        return digest("parameters of a method", text)[:SHORT]
    return text
