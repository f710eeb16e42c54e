"""``serxai.open_run``: scores, explanations, boards, tests and figures of a finished run.

Reading a run imports no torch. Its files are data from anywhere: they are checked as the commands check them.
"""

from __future__ import annotations

import tempfile
from functools import cached_property
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError, UnknownNameError
from ..storage.run_info import read_run_info
from .keywords import in_keywords

if TYPE_CHECKING:
    import pandas as pd

    from ...progress import Progress
    from ..storage.store import Store
    from .run_explanations import RunExplanations
    from .run_figure import RunFigure

SHOWN = 10  # names in the page of a run


def open_run(path: str | PathLike[str], partial: bool = False) -> Run:
    """Open a folder made by ``serxai run``.

    Parameters
    ----------
    path : path
    partial : bool
        Whether an incomplete run is read with what it has; otherwise it is refused where scores are asked for.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        If the folder is no run, or its run.json is damaged.
    """
    return Run(path, partial)


class Run:
    """A run on disk; nothing but run.json is read before it is asked for.

    Parameters
    ----------
    path : path
    partial : bool

    Attributes
    ----------
    path : Path
    partial : bool
    info : dict
        Content of run.json: configuration, versions, models, corpora, machine, counts.

    Raises
    ------
    InputError
        If the folder is no run, or its run.json is damaged.
    """

    def __init__(self, path: str | PathLike[str], partial: bool = False) -> None:
        self.path = Path(path)
        self.partial = partial
        self.info = read_run_info(self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.info['status']}, {self._size})"

    @property
    def config(self) -> dict[str, Any]:
        """Settings of the run, as in a TOML file."""
        config: dict[str, Any] = self.info["config"]
        return config

    @property
    def _size(self) -> str:
        counted = {name: len(self.config.get(name) or ()) for name in ("methods", "metrics", "conditions")}
        return ", ".join(f"{count} {name}" for name, count in counted.items() if count)

    @cached_property
    def _store(self) -> Store:
        from ..storage.store import Store

        return Store(self.path)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Score rows: one for each clip and cell, failed and skipped ones with their reason.

        Returns
        -------
        DataFrame
            What is explained: ``corpus``, ``clip``, ``speaker``, ``sentence`` and ``sex`` (where known), ``emotion``
            (label), ``condition`` and its measured ``strength``. By what: ``model``, ``trained_on``, ``fold``,
            ``seen_in_training`` (no, yes, unknown), ``predicted``, ``correct``, ``target`` (class explained),
            ``target_rule``. How: ``method``, ``method_version``, ``explained_against`` (fill, or own, or none),
            ``seed``, ``repeat``. Scored by: ``metric``, ``metric_version``, ``family``, ``direction`` (higher or lower
            is better), ``space``, ``fill``. Result: ``value`` (missing unless ok), ``status`` (ok, failed, skipped),
            ``reason``, ``model_calls``; ``key``, the identity of the score.

        Raises
        ------
        InputError
            If files are damaged or hold values that are not allowed; if the run is incomplete and not `partial`.
        """
        from ..analysis.merge import merged

        with in_keywords():
            return merged([self._store], self.partial).scores

    @property
    def explanations(self) -> RunExplanations:
        """Stored explanations, read when they are iterated over or selected."""
        from .run_explanations import RunExplanations

        return RunExplanations(self._store)

    @cached_property
    def _board(self) -> pd.DataFrame:
        from ..analysis.leaderboard import leaderboard

        return leaderboard(self.scores)

    def leaderboard(self, metric: str | None = None) -> pd.DataFrame:
        """Means, intervals, ranks and tests of each method, as in ``leaderboard.csv``.

        Parameters
        ----------
        metric : str, optional
            Only its rows; default all.

        Returns
        -------
        DataFrame
            One row per setting, condition, fill, metric and method. ``mean`` with ``low`` and ``high`` (95 %) over
            ``n_clips`` clips, in the metric's own direction; ``difference`` to ``random``, positive is better, with
            ``p_holm``; ``passes_bar`` (better than ``random`` and ``energy``); ``rank``; ``group``: methods that share
            a letter are not distinguishable; ``coverage``, ``n_misses``, ``note``; ``metric_qualified``.
        """
        if metric is None:
            return self._board.copy()
        return self._board[self._board["metric"] == self._metric(metric)].reset_index(drop=True)

    def compare(
        self,
        a: str | None = None,
        b: str | None = None,
        *,
        metric: str | None = None,
        margin: float | None = None,
        difference: float | None = None,
    ) -> pd.DataFrame:
        """Test methods pairwise, as ``serxai compare`` does.

        Parameters
        ----------
        a, b : str, optional
            Two methods; default all pairs, with the p of each corrected by Holm over them. Of one pair p is
            uncorrected. It is corrected over no metrics.
        metric : str, optional
            Default every metric of the run.
        margin, difference : float, optional
            Margin of the equivalence test, and true difference to tell clips and speakers needed for.

        Returns
        -------
        DataFrame
            One row per metric, condition, fill and pair: ``finding`` says in words what is shown (``no difference
            shown`` unless p_holm is below .05); ``difference`` is a less b, positive where a is better.

        Raises
        ------
        InputError
            For names that the run does not hold, or one method alone.
        """
        import pandas as pd

        from ...metrics.verdict import board_grade
        from ..analysis.pairs import compare_methods, oriented

        scores = self.scores
        known = sorted(scores["method"].unique())
        if (a is None) != (b is None) or (a is not None and a == b):
            raise InputError("compare: name two different methods, or none for all pairs.")
        methods = [] if a is None or b is None else [a, b]
        for name in methods:
            if name not in known:
                raise UnknownNameError("method of this run", name, known)
        metrics = sorted(scores["metric"].unique()) if metric is None else [self._metric(metric)]
        tables = []
        with in_keywords():
            for name in metrics:
                pairs = compare_methods(scores, name, margin, difference, methods).pairs
                pairs["metric_qualified"] = board_grade(name)
                tables.append(pairs)
        table = pd.concat(tables, ignore_index=True)
        if a is None:
            return table
        rows = [oriented(row, ahead=row["method_a"] == a) for row in table.to_dict("records")]
        return pd.DataFrame(rows, columns=table.columns)

    def figure(
        self,
        name: str,
        out: str | PathLike[str] | None = None,
        *,
        data_root: str | PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> RunFigure:
        """Draw a published figure from this run, as ``serxai figures`` does.

        Parameters
        ----------
        name : str
            From ``serxai ls figures``.
        out : path, optional
            Folder to write picture and numbers to; default nowhere.
        data_root : path, optional
            Folder of the corpora, for figures that read clips.
        progress : callable, optional

        Returns
        -------
        RunFigure
            Shown by notebooks; ``plot(ax=...)`` draws it into an Axes, ``numbers`` holds what is drawn.

        Raises
        ------
        UnknownNameError
            For another name.
        InputError
            If the run is incomplete or does not hold what the figure needs.
        """
        from ..analysis.merge import refuse_incomplete
        from ..report.catalogue import draw_figure
        from ..storage.files import writing
        from .run_figure import read_figure

        self._store.refuse_damage()
        refuse_incomplete(self._store)
        root = None if data_root is None else Path(data_root)
        if out is not None:
            with writing(Path(out), resumable=False):
                return read_figure(name, draw_figure(name, self._store, Path(out), root, progress))
        with tempfile.TemporaryDirectory() as scratch:
            return read_figure(name, draw_figure(name, self._store, scratch, root, progress))._replace(files=())

    def _metric(self, name: str) -> str:
        known = sorted(self.scores["metric"].unique())
        if name not in known:
            raise UnknownNameError("metric of this run", name, known)
        return name

    def _repr_html_(self) -> str:
        """Page for notebooks: what was run, and what came of it."""
        rows = [("folder", str(self.path)), ("status", str(self.info["status"]))]
        for name in ("corpora", "models", "methods", "metrics", "conditions"):
            named = [str(one) for one in self.config.get(name) or ()]
            more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
            rows.append((name, ", ".join(named[:SHOWN]) + more))
        counts = self.info.get("rows") or {}
        rows.append(("scores", ", ".join(f"{counts[key]} {key}" for key in ("planned", "ok", "skipped", "failed")
                                          if isinstance(counts, dict) and key in counts)))  # fmt: skip
        body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows if text)
        return f"<table>{body}</table>"
