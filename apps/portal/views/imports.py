"""Imports of finished studies: per domain what was read, carried by an event, and refused under which rule."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse

from apps.core.errors import NotFound
from apps.ingestion.models import ImportRun
from apps.portal.presenters import imports as present
from apps.portal.presenters.pager import page_of
from apps.portal.views.base import PortalView

PAGE = 25
REFUSED_PAGE = 100


class Imports(PortalView):
    """The list."""

    action = "view_jobs"
    section = "portal:imports"

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        rows, pager = page_of(
            ImportRun.objects.filter(trial=trial).prefetch_related("domains"), request, PAGE, "import"
        )
        return self.page(
            "portal/imports.html", {"imports": [present.run(row, self.viewer.zone) for row in rows], "pager": pager}
        )


class Import(PortalView):
    """One import with its account, domain by domain, and the refused rows."""

    action = "view_jobs"
    section = "portal:imports"

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        row = ImportRun.objects.filter(trial=trial, pk=pk).prefetch_related("domains").first()
        if row is None:
            raise NotFound("There is no such import in this trial.", cure="Go back to the list of imports.")
        refusals = row.refusals.all()
        rules = (
            refusals.values("domain", "rule")
            .annotate(count=Count("id"), message=Min("message"))
            .order_by("domain", "rule")
        )
        domain, rule = request.GET.get("domain", "")[:8], request.GET.get("rule", "")[:80]
        if domain:
            refusals = refusals.filter(domain=domain)
        if rule:
            refusals = refusals.filter(rule=rule)
        refused, pager = page_of(refusals, request, REFUSED_PAGE, "refused row")
        return self.page(
            "portal/import.html",
            {
                "run": present.run(row, self.viewer.zone),
                "rules": list(rules),
                "refused": refused,
                "pager": pager,
                "domain": domain,
                "rule": rule,
            },
        )
