"""The online windows built anew from bronze: after Valkey was emptied, a topic was made anew, or the code changed.

The small topics are read first, so that what the baseline period hangs on is known when the vital signs stream by and
those that no answer needs can be dropped on the way: memory stays with the windows, not with the history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from apps.core import clock
from apps.ingestion import progress
from apps.ingestion.applier import CONTEXT, Applier, Pending
from apps.ingestion.models import ConsumerState
from apps.ingestion.window import Position
from ml.cleaning import clean
from ml.cleaning.clean import patient_names
from ml.contracts import TOPICS
from ml.lake.bronze import BronzeLine, read_claimed
from ml.lake.claims import chains, next_offset
from ml.lake.epochs import epochs
from ml.window import Window, empty, prune

log = structlog.get_logger(__name__)

LIVE_GROUP = "live-loop"
VITALS = "patient-vitals"
READ_ORDER = (CONTEXT, *(topic for topic in TOPICS if topic not in {CONTEXT, VITALS}), VITALS)
_CLEAN_AT = 5_000
_GROW_AT = 8_000
_SAVE_AT = 100


def projected_positions() -> dict[Position, int]:
    """Up to where the live loop has projected events into the tables."""
    return {
        (state.topic, state.topic_id, state.partition): state.next_offset
        for state in ConsumerState.objects.filter(group=LIVE_GROUP)
    }


def rebuild(applier: Applier, report: Callable[[str], None] = lambda _: None) -> dict[Position, int]:
    """Replace every window by what bronze says; the positions to read on from.

    Rows behind what was projected so far are projected too, and rows of patients nobody knows are kept waiting again.
    """
    store, lake = applier.store, applier.lake
    began = clock.now()
    store.begin()
    applier.pending, applier.rebuilding = {}, set()  # who is due stays due
    applier.refresh()
    projected = projected_positions()
    windows: dict[str, Window] = {}
    positions: dict[Position, int] = {}
    count = 0
    for topic in READ_ORDER:
        order = epochs(lake, topic)
        for chain in chains(lake, topic):
            if chain.topic_id in order and (at := next_offset(lake, chain)) is not None:
                positions[chain.topic, chain.topic_id, chain.partition] = at
        until = {(topic_id, n): at - 1 for (name, topic_id, n), at in positions.items() if name == topic}
        lines: list[BronzeLine] = []
        for batch in read_claimed(lake, topic, until=until):
            lines.extend(batch.lines())
            if len(lines) >= _CLEAN_AT:
                count += _take(applier, topic, lines, order, projected)
                _grow(applier, windows, least=_GROW_AT)
                lines = []
                report(f"{count:,} messages of bronze read, {topic}")
        count += _take(applier, topic, lines, order, projected)
    _grow(applier, windows, least=0)
    names = sorted(windows)
    for start in range(0, len(names), _SAVE_AT):
        some = names[start : start + _SAVE_AT]
        store.save([prune(windows.pop(name), applier.profile(name)) for name in some], {})
    store.save([], positions, applier.due)
    store.finish()
    progress.save(
        LIVE_GROUP,
        [progress.Progress(*place, 0, offset, None, None) for place, offset in positions.items()],
    )
    took = (clock.now() - began).total_seconds()
    log.info("windows_rebuilt", patients=len(names), messages=count, seconds=round(took, 1))
    return positions


def _take(
    applier: Applier,
    topic: str,
    lines: Sequence[BronzeLine],
    order: Mapping[str, int],
    projected: Mapping[Position, int],
) -> int:
    rows = clean(topic, lines, epochs=order, profiles=applier.profiles, default_trial=applier.default_trial).rows
    if rows.num_rows:
        applier.gather(topic, rows)
        shown = rows.filter(pc.or_(_not_projected(topic, rows, projected), _unknown(applier, rows)))
        if shown.num_rows:
            applier.show(topic, shown)
    return len(lines)


def _not_projected(topic: str, rows: pa.Table, projected: Mapping[Position, int]) -> pa.ChunkedArray:
    """Which rows lie behind what the tables hold."""
    there = pa.nulls(rows.num_rows, pa.bool_()).fill_null(False)
    for (name, topic_id, partition), offset in projected.items():
        if name == topic:
            chain = pc.and_(pc.equal(rows["topic_id"], topic_id), pc.equal(rows["partition"], partition))
            there = pc.or_(there, pc.and_(chain, pc.less(rows["offset"], offset)))
    return pc.invert(there)


def _unknown(applier: Applier, rows: pa.Table) -> pa.ChunkedArray:
    return pc.invert(pc.is_in(patient_names(rows), value_set=pa.array(sorted(applier.known), pa.string())))


def _grow(applier: Applier, windows: dict[str, Window], *, least: int) -> None:
    """Move what was gathered into the windows, patient by patient, once it is worth the sorting."""
    for name in sorted(applier.pending):
        pending: Pending = applier.pending[name]
        window = windows.get(name) or empty(name)
        if pending.facts >= max(least, len(window.facts) if least else 0):
            windows[name] = prune(applier.grown(window, pending, pruning=False), applier.profile(name))
            del applier.pending[name]
