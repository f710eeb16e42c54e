"""Citation, changelog, packaging, hooks and workflow agree with the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import serxai

ROOT = Path(serxai.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_citation_and_changelog_name_the_present_version() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == serxai.__version__ == PROJECT["project"]["version"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == PROJECT["project"]["license"]
    assert f"## {serxai.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_folder_with_code_is_packaged() -> None:
    listed = {name.removeprefix("serxai.").replace(".", "/") for name in PROJECT["tool"]["setuptools"]["packages"][1:]}
    found = {
        path.parent.relative_to(ROOT).as_posix()
        for top in {name.partition("/")[0] for name in listed}
        for path in (ROOT / top).rglob("*.py")
    }
    assert found == listed


def test_every_module_of_the_strict_list_exists() -> None:
    (strict,) = PROJECT["tool"]["mypy"]["overrides"]
    for module in strict["module"]:
        place = ROOT / module.removeprefix("serxai.").removesuffix(".*").replace(".", "/")
        assert place.with_suffix(".py").is_file() or place.is_dir(), module


def test_hooks_and_workflow_call_what_there_is() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    yaml = pytest.importorskip("yaml")
    workflows = [yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")]
    jobs = [job for workflow in workflows for job in workflow["jobs"].values()]
    runs = [step.get("run", "") for job in jobs for step in job["steps"]]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    made = [words.split()[1] for words in [*runs, *(hook["entry"] for hook in hooks)] if words.startswith("make ")]
    assert len(made) >= 4 and set(made) <= targets
    files = re.findall(r"(?:python|bash) ([\w./-]+\.(?:py|sh))", " ".join(runs))
    assert len(files) == 2 and all((ROOT / file).is_file() for file in files)


def test_pages_link_to_what_there_is() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
