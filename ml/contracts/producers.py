"""Who writes events, and whose `recorded_at` may be believed.

The Kafka header `producer` names a row of this table. For a *backfill* the time at which the event became known is its
`recorded_at` (the record's own append time says only when the history was loaded); for everyone else it is the
record's timestamp. The table is versioned: a changed row is a new version, so that a past answer keeps its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

PRODUCERS_VERSION = 2


@dataclass(frozen=True, slots=True)
class Producer:
    """One named writer of events."""

    name: str
    backfill: bool
    doc: str


PRODUCERS: dict[str, Producer] = {
    row.name: row
    for row in (
        Producer("simulator-history", True, "The simulated history of a demo trial; recorded_at as simulated."),
        Producer("simulator-live", False, "Simulated patients as time passes."),
        Producer("sdtm-import", True, "A study imported from SDTM; recorded_at from --DTC or the visit's date."),
        Producer(
            "table-import",
            True,
            "Vitals and laboratory results imported from a table; recorded_at from its own column or its times.",
        ),
        Producer("history-import", True, "Messages kept in files by another system; recorded_at where they bear one."),
        Producer("portal", False, "A change made by a person in the portal, sent through the outbox."),
        Producer("device", False, "A bedside or wearable device."),
        Producer("edc", False, "An electronic data capture system, as entries are made."),
    )
}


def is_backfill(producer: str | None) -> bool:
    """Whether `recorded_at` of this producer's messages counts as the time of knowing. Unknown names do not."""
    row = PRODUCERS.get(producer or "")
    return row is not None and row.backfill
