"""The online windows and the tables of the portal filled from bronze: all of them, or what came since they stood still.

``rebuild`` begins anew: Valkey was emptied, the code changed, or windows hold what never reached bronze. ``catch_up``
adds what bronze holds behind the windows' positions; where they stand exactly at its end (a proper stop drains) there
is nothing to do. ``bring_up`` chooses. All three end in the same bytes.

Small topics are read first, so that what the baseline period hangs on is known when the vital signs stream by and
those that no answer needs can be dropped on the way: memory stays with the windows, not with the history. Reading and
cleaning go on in a process beside, the database takes rows in a thread beside, while the windows grow here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import structlog
from django.db import connection, connections

from apps.core import clock
from apps.ingestion import progress
from apps.ingestion.applier import CONTEXT, Applier, Pending
from apps.ingestion.models import ConsumerState
from apps.ingestion.window import Position
from ml.backlog import Request, portions
from ml.cleaning.clean import patient_names
from ml.contracts import TOPICS
from ml.lake import Lake
from ml.lake.claims import chains, next_offset
from ml.lake.epochs import epochs
from ml.window import Window, empty, prune

log = structlog.get_logger(__name__)

LIVE_GROUP = "live-loop"
VITALS = "patient-vitals"
READ_ORDER = (CONTEXT, *(topic for topic in TOPICS if topic not in {CONTEXT, VITALS}), VITALS)
_GROW_AT = 8_000
_SAVE_AT = 100
_FLUSH_AT = 200_000
_SHOWN_AHEAD = 2

Report = Callable[[str, int, int], None]
"""report(what was done, messages done, of)"""


def _quiet(_sentence: str, _done: int, _of: int) -> None:
    return


def projected_positions() -> dict[Position, int]:
    """Up to where the live loop has projected events into the tables."""
    return {
        (state.topic, state.topic_id, state.partition): state.next_offset
        for state in ConsumerState.objects.filter(group=LIVE_GROUP)
    }


def claimed_positions(lake: Lake) -> dict[Position, int]:
    """The next offset that bronze expects, of every partition of every life of the topics."""
    found: dict[Position, int] = {}
    for topic in READ_ORDER:
        order = epochs(lake, topic)
        for chain in chains(lake, topic):
            if chain.topic_id in order and (at := next_offset(lake, chain)) is not None:
                found[chain.topic, chain.topic_id, chain.partition] = at
    return found


def bring_up(applier: Applier, report: Report = _quiet, *, present: Collection[str] = ()) -> dict[Position, int]:
    """Make windows and tables hold what bronze holds, with as little work as is right; the positions to read on from.

    Windows are good as far as bronze has claimed what they rest on. Where they went further, what they saw is lost with
    the broker that had it, and they are built anew. Of topic ids in ``present`` the broker still has everything.
    """
    if applier.store.whole():
        claimed, there = claimed_positions(applier.lake), applier.store.positions()
        if all(at <= claimed.get(place, 0) for place, at in there.items() if place[1] not in present):
            return catch_up(applier, report)
        log.warning("windows_rebuilding", reason="they hold events that bronze does not")
    return rebuild(applier, report)


def rebuild(applier: Applier, report: Report = _quiet) -> dict[Position, int]:
    """Replace every window by what bronze says; the positions to read on from.

    Rows behind what was projected so far are projected too, and rows of patients nobody knows are kept waiting again.
    """
    store = applier.store
    began = clock.now()
    store.begin()
    applier.pending, applier.rebuilding = {}, set()  # who is due stays due
    applier.refresh()
    positions = claimed_positions(applier.lake)
    windows: dict[str, Window] = {}
    with _showing(applier) as show:
        for _, topic, rows in _read(applier, {}, positions, report):
            applier.gather(topic, rows)
            show(topic, rows)
            _grow(applier, windows, least=_GROW_AT)
    _grow(applier, windows, least=0)
    names = sorted(windows)
    for start in range(0, len(names), _SAVE_AT):
        some = names[start : start + _SAVE_AT]
        store.save([prune(windows.pop(name), applier.profile(name)) for name in some], {})
    store.save([], positions, applier.due)
    store.finish()
    _projected(positions)
    took = (clock.now() - began).total_seconds()
    log.info("windows_rebuilt", patients=len(names), messages=sum(positions.values()), seconds=round(took, 1))
    return positions


def catch_up(applier: Applier, report: Report = _quiet) -> dict[Position, int]:
    """Add what bronze holds behind the windows' positions; the positions to read on from. The windows must be whole.

    Interrupted, it is done again from the positions of before: what is applied twice changes nothing.
    """
    store = applier.store
    began = clock.now()
    applier.pending = {}
    applier.refresh()
    applier.due, applier.rebuilding = store.due(), store.rebuilding()
    there = store.positions()
    positions = {place: max(at, there.get(place, 0)) for place, at in claimed_positions(applier.lake).items()}
    count = flushed = 0
    with _showing(applier) as show:
        for count, topic, rows in _read(applier, there, positions, report):
            applier.gather(topic, rows)
            show(topic, rows)
            if count - flushed >= _FLUSH_AT:
                applier.flush({}, pruning=True)
                flushed = count
    applier.flush(positions, pruning=True)
    applier.rebuild_moved()
    _projected(positions)
    took = (clock.now() - began).total_seconds()
    log.info("windows_caught_up", messages=count, seconds=round(took, 1))
    return positions


def _read(
    applier: Applier, since: Mapping[Position, int], until: Mapping[Position, int], report: Report
) -> Iterator[tuple[int, str, pa.Table]]:
    """(messages so far, topic, silver rows) of what bronze holds between two sets of positions."""
    request = Request(applier.lake, READ_ORDER, since, until, applier.profiles, applier.default_trial)
    count = 0
    for portion in portions(request):
        count += portion.messages
        if portion.rows.num_rows:
            yield count, portion.topic, portion.rows
        report(portion.topic, count, request.messages)


def _projected(positions: Mapping[Position, int]) -> None:
    progress.save(LIVE_GROUP, [progress.Progress(*place, 0, offset, None, None) for place, offset in positions.items()])


@contextmanager
def _showing(applier: Applier) -> Iterator[Callable[[str, pa.Table], None]]:
    """Project rows that the tables do not hold yet, in the order given: in a thread, a few portions behind.

    Context is projected at once, because it decides who is known. Inside a transaction there is no beside: another
    connection would not see what it holds.
    """
    projected = projected_positions()
    if connection.in_atomic_block:
        yield lambda topic, rows: _show(applier, topic, rows, projected)
        return
    waiting: list[Future[None]] = []
    pool = ThreadPoolExecutor(1, thread_name_prefix="show")

    def show(topic: str, rows: pa.Table) -> None:
        while len(waiting) > (0 if topic == CONTEXT else _SHOWN_AHEAD):
            waiting.pop(0).result()
        waiting.append(pool.submit(_show, applier, topic, rows, projected))
        if topic == CONTEXT:
            waiting.pop().result()

    try:
        yield show
        for future in waiting:
            future.result()
    finally:
        pool.submit(connections.close_all)
        pool.shutdown(wait=True)


def _show(applier: Applier, topic: str, rows: pa.Table, projected: Mapping[Position, int]) -> None:
    shown = rows.filter(pc.or_(_not_projected(topic, rows, projected), _unknown(applier, rows)))
    if shown.num_rows:
        applier.show(topic, shown)


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
