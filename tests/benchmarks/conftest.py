"""Speed tests: alternating rounds, and goals that can fail only with ``--long``."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest


class Speed:
    """How a speed test measures, and what it makes of a figure.

    A figure depends on the machine and on what else runs there. So ``make test`` runs every job once, checks results
    and reports figures; only ``make test-long`` measures several rounds and fails where a goal is missed.

    Parameters
    ----------
    strict : bool
        Measure several rounds; a goal that is missed fails the test.
    report : callable
        Takes ``"speed"`` and a figure.
    """

    def __init__(self, strict: bool, report: Callable[[str, object], None]) -> None:
        self.strict = strict
        self.report = report

    def rounds(self, n: int) -> int:
        """`n` rounds where figures count, else one."""
        return n if self.strict else 1

    def best(
        self, *jobs: Callable[[], object], rounds: int = 7, clock: Callable[[], float] = time.process_time
    ) -> list[float]:
        """Least seconds of each job over several rounds; the jobs alternate, so that a slow moment meets them all.

        Parameters
        ----------
        *jobs : callable
        rounds : int
            As for `rounds`.
        clock : callable
            Default: processor seconds of all threads, which other programs do not move.
        """
        spent = [float("inf")] * len(jobs)
        for _ in range(self.rounds(rounds)):
            for i, job in enumerate(jobs):
                start = clock()
                job()
                spent[i] = min(spent[i], clock() - start)
        return spent

    def goal(self, met: bool, figure: str) -> None:
        """Report a figure; fail if its goal is missed and figures count.

        Parameters
        ----------
        met : bool
        figure : str
            What was measured and what is asked for.
        """
        self.report("speed", figure if met else f"{figure} (MISSED)")
        assert met or not self.strict, figure


@pytest.fixture
def speed(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Speed:
    """`Speed` of this session; what it reports is shown in the terminal summary."""
    return Speed(request.config.getoption("--long"), record_property)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """All figures, one a line; in a run without ``--long`` each was measured once."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.getreports(kind) if r.when == "call"]
    lines = [
        f"{report.nodeid.rpartition('/')[2]}: {figure}"
        for report in reports
        for name, figure in report.user_properties
        if name == "speed"
    ]
    if lines:
        terminalreporter.section("speed")
        for line in lines:
            terminalreporter.write_line(line)
