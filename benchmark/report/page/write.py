"""Write the page: ``index.html``, with a start view that needs nothing else, and ``assets/``."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment

from ...analysis.abstention import CompletedCell
from ...analysis.leaderboard import completed_cells
from ...storage.files import write_atomically
from ...storage.store import Store
from ..defaults import EXAMPLE_CLIPS
from ..robustness import NOTHING, Robustness
from .axes import axis_chunks, axis_metrics, axis_rows, strength_rows
from .clip_data import clip_tables, score_chunks
from .encode import safe_json
from .examples import Recordings, example_files, example_index, examples_of
from .payload import (
    PLACE,
    absent_families,
    bar_tests,
    board_tables,
    crossed_views,
    group_tables,
    order_diagrams,
    records,
    setting_facts,
    settings_of,
)

ASSETS = "assets"
INLINE_BYTES = 1_500_000  # of board rows in index.html; settings beyond it are loaded when chosen
SCRIPTS = ("page_base.js", "page_table.js", "page_details.js", "page_diagrams.js")
_OWN_FILES = re.compile(r"(board|groups|clips|scores|example)(-\d+)+(-(original|kept|removed))?\.(js|png|flac)")


class PageParts(NamedTuple):
    """What a page is made of, beside score rows and board.

    Attributes
    ----------
    title, summary : str
    notes : list of str
        Warnings.
    failures : list of list
        Status, rows, reason, methods, metrics.
    downloads : list of (str, str)
        File beside the page, and what it is.
    robust : Robustness
    """

    title: str
    summary: str
    notes: Sequence[str]
    failures: Sequence[Sequence[str]]
    downloads: Sequence[tuple[str, str]]
    robust: Robustness = NOTHING


class Source(NamedTuple):
    """Runs that a page's explanations and sounds come from.

    Attributes
    ----------
    stores : sequence of Store
    data_root : path, optional
    clips : int
        Clips of each setting that can be seen and heard.
    """

    stores: Sequence[Store] = ()
    data_root: str | Path | None = None
    clips: int = EXAMPLE_CLIPS


def write_page(
    out: Path,
    environment: Environment,
    scores: pd.DataFrame,
    board: pd.DataFrame,
    views: pd.DataFrame,
    infos: Sequence[Mapping[str, Any]],
    parts: PageParts,
    source: Source | None = None,
    found: Sequence[CompletedCell] | None = None,
) -> Path:
    """Write ``index.html`` and its assets.

    Parameters
    ----------
    out : Path
    environment : jinja2.Environment
    scores : DataFrame
        Score rows, with the facts of their clips where known.
    board, views : DataFrame
        Their `leaderboard` and `group_views`.
    infos : sequence of dict
        Content of each run's run.json.
    parts : PageParts
    source : Source, optional
        Default: no explanation is shown.
    found : sequence of CompletedCell, optional
        The score rows' `leaderboard.completed_cells`; computed where they are not given.

    Returns
    -------
    Path
    """
    folder = out / ASSETS
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if _OWN_FILES.fullmatch(path.name):
            path.unlink()
    settings = settings_of(board)
    robust = parts.robust
    strength = strength_rows(robust.strength, settings)
    facts = records(board, infos, [row["condition"] for row in strength])
    facts["metrics"] = axis_metrics(robust.axes) + facts["metrics"]
    if len(robust.axes) and "robustness" not in facts["families"]:
        facts["families"].append("robustness")
    of_axes = axis_rows(robust.axes, robust.clips, settings)
    needed = [*PLACE, "family", "mean", "note"]
    scored = pd.concat([board[needed], of_axes[needed]]) if len(of_axes) else board
    notes = [*parts.notes, *absent_families(scored, settings)]
    chunks: dict[str, Any] = {}
    shown = []
    recordings = Recordings(source.data_root if source else None)
    for number, example in enumerate(
        examples_of(source.stores, scores, settings, source.clips) if source and source.stores else ()
    ):
        name = f"example-{number}"
        clip = recordings.clip(example.corpus, example.clip)
        chunks[name], files = example_files(example, clip, name)
        for file, body in files.items():
            write_atomically(folder / file, body)
        shown.append((example, chunks[name]))
    inline, later = _split(board_tables(board, settings, of_axes))
    chunks |= {f"board-{number}": rows for number, rows in later.items()}
    found = completed_cells(scores) if found is None else found
    crossed = crossed_views(scores, found)
    every = pd.concat([views, crossed], ignore_index=True) if len(crossed) else views
    chunks |= {f"groups-{number}": rows for number, rows in enumerate(group_tables(every, settings))}
    chunks |= {f"clips-{number}": rows for number, rows in enumerate(clip_tables(scores, settings))}
    numbers = {m["name"]: i for i, m in enumerate(facts["metrics"])}
    chunks |= dict(score_chunks(scores, settings, numbers))
    chunks |= dict(axis_chunks(robust.clips, scores, settings, numbers))
    for name, chunk in chunks.items():
        write_atomically(folder / f"{name}.js", f'serxai("{name}",{safe_json(chunk)});\n'.encode())
    payload = {
        "settings": setting_facts(scores, settings), **facts, "boards": inline,
        "orders": order_diagrams(found, settings),
        "groups": _groups(views), "examples": example_index(shown), "silent": sorted(recordings.reasons.values()),
        "notes": notes, "failures": [list(row) for row in parts.failures],
        "downloads": [list(entry) for entry in parts.downloads], "strength": strength, "tested": bar_tests(board),
    }  # fmt: skip
    page = out / "index.html"
    write_atomically(page, render(environment, parts.title, parts.summary, payload).encode())
    return page


def render(environment: Environment, title: str, summary: str, payload: Mapping[str, Any]) -> str:
    """The page's HTML; its own style and script are allowed by their hashes, and nothing else inline."""
    loader = environment.loader
    assert loader is not None

    def source(name: str) -> str:
        return loader.get_source(environment, name)[0]

    script = "\n".join(source(name) for name in SCRIPTS)
    style = source("style.css") + source("page.css")
    return environment.get_template("page.html.j2").render(
        title=title, summary=summary, style=style, style_hash=content_hash(style), script=script,
        script_hash=content_hash(script), data=safe_json(payload),
    )  # fmt: skip


def content_hash(text: str) -> str:
    """Source expression of a content security policy that allows exactly this inline text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _split(boards: Sequence[Any]) -> tuple[list[Any], dict[int, Any]]:
    """Board rows that stand in the page, None for those loaded later, which are returned by number."""
    inline: list[Any] = []
    later, spent = {}, 0
    for number, rows in enumerate(boards):
        spent += len(safe_json(rows))
        if number and spent > INLINE_BYTES:
            later[number] = rows
        inline.append(None if number in later else rows)
    return inline, later


def _groups(views: pd.DataFrame) -> list[list[str]]:
    """Each view with its groups, such as ``["emotion", "anger"]``."""
    found = views[["view", "group"]].astype(str).drop_duplicates().sort_values(["view", "group"])
    return found.to_numpy().tolist()
