"""``serxai corpus cues``: effects of emotions on acoustic cues in a corpus, against the speaker's own neutral."""

from __future__ import annotations

import json
from argparse import Namespace
from functools import partial
from typing import Any

import pandas as pd

from ...cues.records import CUES, LEVEL_CUES
from ...datasets.corpora import load_corpus
from ...errors import InputError
from ..analysis.corpus_directions import markdown_rows, measured_table
from ..analysis.cue_effects import CLEAR, DEFAULT_CUES, MIN_CLIPS, clip_table, compare_signs, effects, reference_effects
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


def cues(arguments: Namespace) -> int:
    """Print the effects of a corpus' emotions on cues, and the directions measured with speakers held out."""
    names = list(dict.fromkeys(arguments.cue)) or list(DEFAULT_CUES)
    full = any(CUES.get(name).target.endswith("fine_cues") for name in names)
    with Bars() as bars:
        corpus = load_corpus(arguments.name, arguments.data_root, partial(bars, f"rendering {arguments.name}"))
        clips = corpus.select(limit=arguments.limit)
        corpus.prepare(clips)
        table = clip_table(corpus, clips, full, partial(bars, "measuring cues"))
    comparable = corpus.record.level_comparable
    measured = effects(table, names)
    if measured["d"].isna().all():
        raise InputError(
            f"corpus {corpus.name!r}: no speaker has {MIN_CLIPS} neutral clips and {MIN_CLIPS} of another emotion "
            f"among {len(clips)} clips; take more clips (--limit), or another corpus."
        )
    rows = markdown_rows(measured_table(table, [name for name in names if comparable or name not in LEVEL_CUES]))
    reference = reference_effects(corpus.name)
    compared = None if reference is None else compare_signs(measured, reference)
    if arguments.json:
        kept = {"effects": measured, "directions": pd.DataFrame(rows)} | (
            {} if compared is None else {"signs": compared}
        )
        print(json.dumps({name: json.loads(frame.to_json(orient="records")) for name, frame in kept.items()}, indent=2))
        return 0
    silent = f"Levels of {corpus.name} are not comparable between clips: {', '.join(LEVEL_CUES)} say nothing here."
    print(markdown(measured, "" if comparable else silent))
    if rows:
        print("\n" + directions_markdown(rows))
    if compared is not None:
        print("\n" + "\n".join(sign_lines(compared)))
    return 0
