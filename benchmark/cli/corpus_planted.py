"""``serxai corpus planted``: presence of planted cues, and a recogniser's reliance on them and on nothing else."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...datasets.corpora import load_corpus
from ...datasets.planted.check import cue_table, measured_changes
from ...datasets.planted.corpus import RenderedCorpus
from ...datasets.planted.from_emodb import RecordedPlants
from ...datasets.probes import RARE
from ...errors import InputError
from ...models.foldmodels import FoldModels
from ...models.obtain import load_models
from ...models.trust import Permission
from ..analysis.planted import reliance, treated_predictions
from ..analysis.planted_stretches import fall_table, falls, shortcuts
from ..run.options import checkpoints_option
from .console import Bars

FOUND = 0.8  # least share of clips in which a cue must be found in its direction
ENOUGH_UAR = 0.85  # of a recogniser whose explanations are held to the planted truth
ALPHA = 0.05
CORPUS = "corpus"  # in place of a recogniser's name


class Check(NamedTuple):
    """One requirement: its name, of what (``corpus``, or a recogniser), whether it holds, and the figure."""

    name: str
    of: str
    holds: bool
    figure: str


class Reliance(NamedTuple):
    """What a recogniser does on a planted corpus: tables of `reliance`, and where there are stretches `fall_table`."""

    recalls: pd.DataFrame
    falls: pd.DataFrame | None


def planted(arguments: Namespace) -> int:
    """Check a planted corpus and recognisers on it; exit status 1 if a requirement on the corpus does not hold."""
    names = list(dict.fromkeys(arguments.model)) or ["cnn"]
    checkpoints = checkpoints_option(arguments.checkpoint, names)
    with Bars() as bars:
        progress = partial(bars, f"rendering {arguments.name}")
        corpus = load_corpus(arguments.name, arguments.data_root, progress)
        if not isinstance(corpus, RenderedCorpus):
            raise InputError(
                f"corpus {arguments.name!r} is not planted; take planted or one of its variants, planted-emodb or "
                "spliced."
            )
        trained_on = arguments.trained_on or ("planted" if corpus.record.voices == "planted" else corpus.name)
        models = {
            name: load_models(
                name,
                trained_on,
                data_root=arguments.data_root,
                checkpoint=checkpoints.get(name),
                permission=Permission.of(names),
                progress=bars,
            )
            for name in names
        }
        for name, each in models.items():
            if not isinstance(each, FoldModels):
                raise InputError(f"model {name!r} has no folds; give one that `serxai train` trained.")
        clips = corpus.select(limit=arguments.limit)
        changes = measured_changes(corpus, clips, partial(bars, "measuring cues"))
        tables = {"cues": cue_table(changes)}
        if isinstance(corpus, RecordedPlants) and corpus.table.loc[clips, "emotion"].value_counts().min() >= RARE:
            tables["shortcuts"] = shortcuts(corpus, clips)
        asked = {
            name: _asked(corpus, each, clips, bars, name)
            for name, each in models.items()
            if isinstance(each, FoldModels)
        }
    checks = corpus_requirements(tables, float(changes["outside"].max()))
    for name, found in asked.items():
        checks += recogniser_requirements(name, found)
    if arguments.json:
        print(json.dumps(_as_json(tables, asked, checks), indent=2))
    else:
        print("\n".join(markdown(tables, asked, checks)))
    return 0 if all(check.holds for check in checks if check.of == CORPUS) else 1


def _asked(corpus: RenderedCorpus, models: FoldModels, clips: list[str], bars: Bars, name: str) -> Reliance:
    """Ask one recogniser about clips and what was taken from them."""
    recalls = reliance(treated_predictions(corpus, models, clips, partial(bars, f"asking {name}")))
    if not isinstance(corpus, RecordedPlants):
        return Reliance(recalls, None)
    return Reliance(recalls, fall_table(falls(corpus, models, clips, partial(bars, f"replacing stretches for {name}"))))


def corpus_requirements(tables: dict[str, pd.DataFrame], outside: float) -> list[Check]:
    """Check the requirements on the corpus.

    Parameters
    ----------
    tables : dict of str to DataFrame
        ``cues`` of `cue_table`, and where there are any ``shortcuts`` of the function of this name.
    outside : float
        Largest difference of clip and twin outside the planted words.
    """
    cues = tables["cues"]
    least = cues.loc[cues["share"].idxmin()]
    checks = [
        Check("clip and twin are identical outside the planted words", CORPUS, outside == 0, f"largest {outside:g}"),
        Check(
            f"each cue is found in its direction in {FOUND:.0%} of clips",
            CORPUS,
            bool(least["share"] >= FOUND),
            f"least {least['share']:.3f} ({least['emotion']}, {least['measure']})",
        ),
    ]
    if "shortcuts" in tables:
        twins = tables["shortcuts"].query("signal == 'twin'")
        best = twins.loc[twins["p_holm"].idxmin()]
        checks.append(
            Check(
                "no fact but the voice tells the emotion of twins",
                CORPUS,
                bool(best["p_holm"] >= ALPHA),
                f"least p {best['p_holm']:.3f} ({best['probe']}, UAR {best['uar']:.3f})",
            )
        )
    return checks


def recogniser_requirements(name: str, found: Reliance) -> list[Check]:
    """Check the requirements on a recogniser.

    Parameters
    ----------
    name : str
    found : Reliance
    """
    twin, clip = found.recalls.loc["twin"], found.recalls.loc["clip"]
    checks = [
        Check(
            f"UAR on new speakers is at least {ENOUGH_UAR}",
            name,
            bool(clip["uar"] >= ENOUGH_UAR),
            _interval(clip["uar"], clip["low"], clip["high"]),
        ),
        Check(
            "twins are answered by chance",
            name,
            bool(twin["p"] >= ALPHA),
            f"UAR {_interval(twin['uar'], twin['low'], twin['high'])}, p {twin['p']:.3f}",
        ),
    ]
    if found.falls is not None and "target - sham" in found.falls.index:
        target, beyond = (found.falls.loc[kind] for kind in ("target", "target - sham"))
        checks.append(
            Check(
                "log-odds fall with the planted stretch, and more than with a sham",
                name,
                bool(target["low"] > 0 and beyond["low"] > 0),
                f"by {_interval(target['mean'], target['low'], target['high'], 2)}, "
                f"{_interval(beyond['mean'], beyond['low'], beyond['high'], 2)} more than a sham",
            )
        )
    return checks


def _interval(value: float, low: float, high: float, digits: int = 3) -> str:
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def markdown(tables: dict[str, pd.DataFrame], asked: dict[str, Reliance], checks: list[Check]) -> Iterator[str]:
    """Lines of the Markdown tables, and which recognisers hold what is asked of them; see `corpus_requirements`."""
    yield "| requirement | of | holds | figure |"
    yield "| --- | --- | --- | --- |"
    for check in checks:
        yield f"| {check.name} | {check.of} | {'yes' if check.holds else 'no'} | {check.figure} |"
    yield ""
    for name in asked:
        failed = [check.name for check in checks if check.of == name and not check.holds]
        yield f"{name}: " + (f"not used for qualification here ({'; '.join(failed)})." if failed else "can be used.")
    yield ""
    yield "| emotion | measure | planted | found in direction | median change | clips |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in tables["cues"].itertuples():
        yield (
            f"| {row.emotion} | {row.measure} | {'-0+'[1 + row.direction]} | {row.share:.3f} | {row.median:+.2f} | "
            f"{row.n} |"
        )
    for name, found in asked.items():
        yield from _of_recogniser(name, found)
    if "shortcuts" in tables:
        yield ""
        yield "| probe | UAR of clips | p | UAR of twins | p |"
        yield "| --- | --- | --- | --- | --- |"
        by_signal = tables["shortcuts"].pivot(index="probe", columns="signal", values=["uar", "p_holm"])
        for probe, row in by_signal.iterrows():
            clips, twins = (f"{row['uar', s]:.3f} | {row['p_holm', s]:.3f}" for s in ("clip", "twin"))
            yield f"| {probe} | {clips} | {twins} |"


def _of_recogniser(name: str, found: Reliance) -> Iterator[str]:
    """Lines of the tables of one recogniser."""
    recalls = found.recalls
    emotions = list(recalls.columns[5:])
    yield ""
    yield f"| heard by {name} | UAR [95 %] | p | {' | '.join(emotions)} | clips |"
    yield "| --- " * (len(emotions) + 4) + "|"
    for treatment, row in recalls.iterrows():
        by_emotion = " | ".join(f"{row[emotion]:.3f}" for emotion in emotions)
        uar = _interval(row["uar"], row["low"], row["high"])
        yield f"| {treatment} | {uar} | {row['p']:.4f} | {by_emotion} | {row['n']:.0f} |"
    if found.falls is not None:
        yield ""
        yield f"| replaced alone ({name}) | fall of the log-odds [95 %] | positive in | mean s | clips |"
        yield "| --- | --- | --- | --- | --- |"
        for kind, row in found.falls.iterrows():
            seconds = "" if np.isnan(row["duration_s"]) else f"{row['duration_s']:.2f}"
            fall = _interval(row["mean"], row["low"], row["high"], 2)
            yield f"| {kind} | {fall} | {row['share']:.3f} | {seconds} | {row['n']:.0f} |"


def _as_json(tables: dict[str, pd.DataFrame], asked: dict[str, Reliance], checks: list[Check]) -> dict[str, object]:
    def records(table: pd.DataFrame) -> object:
        return json.loads(table.reset_index().to_json(orient="records"))

    recognisers = {
        name: {"recalls": records(found.recalls)} | ({} if found.falls is None else {"falls": records(found.falls)})
        for name, found in asked.items()
    }
    return (
        {"requirements": [check._asdict() for check in checks]}
        | {name: records(table) for name, table in tables.items()}
        | {"recognisers": recognisers}
    )
