"""``serxai ls``, ``show`` and ``completion``: what there is, as a reader and as a shell ask for it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serxai.audio import FILLS
from serxai.audio.fill_records import FILL_NAMES
from serxai.benchmark.cli.completion import script
from serxai.benchmark.cli.kinds import KINDS, SHOWN
from serxai.benchmark.cli.main import build_parser, main
from serxai.benchmark.cli.show import describe
from serxai.methods.records import METHODS, make_method


def test_there_is_a_record_of_every_fill() -> None:
    assert FILL_NAMES == FILLS


@pytest.mark.parametrize("kind", [*KINDS, "presets", "figures"])
def test_a_list_has_one_line_each(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["ls", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    extra = 1 if kind == "metrics" else 0  # what the marks mean
    if extra:
        lines = lines[: len(rows)]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line.startswith(row["name"]) and (kind == "corpora" or row["summary"] in line)


def test_lists_import_nothing_heavy() -> None:
    code = (
        "import sys; from serxai.benchmark.cli.main import main\n"
        "for kind in ('fills', 'methods', 'metrics'): main(['ls', kind])\n"
        "print([m for m in ('torch', 'pandas', 'soundfile') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_every_record_has_a_page() -> None:
    for plural, kind in KINDS.items():
        for record in kind.records():
            page = describe(plural, record)
            assert page["summary"] and page["citation"] and page["example"], record.name
            assert "cannot be imported" not in page["definition"], page["definition"]
            assert page["definition"] or plural in ("fills", "corpora"), record.name


def test_every_parameter_of_every_method_is_told_with_its_default() -> None:
    silent = []
    for record in METHODS:
        if record.name.endswith(":"):
            continue
        told = {one["name"]: one for one in describe("methods", record)["parameters"]}
        params = make_method(record.name).get_params()
        assert set(told) == set(params), record.name
        assert all(told[name]["default"] == value for name, value in params.items()), record.name
        silent += [f"{record.name}.{name}" for name, one in told.items() if not one["meaning"]]
    assert silent == []


def test_page_of_a_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "method", "emolime"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("emolime (method): ")
    for part in ("alpha = 0.0: Ridge penalty", "Hjuler", "serxai explain FILE.wav --method emolime", "cost: 256"):
        assert part in " ".join(said.split()), part


def test_page_of_a_metric_tells_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "metric", "deletion", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert page["verdict"].startswith("qualified: ") and page["facts"]["direction"] == "lower"
    assert main(["show", "metric", "weak-stress-auc"]) == 0
    assert "no verdict" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["show", "recogniser", "cnn"], "emodb: UAR 0.789 on speakers held out"),
        (["show", "corpus", "tess"], "CC-BY-NC-ND-4.0"),
        (["show", "condition", "noise-20db"], "strength: 20"),
        (["show", "fill", "zero"], "digital silence"),
        (["show", "method", "beyond-saliency:crp"], "beyond-saliency:crp (method)"),
    ],
)
def test_pages_of_other_kinds(command: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "near"), [("method", "emolime"), ("fill", "noise")])
def test_an_unknown_name_gets_the_nearest(kind: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", kind, near[:-1]]) == 2
    assert f"NAME: unknown {kind} '{near[:-1]}'. Did you mean '{near}'" in capsys.readouterr().err


def completed(folder: Path, *words: str) -> list[str]:
    """What bash offers behind these words, the last of which is being typed."""
    file = folder / "completion.bash"
    file.write_text(script(build_parser(), "bash"))
    typed = " ".join(f"'{word}'" for word in ("serxai", *words))
    program = (
        f'source {file}; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _serxai; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, cwd=folder)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_commands_flags_and_names(tmp_path: Path) -> None:
    assert completed(tmp_path, "exp") == ["explain", "export"]
    assert "--trained-on" in completed(tmp_path, "run", "--tr")
    assert completed(tmp_path, "run", "--method", "emolime-p") == ["emolime-paper", "emolime-paper-unshrunk"]
    assert completed(tmp_path, "run", "--executor", "") == ["local", "ray"]
    assert completed(tmp_path, "show", "met") == ["method", "metric"]
    assert completed(tmp_path, "show", "condition", "noise-2") == ["noise-20db"]
    assert completed(tmp_path, "corpus", "ver") == ["verify"]
    (tmp_path / "sound.wav").touch()
    assert completed(tmp_path, "explain", "sou") == ["sound.wav"]


def test_zsh_takes_the_script_of_bash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    said = capsys.readouterr().out
    assert "bashcompinit" in said and said.endswith(script(build_parser(), "bash"))


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_completes_a_typed_line(tmp_path: Path) -> None:
    """In a bare interactive shell, whose line editor is fed through a terminal."""
    import os
    import pty
    import select
    import time

    file = tmp_path / "completion.zsh"
    file.write_text(script(build_parser(), "zsh"))
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.environ.update(TERM="dumb", HOME=str(tmp_path))
        os.execvp("zsh", ["zsh", "-f", "-i"])
    shown = b""

    def typed(text: str, wanted: str) -> bool:
        nonlocal shown
        shown = b""
        os.write(terminal, text.encode())
        until = time.monotonic() + 30
        while time.monotonic() < until and wanted.encode() not in shown:
            if select.select([terminal], [], [], 0.2)[0]:
                shown += os.read(terminal, 65536)
        return wanted.encode() in shown

    try:
        assert typed(f"source {file}; print rea''dy\n", "ready"), shown
        assert b"not found" not in shown
        for text, wanted in (
            ("comp\t", "completion"),
            ("show meth\t", "method"),
            ("run --method attention-rol\t", "lout"),
        ):
            assert typed(f"\x15serxai {text}", wanted), shown
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def test_all_kinds_can_be_shown() -> None:
    assert set(SHOWN.values()) == set(KINDS)
