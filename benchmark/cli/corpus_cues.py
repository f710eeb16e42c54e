"""Report of cue effects in a corpus: ``python -m serxai.benchmark.cli.corpus_cues CORPUS``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...cues.records import CUES, LEVEL_CUES
from ...datasets.corpora import load_corpus
from ..analysis.corpus_directions import markdown_rows, measured_table
from ..analysis.cue_effects import CLEAR, DEFAULT_CUES, clip_table, compare_signs, effects, reference_effects
from .console import Bars


def sign_lines(compared: pd.DataFrame) -> list[str]:
    """Number of clear reference effects whose sign is reproduced, and a line for each that is not."""
    lines = [f"{compared['same'].sum()} of {len(compared)} effects that were above {CLEAR} before have the same sign."]
    return lines + [
        f"- {row.cue}, {row.emotion}, {row.speaker}: {row.d:+.1f}, before {row.d_reference:+.1f}"
        for row in compared[~compared["same"]].itertuples()
    ]


def markdown(measured: pd.DataFrame, note: str = "") -> str:
    """Markdown tables of effects, one per cue: emotions in rows, speakers in columns."""
    parts = []
    for cue, part in measured.groupby("cue", sort=False):
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


def directions_markdown(rows: list[dict[str, Any]]) -> str:
    """Markdown table of measured directions beside those of the sources, from `corpus_directions.markdown_rows`."""
    header = list(rows[0])
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    lines += [f"| {' | '.join(str(row[name]) for name in header)} |" for row in rows]
    note = (
        "Effect: mean over speakers of Cohen's d, 95 % over speakers. Held out: speakers whose effect has the "
        "direction of the others. Sources: + rise, - fall, 0 no change expected; in brackets rows merely recalled, not "
        "counted."
    )
    return "\n".join([*lines, "", note])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report of one corpus."""
    parser = argparse.ArgumentParser(prog="python -m serxai.benchmark.cli.corpus_cues", description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--data-root")
    parser.add_argument("--cue", action="append", default=[], help="name from `serxai ls cues`; default: seven of them")
    asked = parser.parse_args(arguments)
    cues = asked.cue or list(DEFAULT_CUES)
    full = any(CUES.get(cue).target.endswith("fine_cues") for cue in cues)
    corpus = load_corpus(asked.corpus, asked.data_root)
    with Bars() as bars:
        table = clip_table(corpus, list(corpus.table.index), full, lambda done, n: bars("measuring cues", done, n))
    note = ""
    if not corpus.record.level_comparable:
        note = f"Levels of {corpus.name} are not comparable between clips: {', '.join(LEVEL_CUES)} say nothing here."
    measured = effects(table, cues)
    sys.stdout.write(markdown(measured, note) + "\n")
    compared = [cue for cue in cues if corpus.record.level_comparable or cue not in LEVEL_CUES]
    rows = markdown_rows(measured_table(table, compared))
    if rows:
        sys.stdout.write("\n" + directions_markdown(rows) + "\n")
    reference = reference_effects(corpus.name)
    if reference is not None:
        sys.stdout.write("\n" + "\n".join(sign_lines(compare_signs(measured, reference))) + "\n")
    return 0


if TYPE_CHECKING:
    import pandas as pd


if __name__ == "__main__":
    sys.exit(main())
