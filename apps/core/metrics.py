"""What operators watch: the table of every metric, the makers of its counters, and the page that shows them.

A metric that is not a row cannot be made, so the table is whole. No row has a label that names a patient or a treatment
arm, and none may get one: whoever reaches ``/metrics`` reads it without signing in. It belongs into the operators'
network, and the front door sends nobody there from outside.

Processes that share ``PROMETHEUS_MULTIPROC_DIR`` (all of ``make run``; an API's or a Celery worker's processes) add up
in it, and each of their pages shows the sum. In production every process shows its own on its own port
(``METRICS_PORT``; the portal and the API on theirs). What is a state of the platform (a model's AUROC, the lag of a
consumer, a job that failed) is read from the database when the page is asked for, so it is right after any restart.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, make_server

import psutil
from django.conf import settings
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from apps.core.metric_table import ALIASES, METRICS, Row

disable_created_metrics()  # a series more for each of ours, which nobody reads
log = logging.getLogger(__name__)
Source = Callable[[], Iterable[tuple[str, dict[str, str], float]]]
"""Gives (name of a row, labels, value) when the page is asked for."""

_sources: list[Source] = []
_made: dict[str, Any] = {}
_lock = threading.Lock()


def counter(name: str) -> Counter:
    """The counter of that row. KeyError for a name without a row, TypeError for a row of another type."""
    return cast("Counter", _make(name, "counter"))


def gauge(name: str) -> Gauge:
    """The gauge of that row; errors as ``counter``."""
    return cast("Gauge", _make(name, "gauge"))


def histogram(name: str) -> Histogram:
    """The histogram of that row; errors as ``counter``."""
    return cast("Histogram", _make(name, "histogram"))


def _make(name: str, kind: str) -> Any:
    row = METRICS[name]
    if row.kind != kind or row.source:
        raise TypeError(f"{name} is a {row.kind}{' read when asked for' if row.source else ''}, not a {kind}.")
    with _lock:
        if name not in _made:
            if kind == "counter":
                _made[name] = Counter(name, row.help, row.labels)
            elif kind == "gauge":
                _made[name] = Gauge(name, row.help, row.labels, multiprocess_mode=row.across)
            else:
                _made[name] = Histogram(name, row.help, row.labels, buckets=row.buckets)
        return _made[name]


def add_source(source: Source) -> None:
    """Have ``source`` asked whenever a page with the platform's state is drawn."""
    if source not in _sources:
        _sources.append(source)


def announce(component: str) -> None:
    """Say that this process runs, as ``component``: its memory and processor time are then shown."""
    gauge("component_up").labels(component=component).set(1)


def page(*, state: bool) -> bytes:
    """Prometheus' text format. ``state``: with what is read from the database."""
    found = families()
    found += [*_aliases(found), *_components(found)]
    if state:
        found += _state()
    return generate_latest(_Drawn(found))


def families() -> list[Metric]:
    """What is counted now: by this process, or by all that share a folder."""
    if settings.METRICS_SHARED:
        forget_the_dead()
        return list(MultiProcessCollector(CollectorRegistry()).collect())
    return list(REGISTRY.collect())


class _Drawn:
    """Families as ``generate_latest`` reads a registry."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = sorted(families, key=lambda family: family.name)

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def _aliases(families: list[Metric]) -> Iterator[Metric]:
    """Counters under the name a requirement gave them, without the ending ``_total`` that our library adds."""
    for family in families:
        if family.name in ALIASES:
            alias = Metric(family.name, f"{family.documentation} (as {family.name}_total)", "unknown")
            for sample in family.samples:
                if sample.name == f"{family.name}_total":
                    alias.add_sample(family.name, sample.labels, sample.value)
            yield alias


def _components(families: list[Metric]) -> Iterator[Metric]:
    """Memory and processor time of the processes that announced themselves, with their children (Spark's Java)."""
    up = next((family for family in families if family.name == "component_up"), None)
    if up is None:
        return
    found: dict[int, str] = {}
    for sample in up.samples:
        found[int(sample.labels.get("pid", os.getpid()))] = sample.labels["component"]
    memory: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for pid, component in found.items():
        for process in _family(pid, others=set(found) - {pid}):
            try:
                times = process.cpu_times()
                memory[component] = memory.get(component, 0.0) + process.memory_info().rss
                seconds[component] = seconds.get(component, 0.0) + times.user + times.system
            except psutil.Error:
                continue
    for name, values in (("component_memory_bytes", memory), ("component_cpu_seconds", seconds)):
        family = _family_of(METRICS[name])
        for component, value in sorted(values.items()):
            family.add_sample(name, {"component": component}, value)
        yield family


def _family(pid: int, others: set[int]) -> list[psutil.Process]:
    try:
        head = psutil.Process(pid)
        return [head, *(child for child in head.children(recursive=True) if child.pid not in others)]
    except psutil.Error:
        return []


def _family_of(row: Row) -> Metric:
    return Metric(row.name, row.help, row.kind)


def _state() -> list[Metric]:
    families: dict[str, Metric] = {}
    answered = Metric("metrics_source_up", METRICS["metrics_source_up"].help, "gauge")
    for source in _sources:
        name = source.__name__
        try:
            for row_name, labels, value in list(source()):
                row = METRICS[row_name]
                if set(labels) != set(row.labels):
                    raise ValueError(f"{row_name} has the labels {row.labels}, not {tuple(labels)}.")
                families.setdefault(row_name, _family_of(row)).add_sample(row_name, labels, value)
            answered.add_sample("metrics_source_up", {"source": name}, 1)
        except Exception:
            log.exception("a source of metrics does not answer", extra={"source": name})
            answered.add_sample("metrics_source_up", {"source": name}, 0)
    return [*families.values(), answered]


def forget_the_dead() -> None:
    """Take the live gauges of processes that were killed out of the shared folder; their counts stay in the sums."""
    folder = Path(settings.METRICS_FOLDER)
    pids = {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*.db")}
    for pid in pids:
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            mark_process_dead(int(pid))


def serve(port: int, *, everywhere: bool) -> None:
    """Show this process's own page at ``port`` in a thread of its own; on this machine alone unless ``everywhere``."""

    def application(_environ: Any, start: Any) -> list[bytes]:
        body = page(state=False)
        start("200 OK", [("Content-Type", "text/plain; version=0.0.4; charset=utf-8"), ("Cache-Control", "no-store")])
        return [body]

    host = "0.0.0.0" if everywhere else "127.0.0.1"  # noqa: S104 - the operators' network scrapes it
    server = make_server(host, port, application, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def serve_as_set() -> None:
    """Show this process's page where the settings give it a port."""
    if settings.METRICS_PORT:
        serve(settings.METRICS_PORT, everywhere=settings.METRICS_EVERYWHERE)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        return
