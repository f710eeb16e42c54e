"""Lazily filled packages: public names are imported from their modules at first use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attach(
    package: str, modules: Mapping[str, tuple[str, ...]], packages: tuple[str, ...] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Module-level ``__getattr__``, ``__dir__`` and ``__all__`` of a package whose names live in other modules.

    Parameters
    ----------
    package : str
        ``__name__`` of the module that offers the names; relative module names start from it.
    modules : mapping of str to tuple of str
        Module name to the public names that it defines.
    packages : tuple of str
        Public submodules, imported at first use as well.

    Returns
    -------
    getattr, dir : callable
    all : list of str
        The public names, sorted.
    """
    origin = {name: module for module, names in modules.items() for name in names}
    public = sorted({*origin, *packages})

    def get(name: str) -> Any:
        if name in packages:
            return import_module(f".{name}", package)
        if name not in origin:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(origin[name], package), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *public})

    return get, names, public
