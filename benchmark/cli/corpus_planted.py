"""Report on a recogniser's reliance on the planted cues: ``python -m serxai.benchmark.cli.corpus_planted``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from ...datasets.corpora import load_corpus
from ...datasets.planted.check import cue_table, measured_changes
from ...datasets.planted.corpus import PlantedCorpus
from ...errors import InputError
from ...models.obtain import obtain_fold_models
from ..analysis.planted import reliance, treated_predictions
from .console import Bars


def markdown(changes: pd.DataFrame, recalls: pd.DataFrame) -> Iterator[str]:
    """Lines of the two Markdown tables.

    Parameters
    ----------
    changes : DataFrame
        Of `measured_changes`.
    recalls : DataFrame
        Of `reliance`.
    """
    yield "| emotion | measure | planted | found in direction | median change | clips |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in cue_table(changes).itertuples():
        sign = "+" if row.direction > 0 else "-"
        yield f"| {row.emotion} | {row.measure} | {sign} | {row.share:.3f} | {row.median:+.2f} | {row.n} |"
    yield ""
    yield f"Largest difference of a sample outside the planted words: {changes['outside'].max():g}."
    yield ""
    emotions = list(recalls.columns[5:])
    yield f"| heard | UAR [95 %] | p | {' | '.join(emotions)} | clips |"
    yield "| --- " * (len(emotions) + 4) + "|"
    for treatment, row in recalls.iterrows():
        by_emotion = " | ".join(f"{row[emotion]:.3f}" for emotion in emotions)
        interval = f"{row['uar']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        yield f"| {treatment} | {interval} | {row['p']:.4f} | {by_emotion} | {row['n']:.0f} |"


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(prog="python -m serxai.benchmark.cli.corpus_planted", description=__doc__)
    parser.add_argument("corpus", nargs="?", default="planted", help="a planted corpus; default planted")
    parser.add_argument("--model", default="cnn", help="default cnn")
    parser.add_argument("--trained-on", default="planted", help="training corpus of the fold models; default planted")
    parser.add_argument("--limit", type=int, help="at most so many clips; default all")
    options = parser.parse_args(argv)
    with Bars() as bars:
        corpus = load_corpus(options.corpus, progress=partial(bars, f"rendering {options.corpus}"))
        if not isinstance(corpus, PlantedCorpus):
            raise InputError(f"corpus {options.corpus!r} is not planted; take planted or one of its variants.")
        trained_on = corpus if options.trained_on == corpus.name else load_corpus(options.trained_on)
        models = obtain_fold_models(options.model, trained_on, partial(bars, f"training on {options.trained_on}"))
        clips = corpus.select(limit=options.limit)
        changes = measured_changes(corpus, clips, partial(bars, "measuring cues"))
        recalls = reliance(treated_predictions(corpus, models, clips, partial(bars, "asking the recogniser")))
    sys.stdout.write("\n".join(markdown(changes, recalls)) + "\n")


if __name__ == "__main__":
    main()
