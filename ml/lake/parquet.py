"""Tables as Parquet in which equal tables are equal bytes: sorted rows come in, the writer's options are fixed, and neither
time nor machine stands in the file."""

from __future__ import annotations

import hashlib
import io

import pyarrow as pa
import pyarrow.parquet as pq


def parquet(table: pa.Table) -> bytes:
    """A table as Parquet; equal tables are equal bytes."""
    sink = io.BytesIO()
    texts = [item.name for item in table.schema if pa.types.is_string(item.type)]
    pq.write_table(
        table.combine_chunks(),
        sink,
        version="2.6",
        row_group_size=1 << 17,
        compression="zstd",
        compression_level=1,
        use_dictionary=texts,
        write_statistics=True,
        store_schema=False,
        write_page_index=False,
    )
    return sink.getvalue()


def parquet_digest(table: pa.Table) -> str:
    """SHA-256 of a table as Parquet."""
    return hashlib.sha256(parquet(table)).hexdigest()
