"""False-positive rates of the clustered tests, as the Markdown table of docs/statistics.md.

``python -m serxai.benchmark.cli.false_positives [--experiments N] [--seed N]``; about a minute for 10,000 experiments.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..stats.simulation import table


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--experiments", type=int, default=10_000, metavar="N", help="experiments per rate (10000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the simulation (0)")
    arguments = parser.parse_args(argv)
    if arguments.experiments < 1:
        parser.error(f"--experiments must be 1 or more, got {arguments.experiments}")
    rows = list(table(arguments.experiments, arguments.seed))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(_cell(row.get(name)) for name in columns)} |")
    return 0


def _cell(value: str | float | None) -> str:
    if value is None or value != value:
        return "–"
    return value if isinstance(value, str) else f"{100 * value:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
