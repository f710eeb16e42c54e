"""``serxai corpus probe``: recall of single-feature probes on a corpus, as table, CSV, JSON and figure."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from ...datasets.corpora import load_corpus
from ...datasets.probes import KNOWN, NEW, PROBES, ProbeReport, ProbeResult, probe_corpus
from ..storage.files import write_atomically
from .console import Bars, Console

if TYPE_CHECKING:
    import pandas as pd

STEM = "probes"


def probe(arguments: Namespace) -> int:
    """Probe a corpus, print the report, and write it to ``--out``."""
    with Bars() as bars:
        corpus = load_corpus(arguments.name, arguments.data_root, partial(bars, f"rendering {arguments.name}"))
        report = probe_corpus(corpus, progress=bars)
    text = json.dumps(asdict(report), indent=2, allow_nan=False)
    written = None
    if arguments.out is not None:
        written = draw(report, arguments.out / f"{STEM}.png")
        write_atomically(arguments.out / f"{STEM}.json", text.encode())
    if arguments.json:
        print(text)
        return 0
    console = Console()
    console.print(_table(report))
    console.print(
        f"{report.clips} clips, {report.speakers} speakers, {len(report.emotions)} emotions "
        f"({', '.join(report.emotions)}), {report.permutations} permutations\n"
        f"UAR with interval ({report.interval}); *: beats chance (p < 5 % after Holm)",
        highlight=False,
    )
    for note in report.notes:
        console.print(f"- {note}", highlight=False)
    if written is not None:
        console.print(f"report: {written.parent} ({STEM}.csv, .json, .png, .svg)", highlight=False, soft_wrap=True)
    return 0


def _table(report: ProbeReport) -> Table:
    by_split = {(result.probe, result.tested_on): result for result in report.results}
    chance = 1 / len(report.emotions)
    table = Table(title=f"{report.corpus}: what one fact tells of the emotion, UAR (chance {chance:.3f})", box=None)
    table.add_column("probe", no_wrap=True)
    for tested_on in (NEW, KNOWN):
        table.add_column(tested_on, no_wrap=True)
        table.add_column("p", justify="right")
    for one in PROBES:
        cells = []
        for tested_on in (NEW, KNOWN):
            result = by_split[one.name, tested_on]
            cells += [_cell(result), f"{result.p_holm:.3f}"]
        single = len(one.features) == 1 and any(one.features[0] in p.features for p in PROBES if len(p.features) > 1)
        table.add_row(("  " if single else "") + one.name, *cells)
    return table


def _cell(result: ProbeResult) -> str:
    mark = "*" if result.beats_chance else " "
    return f"{result.uar:.3f} [{result.low:.3f}, {result.high:.3f}]{mark}"


def draw(report: ProbeReport, picture: Path) -> Path:
    """Draw UAR and interval of each probe on new and known speakers, against chance, with the numbers as CSV."""
    import seaborn as sns
    from matplotlib import rc_context

    from ..report.figures.style import BLUE, GREY, ORANGE, STYLE, footnote, new_figure, save, title

    table: pd.DataFrame = report.table()
    colours = {NEW: BLUE, KNOWN: ORANGE}
    names = [one.name for one in PROBES]
    with rc_context(STYLE):
        figure = new_figure(7.2, 1.4 + 0.36 * len(names))
        ax = figure.subplots()
        sns.pointplot(
            table,
            x="uar",
            y="probe",
            hue="tested_on",
            order=names,
            palette=colours,
            dodge=0.4,
            linestyle="none",
            errorbar=None,
            markersize=5,
            ax=ax,
        )
        for result in report.results:
            y = names.index(result.probe) + (-0.2 if result.tested_on == NEW else 0.2)
            ax.plot([result.low, result.high], [y, y], color=colours[result.tested_on], linewidth=1.5, zorder=1)
            if not result.beats_chance:  # hollow: not significantly above chance
                ax.plot(
                    result.uar,
                    y,
                    "o",
                    markersize=5,
                    markerfacecolor="white",
                    zorder=9,
                    markeredgecolor=colours[result.tested_on],
                )
        ax.axvline(1 / len(report.emotions), color=GREY, linewidth=1, linestyle="--", zorder=0)
        ax.set(xlabel="unweighted average recall", ylabel="", xlim=(0, None))
        sns.move_legend(ax, "lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, title=None)
        title(figure, f"{report.corpus}: what one fact about a clip tells of its emotion")
        footnote(
            figure,
            f"{report.clips} clips, {report.speakers} speakers, {len(report.emotions)} emotions; dashed: chance; "
            f"hollow: not told from chance (p >= 5 % after Holm); interval: {report.interval}",
        )
        return save(figure, table, picture, kinds=("png", "svg"))
