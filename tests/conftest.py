"""Fixtures that all rooms' tests share."""

from __future__ import annotations

import os
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


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real corpora."""
    root = os.environ.get("SERXAI_DATA")
    if not root:
        pytest.skip("real_data: set SERXAI_DATA to the folder that holds the corpora")
    return Path(root).resolve()
