"""``serxai conventions``: scores of a run under other conventions of its maps.

Without ``--metric`` those that read the map alone (localisation, complexity) are scored, which calls no model. Others
cost their model calls twice over: the command says how many and stops, unless ``--spend-calls`` is given.
"""

from __future__ import annotations

from argparse import Namespace

from ...errors import InputError
from ..analysis.conventions import extra_calls, scores_of_convention
from ..report.conventions import as_markdown, write_conventions
from ..run.execution import Execution
from ..storage.files import writing
from ..storage.store import Store
from .console import Bars, Console


def conventions(arguments: Namespace) -> int:
    """Score, print the tables as Markdown, and write them to ``--out``."""
    store = Store(arguments.run)
    store.refuse_damage()
    calls = extra_calls(store, arguments.metric, arguments.limit)
    if calls and not arguments.spend_calls:
        raise InputError(
            f"--metric {' '.join(arguments.metric)} takes at most {calls} model calls; add --spend-calls to make them, "
            "or --limit CLIPS to make fewer."
        )
    execution = Execution(data_root=arguments.data_root) if arguments.data_root else None
    with Bars() as bars:
        values = scores_of_convention(store, arguments.metric, execution, arguments.limit, bars)
    Console().print(as_markdown(values), markup=False, highlight=False, soft_wrap=True)
    if arguments.out is not None:
        with writing(arguments.out, resumable=False):
            write_conventions(values, arguments.out)
    return 0
