"""Cue effects of a corpus, printed: ``python -m serxai.benchmark.cli.corpus_cues CORPUS``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...cues.records import CUES, LEVEL_CUES
from ...datasets.corpora import load_corpus
from ..analysis.cue_effects import CLEAR, DEFAULT_CUES, clip_table, compared_signs, effects, measured_before
from .console import Bars


def sign_lines(compared: pd.DataFrame) -> list[str]:
    """How many clear effects have the sign that they had before, and a line for each that has not."""
    lines = [f"{compared['same'].sum()} of {len(compared)} effects that were above {CLEAR} before have the same sign."]
    return lines + [
        f"- {row.cue}, {row.emotion}, {row.speaker}: {row.d:+.1f}, before {row.d_before:+.1f}"
        for row in compared[~compared["same"]].itertuples()
    ]


def markdown(found: pd.DataFrame, note: str = "") -> str:
    """One table a cue: emotions down, speakers across."""
    parts = []
    for cue, part in found.groupby("cue", sort=False):
        speakers = sorted(part["speaker"].unique())
        lines = [f"**{CUES.get(str(cue)).label}** ({cue})", "", f"| emotion | {' | '.join(speakers)} |"]
        lines.append("|---|" + "---|" * len(speakers))
        for emotion, row in part.groupby("emotion", sort=True):
            values = row.set_index("speaker")
            lines.append(
                f"| {emotion} | "
                + " | ".join(f"{values.at[s, 'd']:+.1f}" if s in values.index else "–" for s in speakers)
                + " |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, note] if note else parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report of one corpus."""
    parser = argparse.ArgumentParser(prog="python -m serxai.benchmark.analysis.cue_effects", description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--data-root")
    parser.add_argument("--cue", action="append", default=[], help="name from `serxai ls cues`; default: seven of them")
    asked = parser.parse_args(arguments)
    cues = asked.cue or list(DEFAULT_CUES)
    full = any(CUES.get(cue).target.endswith("fine_cues") for cue in cues)
    corpus = load_corpus(asked.corpus, asked.data_root)
    with Bars() as bars:
        table = clip_table(corpus, list(corpus.table.index), full, lambda done, n: bars("listening", done, n))
    note = ""
    if not corpus.record.level_comparable:
        note = f"Levels of {corpus.name} are not comparable between clips: {', '.join(LEVEL_CUES)} say nothing here."
    found = effects(table, cues)
    sys.stdout.write(markdown(found, note) + "\n")
    before = measured_before(corpus.name)
    if before is not None:
        sys.stdout.write("\n" + "\n".join(sign_lines(compared_signs(found, before))) + "\n")
    return 0


if TYPE_CHECKING:
    import pandas as pd


if __name__ == "__main__":
    sys.exit(main())
