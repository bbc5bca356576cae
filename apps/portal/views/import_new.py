"""Begin an import: choose files, and for a table say what its columns mean."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string

from apps.core import clock
from apps.core.errors import DomainError, Invalid
from apps.ingestion.imports import places, services
from apps.ingestion.imports.incoming import Sent
from apps.ingestion.models import ImportMapping, ImportRun
from apps.patients.models import Trial
from apps.portal.presenters import imports as present
from apps.portal.presenters import mapping as columns
from apps.portal.views.imports import ImportRoom, Outside
from ml.tabular import NotATable, guess, open_table, preview

LONGEST_JSON = 100_000


class ImportNew(ImportRoom):
    """Choose: a file sent now, or one under the folder for imports. It is checked before anything is imported."""

    action = "import_study"
    takes_files = True

    def get(self, request: HttpRequest, **_: Any) -> HttpResponse:
        self.unblinded(self.trial_id)
        return self.form({})

    def form(self, asked: dict[str, Any], error: DomainError | None = None) -> HttpResponse:
        context = {
            "links": present.links(None, self.trial_id),
            "outside": self.outside,
            "choices": present.choices(places.listing(), self.zone),
            "root_set": bool(settings.IMPORT_ROOT),
            "limit": present.size(places.UPLOAD_BYTES),
            "kept_hours": places.KEPT_HOURS,
            "asked": asked,
            "error": error,
        }
        return self.page("portal/import_new.html", context, status=error.status if error else 200)

    def post(self, request: HttpRequest, **_: Any) -> HttpResponse:
        sent = request.FILES.get("file")
        asked = {name: str(request.POST.get(name, ""))[:500] for name in ("from", "chosen", "trial", "title")}
        try:
            self.unblinded(self.trial_id)
            run = self.chosen(asked, sent if isinstance(sent, Sent) else None)
        except DomainError as error:
            if isinstance(sent, Sent):
                sent.discard()
            if request.headers.get("HX-Request"):
                return _told(error)
            return self.form(asked, error)
        to = present.links(run, self.trial_id)
        address = to.columns if run.state == ImportRun.State.DRAFT else to.page
        if request.headers.get("HX-Request"):
            answer = HttpResponse(status=204)
            answer.headers["HX-Redirect"] = address
            return answer
        return redirect(address)

    def chosen(self, asked: dict[str, Any], sent: Sent | None) -> ImportRun:
        """The check of what was chosen. Raises Invalid, Forbidden, NotFound."""
        trial = self.trial_id or asked["trial"].strip()
        if asked["from"] == "root":
            place = places.under_root(asked["chosen"])
            form = "sdtm" if place.is_dir() else places.form_of(place.name)
            source, origin = asked["chosen"], ImportRun.Origin.ROOT
        else:
            if sent is None:
                raise Invalid("No file was sent.", cure="Choose a file, then press the button again.", code="no_file")
            if sent.too_large:
                raise Invalid(
                    f"The file is larger than {present.size(places.UPLOAD_BYTES)}.",
                    cure="Put it under the folder for imports, and choose it there.",
                    code="too_large",
                )
            if not sent.size:
                raise Invalid("The file is empty.", cure="Choose another one.", code="empty")
            form, place, source, origin = (
                places.form_of(sent.name or ""),
                sent.path,
                sent.name or "",
                ImportRun.Origin.SENT,
            )
            sent.close()
        if form == "table" and not trial:
            raise Invalid(
                "A table does not say which trial it is of.", cure="Write the trial's identifier.", code="no_trial"
            )
        with transaction.atomic():
            run = services.begin_check(
                by=self.request.user, origin=origin, form=form, source=source, place=place, trial_name=trial,  # type: ignore[arg-type]
                title=asked["title"],
            )  # fmt: skip
            if run.state == ImportRun.State.WAITING:
                self.hand_over(run)
        return run


class ImportColumns(ImportRoom):
    """Of a table: what its columns mean, with the first rows and what becomes of them."""

    action = "import_study"
    takes_files = False

    def get(self, request: HttpRequest, pk: UUID, **_: Any) -> HttpResponse:
        row = self.run(pk)
        if row.state != ImportRun.State.DRAFT:
            return redirect(present.links(row, self.trial_id).page)
        wanted = _uuid(request.GET.get("saved", ""))
        saved = ImportMapping.objects.filter(pk=wanted).first() if wanted else None
        return self.form(row, saved.body if saved else self.guessed(row))

    def guessed(self, row: ImportRun) -> dict[str, Any]:
        try:
            return guess(Path(row.place))
        except NotATable as error:
            raise Invalid(error.message, cure=error.cure, code="not_a_table") from error

    def form(
        self, row: ImportRun, body: dict[str, Any], *, error: DomainError | None = None, note: str = ""
    ) -> HttpResponse:
        try:
            source = open_table(Path(row.place))
        except NotATable as broken:
            raise Invalid(broken.message, cure=broken.cure, code="not_a_table") from broken
        shown = []
        wrong: DomainError | None = None
        try:
            meaning = services.checked_mapping({**body, "source": body.get("source") or "preview"})
            shown = preview(Path(row.place), meaning, trial_id=row.trial_name, now=int(clock.now().timestamp()))
        except NotATable as broken:
            wrong = Invalid(broken.message, cure=broken.cure)
        except DomainError as broken:
            wrong = broken
        context = {
            "run": self.shown(row),
            "form": columns.form(source, body),
            "rows": columns.preview_rows(source, shown),
            "columns": source.columns,
            "wrong": wrong if error is None else None,
            "error": error,
            "note": note,
            "saved": ImportMapping.objects.order_by("name", "-version").distinct("name"),
            "links": present.links(row, self.trial_id),
            "new_trial": not Trial.objects.filter(pk=row.trial_name).exists(),
        }
        return self.page("portal/import_columns.html", context, status=error.status if error else 200)

    def post(self, request: HttpRequest, pk: UUID, **_: Any) -> HttpResponse:
        row = self.run(pk)
        act = request.POST.get("act", "preview")
        body = columns.read(request.POST)
        try:
            if act == "paste":
                body = _json(request.POST.get("json", ""))
                services.checked_mapping(body)
                return self.form(row, body, note="The mapping was taken over. Look at what becomes of the first rows.")
            if act == "download":
                services.checked_mapping(body)
                return _attached(body)
            if act == "save":
                kept = services.save_mapping(
                    by=request.user, name=request.POST.get("name", ""), mapping=body, trial_name=row.trial_name  # type: ignore[arg-type]
                )  # fmt: skip
                return self.form(row, body, note=f"Saved as {kept.name}, version {kept.version}.")
            if act == "check":
                with transaction.atomic():
                    chosen = services.choose_columns(by=request.user, run=row, mapping=body)  # type: ignore[arg-type]
                    return self.begin(chosen)
        except DomainError as error:
            return self.form(row, body, error=error)
        return self.form(row, body)


class NewImportNew(Outside, ImportNew):
    """Choose files of a study whose trial is still to be made."""


class NewImportColumns(Outside, ImportColumns):
    """The columns of a table of a trial still to be made."""


def _told(error: DomainError) -> HttpResponse:
    shown = render_to_string("components/message.html", {"kind": "error", "title": error.message, "text": error.cure})
    return HttpResponse(shown)


def _attached(body: dict[str, Any]) -> HttpResponse:
    answer = HttpResponse(json.dumps(body, indent=2, ensure_ascii=False), content_type="application/json")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", str(body.get("source") or "columns"))
    answer.headers["Content-Disposition"] = f'attachment; filename="mapping-{name}.json"'
    return answer


def _json(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text[:LONGEST_JSON])
    except (ValueError, RecursionError) as error:
        raise Invalid("This is no JSON.", cure="Paste a mapping that was downloaded from this page.") from error
    if not isinstance(body, dict):
        raise Invalid("A mapping is a JSON object.", cure="Paste a mapping that was downloaded from this page.")
    return body


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
