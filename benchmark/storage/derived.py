"""Tables of a record: quantities derived from maps and sound that analyses read instead of both.

A *record* is a run folder that may be committed: ``run.json`` (with the key ``record``), ``clips.csv``, one file of
score rows, and ``derived/NAME.parquet``. It holds no explanation. Its tables are sealed parquet files without pandas'
metadata, written with fixed settings: the same rows give the same bytes under the same version of pyarrow. Numbers are
stored in single precision, as are values of score rows.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .bounds import MAX_FILE_BYTES, MAX_ROWS, check_parquet, read_columns
from .files import _BLANK, _MARK, is_sealed, read_bytes, seal
from .score_rows import SCORE_COLUMNS, TYPES

RECORD = "record"  # key of run.json
DERIVED = "derived"
FORMAT = 1
NO_MAPS = "a record of results, which holds scores and derived tables but no maps; give the run that it was made of."
KEY_DIGITS = 8  # of a score row's key; whole ones would be most of a record's bytes
TEXT, NUMBER, COUNT, FLAG = "text", "number", "count", "flag"
_RESPONSES = re.compile(r"responses:([0-9]{1,4})")
Kinds = Mapping[str, str]


def responses(size: int) -> str:
    """Kind of a column that holds so many numbers in each row."""
    return f"responses:{size}"


def _type(kind: str) -> pa.DataType:
    listed = _RESPONSES.fullmatch(kind)
    if listed:
        return pa.list_(pa.float32(), int(listed[1]))
    return {TEXT: pa.string(), NUMBER: pa.float32(), COUNT: pa.int64(), FLAG: pa.bool_()}[kind]


def pack_table(frame: pd.DataFrame, kinds: Kinds) -> bytes:
    """Encode a table as a sealed parquet file.

    Parameters
    ----------
    frame : DataFrame
    kinds : mapping of str to str
        Kind of each column, in order: ``text``, ``number``, ``count``, ``flag`` (may be missing), or `responses`.
    """
    columns = {name: _column(frame[name], kind) for name, kind in kinds.items()}
    texts = [name for name, kind in kinds.items() if kind in (TEXT, COUNT, FLAG) and name != "key"]
    numbers = {name: "BYTE_STREAM_SPLIT" for name, kind in kinds.items() if kind == NUMBER}
    buffer = io.BytesIO()
    schema = pa.schema([(name, _type(kind)) for name, kind in kinds.items()])
    with pq.ParquetWriter(
        buffer, schema, compression="zstd", compression_level=19, use_dictionary=[n for n in texts if kinds[n] == TEXT],
        column_encoding=numbers, write_statistics=False, store_schema=False,
    ) as writer:  # fmt: skip
        writer.write_table(pa.table(columns, schema))
        writer.add_key_value_metadata({"serxai": _MARK + _BLANK})
    return seal(buffer.getvalue())


def _column(values: pd.Series, kind: str) -> pa.Array:
    if _RESPONSES.fullmatch(kind):
        return pa.array([np.asarray(one, dtype=np.float32) for one in values], _type(kind))
    if kind == TEXT:
        return pa.array(values.astype(str).tolist(), pa.string())
    if kind == NUMBER:
        return pa.array(values.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32), pa.float32())
    if kind == FLAG:
        return pa.array([None if pd.isna(one) else bool(one) for one in values], pa.bool_())
    return pa.array(values.to_numpy(dtype=np.int64), pa.int64())


def derived_file(folder: Path, name: str) -> Path:
    """Path of one table of a record."""
    return folder / DERIVED / f"{name}.parquet"


def read_derived(folder: Path, name: str, kinds: Kinds) -> pd.DataFrame | None:
    """One table of a record; None where the record was made without it.

    Parameters
    ----------
    folder : Path
    name : str
    kinds : mapping of str to str
        As in `pack_table`.

    Raises
    ------
    ValueError
        If the file is damaged, declares more than is read, or has other columns, types or values than are allowed.
    """
    path = derived_file(folder, name)
    if not path.exists():
        return None
    data = read_bytes(path, MAX_FILE_BYTES)
    if not is_sealed(data):
        raise ValueError(f"{path}: damaged, or written by another program (no intact seal)")
    try:
        metadata = pq.read_metadata(pa.BufferReader(data))
        texts = [column for column, kind in kinds.items() if kind == TEXT]
        file = pq.ParquetFile(pa.BufferReader(data), metadata=metadata, read_dictionary=texts)
        check_parquet(file, MAX_ROWS)
        if file.schema_arrow.names != list(kinds):
            raise ValueError(f"has columns {', '.join(file.schema_arrow.names)[:500]}, not {', '.join(kinds)[:500]}")
        wrong = [
            f"{field.name} is {field.type}" for field in file.schema_arrow if not _fits(field.type, kinds[field.name])
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        table = read_columns(file, list(kinds))
        _refuse_values(table, kinds)
        return _frame(table, kinds)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ValueError(f"{path}: damaged ({' '.join(str(error).split())})") from None
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error})") from None


def _fits(found: pa.DataType, kind: str) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    if _RESPONSES.fullmatch(kind):
        return bool(pa.types.is_list(found) or pa.types.is_fixed_size_list(found)) and pa.types.is_float32(
            found.value_type
        )
    return bool(found == _type(kind))


def _refuse_values(table: pa.Table, kinds: Kinds) -> None:
    for name, kind in kinds.items():
        column = table[name]
        if column.null_count and kind != FLAG:
            raise ValueError(f"column {name!r} lacks {column.null_count} values")
        if kind == NUMBER and pc.any(pc.is_inf(column)).as_py():
            raise ValueError(f"column {name!r} holds infinite numbers")
        if kind == COUNT and pc.any(pc.less(column, 0)).as_py():
            raise ValueError(f"column {name!r} holds negative counts")
        listed = _RESPONSES.fullmatch(kind)
        if listed:
            whole = pa.chunked_array(column.chunks, column.type).combine_chunks()
            sizes, values = pc.list_value_length(whole), pc.list_flatten(whole)
            if not pc.all(pc.equal(sizes, int(listed[1]))).as_py() or not pc.all(pc.is_finite(values)).as_py():
                raise ValueError(f"column {name!r} holds no {listed[1]} finite numbers in each row")


def _frame(table: pa.Table, kinds: Kinds) -> pd.DataFrame:
    columns = {}
    for name, kind in kinds.items():
        values = table[name]
        if _RESPONSES.fullmatch(kind):
            columns[name] = pd.Series([np.array(one, dtype=np.float64) for one in values.to_pylist()], dtype=object)
        elif kind == NUMBER:
            columns[name] = pd.Series(values.to_numpy().astype(np.float64))
        elif kind == FLAG:
            columns[name] = pd.Series(values.to_pylist(), dtype=object)
        else:
            columns[name] = pd.Series(values.to_pylist(), dtype=str if kind == TEXT else "int64")
    return pd.DataFrame(columns, columns=list(kinds))


SCORE_KINDS = {
    name: {"float64": NUMBER, "boolean": FLAG, "int64": COUNT}.get(TYPES.get(name, ""), TEXT) for name in SCORE_COLUMNS
}


def pack_record_scores(frame: pd.DataFrame) -> bytes:
    """Encode score rows of a record: values in single precision, keys cut to `KEY_DIGITS`, rows grouped by cell.

    Cells and clips stay in the order in which they first appear, on which the order of fills on a board rests.
    """
    order = [frame[name].pipe(pd.factorize)[0] for name in _GROUPED]
    rows = frame.iloc[np.lexsort(order[::-1])]
    return pack_table(rows.assign(key=rows["key"].str[:KEY_DIGITS]), SCORE_KINDS)


_GROUPED = ("metric", "space", "fill", "condition", "method", "target_rule", "repeat", "seed", "trained_on", "clip")
