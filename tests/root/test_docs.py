"""The documentation holds together: contents, links, headings, commands; long tests build it and run what it shows."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

import serxai
from serxai.audio import SAMPLE_RATE
from serxai.benchmark.cli.main import build_parser
from serxai.keys import rng

ROOT = Path(serxai.__file__).parent
DOCS = ROOT / "docs"
PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix(): path
    for path in DOCS.rglob("*")
    if path.suffix in (".md", ".rst")
}
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def prose(path: Path) -> str:
    """Text of a page without its blocks of code."""
    return CODE.sub("", path.read_text("utf-8"))


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as the site and code hosts make them."""
    headings = re.findall(r"^#{1,4} (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_contents_once() -> None:
    named = ["index"]
    for page in ("index.md", "api/index.rst"):
        text, folder = (DOCS / page).read_text("utf-8"), Path(page).parent
        blocks = re.findall(
            r"```\{toctree\}\n(.*?)```|^\.\. toctree::\n((?:   [^\n]*\n|\n(?=   ))+)", text, re.DOTALL | re.MULTILINE
        )
        for line in "\n".join("".join(block) for block in blocks).splitlines():
            entry = re.search(r"<(.+)>$", line.strip())
            target = entry[1] if entry else line.strip()
            if target and not target.startswith(":"):
                named.append((folder / target).as_posix())
    assert sorted(named) == sorted(PAGES)


def test_links_lead_to_pages_and_headings() -> None:
    for page in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(path for path in PAGES.values() if path.suffix == ".md"),
    ]:
        for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", prose(page)):
            place, _, anchor = link.partition("#")
            target = page.parent / place if place else page
            assert target.exists(), f"{page.name}: {link}"
            if anchor and target.suffix == ".md":
                assert anchor in anchors(target), f"{page.name}: {link}"


def test_pictures_are_those_that_pages_show() -> None:
    pages = [ROOT / "README.md", *(path for path in PAGES.values() if path.suffix == ".md")]
    shown = {Path(link).name for page in pages for link in re.findall(r"!\[[^]]*\]\(([^)]+)\)", prose(page))}
    assert {path.name for path in (DOCS / "pictures").iterdir()} <= shown | {"README.md"}


def commands(text: str) -> list[list[str]]:
    """Words of each `serxai` command in blocks of code, continued lines joined, comments left out."""
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks += re.findall(r"(?:^(?: {4,}\S.*| *)\n)+", CODE.sub("", text) + "\n", re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if re.match(r"\s*serxai \w", line)]


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Parsers of the commands below a parser."""
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(actions[0].choices) if actions else {}


@pytest.mark.parametrize("page", ["docs/commands.md", "docs/start.md", "docs/extend.md", "docs/maps.md"])
def test_commands_and_flags_of_the_pages_exist(page: str) -> None:
    found = commands((ROOT / page).read_text("utf-8"))
    assert found
    for words in found:
        parser = build_parser()
        while (below := subparsers(parser)) and words[0] in below:
            parser, words = below[words[0]], words[1:]
        assert not subparsers(parser), f"{page}: no command {words}"
        flags = {flag for action in parser._actions for flag in action.option_strings}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= flags, f"{page}: {words}"


@pytest.mark.long
def test_the_site_is_built_without_a_warning_and_its_notebooks_run(tmp_path: Path) -> None:
    """As `make docs`, with each notebook run anew."""
    if not all(find_spec(name) for name in ("sphinx", "numpydoc", "myst_nb")):
        pytest.skip("the extra 'docs' is not installed")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-D"]
    command += ["nb_execution_mode=force", "-d", str(tmp_path / "trees"), str(DOCS), str(tmp_path / "site")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
    environment.pop("MPLBACKEND", None)  # the kernel's own shows figures
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    for page in PAGES:
        assert (tmp_path / "site" / f"{page}.html").is_file()
    for page, shown in [
        ("explain-one-file", "<img"),
        ("benchmark-your-model", "UAR 0."),
        ("score-your-maps", "maps:captum-ig"),
    ]:
        assert shown in (tmp_path / "site" / "notebooks" / f"{page}.html").read_text("utf-8"), page
    reference = (tmp_path / "site" / "methods-reference.html").read_text("utf-8")
    assert 'id="method-emolime"' in reference and reference.count("When it misleads") >= 40


def voices(folder: Path, n: int, labelled: bool) -> None:
    """Write sound files with a glottal-like buzz, and with labels a table of their speakers."""
    folder.mkdir()
    rows = ["file,emotion,speaker"]
    for i, (speaker, emotion) in enumerate(product(range(n), ("anger", "happiness", "neutral", "sadness"))):
        time = np.arange(int(1.2 * SAMPLE_RATE)) / SAMPLE_RATE
        pitch = (110 + 12 * speaker) * {"anger": 1.4, "happiness": 1.6}.get(emotion, 1)
        voice = np.sign(np.sin(2 * np.pi * pitch * time)) * (1 + np.sin(2 * np.pi * 3 * time)) / 2
        sound = 0.1 * voice + 0.01 * rng("docs", i).standard_normal(time.size)
        soundfile.write(folder / f"{i:02}.wav", sound, SAMPLE_RATE)
        rows.append(f"{i:02}.wav,{emotion},s{speaker}")
    if labelled:
        (folder / "labels.csv").write_text("\n".join(rows) + "\n", "utf-8")


@pytest.mark.long
def test_the_commands_of_the_start_page_run_in_an_empty_folder(tmp_path: Path) -> None:
    """Those of docs/start.md in their order, on FILE.wav, CALLS and LABELLED made here."""
    voices(tmp_path / "CALLS", 1, labelled=False)
    voices(tmp_path / "LABELLED", 6, labelled=True)
    (tmp_path / "FILE.wav").write_bytes((tmp_path / "CALLS" / "00.wav").read_bytes())
    found = [words for words in commands((DOCS / "start.md").read_text("utf-8")) if not {"...", "…"} & set(words)]
    assert len(found) >= 4
    environment = {key: value for key, value in os.environ.items() if key != "SERXAI_DATA"}
    environment |= {"SERXAI_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    for words in found:
        command = [str(Path(sys.executable).parent / "serxai"), *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
