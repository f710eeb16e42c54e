"""Tables that fit the terminal."""

from __future__ import annotations

from rich.console import Console

from serxai.benchmark.cli.fitted_table import fitted

COLUMNS = ("a", "b", "difference", "95 % interval", "clips", "scope")
ROWS = [
    ("integrated-gradients", "random", "1.250", "[1.000, 1.500]", "32 of 32", "these sentences"),
    ("emolime", "energy", "0.500", "[0.250, 0.750]", "30 of 32", "these sentences"),
]


def printed(width: int, rows=ROWS) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as caught:
        console.print(fitted("title", COLUMNS, rows, width, 2, ("scope", "clips", "95 % interval")))
    return [line.rstrip() for line in caught.get().splitlines()]


def test_all_is_shown_where_there_is_room() -> None:
    lines = printed(100)
    assert lines[0] == "title" and "these sentences" in lines[2] and "32 of 32" in lines[2]


def test_what_is_the_same_everywhere_goes_into_one_line() -> None:
    lines = printed(75)
    assert lines[1] == "in every row: scope these sentences"
    assert lines[3].split() == ["integrated-gradients", "random", "1.250", "[1.000,", "1.500]", "32", "of", "32"]


def test_columns_give_way_and_are_named() -> None:
    text = "\n".join(printed(44))
    assert "no room for clips, 95 % interval: --json or --csv FILE" in " ".join(text.split())
    assert "32 of 32" not in text and "1.250" in text and "[1.000" not in text


def test_names_are_broken_last_and_no_line_is_longer() -> None:
    for width in range(30, 120):
        assert max(map(len, printed(width))) <= width
    assert "integrated" in "".join(printed(30)) and "1.250" in "".join(printed(30))


def test_one_row_keeps_its_columns_in_the_table() -> None:
    lines = printed(75, ROWS[:1])
    assert "32 of 32" in lines[-1] and "no room for scope" in lines[1]
