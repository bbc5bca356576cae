"""Tables as bytes and back, and the small frames that carry them between Spark's stages."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
_SCHEMA = pa.schema(
    [("kind", pa.large_string()), ("topic", pa.large_string()), ("place", pa.int32()), ("payload", pa.large_binary())]
)
BATCH = 32


class Piece(NamedTuple):
    """One packed table on its way: what it is, of which topic, and where it goes (bucket or day)."""

    kind: str
    topic: str
    place: int
    payload: bytes


def pack(table: pa.Table) -> bytes:
    """A table as compressed Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def unpack(payload: bytes) -> pa.Table:
    """`pack`'s table."""
    with pa.ipc.open_stream(payload) as reader:
        return reader.read_all()


def batches(pieces: Iterable[Piece]) -> Iterator[pa.RecordBatch]:
    """Pieces as record batches of schema `PIECES`."""
    waiting: list[Piece] = []
    for piece in pieces:
        waiting.append(piece)
        if len(waiting) == BATCH:
            yield _batch(waiting)
            waiting = []
    if waiting:
        yield _batch(waiting)


def _batch(pieces: list[Piece]) -> pa.RecordBatch:
    columns = zip(*pieces, strict=True)
    return pa.record_batch(
        [pa.array(column, item.type) for column, item in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA
    )


def pieces(table: pa.Table | pa.RecordBatch) -> list[Piece]:
    """The pieces of a frame of schema `PIECES`."""
    columns = [table.column(name).to_pylist() for name in ("kind", "topic", "place", "payload")]
    return [Piece(*row) for row in zip(*columns, strict=True)]


def as_table(made: Iterable[Piece]) -> pa.Table:
    """Pieces as one table of schema `PIECES`."""
    return pa.Table.from_batches(list(batches(made)), schema=_SCHEMA)


def bucket_of(patient: str, buckets: int) -> int:
    """The bucket of a patient ("trial/patient"): the same in every process."""
    return zlib.crc32(patient.encode()) % buckets


def buckets_of(names: pa.Array, buckets: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The bucket of each name."""
    coded = names.dictionary_encode()
    places = np.array([bucket_of(name, buckets) for name in coded.dictionary.to_pylist()], np.int64)
    chosen: np.ndarray[tuple[int], np.dtype[np.int64]] = places[np.asarray(coded.indices)]
    return chosen


def split(table: pa.Table, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each place, their order kept; places rise."""
    if table.num_rows == 0:
        return
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sorted_rows = table.take(pa.array(order))
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        yield int(ordered[start]), sorted_rows.slice(start, stop - start)
