"""One patient's online window: the facts kept at hand for answers about now, and their bytes.

The bytes are a function of the set of facts alone (canonical order, no duplicates), so a window that grew message by
message equals one built anew from bronze. Columns are stored as differences in the narrowest integers and compressed:
28 days of vital signs every 15 minutes take about 60 kB instead of 2 MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from ml.contracts.signals import SIGN_CODES
from ml.facts import ABSENT, INT_COLUMNS, Facts, Int
from ml.features.baseline import MARGIN_SECONDS, Anchors, anchors, must_rebuild, needed_facts
from ml.features.table import LOOKBACK_SECONDS
from ml.profile import StudyProfile

FORMAT = 1
NEVER = -(2**62)
_CODEC = "zstd"
_WIDTHS = ("<i1", "<i2", "<i4", "<i8")
_ORDER = (
    "signal",
    "event_time",
    "known_time",
    "epoch",
    "offset",
    "key",
    "value",
    "low",
    "high",
    "end_time",
    "code",
    "extra",
)


@dataclass(frozen=True, slots=True)
class Window:
    """What is kept of one patient ("trial/patient").

    ``watermark``: topic → [topic id, partition, offset] applied so far. ``newest``: the latest of all times applied,
    seconds (known times as well as event times). ``kept_since``: every vital sign later than this is still here.
    ``first_dose`` and ``enrolment`` are those known when readings were last dropped.
    """

    patient: str
    facts: Facts
    watermark: dict[str, list[Any]] = field(default_factory=dict)
    newest: int = NEVER
    kept_since: int = NEVER
    first_dose: int | None = None
    enrolment: int | None = None

    @property
    def anchors(self) -> Anchors:
        return Anchors(self.first_dose, self.enrolment)


def empty(patient: str) -> Window:
    """A window of a patient nothing is known of."""
    return Window(patient, Facts.empty((patient,)))


def of_patient(facts: Facts, position: int) -> Facts:
    """The facts of one patient, as the only patient."""
    mine = facts.take(facts.patient == position)
    columns = {f.name: getattr(mine, f.name) for f in fields(Facts) if f.name not in {"patients", "patient"}}
    return Facts((facts.patients[position],), np.zeros(len(mine), np.int32), **columns)


def by_patient(facts: Facts) -> dict[str, Facts]:
    """Facts of many patients, one entry each."""
    if not len(facts):
        return {}
    order = np.argsort(facts.patient, kind="stable")
    facts = facts.take(order)
    present, starts = np.unique(facts.patient, return_index=True)
    ends = [*starts[1:].tolist(), len(facts)]
    found = {}
    for position, start, end in zip(present.tolist(), starts.tolist(), ends, strict=True):
        columns = {
            f.name: getattr(facts, f.name)[start:end] for f in fields(Facts) if f.name not in {"patients", "patient"}
        }
        name = facts.patients[position]
        found[name] = Facts((name,), np.zeros(end - start, np.int32), **columns)
    return found


def canonical(facts: Facts) -> Facts:
    """The same facts of one patient in canonical order, each once."""
    if len(facts) < 2:
        return facts
    columns = [getattr(facts, name) for name in reversed(_ORDER[:6])]
    facts = facts.take(np.lexsort((facts.retracted, *columns)))
    same = np.ones(len(facts) - 1, np.bool_)
    for name in (*_ORDER, "retracted"):
        column = getattr(facts, name)
        same &= column[1:] == column[:-1]
    return facts.take(np.concatenate([[True], ~same])) if same.any() else facts


def advance(watermark: dict[str, list[Any]], topic: str, topic_id: str, partition: int, offset: int) -> None:
    """Move a patient's watermark forward in place. A second partition of a topic is kept as ``<topic>@<partition>``."""
    there = watermark.get(topic)
    if there is None or there[0] != topic_id:
        # a new life of the topic: what stood for the old one counts whole from now on
        for name in [name for name in watermark if name.startswith(f"{topic}@")]:
            del watermark[name]
        watermark[topic] = [topic_id, partition, offset]
    elif there[1] == partition:
        there[2] = max(there[2], offset)
    else:
        other = watermark.setdefault(f"{topic}@{partition}", [topic_id, partition, offset])
        other[2] = max(other[2], offset)


def applied(watermark: Mapping[str, list[Any]], topic: str, topic_id: str, partition: int, offset: int) -> bool:
    """Whether a message lies at or below a patient's watermark."""
    for name in (topic, f"{topic}@{partition}"):
        there = watermark.get(name)
        if there is not None and there[0] == topic_id and there[1] == partition:
            return bool(offset <= there[2])
    return False


def grow(window: Window, more: Facts, watermark: dict[str, list[Any]], newest: int) -> Window:
    """The window with more facts of its patient; nothing is dropped yet."""
    facts = Facts.concat([window.facts, more]) if len(more) else window.facts
    return replace(window, facts=canonical(facts), watermark=watermark, newest=max(window.newest, newest))


def moved(window: Window, profile: StudyProfile) -> bool:
    """Whether dropped readings are read again, so that the window must be built anew from bronze."""
    if window.kept_since == NEVER:
        return False
    return must_rebuild(window.anchors, anchors(window.facts, 0, window.newest), window.kept_since, profile)


def prune(window: Window, profile: StudyProfile) -> Window:
    """The window without the vital signs that no answer about now can read."""
    if not len(window.facts) or window.newest == NEVER:
        return window
    known = anchors(window.facts, 0, window.newest)
    signs = np.isin(window.facts.signal, SIGN_CODES)
    latest = int(window.facts.event_time[signs].max()) if signs.any() else NEVER
    reference = min(window.newest, latest)
    keep = needed_facts(window.facts, reference, known, profile)
    facts = window.facts if keep.all() else window.facts.take(keep)
    since = reference - LOOKBACK_SECONDS - MARGIN_SECONDS if reference != NEVER else NEVER
    return replace(
        window,
        facts=facts,
        kept_since=max(since, window.kept_since),
        first_dose=known.first_dose,
        enrolment=known.enrolment,
    )


def _pack_column(values: Int) -> tuple[str, bytes]:
    """(width, bytes) of a column as its first value and the differences between neighbours."""
    if not len(values):
        return "=", b""
    if (values == values[0]).all():
        return "=", int(values[0]).to_bytes(8, "little", signed=True)
    steps = np.diff(values, prepend=np.int64(0))  # wraps for huge values and wraps back when summed
    low, high = int(steps.min()), int(steps.max())
    for width in _WIDTHS:
        info = np.iinfo(np.dtype(width))
        if info.min <= low and high <= info.max:
            return width, steps.astype(width).tobytes()
    raise AssertionError("an int64 always fits eight bytes")


def _unpack_column(width: str, data: memoryview, n: int) -> Int:
    if width == "=":
        value = int.from_bytes(data, "little", signed=True) if n else 0
        return np.full(n, value, np.int64)
    return np.cumsum(np.frombuffer(data, width).astype(np.int64), dtype=np.int64)


def pack(window: Window) -> bytes:
    """The bytes of a window; equal for equal sets of facts, watermarks and times."""
    facts = window.facts
    widths, parts, sizes = [], [], []
    for name in ("signal", "retracted", *INT_COLUMNS):
        column = getattr(facts, name).astype(np.int64)
        if name in {"value", "low", "high", "end_time"} and len(column) and not (column == column[0]).all():
            # an absent value between present ones would cost eight bytes a step: kept as one below the smallest
            column, base = _lower(column)
            widths.append([*_text(base)])
        else:
            widths.append([])
        width, data = _pack_column(column)
        widths[-1] = [width, *widths[-1]]
        parts.append(data)
        sizes.append(len(data))
    body = b"".join(parts)
    head = orjson.dumps(
        {
            "format": FORMAT,
            "patient": window.patient,
            "watermark": window.watermark,
            "newest": window.newest,
            "kept_since": window.kept_since,
            "first_dose": window.first_dose,
            "enrolment": window.enrolment,
            "n": len(facts),
            "columns": widths,
            "sizes": sizes,
            "bytes": len(body),
        },
        option=orjson.OPT_SORT_KEYS,
    )
    packed = pa.compress(body, codec=_CODEC, asbytes=True) if body else b""
    return len(head).to_bytes(4, "little") + head + packed


def _lower(column: Int) -> tuple[Int, int]:
    present = column[column != ABSENT]
    base = int(present.min()) - 1
    return np.where(column == ABSENT, base, column), base


def _text(base: int) -> tuple[str]:
    return (str(base),)


def unpack(data: bytes) -> Window:
    """The window of ``pack``'s bytes. ValueError for another format: the window must be built anew."""
    size = int.from_bytes(data[:4], "little")
    head = orjson.loads(data[4 : 4 + size])
    if head["format"] != FORMAT:
        raise ValueError(f"A window of format {head['format']} must be built anew.")
    n = head["n"]
    body = memoryview(
        pa.decompress(data[4 + size :], decompressed_size=head["bytes"], codec=_CODEC, asbytes=True)
        if head["bytes"]
        else b""
    )
    columns: dict[str, Int] = {}
    start = 0
    for name, (width, *base), length in zip(
        ("signal", "retracted", *INT_COLUMNS), head["columns"], head["sizes"], strict=True
    ):
        column = _unpack_column(width, body[start : start + length], n)
        if base:
            column[column == int(base[0])] = ABSENT
        columns[name] = column
        start += length
    facts = Facts(
        (head["patient"],),
        np.zeros(n, np.int32),
        columns.pop("signal").astype(np.int16),
        columns.pop("retracted").astype(np.bool_),
        **columns,
    )
    return Window(
        head["patient"],
        facts,
        head["watermark"],
        head["newest"],
        head["kept_since"],
        head["first_dose"],
        head["enrolment"],
    )
