"""Bounds on what a file declares, checked before its content takes memory.

A compressed file of a few MB can declare gigabytes. Each reader asks here first, from the file's own directory, header
or metadata; nothing is decompressed for that but 10 kB of an array's header.
"""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MAX_FILE_BYTES = 512 * 2**20
MAX_ARRAY_BYTES = 64 * 2**20  # a map of 60 s at 128 bands and 5 ms takes 12 MB
MAX_ARCHIVE_BYTES, MAX_RATIO = 256 * 2**20, 100  # an archive may hold the larger of the two, the second times its size
MAX_ENTRIES = 200_000
MAX_ROWS, MAX_TABLE_BYTES = 1_000_000, 512 * 2**20
# what numpy raises for headers that are no description of an array, beside ValueError
_NO_HEADER = (tokenize.TokenError, TypeError, AttributeError, OverflowError, MemoryError, RecursionError)
_HEADER = 10_000  # numpy's own bound on an array's header


def check_archive(archive: zipfile.ZipFile) -> None:
    """Check what a .npz declares to hold.

    Raises
    ------
    ValueError
        If it has too many entries, or an entry or all together would take too much memory.
    """
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"declares {len(entries)} arrays, at most {MAX_ENTRIES} are read")
    for entry in entries:
        if entry.file_size > MAX_ARRAY_BYTES + _HEADER:
            raise ValueError(f"{entry.filename}: declares {entry.file_size} bytes, at most {MAX_ARRAY_BYTES} are read")
    declared = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if declared > max(MAX_ARCHIVE_BYTES, MAX_RATIO * packed):
        raise ValueError(f"declares {declared} bytes in {packed} packed ones, more than is read")


def load_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read one array of an archive, after its declared shape.

    Raises
    ------
    ValueError
        If its header is none, the array would take more memory than its entry holds bytes, or it holds objects.
    """
    entry = archive.getinfo(f"{name}.npy")
    if entry.file_size > MAX_ARRAY_BYTES + _HEADER:
        raise ValueError(f"{entry.filename}: declares {entry.file_size} bytes, at most {MAX_ARRAY_BYTES} are read")
    body = archive.read(entry)
    header = io.BytesIO(body)
    major, _ = np.lib.format.read_magic(header)
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    try:
        shape, _, dtype = read(header)
    except _NO_HEADER as error:
        raise ValueError(f"{entry.filename}: its header describes no array ({type(error).__name__})") from None
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"{entry.filename}: declares shape {shape}, which no array has")
    declared = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or declared != len(body) - header.tell():
        raise ValueError(f"{entry.filename}: declares shape {shape} of {dtype}, its entry holds {len(body)} bytes")
    return np.load(io.BytesIO(body), allow_pickle=False)


def check_parquet(file: pq.ParquetFile, rows: int | None = None) -> None:
    """Check what the metadata of a parquet file declare.

    Parameters
    ----------
    file : ParquetFile
    rows : int, optional
        Rows that the run has planned in all; default `MAX_ROWS`.

    Raises
    ------
    ValueError
        If it declares more rows or bytes than are read.
    """
    most = MAX_ROWS if rows is None else min(rows, MAX_ROWS)
    declared = file.metadata
    if declared.num_rows > most:
        raise ValueError(f"declares {declared.num_rows} rows, at most {most} are read")
    size = sum(declared.row_group(i).total_byte_size for i in range(declared.num_row_groups))
    if size > MAX_TABLE_BYTES:
        raise ValueError(f"declares {size} bytes, at most {MAX_TABLE_BYTES} are read")


def read_columns(file: pq.ParquetFile, columns: Sequence[str]) -> pa.Table:
    """Read columns, repeated texts only once, and check what they take when spelled out.

    Raises
    ------
    ValueError
        If the texts spelled out would take too much memory.
    """
    table = file.read(list(columns), use_threads=False)
    spelled = 0
    for column in table.columns:
        for chunk in column.chunks:
            if pa.types.is_dictionary(chunk.type) and len(chunk.dictionary):
                lengths = pc.binary_length(chunk.dictionary).take(chunk.indices)
                spelled += pc.sum(lengths).as_py() or 0
    if spelled > MAX_TABLE_BYTES:
        raise ValueError(f"its texts would take {spelled} bytes, at most {MAX_TABLE_BYTES} are read")
    return table
