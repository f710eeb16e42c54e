"""Scores of a run under other conventions of its maps: ``python -m serxai.benchmark.cli.conventions RUN --out DIR``.

Without ``--metric`` those that read the map alone (localisation, complexity) are scored, which calls no model. Others
cost their model calls twice over: the command says how many and stops, unless ``--spend-calls`` is given.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ...errors import SerxaiError
from ..analysis.conventions import extra_calls, scores_of_convention
from ..report.conventions import as_markdown, write_conventions
from ..run.execution import Execution
from ..storage.store import Store
from .console import Bars


def main(argv: Sequence[str] | None = None) -> int:
    """Score, print the tables as Markdown, and write them to ``--out``."""
    parser = argparse.ArgumentParser(
        prog="python -m serxai.benchmark.cli.conventions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, with its explanations")
    parser.add_argument("--metric", action="append", default=[], metavar="N", help="a metric of the run; repeatable")
    parser.add_argument("--limit", type=int, default=0, metavar="CLIPS", help="at most so many clips a corpus; 0: all")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="folder of the corpora; default: as in the run")
    parser.add_argument("--spend-calls", action="store_true", help="allow metrics that call the recogniser")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write conventions.csv, .md and more there")
    options = parser.parse_args(argv)
    if options.limit < 0:
        parser.error(f"--limit must be 0 or more, got {options.limit}")
    store = Store(options.run)
    try:
        calls = extra_calls(store, options.metric, options.limit)
        if calls and not options.spend_calls:
            sys.stderr.write(
                f"error: --metric {' '.join(options.metric)} takes at most {calls} model calls; add --spend-calls to "
                "make them, or --limit CLIPS to make fewer.\n"
            )
            return 2
        execution = Execution(data_root=options.data_root) if options.data_root else None
        with Bars() as bars:
            values = scores_of_convention(store, options.metric, execution, options.limit, bars)
    except SerxaiError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(as_markdown(values))
    if options.out is not None:
        write_conventions(values, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
