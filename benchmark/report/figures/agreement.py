"""Heat map of the pairwise agreement of methods."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context

from ....datasets.corpora import load_corpus
from ....errors import ClipError, InputError
from ....methods.records import METHODS
from ...analysis.agreement import agreement, agreement_matrix
from ...analysis.leaderboard import ordered
from ...stats.clustered import MIN_SPEAKERS
from ...storage.clip_facts import read_clip_facts
from ...storage.store import Store
from .style import PAPER, PAPER_DPI, SMALL, TWO_COLUMNS, new_page, save

if TYPE_CHECKING:
    from ...run.runner import Progress


MOST_TOLD = 14  # methods whose numbers are printed in the heat map
CELL, LARGEST = 0.42, 5.0  # inches: of a cell, and of the heat map


def draw_agreement(table: pd.DataFrame, picture: str | Path) -> Path:
    """Draw the agreement of methods in a table's first setting as a heat map, with the numbers as CSV.

    Parameters
    ----------
    table : DataFrame
        As `agreement` returns it.
    picture : path

    Raises
    ------
    InputError
        If the table is empty.
    """
    if table.empty:
        raise InputError(
            "figure: the run holds no explanations to compare; finish it with `serxai run --resume` first."
        )
    setting = table.iloc[0][["corpus", "model", "condition"]]
    part = table[(table[setting.index] == setting).all(axis=1)]
    methods = ordered({*part["method"], *part["other"]}, METHODS.names())
    matrix = agreement_matrix(part, methods)
    half = agreement_matrix(part.assign(mean=(part["high"] - part["low"]) / 2), methods)
    texts = [
        ["" if np.isnan(m) else f"{m:.2f}" + ("" if np.isnan(h) else f"\n±{h:.2f}") for m, h in zip(*row, strict=True)]
        for row in zip(matrix.round(2).to_numpy() + 0.0, half.to_numpy(), strict=True)  # without -0.00
    ]
    least, most = part["clips"].min(), part["clips"].max()
    over = f"{most}" if least == most else f"{least} to {most}"
    heading = f"Agreement of methods: {setting['corpus']}, {setting['model']}, {setting['condition']}"
    with_text = len(methods) <= MOST_TOLD
    note = (
        f"Rank correlation of the maps of the same clips{', mean ± half its 95 % interval' if with_text else ''} "
        f"(speakers, sentences as clusters; none below {MIN_SPEAKERS} speakers) over {over} of {part['planned'].max()} "
        "clips; agreement is no quality."
    )
    side = min(CELL * len(methods), LARGEST)
    with rc_context(PAPER):
        figure, content = new_page(TWO_COLUMNS, side + 1.4, heading, note)
        ax = content.subplots()
        labels = [shorten(name, 28, placeholder="…") for name in methods]
        sns.heatmap(
            matrix,
            annot=np.array(texts) if with_text else None,
            fmt="",
            cmap="vlag",
            vmin=-1,
            vmax=1,
            square=True,
            linewidths=0.7,
            ax=ax,
            annot_kws={"fontsize": SMALL},
            xticklabels=labels,
            yticklabels=labels,
            cbar_kws={"label": "rank correlation", "shrink": 0.6, "aspect": 30},
        )
        ax.tick_params(length=0)
        ax.set_xticks(ax.get_xticks(), labels, rotation=40, ha="right", rotation_mode="anchor")
        return save(figure, part, picture, dpi=PAPER_DPI)


def agreement_of_run(
    store: Store, picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """Draw the agreement of a run's explanations of clean clips.

    Lengths of clips that explanations of an earlier version do not say are read where the corpora are on disk.
    """
    root = data_root or store.info["execution"]["data_root"]
    known = store.scores(["corpus", "clip", "speaker"]).drop_duplicates(["corpus", "clip"])
    speakers = {(str(r.corpus), str(r.clip)): str(r.speaker) for r in known.itertuples()}
    corpus_of = cache(lambda name: load_corpus(name, root))

    def duration(corpus: str, clip: str) -> float | None:
        try:
            return corpus_of(corpus).clip(clip).duration_s
        except (KeyError, InputError, ClipError):
            return None

    scored = (e for e in store.explanations(condition="clean", first=True) if (e.corpus, e.clip) in speakers)
    facts = read_clip_facts(store.path)
    sentences = {(row.corpus, row.clip): row.sentence for row in facts.itertuples()}
    return draw_agreement(agreement(scored, speakers, progress, duration, sentences), picture)
