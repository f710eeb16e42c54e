"""Explanations as sealed .npz archives: deterministic encoding, bounded and checked reading."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...audio import Grid
from ...methods.attribution import Attribution
from .bounds import MAX_FILE_BYTES, check_archive, load_array
from .files import _BLANK, _MARK, is_sealed, read_bytes, seal
from .schema import ExplanationFacts, faults

# exceptions raised by reading a damaged archive
DAMAGE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


class Explanation(NamedTuple):
    """Attribution with the identity of what it explains.

    Attributes
    ----------
    against : str
        What it is relative to, as in the column ``explained_against``.
    first : bool
        Whether it is the one that metrics without a fill score: of the method's explanations against several fills,
        that against the run's first.
    duration_s : float
        Length of the clip under its condition, in seconds; 0 in files of earlier versions.
    time_map : tuple of (float, float)
        As `datasets.clip.Clip.time_map`.
    """

    attribution: Attribution
    corpus: str
    model: str
    clip: str
    condition: str
    repeat: int
    against: str = "none"
    first: bool = True
    duration_s: float = 0.0
    time_map: tuple[tuple[float, float], ...] = ()


class Head(NamedTuple):
    """What an explanation is of, without its values: a small part of its file.

    Attributes
    ----------
    key, method, target : str
    corpus, model, clip, condition : str
    repeat : int
    against : str
    first : bool
    duration_s : float
        As in `Explanation`.
    has_table : bool
        Whether responses to all masks are stored with it.
    """

    key: str
    method: str
    target: str
    corpus: str
    model: str
    clip: str
    condition: str
    repeat: int
    against: str = "none"
    first: bool = True
    duration_s: float = 0.0
    has_table: bool = False


def pack_explanations(explanations: dict[str, Explanation], predictions: dict[str, np.ndarray]) -> bytes:
    """Encode explanations as a deterministic .npz (numpy's own writer stores the time)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:

        def put(name: str, array: np.ndarray) -> None:
            body = io.BytesIO()
            np.save(body, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name + ".npy"), body.getvalue(), zipfile.ZIP_DEFLATED)

        for key in sorted(explanations):
            attribution, *origin = explanations[key]
            meta = {name: getattr(attribution, name) for name in _META} | dict(zip(_ORIGIN, origin, strict=True))
            put(f"{key}/values", attribution.values)
            put(f"{key}/freq_edges_hz", attribution.grid.freq_edges_hz)
            put(f"{key}/time_edges_s", attribution.grid.time_edges_s)
            if attribution.table is not None:
                put(f"{key}/table", attribution.table)
            put(f"{key}/meta", np.frombuffer(json.dumps(meta, sort_keys=True).encode(), dtype=np.uint8))
        for key in sorted(predictions):
            put(f"{key}/log_odds", predictions[key])
        archive.comment = _MARK + _BLANK
    return seal(buffer.getvalue())


_META = ("target", "method", "details", "cues", "model_calls")
_ORIGIN = Explanation._fields[1:]


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open an archive of explanations, after what it declares to hold.

    Raises
    ------
    ValueError
        If it is no regular file, or would take too much memory. A damaged archive raises any of `DAMAGE`.
    """
    if not path.is_file():
        raise ValueError("not a regular file")
    archive = zipfile.ZipFile(path)
    try:
        check_archive(archive)
    except ValueError:
        archive.close()
        raise
    return archive


def explanations_in(
    path: Path, wanted: Callable[[Head], bool] = lambda head: True
) -> Iterator[tuple[str, Explanation]]:
    """Iterate over explanations of an archive with their keys; the values of those not wanted are not read.

    Raises
    ------
    ValueError
        As `open_archive` and `read_explanation`. A damaged archive raises any of `DAMAGE`.
    """
    with open_archive(path) as archive:
        for key in _keys(archive):
            meta = _meta(archive, key)
            if wanted(_head(archive, key, meta)):
                yield key, _explanation(archive, key, meta)


def heads_in(path: Path) -> Iterator[Head]:
    """Iterate over what the explanations of an archive are of.

    Raises
    ------
    ValueError
        As `explanations_in`.
    """
    with open_archive(path) as archive:
        for key in _keys(archive):
            yield _head(archive, key, _meta(archive, key))


def _keys(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix("/values.npy") for name in archive.namelist() if name.endswith("/values.npy")]


def check_explanations(path: Path) -> None:
    """Raise one of `DAMAGE` if an archive is not as written; without a seal, if it cannot be read."""
    data = read_bytes(path, MAX_FILE_BYTES)
    open_archive(path).close()
    if _MARK not in data:
        for _ in explanations_in(path):
            pass
    elif not is_sealed(data):
        raise ValueError("its bytes are not those that were written")


def read_explanation(archive: zipfile.ZipFile, key: str) -> Explanation:
    """Read one explanation from an open archive.

    Raises
    ------
    ValueError
        If its facts are not those that are written. A damaged archive raises any of `DAMAGE`.
    """
    return _explanation(archive, key, _meta(archive, key))


def _meta(archive: zipfile.ZipFile, key: str) -> dict[str, Any]:
    meta = json.loads(load_array(archive, f"{key}/meta").tobytes())
    if not isinstance(meta, dict) or (wrong := faults(meta, ExplanationFacts)):
        raise ValueError(f"{key}/meta: {wrong if isinstance(meta, dict) else 'not an object'}")
    return meta


def _head(archive: zipfile.ZipFile, key: str, meta: dict[str, Any]) -> Head:
    told = {name: meta[name] for name in Head._fields[1:-1] if name in meta}
    return Head(key, **told, has_table=f"{key}/table.npy" in archive.NameToInfo)


def _explanation(archive: zipfile.ZipFile, key: str, meta: dict[str, Any]) -> Explanation:
    attribution = Attribution(
        values=load_array(archive, f"{key}/values"),
        grid=Grid(load_array(archive, f"{key}/freq_edges_hz"), load_array(archive, f"{key}/time_edges_s")),
        table=_table(archive, key),
        **{name: meta[name] for name in _META} | {"cues": tuple(meta["cues"])},
    )
    origin = {name: meta[name] for name in _ORIGIN if name in meta}
    origin["time_map"] = tuple(map(tuple, origin.get("time_map", ())))
    return Explanation(attribution, **origin)


def _table(archive: zipfile.ZipFile, key: str) -> np.ndarray | None:
    """Responses to all masks; None where the explanation has none.

    Raises
    ------
    ValueError
        If they are not finite numbers of a full table.
    """
    if f"{key}/table.npy" not in archive.NameToInfo:
        return None
    table = load_array(archive, f"{key}/table")
    if table.ndim != 1 or table.dtype.kind != "f" or table.size.bit_count() != 1 or not np.isfinite(table).all():
        raise ValueError(f"{key}/table: holds no finite responses to 2 ** parts masks")
    return table


def damage_text(path: Path, error: Exception) -> str:
    """Say that a file is damaged, with the error that reading it raised."""
    said = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
    said = said or type(error).__name__
    return said if said.startswith(f"{path}: ") else f"{path}: damaged ({said})"
