"""Applies events to what is kept at hand: the tables the portal shows, and the patients' online windows.

Messages are gathered (``apply``) and then take effect together (``flush``): windows, positions and what is due to be
scored change at once. Everything here may happen twice without harm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import structlog

from apps.ingestion.window import Due, Position, WindowStore
from apps.patients import selectors
from apps.patients.models import Patient
from apps.patients.projection import project
from ml.cleaning import clean, to_facts
from ml.cleaning.clean import patient_names
from ml.contracts import TOPICS, is_backfill
from ml.facts import Facts
from ml.lake import Lake, LakeError
from ml.lake.bronze import BronzeLine, events_of_patients
from ml.lake.epochs import epochs
from ml.profile import StudyProfile
from ml.window import Window, advance, by_patient, empty, grow, moved, prune

log = structlog.get_logger(__name__)

CONTEXT = "patient-context"
#: Context first: a patient must be known before the rest of the same batch is projected.
ORDER = tuple(sorted(TOPICS, key=lambda topic: topic != CONTEXT))


@dataclass
class Pending:
    """What has been read of one patient and has not taken effect yet."""

    parts: list[Facts] = field(default_factory=list)
    facts: int = 0
    advances: dict[tuple[str, str, int], int] = field(default_factory=dict)
    newest: int = -(2**62)


class Applier:
    """One per live loop. ``profiles`` are re-read by ``refresh``, and when a version has been published since.

    A trial's profile is there before its first event, and says which medicines are study doses: an event read under the
    profiles of before would show a dose's name to those who are blinded.
    """

    def __init__(self, *, lake: Lake, store: WindowStore, default_trial: str) -> None:
        self.lake = lake
        self.store = store
        self.default_trial = default_trial
        self.pending: dict[str, Pending] = {}
        self.due: dict[str, Due] = {}
        self.messages = 0
        self.rebuilding: set[str] = set()
        self.profiles: Mapping[str, StudyProfile] = {}
        self.published = -1
        self.known: set[str] = set()
        self.waiting: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Read profiles, known patients and who is waited for anew."""
        self._read_profiles()
        self.known = set(Patient.objects.values_list("pk", flat=True))
        self.waiting = self.store.waiting_patients()

    def _read_profiles(self) -> None:
        published = selectors.profiles_published()  # before: a version that comes in between is read again
        if published != self.published:
            self.profiles, self.published = selectors.profiles(), published

    def profile(self, patient: str) -> StudyProfile:
        """The profile of a patient's trial; the plain one while the trial has none."""
        trial = patient.partition("/")[0]
        return self.profiles.get(trial) or StudyProfile(trial_id=trial)

    # --- gathering ---------------------------------------------------------------------------------------------------

    def apply(self, lines: Mapping[str, Sequence[BronzeLine]], epochs: Mapping[str, Mapping[str, int]]) -> None:
        """Clean, project and gather messages, topic by topic. ``epochs``: topic → topic id → epoch."""
        self._read_profiles()
        for topic in ORDER:
            if lines.get(topic):
                rows = clean(
                    topic,
                    lines[topic],
                    epochs=epochs[topic],
                    profiles=self.profiles,
                    default_trial=self.default_trial,
                ).rows
                self.messages += len(lines[topic])
                if rows.num_rows:
                    self.show(topic, rows)
                    self.gather(topic, rows)
                    self._note_due(lines[topic], rows)

    def show(self, topic: str, rows: pa.Table) -> None:
        """Project rows into the portal's tables; rows of unknown patients wait for their context."""
        projected = project(topic, rows)
        if projected.unknown.num_rows:
            names = patient_names(projected.unknown).to_pylist()
            self.store.keep_waiting(topic, projected.unknown, names)
            self.waiting.update(names)
        if topic == CONTEXT:
            known = set(patient_names(rows).to_pylist()) - set(
                patient_names(projected.unknown).to_pylist() if projected.unknown.num_rows else ()
            )
            self.known |= known
            for name in sorted(known & self.waiting):
                self.admit(name)

    def admit(self, patient: str) -> None:
        """A patient has become known: what waited goes into the tables."""
        for topic, rows in self.store.waiting(patient):
            if project(topic, rows).unknown.num_rows:
                return
        self.store.admitted(patient)
        self.waiting.discard(patient)
        log.info("patient_admitted", patient=patient)

    def gather(self, topic: str, rows: pa.Table) -> None:
        """Keep rows as facts until the next flush."""
        for name, facts in by_patient(to_facts(topic, rows)).items():
            pending = self.pending.setdefault(name, Pending())
            pending.parts.append(facts)
            pending.facts += len(facts)
        marks = rows.group_by(["trial_id", "patient_id", "topic_id", "partition"]).aggregate(
            [("offset", "max"), ("event_time", "max"), ("known_time", "max")]
        )
        for mark in marks.to_pylist():
            pending = self.pending.setdefault(f"{mark['trial_id']}/{mark['patient_id']}", Pending())
            place = (topic, mark["topic_id"], mark["partition"])
            pending.advances[place] = max(pending.advances.get(place, -1), mark["offset_max"])
            pending.newest = max(pending.newest, mark["event_time_max"], mark["known_time_max"])

    def _note_due(self, lines: Sequence[BronzeLine], rows: pa.Table) -> None:
        """Remember who must be scored. A backfill tells of the past and asks for nothing."""
        kept = set(
            zip(rows["topic_id"].to_pylist(), rows["partition"].to_pylist(), rows["offset"].to_pylist(), strict=True)
        )
        for line in lines:
            headers = line["headers"]
            if is_backfill(headers.get("producer")):
                continue
            if (line["topic_id"], line["partition"], line["offset"]) not in kept:
                continue
            value: dict[str, Any] = line["value"]
            patient = f"{value.get('trial_id') or self.default_trial}/{value['patient_id']}"
            correlation = headers.get("correlation_id") or f"{line['topic']}-{line['partition']}-{line['offset']}"
            before = self.due.get(patient)
            since = line["timestamp"] if before is None else before.since_ms
            self.due[patient] = Due(since, str(correlation)[:64])

    # --- taking effect -----------------------------------------------------------------------------------------------

    def flush(self, positions: Mapping[Position, int], *, pruning: bool) -> dict[str, Window]:
        """Let everything gathered take effect; the windows that changed. ``pruning`` drops what no answer needs."""
        changed: dict[str, Window] = {}
        if self.pending:
            names = sorted(self.pending)
            there = self.store.windows(names)
            for name in names:
                changed[name] = self.grown(there.get(name) or empty(name), self.pending[name], pruning=pruning)
        self.store.save(changed.values(), positions, self.due, rebuilding=self.rebuilding)
        self.pending, self.messages = {}, 0
        return changed

    def grown(self, window: Window, pending: Pending, *, pruning: bool) -> Window:
        """The window with what was gathered; noted for rebuilding where its baseline period moved."""
        watermark = {topic: list(place) for topic, place in window.watermark.items()}
        for (topic, topic_id, partition), offset in sorted(pending.advances.items()):
            advance(watermark, topic, topic_id, partition, offset)
        more = Facts.concat(pending.parts) if pending.parts else Facts.empty()
        grown = grow(window, more, watermark, pending.newest)
        profile = self.profile(window.patient)
        if moved(grown, profile):
            self.rebuilding.add(window.patient)
            return grown
        return prune(grown, profile) if pruning and window.patient not in self.rebuilding else grown

    def rebuild_moved(self) -> None:
        """Build anew, from bronze, the windows whose baseline period moved; those bronze is behind for wait."""
        if not self.rebuilding:
            return
        there = self.store.windows(sorted(self.rebuilding))
        for name, window in there.items():
            try:
                lines = events_of_patients(self.lake, {name: window.watermark})[name]
            except LakeError as error:
                log.info("window_waits_for_bronze", patient=name, reason=str(error))
                continue
            anew = self.window_of(name, lines, window)
            self.store.save([prune(anew, self.profile(name))], {}, rebuilt=[name])
            self.rebuilding.discard(name)
            log.info("window_rebuilt", patient=name, facts=len(anew.facts))
        self.rebuilding &= set(there)

    def window_of(self, name: str, lines: Sequence[BronzeLine], window: Window) -> Window:
        """The whole, unpruned window of a patient from all of their events."""
        parts = []
        for topic in ORDER:
            if mine := [line for line in lines if line["topic"] == topic]:
                order = epochs(self.lake, topic)
                cleaned = clean(topic, mine, epochs=order, profiles=self.profiles, default_trial=self.default_trial)
                parts.append(to_facts(topic, cleaned.rows))
        return grow(empty(name), Facts.concat(parts), window.watermark, window.newest)
