"""The audit trail: filters, one record's pop-up, chain status, exports, receipts, signed reviews, and the public key."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse

from apps.accounts import permissions
from apps.accounts.audit_reviews import MEANING, sign_review
from apps.audit import canonical, checkpoints, export, selectors, signer, steps
from apps.audit.actions import ACTIONS
from apps.audit.actors import Actor
from apps.audit.export_text import COLUMNS, csv_row
from apps.audit.leaf import content
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.audit.standing import standing
from apps.core import spreadsheet
from apps.core.errors import DomainError, Forbidden, Invalid, NotFound
from apps.pipelines import services as pipelines
from apps.pipelines import tasks
from apps.pipelines.jobs import JOBS
from apps.portal.audit_records import open_record
from apps.portal.presenters import audit as present
from apps.portal.streaming import download
from apps.portal.views.base import PUBLIC, PortalView
from apps.portal.zones import zone

PAGE = 50
POPUP = 40
QUERY = ("scope", "actor", "action", "type", "object", "since", "until", "correlation", "reason")


class AuditView(PortalView):
    """What the pages of the trail share."""

    action = "view_audit"
    section = "portal:audit"
    help_topic = "audit"

    @property
    def everywhere(self) -> bool:
        """Whether the person may read the trail of all trials."""
        return permissions.may(self.viewer.user, "view_audit", trial=None)

    def query(self, request: HttpRequest) -> dict[str, str]:
        return {name: request.GET.get(name, "").strip()[:200] for name in QUERY}

    def wanted(self, query: dict[str, str]) -> selectors.TrailFilter:
        """The filter that a query asks for. Raises Invalid for a time that is none, Forbidden for all trials."""
        if query["scope"] == "all" and not self.everywhere:
            permissions.check(self.viewer.user, "view_audit", trial=None)
        if query["reason"] and self.viewer.blinded:
            raise Forbidden("Reasons may reveal an arm, so a blinded role does not search them.", code="blinded")
        return selectors.TrailFilter(
            trial=None if query["scope"] == "all" else self.viewer.trial.pk,
            actor=query["actor"],
            action=query["action"],
            object_type=query["type"],
            object_id=query["object"],
            since=self.moment(query["since"]),
            until=self.moment(query["until"]),
            correlation_id=query["correlation"],
            reason=query["reason"],
        )

    def moment(self, text: str) -> datetime | None:
        """A time as the form sends it, in the viewer's zone."""
        if not text:
            return None
        try:
            return datetime.fromisoformat(text).replace(tzinfo=self.viewer.zone).astimezone(UTC)
        except (ValueError, OverflowError):
            raise Invalid(f"{text!r} is not a time.", cure="Write it like 2026-11-23T14:30.", code="time") from None

    def unblinded(self, what: str) -> None:
        """Refuse what would reveal an arm to somebody who is also blinded in this trial."""
        if self.viewer.blinded:
            raise Forbidden(f"{what} may reveal a treatment arm, and you are blinded in this trial.", code="blinded")

    def event(self, pk: UUID) -> AuditEvent:
        """One event of this trial, or of the platform for who may read that. Raises NotFound."""
        found = selectors.event(pk, trial=None if self.everywhere else self.viewer.trial.pk)
        if found is None:
            raise NotFound("There is no such event in this trial's trail.", cure="Go back to the trail.")
        return found


class Trail(AuditView):
    """The trail with its filters, and how it stands."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        query = self.query(request)
        problem = ""
        try:
            page = selectors.page(
                self.wanted(query), PAGE, before=_key(request, "before"), after=_key(request, "after")
            )
        except DomainError as error:
            if isinstance(error, Forbidden):
                raise
            page, problem = selectors.Page([], newer=False, older=False), str(error)
        viewer = self.viewer
        exports = [row for row in selectors.newest_of("audit.exported", trial=trial, count=40) if self._own(row)]
        context = {
            "events": [present.event(row, viewer) for row in page.events],
            "pager": present.pager(page.events, query, newer=page.newer, older=page.older),
            "query": query,
            "problem": problem,
            "active": any(query.values()),
            "export_query": request.GET.urlencode(),
            "actions": sorted((name, row.sentence) for name, row in ACTIONS.items()),
            "types": sorted({row.object_type for row in ACTIONS.values()}),
            "everywhere": self.everywhere,
            "standing": present.standing(standing(), viewer.zone),
            "zone": present.words.zone_words(viewer.now, viewer.zone),
            "exports": [present.export(row, viewer.zone) for row in exports if (row.after or {}).get("form") == "zip"][
                :5
            ],
            "reviews": [present.review(row) for row in selectors.newest_of("audit.reviewed", trial=trial, count=3)],
            "may_export": permissions.may(viewer.user, "export_audit", trial=trial) and not viewer.blinded,
            "may_export_all": permissions.may(viewer.user, "export_audit", trial=None) and not viewer.blinded,
            "may_review": permissions.may(viewer.user, "review_audit", trial=trial),
        }
        return self.page("portal/audit.html", context, status=422 if problem else 200)

    def _own(self, row: AuditEvent) -> bool:
        return row.trial == self.viewer.trial.pk or self.everywhere


class TrailCsv(AuditView):
    """What the filters show, as a table for people."""

    action = "export_audit"

    def get(self, request: HttpRequest, trial: str) -> HttpResponseBase:
        self.unblinded("A table of the trail")
        query = self.query(request)
        wanted = self.wanted(query)
        with transaction.atomic():
            record(
                by=Actor.person(self.viewer.user),
                action="audit.exported",
                object_type="audit.AuditEvent",
                object_id=str(uuid.uuid4()),
                trial=trial,
                after={"form": "csv", "filters": {name: value for name, value in query.items() if value}},
            )
        return download(request, _csv(wanted), name=f"audit-{trial}.csv", content_type="text/csv; charset=utf-8")


def _csv(wanted: selectors.TrailFilter) -> Iterator[bytes]:
    return spreadsheet.pieces(spreadsheet.lines(COLUMNS, map(_row, selectors.each(wanted))))


def _row(event: AuditEvent) -> list[str]:
    sequence = getattr(event, "sequence", None)
    told = canonical.normalise(content(event))
    assert isinstance(told, dict)
    return csv_row(sequence.seq if sequence else "", told)


class Event(AuditView):
    """One event by itself."""

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        row = self.event(pk)
        return self.page(
            "portal/audit_event.html", {"event": present.event(row, self.viewer), "altered": selectors.altered(row)}
        )


class Receipt(AuditView):
    """What proves one event to whoever holds it: content, path through the tree, signed root."""

    action = "export_audit"

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        self.unblinded("A receipt")
        sequence = getattr(self.event(pk), "sequence", None)
        if sequence is None:
            raise NotFound("This event is not sealed yet.", cure="Try again in some seconds.")
        answer = JsonResponse(export.receipt(sequence.seq), json_dumps_params={"indent": 1, "ensure_ascii": False})
        answer["Content-Disposition"] = f'attachment; filename="receipt-{sequence.seq}.json"'
        return answer


class Export(AuditView):
    """Ask for an export that a stranger can verify."""

    action = "export_audit"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        self.unblinded("An export")
        scope = trial
        if request.POST.get("scope") == "all":
            permissions.check(self.viewer.user, "export_audit", trial=None)
            scope = ""
        return _job(self, "audit_export", {"scope": scope})


class Verify(AuditView):
    """Verify the whole trail now."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        return _job(self, "audit_verify", {})


def _job(view: AuditView, job: str, arguments: dict[str, Any]) -> HttpResponse:
    trial = view.viewer.trial.pk
    with transaction.atomic():
        run = pipelines.request(by=Actor.person(view.viewer.user), job=job, trial_id=trial, arguments=arguments)
        transaction.on_commit(lambda: tasks.run.apply_async(kwargs={"run_id": str(run.pk)}, queue=JOBS[job].queue))
    return redirect(reverse("portal:run", args=[trial, run.pk]))


class ExportFile(AuditView):
    """An export that was made."""

    action = "export_audit"

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponseBase:
        self.unblinded("An export")
        rows = AuditEvent.objects.filter(action="audit.exported", object_id=str(pk), trial__in=(trial, ""))
        row = rows.first()
        if row is None or (row.after or {}).get("form") != "zip":
            raise NotFound("There is no such export in this trial.", cure="Ask for one on the audit page.")
        permissions.check(self.viewer.user, "export_audit", trial=row.trial or None)
        name = f"audit-{row.trial or 'everything'}-{row.at:%Y%m%dT%H%M%S}Z.zip"
        chunks = steps.parts_of(str(pk), int((row.after or {})["parts"]))
        return download(request, chunks, name=name, content_type="application/zip")


class ReviewPage(AuditView):
    """Sign off a planned review of the trail."""

    action = "review_audit"

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        last = selectors.newest_of("audit.reviewed", trial=trial)
        until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        since = until - timedelta(days=7)
        if last and (told := str((last[0].after or {}).get("until", ""))):
            since = datetime.fromisoformat(told)
        given = {"since": _local(since, self.viewer.zone), "until": _local(until, self.viewer.zone)}
        return self._form(given, "", 200)

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        given = {name: request.POST.get(name, "").strip() for name in ("since", "until", "findings")}
        try:
            since, until = self.moment(given["since"]), self.moment(given["until"])
            if since is None or until is None:
                raise Invalid("Say from when to when.", cure="Fill in both times.", code="period")
            sign_review(
                by=self.viewer.user,
                password=request.POST.get("password", ""),
                trial=trial,
                since=since,
                until=until,
                findings=given["findings"],
                request=request,
            )
        except DomainError as error:
            return self._form(given, str(error), error.status)
        messages.success(request, "Your review is signed and recorded in the trail.")
        return redirect(reverse("portal:audit", args=[trial]))

    def _form(self, given: dict[str, str], problem: str, status: int) -> HttpResponse:
        reviews = [
            present.review(row) for row in selectors.newest_of("audit.reviewed", trial=self.viewer.trial.pk, count=20)
        ]
        context = {
            "given": given,
            "problem": problem,
            "meaning": MEANING,
            "reviews": reviews,
            "zone": present.words.zone_words(self.viewer.now, self.viewer.zone),
        }
        return self.page("portal/audit_review.html", context, status=status)


class RecordTrail(PortalView):
    """Everything done to one record: as a pop-up on any page, as a page of its own where there is no script."""

    action = "view_record_audit"
    help_topic = "audit"

    def get(self, request: HttpRequest, trial: str, object_type: str, object_id: str) -> HttpResponse:
        viewer = self.viewer
        found = open_record(viewer, object_type, object_id)
        personal = not found.kind.classes or (
            found.site in viewer.personal if found.site else viewer.personal.everything
        )
        rows = list(found.events[: POPUP + 1])
        context = {
            "name": found.name,
            "label": found.kind.label,
            "object_type": object_type,
            "object_id": object_id,
            "events": [present.event(row, viewer, kind=found.kind, personal=personal) for row in rows[:POPUP]],
            "more": len(rows) > POPUP,
            "may_trail": permissions.may(viewer.user, "view_audit", trial=trial),
            "zone": present.words.zone_words(viewer.now, viewer.zone),
        }
        if request.headers.get("HX-Request"):
            return self.part("portal/audit_of_part.html", context)
        return self.page("portal/audit_of.html", context)


class AuditKey(PortalView):
    """The public key, for everybody: what verifies an export must not come with the export alone."""

    action = PUBLIC
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest) -> HttpResponse:
        key = signer.public_key()
        return HttpResponse(
            f"{key.text}\n", content_type="text/plain; charset=utf-8", headers={"X-Fingerprint": key.fingerprint}
        )


class AuditCheckpointNote(PortalView):
    """The newest signed checkpoint, for whoever wants to keep one: size, root and time, and no record."""

    action = PUBLIC
    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest) -> HttpResponse:
        newest = checkpoints.newest()
        if newest is None:
            raise NotFound("Nothing has been signed yet.", cure="Try again in some seconds.")
        return HttpResponse(newest.note, content_type="text/plain; charset=utf-8")


def _key(request: HttpRequest, name: str) -> UUID | None:
    try:
        return UUID(request.GET.get(name, ""))
    except ValueError:
        return None


def _local(moment: datetime, where: Any) -> str:
    return moment.astimezone(where or zone("UTC")).strftime("%Y-%m-%dT%H:%M")
