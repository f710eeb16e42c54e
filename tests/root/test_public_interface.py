"""The public interface: what extensions import, where it lives, and that listing it costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import serxai

ROOT = Path(serxai.__file__).parent
PUBLIC = ["serxai", "serxai.methods", "serxai.metrics", "serxai.models", "serxai.corpora"]


def for_type_checkers(module: str) -> set[str]:
    """Names imported in the block ``if TYPE_CHECKING`` of a public module."""
    tree = ast.parse(Path(import_module(module).__file__ or "").read_text("utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    return {alias.name for block in blocks for line in block.body for alias in line.names}  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_exists_and_is_known_to_type_checkers(module: str) -> None:
    place = import_module(module)
    assert place.__all__ and set(place.__all__) <= set(dir(place))
    for name in place.__all__:
        assert getattr(place, name) is getattr(place, name)
    packages = {name for name in place.__all__ if f"{module}.{name}" in sys.modules and module == "serxai"}
    assert for_type_checkers(module) == set(place.__all__) - packages
    with pytest.raises(AttributeError, match="no_such_name"):
        place.no_such_name  # noqa: B018


@pytest.mark.parametrize("module", PUBLIC[1:])
def test_public_classes_and_functions_have_docstrings(module: str) -> None:
    place = import_module(module)
    public = {name: getattr(place, name) for name in place.__all__}
    undocumented = [name for name, value in public.items() if callable(value) and not value.__doc__]
    assert not undocumented


def test_no_public_name_hides_a_module() -> None:
    """``serxai.methods.blend`` is a module: a public name ``blend`` would be one or the other by order of imports."""
    for module in PUBLIC[1:4]:
        folder = ROOT / module.rpartition(".")[2]
        assert not {path.stem for path in folder.glob("*.py")} & set(import_module(module).__all__)


def test_importing_the_public_packages_imports_nothing_heavy() -> None:
    code = (
        f"import sys; import {', '.join(PUBLIC)}; from serxai.methods import METHODS, MethodRecord; "
        "from serxai.metrics import METRICS; from serxai.models import MODELS; from serxai.corpora import CORPORA; "
        "print(*{'torch', 'pandas', 'librosa', 'scipy', 'matplotlib', 'captum'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_types_are_shipped() -> None:
    assert (ROOT / "py.typed").is_file()
    assert '"serxai" = ["py.typed"]' in (ROOT / "pyproject.toml").read_text("utf-8")
