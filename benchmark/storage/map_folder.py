"""Folders of maps that were made elsewhere: a manifest, and one .npz or .npy file per map.

    FOLDER/manifest.csv      one row per map (or manifest.json: a list of objects), columns `COLUMNS`
    FOLDER/...               the files that its column ``map`` names

A folder is data that somebody else may have written: paths stay inside it, arrays are read without pickle and within
bounds, all numbers must be finite, unknown columns and doubled rows are refused. What a map is known by in keys is its
content (`MapFolder.content`), never its path.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...audio import Grid
from ...errors import ClipError, InputError
from ...keys import digest
from ...methods.attribution import Attribution
from ...methods.external import AGAINST_NOTHING, SEEDS
from ...methods.external_map import ExternalMap
from ...methods.map_grids import EDGES, GridSpec, check_cover, parse_grid
from ...methods.record import PREFIX
from .bounds import MAX_ARRAY_BYTES, check_archive, load_array
from .explanations import DAMAGE
from .files import read_bytes, write_atomically

MANIFESTS = ("manifest.csv", "manifest.json")
NEEDED = ("map", "clip", "target")
DEFAULTS = {
    "method": "own", "grid": EDGES, "condition": "clean", "repeat": "0", "calls": "0", "against": "none",
    "stochastic": "unknown", "corpus": "", "model": "",
}  # fmt: skip
COLUMNS = (*NEEDED, *DEFAULTS)
MAX_MANIFEST_BYTES, MAX_MAPS, MAX_TEXT, MAX_REPEAT = 64 * 2**20, 200_000, 256, 1000
# of a method; no colon but inside, as in the names of methods on a base
METHOD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@:-]{0,63}")
ARRAYS = ("values", "freq_edges_hz", "time_edges_s")
_LARGEST = float(np.finfo(np.float32).max) / 1e6  # sums over a map must stay finite in 32 bits


class MapRow(NamedTuple):
    """One row of a manifest."""

    file: str
    clip: str
    target: str
    method: str
    grid: GridSpec
    condition: str
    repeat: int
    calls: int
    against: str
    stochastic: str
    corpus: str
    model: str

    @property
    def place(self) -> tuple[str, ...]:
        """What no two rows may share."""
        return (
            self.corpus, self.model, self.method, self.clip, self.condition, self.target, str(self.repeat),
            self.against,
        )  # fmt: skip


@dataclass
class MapFolder:
    """Maps of one folder, for one corpus and recogniser.

    Attributes
    ----------
    path : Path
    rows : tuple of MapRow
    """

    path: Path
    rows: tuple[MapRow, ...]
    _found: dict[tuple[str, ...], MapRow] = field(default_factory=dict, repr=False)
    _contents: dict[tuple[str, ...], str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._found = {
            (PREFIX + row.method, row.clip, row.condition, row.target, str(row.repeat), row.against): row
            for row in self.rows
        }

    @property
    def clips(self) -> list[str]:
        """Ids of the clips, each once."""
        return list(dict.fromkeys(row.clip for row in self.rows))

    @property
    def conditions(self) -> list[str]:
        """Names of the conditions, ``clean`` first."""
        return sorted({row.condition for row in self.rows}, key=lambda name: (name != "clean", name))

    def methods(self) -> dict[str, dict[str, str]]:
        """Parameters of `methods.external.ExternalMaps` of each method, by its name in runs.

        Raises
        ------
        InputError
            If a method's rows contradict each other.
        """
        found = {}
        for name in sorted({row.method for row in self.rows}):
            rows = [row for row in self.rows if row.method == name]
            seeds = {row.stochastic for row in rows} - {"unknown"} or {"unknown"}
            if any(row.repeat for row in rows) and "no" not in seeds:
                seeds = {"yes"}
            against = {row.against for row in rows}
            if len(seeds) > 1 or ("no" in seeds and any(row.repeat for row in rows)):
                raise InputError(f"{self.path}: method {name!r}: column stochastic says both yes and no.")
            if len(against) > 1 and against & set(AGAINST_NOTHING):
                raise InputError(
                    f"{self.path}: method {name!r}: column against must hold fills alone, or one word alone, got "
                    f"{', '.join(sorted(against))}."
                )
            found[PREFIX + name] = {
                "against": against.pop() if len(against) == 1 else "scored", "seeds": seeds.pop()
            }  # fmt: skip
        return found

    def of(self, corpus: str, model: str) -> MapFolder:
        """The maps of one corpus and recogniser; rows that name neither hold for all.

        Raises
        ------
        InputError
            If there are none, or two for one place.
        """
        kept = tuple(row for row in self.rows if row.corpus in ("", corpus) and row.model in ("", model))
        if not kept:
            there = sorted({f"{row.corpus or 'any corpus'}, {row.model or 'any model'}" for row in self.rows})
            raise InputError(
                f"{self.path}: no map of corpus {corpus!r} and model {model!r}; it has maps of: {'; '.join(there[:8])}."
            )
        if twice := [where for where, n in Counter(row.place[2:] for row in kept).items() if n > 1]:
            raise InputError(
                f"{self.path}: two maps of {', '.join(twice[0])} for corpus {corpus!r} and model {model!r}, one of a "
                "row that does not name both; keep one."
            )
        return MapFolder(self.path, kept)

    def row(
        self, method: str, clip: str, condition: str, target: str, repeat: int, against: str
    ) -> MapRow | None:  # fmt: skip
        """The row of one map, None where there is none.

        Parameters
        ----------
        method : str
            Name in runs, with the prefix.
        clip, condition, target : str
        repeat : int
        against : str
        """
        return self._found.get((method, clip, condition, target, str(repeat), against))

    def content(self, row: MapRow | None) -> str:
        """Digest of what a map is: values, grid and calls; empty for None."""
        if row is None:
            return ""
        if row.place not in self._contents:
            values, grid = self._read(row)
            edges = () if grid is None else (grid.freq_edges_hz, grid.time_edges_s)
            self._contents[row.place] = digest("map", values, row.grid.text, row.calls, *edges)
        return self._contents[row.place]

    def contents_of(self, clips: Iterable[str]) -> list[str]:
        """Digests of all maps of some clips, in the order of the manifest's places."""
        wanted = set(clips)
        chosen = sorted((row for row in self.rows if row.clip in wanted), key=lambda row: row.place)
        return [digest(row.place, self.content(row)) for row in chosen]

    def attribution(self, row: MapRow, duration_s: float, label: str) -> Attribution:
        """One map as an attribution.

        Parameters
        ----------
        row : MapRow
        duration_s : float
            Of the clip under the map's condition.
        label : str
            What is explained.

        Raises
        ------
        ClipError
            If it does not fit the clip.
        """
        values, grid = self._read(row)
        if grid is None:
            values, grid = row.grid.on_clip(values, duration_s)
        else:
            check_cover(grid, duration_s)
        return Attribution(values, grid, label, PREFIX + row.method, model_calls=row.calls)

    def check(self) -> None:
        """Read every map once.

        Raises
        ------
        InputError
            At the first that cannot be read.
        """
        try:
            for row in self.rows:
                self.content(row)
        except ClipError as error:
            raise InputError(str(error)) from None

    def _read(self, row: MapRow) -> tuple[np.ndarray, Grid | None]:
        """Values of a map and, where its file holds them, its edges.

        Raises
        ------
        ClipError
            Naming the file.
        """
        path = self.path / row.file
        try:
            if not path.resolve().is_relative_to(self.path.resolve()):
                raise ValueError("lies outside the folder")
            data = read_bytes(path, 2 * MAX_ARRAY_BYTES)
            arrays = _npz(data) if row.file.endswith(".npz") else {"values": _npy(data)}
            return _checked(arrays, row.grid)
        except (*DAMAGE, InputError, RecursionError) as error:
            said = " ".join(str(error).split()).removeprefix(f"{path}: ") or type(error).__name__
            raise ClipError(f"map {row.file}: {said[:300]}") from None


def _npy(data: bytes) -> np.ndarray:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:  # so that both kinds pass the same bounds
        packed.writestr("values.npy", data)
    with zipfile.ZipFile(archive) as packed:
        return load_array(packed, "values")


def _npz(data: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_archive(archive)
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if strange := [name for name in names if name not in ARRAYS]:
            raise ValueError(f"holds the array {strange[0][:40]!r}; allowed: {', '.join(ARRAYS)}")
        if len(set(names)) < len(names):
            raise ValueError("holds one name twice")
        return {name: load_array(archive, name) for name in names}


def _checked(arrays: Mapping[str, np.ndarray], spec: GridSpec) -> tuple[np.ndarray, Grid | None]:
    if "values" not in arrays:
        raise ValueError("holds no array 'values'")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{name}: must hold numbers, got {array.dtype}")
        if not np.isfinite(array).all() or np.abs(array.astype(np.float64)).max(initial=0.0) > _LARGEST:
            raise ValueError(f"{name}: holds NaN, infinite or huge numbers")
    values = np.asarray(arrays["values"], dtype=np.float32)
    edges = [arrays.get(name) for name in ARRAYS[1:]]
    spec.check_shape(values.shape)
    if spec.kind != EDGES:
        if any(array is not None for array in edges):
            raise ValueError(f"holds edges, and its row names the grid {spec.text!r}; give one of them")
        return values, None
    freq, time = edges
    if freq is None or time is None:
        raise ValueError(
            "its row names no grid, so it must be a .npz with freq_edges_hz and time_edges_s; or name one, such as "
            "'stft n_fft=512 hop=128'"
        )
    grid = Grid(freq, time)
    if values.shape != grid.shape:
        raise ValueError(f"values have shape {values.shape}, the edges make {grid.shape}")
    return values, grid


# -- manifests ---------------------------------------------------------------------------------------------------------


def read_map_folder(path: Path) -> MapFolder:
    """Read the manifest of a folder of maps; `MapFolder.check` reads the maps.

    Raises
    ------
    InputError
        If there is none, or two, or a row is not as documented; the message names file and row.
    """
    there = [name for name in MANIFESTS if (path / name).is_file()]
    if len(there) != 1:
        told = (
            "both are there; take one away"
            if there
            else "none is there; serxai.maps.write_maps writes maps with their manifest"
        )
        raise InputError(f"MAPS {path}: a folder of maps holds one of {' and '.join(MANIFESTS)}, {told}.")
    source = path / there[0]
    try:
        text = read_bytes(source, MAX_MANIFEST_BYTES).decode("utf-8-sig")
        entries = _csv_rows(text) if source.suffix == ".csv" else _json_rows(text)
    except RecursionError:
        raise InputError(f"{source}: nested too deeply.") from None
    except (ValueError, csv.Error) as error:
        raise InputError(f"{source}: {' '.join(str(error).split()).removeprefix(f'{source}: ')}") from None
    if not 0 < len(entries) <= MAX_MAPS:
        raise InputError(f"{source}: holds {len(entries)} maps; 1 to {MAX_MAPS} are read.")
    rows = []
    places: dict[tuple[str, ...], int] = {}
    for number, entry in enumerate(entries, 2 if source.suffix == ".csv" else 1):
        try:
            row = _row(entry)
        except InputError as error:
            raise InputError(f"{source}, row {number}: {error}") from None
        if row.place in places:
            raise InputError(
                f"{source}, row {number}: the same clip, method, target, condition, repeat and reference as row "
                f"{places[row.place]}; keep one."
            )
        places[row.place] = number
        rows.append(row)
    folder = MapFolder(path, tuple(rows))
    folder.methods()
    return folder


def _csv_rows(text: str) -> list[dict[str, Any]]:
    if "\0" in text:
        raise ValueError("holds NUL bytes")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(reader, [])
    _check_columns(header)
    rows = []
    for line in reader:
        if line and len(line) != len(header):
            raise ValueError(f"line {reader.line_num}: {len(line)} fields, the header has {len(header)}")
        if line:
            rows.append(dict(zip(header, line, strict=True)))
        if len(rows) > MAX_MAPS:
            break
    return rows


def _json_rows(text: str) -> list[dict[str, Any]]:
    content = json.loads(text)
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise ValueError("must hold a list of objects, one per map")
    for entry in content:
        _check_columns(list(entry))
    return content


def _check_columns(names: Sequence[str]) -> None:
    for name in names:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"unknown column {name[:40]!r}; {hint}Allowed: {', '.join(COLUMNS)}")
    if len(set(names)) < len(names):
        raise ValueError("names a column twice")
    if lacking := [name for name in NEEDED if name not in names]:
        raise ValueError(f"lacks the column {', '.join(lacking)}")


def _row(entry: Mapping[str, Any]) -> MapRow:
    texts = {}
    for name in COLUMNS:
        value = entry.get(name, DEFAULTS.get(name, ""))
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InputError(f"{name}: must be a text or a whole number, got {type(value).__name__}.")
        text = str(value).strip() or DEFAULTS.get(name, "")
        if len(text) > MAX_TEXT or not (text.isprintable() or not text):
            raise InputError(f"{name}: must be at most {MAX_TEXT} printable characters.")
        texts[name] = text
    for name in NEEDED:
        if not texts[name]:
            raise InputError(f"{name}: is empty.")
    file = texts.pop("map")
    parts = re.split(r"[/\\]", file)
    if Path(file).is_absolute() or ".." in parts or ":" in file:
        raise InputError(f"map {file!r}: must be a path inside the folder, without '..'.")
    if not file.endswith((".npz", ".npy")):
        raise InputError(f"map {file!r}: must be a .npz or .npy file.")
    if not METHOD_NAME.fullmatch(texts["method"]):
        raise InputError(f"method {texts['method']!r}: letters, digits and . _ + @ : - only, at most 64.")
    if texts["stochastic"] not in SEEDS:
        raise InputError(f"stochastic {texts['stochastic']!r}: must be one of {', '.join(SEEDS)}.")
    repeat, calls = _count("repeat", texts.pop("repeat"), MAX_REPEAT), _count("calls", texts.pop("calls"), 2**53)
    grid = parse_grid(texts.pop("grid"))
    return MapRow(file=file, grid=grid, repeat=repeat, calls=calls, **texts)


def _count(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and int(text) <= most):
        raise InputError(f"{name} {text!r}: must be a whole number from 0 to {most}.")
    return int(text)


# -- writing -----------------------------------------------------------------------------------------------------------


def write_maps(folder: str | Path, maps: Iterable[ExternalMap]) -> Path:
    """Write a folder of maps as ``serxai score`` reads it.

    Parameters
    ----------
    folder : path
    maps : iterable of ExternalMap

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    InputError
        If a map is not as documented.
    """
    place = Path(folder)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, one in enumerate(maps):
        file = f"maps/{number:06}.npz"
        arrays = {"values": np.asarray(one.values)}
        if isinstance(one.grid, Grid):
            arrays |= {name: getattr(one.grid, name) for name in ARRAYS[1:]}
        entry = {
            "map": file, "clip": one.clip, "target": one.target, "method": one.method,
            "grid": EDGES if isinstance(one.grid, Grid) else one.grid, "condition": one.condition,
            "repeat": int(one.repeat), "calls": int(one.calls), "against": one.against,
            "stochastic": one.stochastic, "corpus": one.corpus, "model": one.model,
        }  # fmt: skip
        try:
            _checked(arrays, _row(entry).grid)
        except ValueError as error:
            raise InputError(f"map of clip {one.clip!r}: {error}") from None
        write_atomically(place / file, _packed(arrays))
        writer.writerow([entry[name] for name in COLUMNS])
    write_atomically(place / MANIFESTS[0], table.getvalue().encode())
    return place / MANIFESTS[0]


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A .npz without the time of writing in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            body = io.BytesIO()
            np.save(body, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), body.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
