"""Reading dead letters and quarantine: whose they are, filtered and counted, and which would pass now.

A refused message may be anything, so whose it is can only be read from its text: the ``trial_id`` it names, else the
trial in its key ("trial/patient"), else the default trial where it names a patient (a message without a trial is of that
one). Where none can be read, or no such trial is here, the message belongs to the platform: ``trial_said`` is "".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    Func,
    JSONField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce, NullIf, TruncDate

from apps.ingestion.models import DeadLetter, Quarantined
from apps.patients.models import Patient, Trial
from ml.contracts import Refused, validate
from ml.contracts.events import MAX_MESSAGE_BYTES, SCHEMA_VERSION

_ID = "[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"
OPEN, REPLAYED = "open", "replayed"


class _Text(Func):
    """Bytes as text that holds no surprises: what is not ASCII, and NUL, become escapes."""

    template = "encode(substring(%(expressions)s from 1 for 65536), 'escape')"
    output_field = TextField()


class _Find(Func):
    """The first group of a regular expression in a text; null where it is not found."""

    function = "substring"
    output_field = TextField()


def _said(name: str) -> _Find:
    return _Find(_Text(F("raw")), Value(f'"{name}"\\s*:\\s*"({_ID})"'))


def letters(trial_id: str, *, platform: bool) -> QuerySet[Any]:
    """Dead letters of a trial, newest first; with ``platform`` also those of which no trial could be read.

    Each has ``trial_said``, ``patient_said``, ``site_said`` and ``producer_said``, "" where nothing could be read.
    """
    named = Coalesce(
        _said("trial_id"),
        _Find(_Text(F("key")), Value(f"^({_ID})/")),
        Case(When(patient_named__isnull=False, then=Value(settings.DEFAULT_TRIAL_ID)), output_field=TextField()),
    )
    found: QuerySet[Any] = (
        DeadLetter.objects.annotate(
            patient_named=Coalesce(_said("patient_id"), _Find(_Text(F("key")), Value(f"^{_ID}/({_ID})$")))
        )
        .annotate(trial_named=named)
        .annotate(
            trial_said=Case(
                When(Exists(Trial.objects.filter(pk=OuterRef("trial_named"))), then=F("trial_named")),
                default=Value(""),
                output_field=TextField(),
            ),
            patient_said=Coalesce(F("patient_named"), Value(""), output_field=TextField()),
            producer_said=Coalesce(
                NullIf(KeyTextTransform("producer", "headers"), Value("")), Value(""), output_field=TextField()
            ),
        )
        .annotate(
            site_said=Coalesce(
                _said("trial_site_id"),
                Subquery(
                    Patient.objects.filter(trial_id=OuterRef("trial_said"), patient_id=OuterRef("patient_said")).values(
                        "site__site_id"
                    )[:1],
                    output_field=TextField(),
                ),
                Value(""),
                output_field=TextField(),
            )
        )
    )
    return found.filter(Q(trial_said=trial_id) | (Q(trial_said="") if platform else Q(pk__in=[])))


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to; empty = everything. ``state``: open, replayed or "" (dead letters only)."""

    reason: str = ""
    topic: str = ""
    site: str = ""
    state: str = ""
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""


def narrow_letters(rows: QuerySet[Any], by: Filter) -> QuerySet[Any]:
    """The letters the filter leaves. ``text``: a correlation id, a patient, or an offset."""
    if by.reason:
        rows = rows.filter(reasons__contains=[{"rule": by.reason}])
    if by.topic:
        rows = rows.filter(topic=by.topic)
    if by.site:
        rows = rows.filter(site_said=by.site)
    if by.state:
        rows = rows.filter(replayed_at__isnull=by.state == OPEN)
    if by.since:
        rows = rows.filter(received_at__gte=by.since)
    if by.until:
        rows = rows.filter(received_at__lt=by.until)
    if by.text:
        wanted = Q(correlation_id=by.text) | Q(patient_said=by.text)
        if by.text.isascii() and by.text.isdigit() and len(by.text) < 19:
            wanted |= Q(offset=int(by.text))
        rows = rows.filter(wanted)
    return rows


def narrow_quarantine(rows: QuerySet[Quarantined], by: Filter) -> QuerySet[Quarantined]:
    """The quarantined values the filter leaves. ``since`` and ``until`` are about the time of the event."""
    for name, value in (("rule", by.reason), ("topic", by.topic), ("site_id", by.site)):
        if value:
            rows = rows.filter(**{name: value})
    if by.since:
        rows = rows.filter(event_time__gte=by.since)
    if by.until:
        rows = rows.filter(event_time__lt=by.until)
    if by.text:
        wanted = Q(patient__endswith=f"/{by.text}")
        if by.text.isascii() and by.text.isdigit() and len(by.text) < 19:
            wanted |= Q(offset=int(by.text))
        rows = rows.filter(wanted)
    return rows


def quarantined(trial_id: str) -> QuerySet[Quarantined]:
    """What cleaning set aside of a trial, newest first."""
    return Quarantined.objects.filter(trial_id=trial_id)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many rows have a value."""

    value: str
    count: int


def reasons(rows: QuerySet[Any]) -> list[Tally]:
    """Letters by rule broken, most first; a letter that broke two rules counts for both."""
    rules = Func(
        F("reasons"),
        Value("$[*].rule"),
        template="jsonb_path_query_array(%(expressions)s::jsonpath)",
        output_field=JSONField(),
    )
    found: Counter[str] = Counter()
    for one in rows.order_by().annotate(rules=rules).values("rules").annotate(n=Count("pk")):
        found.update(dict.fromkeys(set(map(str, one["rules"])), one["n"]))
    return _most_first(found)


def tally(rows: QuerySet[Any], field: str) -> list[Tally]:
    """Rows by the values of a field, most first; rows without one are left out."""
    found = rows.order_by().values(field).annotate(n=Count("pk"))
    return _most_first(Counter({str(one[field]): one["n"] for one in found if one[field]}))


def _most_first(found: Counter[str]) -> list[Tally]:
    return [Tally(value, count) for value, count in sorted(found.items(), key=lambda one: (-one[1], one[0]))]


class Verdict(NamedTuple):
    """Whether a letter would pass now; ``why`` is the first rule it still breaks, in words."""

    passes: bool
    why: str


def judge(letter: DeadLetter) -> Verdict:
    """Judge a letter by the contract as it is today. Writes nothing."""
    if letter.replayed_at is not None:
        return Verdict(False, "It was replayed before.")
    if len(letter.raw) > MAX_MESSAGE_BYTES:
        return Verdict(False, f"The message has {len(letter.raw):,} bytes; {MAX_MESSAGE_BYTES:,} are allowed.")
    outcome = validate(letter.topic, bytes(letter.raw), version_of(letter))
    return Verdict(False, outcome.reasons[0].message) if isinstance(outcome, Refused) else Verdict(True, "")


def version_of(letter: DeadLetter) -> str:
    """The contract's version that the letter names; without one the present."""
    return str(letter.headers.get("schema_version") or SCHEMA_VERSION)


def affected_days(rows: QuerySet[Quarantined]) -> dict[str, list[str]]:
    """Topic → days (YYYY-MM-DD, UTC) whose partitions hold the rows: what cleaning them again has to read."""
    found: dict[str, list[str]] = {}
    days = (
        rows.order_by()
        .exclude(event_time__isnull=True)
        .annotate(day=TruncDate("event_time", tzinfo=UTC))
        .values_list("topic", "day")
        .distinct()
    )
    for topic, day in sorted(days):
        found.setdefault(topic, []).append(day.isoformat())
    return found
