"""``serxai corpus verify``: presence, counts, checksums and sound of a corpus' files, and what a run will refuse."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from itertools import groupby

from rich.table import Table
from rich.text import Text

from ...datasets.corpora import CORPORA
from ...datasets.verify import CONTRADICTIONS, Finding, Verification, verify_corpus
from .console import Bars, Console, styled

SHOWN = 10  # files of one kind; --json has all
ORIGINS = {
    "original": "the publisher's own files",
    "derived": "made from the publisher's files, as manifest.csv lists them",
    "mixed": "some files the publisher's own, some made from them as manifest.csv lists them",
    "altered": "no file has the checksum of the publisher or of a manifest.csv",
    "unknown": "there are no checksums to hold the files against",
}


def verify(arguments: Namespace) -> int:
    """Verify one corpus; exit status 1 if a file is unusable or contradicts the manifest or publisher's checksums."""
    record = CORPORA.get(arguments.name)
    with Bars() as bars:
        result = verify_corpus(record, arguments.data_root, partial(bars, f"verifying {record.name}"))
    if arguments.json:
        print(json.dumps(result.as_json(), indent=2))
    else:
        _print(result, Console())
    return 0 if result.ok else 1


def _print(result: Verification, console: Console) -> None:
    def say(text: str | Text) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    found, expected = result.clips
    if not expected:
        extent = f"{found} clips"
    elif result.complete:
        extent = f"complete, {found} clips"
    else:
        extent = f"partial, {found} of {expected} clips"
    say(styled("bold", result.corpus, f" {result.version} in {result.folder}"))
    say(f"{result.origin}: {ORIGINS[result.origin]}")
    rates = ", ".join(f"{rate} Hz" + (f" ({n})" if len(result.rates) > 1 else "") for rate, n in result.rates.items())
    speakers = (
        f"{result.speakers[0]} of {result.speakers[1]} speakers" if expected else f"{result.speakers[0]} speakers"
    )
    say(f"{extent}, {speakers}, {result.hours:.2f} h, {rates}; {result.confirmed} checksums right\n")

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("emotion")
    for column in ("found", "in the whole corpus", "zeros at the ends (mean s)"):
        table.add_column(column, justify="right")
    for emotion, (n, of) in result.labels.items():
        padding = result.padding_s.get(emotion)
        table.add_row(emotion, str(n), str(of) if of else "", "" if padding is None else f"{padding:.3f}")
    console.print(table)
    console.print()

    faults = [finding for finding in result.findings if finding.fault]
    notes = [finding for finding in result.findings if not finding.fault]
    _print_findings("worth knowing", notes, 3, console)
    _print_findings("what differs", faults, SHOWN, console)
    contradicting = sum(finding.kind in CONTRADICTIONS for finding in faults)
    compared = result.origin != "unknown" or result.confirmed > 0
    if contradicting:
        count = "1 finding contradicts" if contradicting == 1 else f"{contradicting} findings contradict"
        against = "the publisher's checksums or the folder's manifest" if compared else "what is known of the corpus"
        say(styled("red", f"{count} {against}."))
    if len(faults) > contradicting:
        count = "1 file is" if len(faults) == contradicting + 1 else f"{len(faults) - contradicting} files are"
        say(styled("red", f"{count} not as a clip must be, see above."))
    if result.ok and compared:
        say(styled("green", "Nothing contradicts the publisher's checksums or the folder's manifest."))
    elif result.ok:
        say(styled("green", "Nothing is wrong with the files,", " as far as can be told without checksums."))
    if result.refused:
        count = "1 clip" if len(result.refused) == 1 else f"{len(result.refused)} clips"
        say(styled("yellow", f"serxai run will refuse {count}:", f" {', '.join(result.refused[:SHOWN])}"))


def _print_findings(title: str, findings: Sequence[Finding], shown: int, console: Console) -> None:
    if not findings:
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="bold", pad_edge=False)
    for column in ("what", "file", ""):
        table.add_column(column, overflow="fold")
    for kind, group in groupby(findings, key=lambda finding: finding.kind):
        members = list(group)
        for finding in members[:shown]:
            table.add_row(kind, finding.file, finding.detail)
        if len(members) > shown:
            table.add_row(kind, f"... and {len(members) - shown} more", "")
    console.print(table)
    console.print()
