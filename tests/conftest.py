"""Fixtures that all rooms' tests share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

# a busy machine is no failure
settings.register_profile("serxai", deadline=None)
settings.load_profile("serxai")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run tests marked long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skip_long = pytest.mark.skip(reason="long: run `make test-long`")
    skip_data = pytest.mark.skip(reason="real_data: set SERXAI_DATA to the folder that holds the corpora")
    for item in items:
        if "long" in item.keywords and not config.getoption("--long"):
            item.add_marker(skip_long)
        if "real_data" in item.keywords and not os.environ.get("SERXAI_DATA"):
            item.add_marker(skip_data)


# an extra, and a package that only it brings
EXTRAS = {
    "audb": "audb", "embedding": "resemblyzer", "hf": "transformers", "onnx": "onnxruntime", "opensmile": "opensmile",
    "ray": "ray", "xarray": "xarray",
}  # fmt: skip


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip a test that stops at serxai's own message that an extra is missing, if it is missing indeed."""
    from serxai.errors import SerxaiError

    try:
        return (yield)
    except SerxaiError as error:
        for extra in re.findall(r"serxai\[(\w+)\]", str(error)):
            if find_spec(EXTRAS[extra]) is None:
                pytest.skip(f"the extra {extra!r} is not installed")
        raise


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real corpora."""
    root = os.environ.get("SERXAI_DATA")
    if not root:
        pytest.skip("real_data: set SERXAI_DATA to the folder that holds the corpora")
    return Path(root).resolve()
