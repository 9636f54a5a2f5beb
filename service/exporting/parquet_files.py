"""Parquet out of lots of rows; the only file here that knows pyarrow. Knows not what columns mean."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from service.exporting.columns import Column, Lot

_TYPES = {
    "whole": pa.int64(),
    "number": pa.float64(),
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "moment": pa.timestamp("us", tz="UTC"),
}
# Each row group has a table of contents of its own; so many rows are some megabytes.
_ROWS_A_GROUP = 100_000


def write_parquet(file: BinaryIO, columns: Sequence[Column], lots: Iterable[Lot]) -> None:
    """Write rows in row groups."""
    schema = pa.schema([(column.name, _TYPES[column.kind]) for column in columns])
    writer = pq.ParquetWriter(file, schema)
    try:
        held: list[pa.RecordBatch] = []
        for lot in lots:
            arrays = [pa.array(values, field.type) for values, field in zip(lot, schema, strict=True)]
            held.append(pa.record_batch(arrays, schema=schema))
            if sum(batch.num_rows for batch in held) >= _ROWS_A_GROUP:
                writer.write_table(pa.Table.from_batches(held))
                held = []
        writer.write_table(pa.Table.from_batches(held, schema))
        writer.close()
    except BaseException:
        # What it could not write it would try to write again when it is collected.
        with suppress(Exception):
            writer.close()
        raise
