"""Values of ``--param METHOD.NAME=VALUE``: parameters of explanation methods, typed by the methods' signatures."""

from __future__ import annotations

import inspect
import types
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin

from ...errors import InputError, UnknownNameError
from ...methods.records import METHODS, make_method

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def parameters_option(given: Sequence[str], methods: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """Parameters by method, from values ``METHOD.NAME=VALUE``.

    Numbers, ``true`` and ``false``, ``none`` and lists separated by commas are read as the type that the method's
    parameter has; anything else is text.

    Parameters
    ----------
    given : sequence of str
    methods : sequence of str, optional
        Methods that are used; parameters of others are refused. Default: any.

    Raises
    ------
    InputError
        For another form, an unknown method or parameter, or a value of another type; the message begins with the flag.
    """
    parameters: dict[str, dict[str, Any]] = {}
    for text in given:
        place, equals, value = text.partition("=")
        method, dot, name = place.rpartition(".")
        if not (equals and dot and method and name):
            raise InputError(
                f"--param {text}: write METHOD.NAME=VALUE, as in --param beyond-saliency.base=saliency; see: serxai ls "
                "methods."
            )
        try:
            kinds = _kinds(method)
        except InputError as error:
            raise InputError(f"--param {text}: {error}") from None
        if methods is not None and method not in methods:
            raise InputError(f"--param {text}: {UnknownNameError('method of this command', method, methods)}")
        if name not in kinds:
            raise InputError(f"--param {text}: {UnknownNameError(f'parameter of {method}', name, kinds)}")
        if name in parameters.setdefault(method, {}):
            raise InputError(f"--param {text}: {method}.{name} is given twice; give it once.")
        parameters[method][name] = _typed(value, kinds[name], text)
    return parameters


def _kinds(method: str) -> dict[str, Any]:
    """Type of each parameter that a method lets one choose; that of its default where it declares none."""
    make_method(method)  # refuses an unknown name, and a family without its argument
    record = METHODS.get(method)
    factory = record.load()
    try:
        parameters = inspect.signature(factory, eval_str=True).parameters
    except NameError:  # a type that is only imported for type checkers
        parameters = inspect.signature(factory).parameters
    # of a family's member, as beyond-saliency:saliency, the base is the argument and no parameter
    return {name: _kind(found) for name, found in parameters.items() if not (record.argument and name == "base")}


def _kind(parameter: inspect.Parameter) -> Any:
    declared = parameter.annotation
    if declared is not inspect.Parameter.empty and not isinstance(declared, str):
        return declared
    return str if parameter.default in (inspect.Parameter.empty, None) else type(parameter.default)


def _typed(value: str, kind: Any, text: str) -> Any:
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    # text last, since it takes anything
    for option in sorted(options, key=lambda one: one is str):
        try:
            return _read(value, option)
        except ValueError:
            continue
    raise InputError(f"--param {text}: takes {' or '.join(_named(option) for option in options)}, got {value!r}.")


def _read(value: str, kind: Any) -> Any:
    """Raises ValueError where the text is none of this type."""
    if kind is str:
        return value
    if kind is types.NoneType:
        if value.lower() != "none":
            raise ValueError(value)
        return None
    if kind is bool:
        if value.lower() not in _WORDS:
            raise ValueError(value)
        return _WORDS[value.lower()]
    if get_origin(kind) in (tuple, list):
        return tuple(_read(part.strip(), get_args(kind)[0]) for part in value.split(","))
    if kind in (int, float):
        return kind(value)
    raise ValueError(value)


def _named(kind: Any) -> str:
    if get_origin(kind) in (tuple, list):
        return f"{_named(get_args(kind)[0])}s separated by commas"
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "none"}
    return words.get(kind, str(kind))
