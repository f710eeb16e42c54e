"""Verbal summary of a cue table, for readers who are not phoneticians."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..cues.records import CUES
from ..errors import InputError
from .attribution import Attribution
from .caveats import LEAST_SOURCES

NOTICEABLE = 1.0  # standard deviations: less is what random windows, or other clips of the speaker, do as well
DEGREES = ((3.0, "far "), (2.0, "clearly "), (NOTICEABLE, "somewhat "))
NAMED_AT_MOST = 4  # cues set beside the speaker's usual voice
BESIDE = {
    "speaker neutral": "this speaker's neutral voice",
    "speaker": "this speaker's usual voice",
    "corpus": "the voices of this corpus",
}
REST = "the rest of the clip"
ENDINGS = {
    "expected": "as most sources expect of {target}",
    "unexpected": "against what most sources expect of {target}",
    "expected by one": "as the only source on it expects of {target}",
    "unexpected by one": "against what the only source on it expects of {target}",
    "disputed": "on which the sources disagree",
}


def sentence(attribution: Attribution) -> str:
    """What an explanation by `BeyondSaliency` says, in up to three sentences.

    A cue is named where a source expects something of it and the salient windows stand out in it by more than random
    windows of the clip usually do; a cue without that comparison (``contrast_z`` is None) is never named. It counts as
    expected, or not, by the majority of at least `LEAST_SOURCES` sources, or by the only source, which is then called
    that; and as disputed where they split evenly. Where the table holds z
    values, a last sentence says how the voice compares with the speaker's.
    A pause is called one, and held against no source: that it is softer than the voice is no sign of sadness.

    Parameters
    ----------
    attribution : Attribution

    Raises
    ------
    InputError
        If the attribution has no cue table.
    """
    if not attribution.cues:
        raise InputError(
            f"sentence: the attribution of method {attribution.method!r} has no cue table; "
            "explain the clip with method 'beyond-saliency'."
        )
    where = f"For {attribution.target}, the explanation points at {_places(attribution)}"
    elsewhere = "the same frequencies elsewhere in the clip" if "n_cells" in attribution.details else REST
    if _silent(attribution):
        return f"{where}. {_pause(attribution, elsewhere)}"
    spoken_of = [row for row in attribution.cues if votes(row)]
    judged = [row for row in spoken_of if row["contrast_z"] is not None]
    clear = [row for row in judged if abs(row["contrast_z"]) >= NOTICEABLE]
    groups: dict[str, list[str]] = {kind: [] for kind in ENDINGS}
    for row in clear:
        alone = " by one" if len(votes(row)) < LEAST_SOURCES else ""
        groups[verdict(row) + alone].append(_phrase(row))
    clauses = [
        f"{_listed(phrases)}, {ENDINGS[kind].format(target=attribution.target)}"
        for kind, phrases in groups.items()
        if phrases
    ]
    if clauses:
        text = f"{where}. Compared with {elsewhere}, the voice there is {'; it is '.join(clauses)}."
    elif judged:
        text = f"{where}. In what the sources speak of, the voice there is much like in {elsewhere}."
    elif spoken_of:
        text = (
            f"{where}. How much the cues there differ from {elsewhere} by chance is not known for cues measured by "
            f"{spoken_of[0]['measured_by']}, so nothing is said of the voice."
        )
    else:
        text = f"{where}; no source says what the voice should do there."
    return text + _beside(attribution)


def votes(row: dict[str, Any]) -> list[bool]:
    """Whether each source that expects a change of this cue is agreed with; empty where none does, or none is known."""
    return [entry["agree"] for entry in row["sources"] if entry["agree"] is not None]


def verdict(row: dict[str, Any]) -> str:
    """One of ``expected``, ``unexpected``, ``disputed``, by the majority of sources."""
    agreed = votes(row)
    balance = 2 * sum(agreed) - len(agreed)
    return "expected" if balance > 0 else "unexpected" if balance < 0 else "disputed"


def _places(attribution: Attribution) -> str:
    """Windows by their times, with neighbours joined; of scattered cells only the strongest."""
    cells = int(attribution.details.get("n_cells", 0))
    if not cells:
        windows = attribution.cues[0]["windows_s"]
        return _listed(f"{start:.2f}-{end:.2f} s" for start, end in joined(windows))
    row, column = divmod(int(attribution.values.argmax()), attribution.values.shape[1])
    low, high = attribution.grid.freq_edges_hz[row : row + 2]
    start, end = attribution.grid.time_edges_s[column : column + 2]
    return f"{cells} small regions, most of all at {start:.2f}-{end:.2f} s between {low:.0f} and {high:.0f} Hz"


def _phrase(row: dict[str, Any]) -> str:
    record = CUES.get(row["cue"])
    word = record.higher if row["contrast"] > 0 else record.lower
    return f"{word} ({record.label} {_number(row['contrast'])} {row['unit']})"


def _number(value: float) -> str:
    return f"{value:+.1f}" if abs(value) >= 0.1 else f"{value:+.2g}"


def _silent(attribution: Attribution) -> bool:
    """Whether the explanation points at a pause."""
    pitch = _row(attribution, "f0_level")
    return pitch is not None and pitch["salient"] is None


def _pause(attribution: Attribution, elsewhere: str) -> str:
    loudness = _row(attribution, "loudness")
    level = ""
    if loudness is not None and loudness["contrast"] is not None:
        level = f" ({_number(loudness['contrast'])} dB against {elsewhere})"
    return f"There is hardly any voice there{level}, so what the sources expect of a voice cannot be checked."


def _row(attribution: Attribution, cue: str) -> dict[str, Any] | None:
    return next((row for row in attribution.cues if row["cue"] == cue), None)


def _beside(attribution: Attribution) -> str:
    """How the salient windows compare with the speaker's usual voice; empty without z values."""
    rows = [row for row in attribution.cues if row["z"] is not None]
    if not rows:
        return ""
    reference = rows[0]["reference"]
    rows = [row for row in rows if row["reference"] == reference and abs(row["z"]) >= NOTICEABLE]
    rows = sorted(rows, key=lambda row: -abs(row["z"]))[:NAMED_AT_MOST]
    if not rows:
        return f" Beside {BESIDE[reference]} it is nothing special."
    words = []
    for row in rows:
        record = CUES.get(row["cue"])
        degree = next(word for least, word in DEGREES if abs(row["z"]) >= least)
        words.append(degree + (record.higher if row["z"] > 0 else record.lower))
    return f" Beside {BESIDE[reference]} it is {_listed(words)}."


def joined(windows: Iterable[Iterable[float]]) -> list[list[float]]:
    """Windows that touch become one stretch."""
    stretches: list[list[float]] = []
    for start, end in windows:
        if stretches and abs(start - stretches[-1][1]) < 1e-6:
            stretches[-1][1] = end
        else:
            stretches.append([start, end])
    return stretches


def _listed(items: Iterable[str]) -> str:
    items = list(items)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
