"""Lazy registry of records: models, methods, metrics, corpora, conditions and cues.

A record is frozen metadata with an import path, so it can be listed without importing the object it describes
(``serxai ls`` must not import torch). A record whose name ends with a colon serves every name with that prefix
(``folder:`` for ``folder:my/data.csv``). Other packages add records through entry points ``serxai.<kind>s`` that
resolve to a record or a list of records.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import InputError, UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Record:
    """Metadata of one registered object.

    Attributes
    ----------
    name : str
        Name on the command line and in result columns.
    target : str
        ``"module:attribute"``, relative to the package ``serxai`` where it starts with a dot.
    summary : str
        One line.
    version : str
        Part of every key: a new version recomputes exactly what depends on it.
    licence : str
        SPDX identifier or the licence's name.
    citation : str
        Paper, with equation or section where it matters.

    Raises
    ------
    InputError
        If a field is empty or the target is not of the form ``"module:attribute"``.
    """

    name: str
    target: str
    summary: str
    version: str
    licence: str
    citation: str

    def __post_init__(self) -> None:
        for field in ("name", "target", "summary", "version", "licence", "citation"):
            if not str(getattr(self, field)).strip():
                raise InputError(
                    f"record {self.name!r}: field {field!r} is empty; every record must fill it. Give a text that is "
                    "not blank."
                )
        if ":" not in self.target:
            raise InputError(
                f"record {self.name!r}: target {self.target!r} is not of the form 'module:attribute'; write e.g. "
                "'package.module:function'."
            )

    @property
    def argument(self) -> str:
        """Text after the first colon of the name, such as a path; empty for a name without a colon."""
        return self.name.partition(":")[2]

    def load(self) -> Any:
        """Import and return the target object.

        Raises
        ------
        InputError
            If the target of another package's record cannot be imported.
        """
        module, attribute = self.target.split(":")
        if module.startswith("."):
            return getattr(import_module(module, "serxai"), attribute)
        try:
            return getattr(import_module(module), attribute)
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{self.name!r}: its target {self.target!r} cannot be imported ({_told(error)}); the package that "
                "registers it is broken. Mend, update or uninstall it, or leave the name out."
            ) from error


class PluginWarning(UserWarning):
    """A package's entry point that could not be loaded."""


def _told(error: BaseException) -> str:
    """Type and first line of an exception of foreign code, whose text may raise another."""
    try:
        reason = next(iter(str(error).splitlines()), "")
    except Exception:
        reason = "its message cannot be read"
    return f"{type(error).__name__}: {reason}"


R = TypeVar("R", bound=Record)


class Registry(Generic[R]):
    """Records of one kind by name; duplicates are refused, unknown names raise with the closest matches.

    Parameters
    ----------
    kind : str
        Singular, as in messages; entry points are read from the group ``serxai.<kind plural>``.
    record_type : type
        Every record must be of this type.
    records : iterable of Record
        Built-in records.
    plural : str, optional
        Default: ``kind + "s"``.
    paths : mapping of str to str, optional
        How a file or folder is named, by suffix (empty: a folder), as in ``{"": "folder:{path}"}``; for messages.
    """

    def __init__(
        self,
        kind: str,
        record_type: type[R],
        records: Iterable[R] = (),
        plural: str | None = None,
        paths: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.plural = plural or kind + "s"
        self.record_type = record_type
        self.paths = dict(paths or {})
        self._records: dict[str, R] = {}
        self._plugins_loaded = False
        for record in records:
            self.add(record)

    def add(self, record: R) -> None:
        """Register one record.

        Raises
        ------
        InputError
            If the record is of another type or its name is taken.
        """
        if not isinstance(record, self.record_type):
            raise InputError(
                f"{self.kind} registry takes {self.record_type.__name__} records, got {type(record).__name__}; "
                f"register a {self.record_type.__name__}."
            )
        if record.name in self._records:
            raise InputError(f"{self.kind} {record.name!r} is registered twice; rename one of the two.")
        self._records[record.name] = record

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        group = f"serxai.{self.plural}"
        try:
            points = list(entry_points(group=group))
        except Exception as error:  # the metadata of any package here may be damaged
            message = f"extensions of group {group} are left out, the metadata of a package is damaged: {_told(error)}"
            warnings.warn(message, PluginWarning, stacklevel=3)
            return
        for point in points:
            try:
                loaded = point.load()
                records = [loaded] if isinstance(loaded, self.record_type) else list(loaded)
                for record in records:
                    self.add(record)
            except (Exception, SystemExit) as error:  # a package that is broken must not take the others with it
                package = point.dist.name if point.dist else "unknown"
                warnings.warn(
                    f"entry point {point.name!r} of package {package!r} (group {point.group}) is left out: "
                    f"{_told(error)}",
                    PluginWarning,
                    stacklevel=3,
                )

    def __iter__(self) -> Iterator[R]:
        """Iterate over the records in order of registration, plug-ins last."""
        self._load_plugins()
        return iter(self._records.values())

    def __contains__(self, name: object) -> bool:
        """Whether `get` finds this name."""
        try:
            return bool(self.get(str(name)))
        except UnknownNameError:
            return False

    def names(self) -> list[str]:
        """All names, in order of registration."""
        return [record.name for record in self]

    def get(self, name: str) -> R:
        """Return the record of this name.

        A name with a registered prefix (``folder:my/data.csv``) gets the prefix's record (``folder:``) under the whole
        name.

        Raises
        ------
        UnknownNameError
            If no record matches; the message lists the closest names.
        """
        self._load_plugins()
        prefix, _, argument = name.partition(":")
        if argument and f"{prefix}:" in self._records:
            return replace(self._records[f"{prefix}:"], name=name)
        try:
            return self._records[name]
        except KeyError:
            raise UnknownNameError(self.kind, name, self._records, self._told_path(name)) from None

    def _told_path(self, name: str) -> str:
        """How to name a path that exists, where paths have names; else empty."""
        path = Path(name)
        try:
            found = self.paths.get("" if path.is_dir() else path.suffix.lower(), "") if path.exists() else ""
        except (OSError, ValueError):  # no path: too long, a null byte
            return ""
        return f"There is a path of this name; write {found.format(path=name, stem=path.stem)}." if found else ""
