"""Imports of studies: the list, one check or import with its report, and what can be done with it.

Each page has two addresses: inside a trial, and outside of all for a study whose trial is still to be made. The report
shows rows of the study's own files, which tell the arm: a blinded role is refused the whole of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render

from apps.accounts import permissions
from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core import spreadsheet
from apps.core.errors import Forbidden, NotFound
from apps.ingestion import tasks
from apps.ingestion.imports import report, services
from apps.ingestion.models import ImportRun
from apps.portal.presenters import imports as present
from apps.portal.presenters.pager import page_of
from apps.portal.streaming import download
from apps.portal.views.base import PortalView
from apps.portal.zones import zone

PAGE = 25
REFUSED_PAGE = 100
CHANGES_PAGE = 100


class ImportRoom(PortalView):
    """What the pages of imports share."""

    action = "view_imports"
    section = "portal:imports"
    help_topic = "imports"
    outside: ClassVar[bool] = False

    @property
    def trial_id(self) -> str:
        """The trial in the address, "" outside of all."""
        return str(self.kwargs.get("trial", ""))

    @property
    def zone(self) -> ZoneInfo:
        viewer = getattr(self, "viewer", None)
        return viewer.zone if viewer is not None else zone("UTC")

    @property
    def may(self) -> bool:
        action = "import_new_study" if self.outside else "import_study"
        return permissions.may(self.request.user, action, trial=None if self.outside else self.trial_id)

    def runs(self) -> QuerySet[ImportRun]:
        """Checks and imports of this trial; outside, those that have no trial (yet)."""
        self.unblinded(self.trial_id)
        if self.outside:
            return ImportRun.objects.filter(trial__isnull=True)
        return ImportRun.objects.filter(Q(trial=self.trial_id) | Q(trial__isnull=True, trial_name=self.trial_id))

    def run(self, pk: UUID) -> ImportRun:
        """One of them; outside also one whose trial was made meanwhile. NotFound."""
        runs = ImportRun.objects.all() if self.outside else self.runs()
        found = runs.filter(pk=pk).prefetch_related("domains").first()
        if found is None:
            raise NotFound("There is no such import here.", cure="Go back to the list of imports.")
        self.unblinded(found.trial_name)
        return found

    def unblinded(self, trial_name: str) -> None:
        """Forbidden for whoever is blinded there."""
        viewer = getattr(self, "viewer", None)
        if viewer.blinded if viewer is not None else permissions.is_blinded(self.request.user, trial_name):
            raise Forbidden(
                "Imports show rows of the study's own files, and these tell the treatment arm.",
                cure="You hold a blinded role here: ask somebody who is not blinded.",
                code="blinded",
            )

    def shown(self, row: ImportRun) -> present.ImportRow:
        return present.run(row, self.zone, trial=self.trial_id, may=self.may)

    def hand_over(self, run: ImportRun) -> None:
        """Give a waiting run to a worker, once it is committed."""
        work = tasks.check_import if run.kind == ImportRun.Kind.CHECK else tasks.run_import
        transaction.on_commit(lambda: work.delay(run_id=str(run.pk)))

    def begin(self, run: ImportRun) -> HttpResponse:
        """Hand it over, and show it."""
        self.hand_over(run)
        return redirect(present.links(run, self.trial_id).page)


class Imports(ImportRoom):
    """The list."""

    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest, **_: Any) -> HttpResponse:
        rows, pager = page_of(self.runs().prefetch_related("domains", "imports"), request, PAGE, "import")
        imports = [self.shown(row) for row in rows]
        new = permissions.may(request.user, "import_new_study", trial=None)
        return self.page(
            "portal/imports.html",
            {
                "imports": imports,
                "pager": pager,
                "links": present.links(None, self.trial_id),
                "may": self.may,
                "may_new": new,
            },
        )


class Import(ImportRoom):
    """One check or import with its account, domain by domain, what it changes, and the refused rows."""

    http_method_names = ["get", "head"]
    template = "portal/import.html"

    def get(self, request: HttpRequest, pk: UUID, **_: Any) -> HttpResponse:
        row = self.run(pk)
        if self.outside and row.trial_id and permissions.may(request.user, "view_imports", trial=row.trial_id):
            return redirect(present.links(row, str(row.trial_id)).page)
        return self.page(self.template, self.context(request, row))

    def context(self, request: HttpRequest, row: ImportRun) -> dict[str, Any]:
        refusals = row.refusals.all()
        domain, rule, asked = (request.GET.get(name, "")[:80] for name in ("domain", "rule", "q"))
        rules = (
            refusals.values("domain", "rule", "why", "cure").annotate(rows=Sum("count")).order_by("domain", "rule")
            if row.state in ("succeeded", "failed")
            else refusals.none()
        )
        if domain:
            refusals = refusals.filter(domain=domain)
        if rule:
            refusals = refusals.filter(rule=rule)
        if asked:
            refusals = refusals.filter(Q(row__icontains=asked) | Q(what__icontains=asked))
        refused, pager = page_of(refusals, request, REFUSED_PAGE, "refused row")
        changes = row.changes.all()[:CHANGES_PAGE]
        return {
            "run": self.shown(row),
            "rules": list(rules),
            "refused": refused,
            "pager": pager,
            "domain": domain,
            "rule": rule,
            "asked": asked,
            "changes": [present.change(one) for one in changes],
            "changed": row.corrected + row.retracted,
        }


class ImportPart(Import):
    """Progress alone, asked for while it runs; once it has ended the whole page is asked for."""

    def get(self, request: HttpRequest, pk: UUID, **_: Any) -> HttpResponse:
        row = self.run(pk)
        shown = self.shown(row)
        answer = render(request, "portal/import_part.html", {"run": shown})
        if not shown.going:
            answer.headers["HX-Refresh"] = "true"
        return answer


class ImportGo(ImportRoom):
    """Import what was checked."""

    action = "import_study"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID, **_: Any) -> HttpResponse:
        with transaction.atomic():
            return self.begin(services.begin_import(by=request.user, run=self.run(pk)))  # type: ignore[arg-type]


class ImportAgain(ImportRoom):
    """A failed check or import once more."""

    action = "import_study"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID, **_: Any) -> HttpResponse:
        with transaction.atomic():
            return self.begin(services.again(by=request.user, run=self.run(pk)))  # type: ignore[arg-type]


class ImportDiscard(ImportRoom):
    """Take the sent files away unused."""

    action = "import_study"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, pk: UUID, **_: Any) -> HttpResponse:
        row = self.run(pk)
        services.discard(by=request.user, run=row)  # type: ignore[arg-type]
        return redirect(present.links(row, self.trial_id).page)


class ImportReport(ImportRoom):
    """The report as a file; that it was taken is on record."""

    http_method_names = ["get", "head"]
    suffix, kind = "csv", "text/csv; charset=utf-8"

    def lines(self, run: ImportRun) -> Iterator[str]:
        return report.as_csv(run)

    def get(self, request: HttpRequest, pk: UUID, **_: Any) -> StreamingHttpResponse:
        row = self.run(pk)
        with transaction.atomic():
            actor = Actor.person(request.user)
            record(by=actor, action="ingestion.import_exported", obj=row, after={"form": self.suffix})
        chunks = spreadsheet.pieces(self.lines(row))
        return download(request, chunks, name=f"import-{row.pk}.{self.suffix}", content_type=self.kind)


class ImportReportJson(ImportReport):
    """The same as JSON, with the account and what changed."""

    suffix, kind = "json", "application/json"

    def lines(self, run: ImportRun) -> Iterator[str]:
        return report.as_json(run)


class Outside:
    """The same pages outside of all trials: for people who may make a new one by importing it."""

    action = "import_new_study"
    outside = True


class NewImports(Outside, Imports):
    """The list of checks and imports that have no trial."""


class NewImport(Outside, Import):
    """One of them."""


class NewImportPart(Outside, ImportPart):
    """Its progress."""


class NewImportGo(Outside, ImportGo):
    """Import it as a new trial."""


class NewImportAgain(Outside, ImportAgain):
    """Once more."""


class NewImportDiscard(Outside, ImportDiscard):
    """Take its files away."""


class NewImportReport(Outside, ImportReport):
    """Its report as CSV."""


class NewImportReportJson(Outside, ImportReportJson):
    """Its report as JSON."""
