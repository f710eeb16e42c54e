"""Wheel and sdist: what they hold, that they install and run away from the repository, and what a release adds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from shutil import copy2
from types import ModuleType

import pytest

import serxai

ROOT = Path(serxai.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ROOMS = ("audio", "cues", "datasets", "models", "methods", "metrics", "benchmark")
SOUND = {".wav", ".flac", ".mp3", ".ogg"}


def release_metadata() -> ModuleType:
    spec = spec_from_file_location("release_metadata", ROOT / ".github" / "release_metadata.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tracked() -> set[str]:
    """Files of the repository, new ones included, as git lists them."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}


def test_classifiers_and_workflows_name_the_same_versions_of_python() -> None:
    named = re.findall(r":: (3\.\d+)'", str(PROJECT["project"]["classifiers"]))
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"
    for workflow in ("tests", "release"):
        text = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text("utf-8")
        assert f"python-version: {named}".replace("'", '"') in text, workflow


def test_a_release_has_urls_and_no_relative_link(tmp_path: Path) -> None:
    for name in ("README.md", "pyproject.toml"):
        copy2(ROOT / name, tmp_path)
    address = "https://forge.example/someone/serxai"
    release = release_metadata()
    for repository, tag, told in [
        (address, "v9", f"v{serxai.__version__}"),
        ("forge.example/serxai", f"v{serxai.__version__}", "https://"),
    ]:
        with pytest.raises(SystemExit, match=told):
            release.write(tmp_path, repository, tag)
    release.write(tmp_path, f"{address}/", f"v{serxai.__version__}")
    urls = tomllib.loads((tmp_path / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert urls["Homepage"] == address and all(url.startswith("https://") for url in urls.values())
    before, after = ((folder / "README.md").read_text("utf-8") for folder in (ROOT, tmp_path))
    links = re.findall(r"\]\(([^)]+)\)", after)
    assert len(links) == len(re.findall(r"\]\(([^)]+)\)", before)) >= 5
    assert all(link.startswith(("https://", "#")) for link in links), links
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", after)
    assert pictures and all(f"/raw/v{serxai.__version__}/" in picture for picture in pictures)
    for link in links:  # each leads to a file of the repository
        place = link.removeprefix(f"{address}/").partition("#")[0].split("/", 2)
        assert not link.startswith(address) or (ROOT / place[2]).exists(), link
    assert "<" not in re.sub(r"```.*?```|`[^`]*`|<!--.*?-->", "", before, flags=re.DOTALL), "an index drops some HTML"
    with pytest.raises(SystemExit, match=r"project\.urls"):
        release.write(tmp_path, address, f"v{serxai.__version__}")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with sdist and wheel, the wheel made from the sdist, built from a copy of the repository's files."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        copy2(ROOT / name, source / name)
    (source / "out").mkdir()
    (source / "out" / "left-over.csv").write_text("x", "utf-8")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return built


@pytest.mark.long
def test_the_wheel_holds_the_modules_and_all_their_data_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.stat().st_size < 10e6
    with zipfile.ZipFile(wheel) as archive:
        held = {name.removeprefix("serxai/") for name in archive.namelist() if name.startswith("serxai/")}
        (about,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        metadata = message_from_string(archive.read(about).decode())
        rest = {name for name in archive.namelist() if not name.startswith(("serxai/", "serxai-"))}
    expected = {name for name in tracked() if name.startswith(tuple(f"{room}/" for room in ROOMS))}
    expected |= {name for name in tracked() if "/" not in name and name.endswith((".py", "py.typed"))}
    assert held == expected and not rest
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Requires-Python"] == PROJECT["project"]["requires-python"]
    assert metadata.get_payload().strip() == (ROOT / "README.md").read_text("utf-8").strip()


@pytest.mark.long
def test_the_sdist_holds_documentation_and_tests_but_no_sound_and_no_runs(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    assert sdist.stat().st_size < 15e6
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()} - {""}
    assert not {name for name in held if Path(name).suffix in SOUND or name.startswith(("runs/", "out/", "build/"))}
    assert {name for name in held if name.startswith("results/") and "." in name} <= {
        name for name in tracked() if name.startswith("results/qualification/")
    }
    left_out = {name for name in tracked() - held if not name.startswith(("results/", ".ci/"))}
    assert left_out == {".gitignore"}


@pytest.mark.long
def test_the_wheel_runs_in_an_empty_folder(built: Path, tmp_path: Path) -> None:
    """First steps with the wheel in an environment of its own, which sees the dependencies of this one.

    A path file shows this environment's packages, without the links of its editable install: installing them anew takes
    minutes and 2 GB. The release workflow does that, on each version of Python.
    """
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(ours) + "\n", "utf-8")
    (wheel,) = built.glob("*.whl")
    pip = [environment / "bin" / "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", wheel]
    subprocess.run([str(word) for word in pip], check=True)
    where = [str(environment / "bin" / "python"), "-c", "import serxai; print(serxai.__file__)"]
    place = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(place).is_relative_to(environment)

    folder = tmp_path / "empty"
    folder.mkdir()
    inherited = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "TMPDIR")}
    smoke = ["bash", str(ROOT / "tests" / "root" / "smoke.sh"), str(environment / "bin"), str(folder)]
    done = subprocess.run(smoke, env=inherited, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (folder / "why" / "FILE.html").is_file()
    assert (folder / "quick" / "report" / "index.html").is_file()
    assert (folder / "my-method" / "pyproject.toml").is_file()
