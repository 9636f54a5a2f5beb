"""Parquet as chunks of rows; the only file that knows pyarrow. Knows nothing of what columns mean."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from service.importing.chunks import ROWS_A_CHUNK, Chunk, check_header
from service.importing.columns import Column
from service.importing.problems import ImportFailed

# Of each column's part of a row group so much is read at a time; a foreign file may have one group for all.
_READ_BYTES = 1 << 20

_WANTED = {
    "whole": "a whole number",
    "number": "a number",
    "text": "a text",
    "texts": "a list of texts",
    "moment": "a timestamp with a time zone, or seconds since 1970",
}


def read_parquet(path: Path, columns: Sequence[Column]) -> Iterator[Chunk]:
    """Read a Parquet file; raises ImportFailed where it is damaged or a column has a type of another kind."""
    size = path.stat().st_size
    try:
        # Mapped or buffered ahead, all that was read of the file would be held to the end.
        with pq.ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False) as file:
            schema = file.schema_arrow
            check_header(path, schema.names, columns)
            found = [column for column in columns if column.name in schema.names]
            for column in found:
                _check_type(path, column, schema.field(column.name).type)
            total = max(file.metadata.num_rows, 1)
            done = 0
            # Threads would decode ahead of what is stored and hold it all.
            for batch in file.iter_batches(
                ROWS_A_CHUNK, columns=[column.name for column in found], use_threads=False
            ):
                absent = [None] * len(batch)
                values = [
                    _values(batch.column(column.name)) if column in found else absent for column in columns
                ]
                first = done + 1
                done += len(batch)
                yield Chunk(values, partial(range, first, done + 1), [], size * done // total, unit="row")
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise ImportFailed(f"{path} is damaged, cut short or not Parquet: {reason}") from error


def _check_type(path: Path, column: Column, kind: pa.DataType) -> None:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if pa.types.is_timestamp(kind):
        if column.kind == "moment" and kind.tz is None:
            raise ImportFailed(
                f"{path}, column {column.name}: its timestamps have no time zone; store them as UTC"
            )
        fits = column.kind == "moment"
    elif is_list:
        fits = column.kind == "texts" and (
            pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
        )
    elif is_number:
        fits = column.kind in ("whole", "number", "moment") or (
            column.kind == "text" and pa.types.is_integer(kind)
        )
    else:
        fits = is_text or pa.types.is_null(kind)
    if not fits:
        raise ImportFailed(f"{path}, column {column.name}: type {kind} is not {_WANTED[column.kind]}")


def _values(array: Any) -> list[object]:
    kind = array.type
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.timestamp("us", tz=kind.tz), safe=False)
        return array.to_numpy(zero_copy_only=False).tolist()  # None where it is null
    if not array.null_count and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return array.to_numpy(zero_copy_only=False).tolist()  # five times as fast as to_pylist
    return array.to_pylist()
