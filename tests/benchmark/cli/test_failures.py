"""Errors end in one message and exit status 2; text from outside is printed as text."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from serxai.benchmark.cli import main as module
from serxai.benchmark.cli.console import Bars, Console, styled
from serxai.benchmark.cli.failures import explain_failure
from serxai.benchmark.cli.main import main
from serxai.benchmark.cli.terminal_text import printable
from serxai.errors import InputError
from serxai.registry import PluginWarning

HOSTILE = (
    "take[final].wav",
    "[/x]",
    "[bold]a",
    "\x1b]0;title\x07",
    "\x1b[2Ja",
    ":warning:",
    "a\rb",
    "\u202egpj",
    "\udcff",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_printed_as_it_is_and_obeyed_by_no_terminal(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    file = io.StringIO()
    console = Console()
    console.file = file
    table = Table(text, title=text)
    table.add_row(text)
    for renderable in (text, table, styled("red", text, text)):
        console.print(renderable)
    assert file.getvalue().count(printable(text)) == 6
    console.print(Text(text))  # drops some characters by itself
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", file.getvalue())
    file.getvalue().encode()


def test_what_is_harmless_stays() -> None:
    assert printable("ärger\tß – 怒り [x]\n") == "ärger\tß – 怒り [x]\n"
    assert printable("\x1b\x9b\u202e\udcff") == "\\x1b\\x9b\\u202e\\udcff"


class Raises:
    """A command that raises what it is given."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, arguments: object) -> int:
        raise self.error


CASES = {
    "name too long": OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300),
    "Give a folder that you may write to": OSError(errno.EROFS, "Read-only file system", "/cache"),
    "it is not there": FileNotFoundError(errno.ENOENT, "No such file or directory", b"\xff.wav"),
    "no user of this machine": RuntimeError("Could not determine home directory."),
    "PYTHONIOENCODING": UnicodeEncodeError("ascii", "ä", 0, 1, "ordinal not in range(128)"),
    "not enough memory": MemoryError(),
    "null byte": ValueError("embedded null byte"),
    "wrong \\x1b": InputError("wrong \x1b"),
}


@pytest.mark.parametrize("said", CASES)
def test_foreseen(said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "_load", lambda target: Raises(CASES[said]))
    assert main(["ls", "models"]) == 2
    err = capsys.readouterr().err
    assert said.casefold() in err.casefold() and err.count("\n") == 1
    assert "Traceback" not in err and "report" not in err


def test_the_unforeseen_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(module, "_load", lambda target: Raises(ZeroDivisionError("division \x1b by zero")))
    assert main(["ls", "models"]) == 2
    err = capsys.readouterr().err
    assert "please report" in err and "Traceback (" not in err and "\x1b" not in err
    (log,) = tmp_path.glob("serxai-error-*.log")
    assert str(log) in err and "Traceback (" in log.read_text() and "'models'" in log.read_text()
    for command in (["--debug", "ls", "models"], ["ls", "models", "--debug"]):
        assert main(command) == 2
        assert "Traceback (" in capsys.readouterr().err
    monkeypatch.setattr("tempfile.mkstemp", Raises(OSError(errno.ENOSPC, "full")))
    monkeypatch.setattr("tempfile.mkstemp", lambda **options: Raises(OSError(errno.ENOSPC, "full"))(None))
    assert "No log could be written" in explain_failure(KeyError("x"), [])


@pytest.mark.parametrize("flag", ["--out", "--data-root"])
def test_an_empty_path_is_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", flag, ""])
    assert stopped.value.code == 2 and "the path is empty" in capsys.readouterr().err


def test_no_control_characters_in_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ls", "models", "\x1b[2J"])
    assert "\x1b" not in capsys.readouterr().err


def test_lines_of_progress_without_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("serxai.benchmark.cli.console.LINE_S", 0.0)
    with Bars() as bars:
        for done in (0, 3):
            bars("training [a]", done, 7)
    assert "serxai: training [a]: 3 of 7\n" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_knows_no_such_character(encoding: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "serxai.benchmark.cli", "status", b"caf\xc3\xa9\xff"], capture_output=True, cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": encoding}, timeout=60,
    )  # fmt: skip
    assert result.returncode == 2 and b"Traceback" not in result.stderr


def test_a_broken_package_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(arguments: object) -> int:
        warnings.warn("entry point 'x' is left out", PluginWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(module, "_load", lambda target: command)
    assert main(["ls", "models"]) == 0
    assert capsys.readouterr().err == "serxai: entry point 'x' is left out\n"
