"""Score rows as parquet: columns and their types, sealed encoding, bounded and checked reading."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .bounds import MAX_FILE_BYTES, check_parquet, read_columns
from .files import _BLANK, _MARK, is_sealed, read_bytes, seal
from .schema import WORDS

SCORE_COLUMNS = [
    "corpus", "fold", "model", "trained_on", "seen_in_training", "method", "condition", "strength", "metric", "family",
    "direction", "space", "fill", "explained_against", "clip", "speaker", "emotion", "predicted", "correct", "target",
    "target_rule", "seed", "repeat", "value", "status", "reason", "model_calls", "metric_version", "method_version",
    "key",
]  # fmt: skip
TYPES = {
    "strength": "float64",
    "value": "float64",
    "correct": "boolean",
    "model_calls": "int64",
    "seed": "int64",
    "repeat": "int64",
}
NULLABLE = ("strength", "value", "correct")
# results of a row; the other columns identify it
OUTCOME = ("strength", "value", "status", "reason", "model_calls")


def score_frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Score rows as a table with all columns in order and with fixed types."""
    frame = pd.DataFrame(list(rows), columns=SCORE_COLUMNS)
    return frame.astype({column: TYPES.get(column, "str") for column in SCORE_COLUMNS})


@cache
def _full_schema() -> pa.Schema:
    return pa.Schema.from_pandas(score_frame([]), preserve_index=False)


def score_schema(columns: Sequence[str]) -> pa.Schema:
    """Arrow schema of some of `SCORE_COLUMNS`."""
    whole = _full_schema()
    return pa.schema([whole.field(column) for column in columns], whole.metadata)


def pack_scores(frame: pd.DataFrame) -> bytes:
    """Encode score rows as a sealed parquet file."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, _full_schema(), compression="zstd") as writer:
        writer.write_table(pa.Table.from_pandas(frame, _full_schema(), preserve_index=False))
        writer.add_key_value_metadata({"serxai": _MARK + _BLANK})
    return seal(buffer.getvalue())


def read_table(path: Path, columns: Sequence[str] | None = None, planned: int | None = None) -> pa.Table:
    """Read one file of score rows, of a run with so many planned rows.

    A file without a seal was written by another program: reports accept its content, resuming does not.

    Raises
    ------
    ValueError
        If it is damaged, lacks columns, or declares more than is read.
    """
    data = read_bytes(path, MAX_FILE_BYTES)
    if _MARK in data and not is_sealed(data):
        raise ValueError(f"{path}: damaged (its bytes are not those that were written)")
    try:
        return table_of(open_table(data, planned), columns)
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error})") from None


def open_table(data: bytes, planned: int | None = None) -> pq.ParquetFile:
    """Open the bytes of a parquet file, after what it declares to hold; texts are read as dictionaries.

    Raises
    ------
    ValueError
        If it is damaged, or declares more rows than the run has planned or more bytes than are read.
    """
    try:
        metadata = pq.read_metadata(pa.BufferReader(data))
        texts = [name for name in metadata.schema.names if name in SCORE_COLUMNS and name not in TYPES]
        file = pq.ParquetFile(pa.BufferReader(data), metadata=metadata, read_dictionary=texts)
        check_parquet(file, planned)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    return file


def table_of(file: pq.ParquetFile, columns: Sequence[str] | None = None) -> pa.Table:
    """Score rows of an open file with the types of `score_schema`.

    Raises
    ------
    ValueError
        If it is damaged, lacks columns, or one has another type or missing values.
    """
    names = file.schema_arrow.names
    if missing := [column for column in SCORE_COLUMNS if column not in names]:
        raise ValueError(f"lacks columns {', '.join(missing)}")
    if wrong := type_faults(file.schema_arrow):
        raise ValueError("; ".join(wrong))
    wanted = list(columns or SCORE_COLUMNS)
    try:
        table = read_columns(file, wanted).select(wanted)
        for name in wanted:
            if table[name].null_count and name not in NULLABLE:
                raise ValueError(f"column {name!r} lacks {table[name].null_count} values")
        return table.cast(score_schema(wanted))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def type_faults(schema: pa.Schema) -> list[str]:
    """Columns of a file whose type is not that of `TYPES`, with the type found."""
    fits: dict[str, Callable[[pa.DataType], bool]] = {
        "float64": pa.types.is_floating,
        "int64": pa.types.is_integer,
        "boolean": lambda t: pa.types.is_boolean(t) or pa.types.is_null(t),
        "str": lambda t: _is_text(t.value_type if pa.types.is_dictionary(t) else t),
    }
    known = [(field, TYPES.get(field.name, "str")) for field in schema if field.name in SCORE_COLUMNS]
    return [f"column {f.name!r} is {f.type}, not {wanted}" for f, wanted in known if not fits[wanted](f.type)]


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def value_faults(table: pa.Table) -> list[tuple[str, pa.ChunkedArray]]:
    """Find values that no score row may hold.

    Parameters
    ----------
    table : Table
        Some or all of `SCORE_COLUMNS`.

    Returns
    -------
    list of (str, boolean array)
        What is wrong, by column, and the rows concerned.
    """
    found = []
    for name, allowed in WORDS.items():
        if name in table.column_names:
            wrong = pc.invert(pc.is_in(table[name], pa.array(allowed, table[name].type)))
            found.append((f"column {name!r}: not one of {', '.join(allowed)}", wrong))
    if {"status", "value"} <= set(table.column_names):
        finite = pc.fill_null(pc.is_finite(table["value"]), False)
        ok = pc.equal(table["status"], "ok")
        found.append(("column 'value': status ok, but no finite value", pc.and_(ok, pc.invert(finite))))
        stray = pc.and_(pc.invert(ok), pc.or_(finite, pc.fill_null(pc.is_inf(table["value"]), False)))
        found.append(("column 'value': a value, but status is not ok", stray))
    for name in ("model_calls", "repeat"):
        if name in table.column_names:
            found.append((f"column {name!r}: negative", pc.less(table[name], 0)))
    return [(what, wrong) for what, wrong in found if pc.any(wrong).as_py()]


def refuse_values(table: pa.Table, path: Path) -> None:
    """Raise a ValueError that names file, column and first row of `value_faults`."""
    for what, wrong in value_faults(table):
        raise ValueError(f"{path}: damaged ({what}, in row {pc.index(wrong, True).as_py()})")
