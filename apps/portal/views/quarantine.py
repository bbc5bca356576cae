"""Quarantine: what cleaning set aside and by which rule, the message it came with, and what was let in since."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from apps.audit.actors import Actor
from apps.audit.models import AuditEvent
from apps.core import spreadsheet
from apps.core.errors import NotFound
from apps.core.lake import lake
from apps.ingestion import cures, refused, services
from apps.ingestion.models import Quarantined
from apps.ingestion.quarantine import RELEASED
from apps.patients.models import Patient
from apps.pipelines import tasks
from apps.pipelines.models import JobRun
from apps.portal.presenters import refused as present
from apps.portal.presenters.pager import page_of
from apps.portal.views.refused import MOST_ROWS, PAGE, RefusedView, utc, uuids
from ml.lake import LakeError
from ml.lake.bronze import line_at
from ml.lake.claims import Chain, claim_of

EVENTS_A_PAGE = 5
"""Events of the trail a page of what was let in; each names up to 200 values."""


class Quarantine(RefusedView):
    """What cleaning set aside, by rule."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        every = refused.quarantined(trial)
        rows = refused.narrow_quarantine(every, self.chosen(request))
        shown, pager = page_of(rows, request, PAGE, "value")
        return self.page(
            "portal/quarantine.html",
            {
                "rows": [present.aside(row, self.viewer, known_patients(shown)) for row in shown],
                "pager": pager,
                "tally": [(cures.of_quarantine(one.value), one) for one in refused.tally(rows, "rule")],
                "by_topic": refused.tally(rows, "topic"),
                "by_site": refused.tally(rows, "site_id"),
                "sites": [one.value for one in refused.tally(every, "site_id")],
                "running": running(trial),
                **self.bar(
                    request,
                    [(one.value, cures.of_quarantine(one.value).title) for one in refused.tally(every, "rule")],
                ),
                **self.counts(),
            },
        )


def known_patients(rows: list[Quarantined]) -> set[str]:
    """Of the rows' patients those of whom a context has come."""
    keys = {row.patient for row in rows if row.rule == "unknown_patient"}
    found = Patient.objects.filter(pk__in=keys, known_since__isnull=False)
    return set(found.values_list("pk", flat=True))


def running(trial: str) -> JobRun | None:
    """A cleaning of chosen days that is under way."""
    going = JobRun.objects.filter(job="clean_again", state__in=(JobRun.State.WAITING, JobRun.State.RUNNING))
    return going.filter(Q(trial_id=trial) | Q(trial__isnull=True)).first()


class QuarantineCsv(RefusedView):
    """The filtered list as CSV."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        rows = refused.narrow_quarantine(refused.quarantined(trial), self.chosen(request))[:MOST_ROWS]
        names = ("topic", "topic_id", "partition", "offset", "rule", "field", "value", "message", "patient", "site_id")
        return self.csv(
            "quarantine",
            spreadsheet.lines(
                (*names, "event_time_utc"),
                (
                    (*(getattr(row, name) for name in names), utc(row.event_time))
                    for row in rows.iterator(chunk_size=1000)
                ),
            ),
        )


class Aside(RefusedView):
    """One quarantined value, and the message it came with, byte by byte from the archive."""

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        row = refused.quarantined(trial).filter(pk=pk).first()
        if row is None:
            raise NotFound(
                "This value is not in quarantine.", cure="See under Admitted since whether it was let in meanwhile."
            )
        line, where, fault = _line_of(row)
        return self.page(
            "portal/aside.html",
            {
                "row": present.aside(row, self.viewer, known_patients([row])),
                "cure": cures.of_quarantine(row.rule),
                "topic_id": row.topic_id,
                "dump": present.dump(line) if line is not None else None,
                "object": where,
                "fault": fault,
                "may_run": self.may("run_job"),
            },
        )


def _line_of(row: Quarantined) -> tuple[bytes | None, str, str]:
    """The message's line in bronze, the object it lies in, and why it cannot be read where that is so."""
    try:
        claim = claim_of(lake(), Chain(row.topic, row.topic_id, row.partition), row.offset)
        if claim is None:
            return None, "", "The archive has no claim for this offset."
        return line_at(lake(), claim, row.offset), claim.object or "", ""
    except (LakeError, OSError) as error:
        return None, "", str(error)


class Again(RefusedView):
    """Clean the partitions of the chosen values again: first shown, then asked for as a run."""

    action = "run_job"

    def days(self, request: HttpRequest) -> tuple[Any, dict[str, list[str]]]:
        """The values of the filter (or the ones chosen), and the days their partitions are of."""
        rows = refused.quarantined(self.viewer.trial.pk)
        ids = uuids(request.GET.getlist("id"))
        rows = rows.filter(pk__in=ids) if ids else refused.narrow_quarantine(rows, self.chosen(request))
        return rows, refused.affected_days(rows)

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        rows, days = self.days(request)
        return self.page(
            "portal/clean_again.html",
            {
                "count": rows.count(),
                "days": [(topic, len(each), each[0], each[-1]) for topic, each in days.items()],
                "total": sum(map(len, days.values())),
                "running": running(trial),
            },
        )

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        _, days = self.days(request)
        if (going := running(trial)) is not None:
            messages.info(request, "Such a run is under way already; this is it.")
            return redirect(reverse("portal:run", args=[trial, going.pk]))
        with transaction.atomic():
            run = services.ask_clean_again(
                by=Actor.person(self.viewer.user),
                trial_id=trial,
                days=days,
                reason=request.POST.get("reason", "").strip()[:500],
            )
            transaction.on_commit(lambda: tasks.run.delay(run_id=str(run.pk)))
        return redirect(reverse("portal:run", args=[trial, run.pk]))


class Admitted(RefusedView):
    """What left quarantine since, and under which run."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        events = AuditEvent.objects.filter(action=RELEASED, trial=trial).order_by("-id")
        shown, pager = page_of(
            events,
            request,
            5,
            "record of the trail",
        )
        return self.page(
            "portal/admitted.html",
            {"rows": present.admitted(shown, self.viewer), "pager": pager, **self.bar(request, []), **self.counts()},
        )
