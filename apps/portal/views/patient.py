"""The patient page, and the parts of it that are fetched anew when a score arrives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from apps.accounts import permissions
from apps.patients import selectors as patients
from apps.patients.models import Patient
from apps.portal import patient_selectors as read
from apps.portal import selectors
from apps.portal.presenters import factors
from apps.portal.presenters import patient as present
from apps.portal.presenters.panels import axis_panel, risk_panel, vitals_panel
from apps.portal.presenters.record_panels import events_panel, labs_panel, medications_panel
from apps.portal.presenters.status import status
from apps.portal.presenters.timeline import timeline, zoom_bar
from apps.portal.views.base import PortalView
from apps.portal.zones import zone


class PatientView(PortalView):
    """What the page and its parts share: the patient, checked against the viewer's sites."""

    action = "view_patient"
    section = "portal:board"
    help_topic = "patient"

    def patient(self, patient_id: str) -> Patient:
        """The patient. Raises NotFound, OutOfSight for one of another site."""
        found = patients.patient(self.viewer.trial.pk, patient_id)
        permissions.check(self.viewer.user, self.action, trial=self.viewer.trial, site=found.site_id)
        # everything on this page is told in the time of the patient's site
        self.viewer = replace(self.viewer, zone=zone(found.site.timezone if found.site else "UTC"))
        return found

    def now(self, patient: Patient) -> dict[str, Any]:
        """The side of the page: score, reasons, sources."""
        viewer = self.viewer
        prediction = read.newest_prediction(viewer, patient)
        earlier = read.prediction_before(viewer, patient, prediction.as_of - selectors.EARLIER) if prediction else None
        at = viewer.moment_of(prediction.as_of if prediction else None)
        vitals = read.newest_vitals(viewer, patient, at)
        labs = read.newest_by_analyte(viewer, patient, at)
        why = None
        if prediction is not None and prediction.probability is not None:
            ages = present.ages(vitals, labs)
            why = factors.why(prediction.probability, prediction.top_factors, viewer, patient.site_id, ages, at)
        signs = selectors.signs_in_force(viewer, patient.pk, at)
        return {
            "now": present.now_card(viewer, prediction, earlier, signs),
            "why": why,
            "sources": present.sources(prediction, viewer.zone),
        }

    def panels(self, request: HttpRequest, patient: Patient) -> dict[str, Any]:
        """The panels on their shared time axis."""
        viewer = self.viewer
        first_dose = read.first_dose(viewer, patient)
        first, last = read.span(viewer, patient)
        now = viewer.moment_of(last)
        line = timeline(
            request.GET.get("zoom", ""),
            request.GET.get("to", ""),
            now=now,
            first=first,
            zone=viewer.zone,
            first_dose=first_dose,
            live=viewer.live,
        )
        record = read.record(viewer, patient, line.start, line.end)
        return {
            "axis": axis_panel(line),
            "zoom": zoom_bar(line),
            "panels": [
                risk_panel(record.predictions, viewer, line),
                vitals_panel(record.vitals, line),
                labs_panel(record.labs, line),
                medications_panel(record.medications, viewer, line),
                events_panel(record.events, line),
            ],
            "first_dose": first_dose,
            "last": last,
            "panels_url": reverse("portal:patient_panels", args=[viewer.trial.pk, patient.patient_id]),
            "page_url": reverse("portal:patient", args=[viewer.trial.pk, patient.patient_id]),
        }


class PatientPage(PatientView):
    """The whole page."""

    def get(self, request: HttpRequest, trial: str, patient: str) -> HttpResponse:
        found = self.patient(patient)
        viewer = self.viewer
        panels = self.panels(request, found)
        newest, gap = selectors.pace(trial)
        serving = selectors.serving_version(trial)
        return self.page(
            "portal/patient.html",
            {
                "head": present.head(found, viewer, panels["first_dose"], panels["last"]),
                "now_url": reverse("portal:patient_now", args=[trial, patient]),
                "status": status(
                    viewer,
                    newest=newest,
                    gap=gap,
                    silent=serving is not None and serving.state == "silent",
                    socket=f"/ws/trials/{quote(trial)}/patients/{quote(patient)}/" if viewer.live else "",
                    side=f"Model {serving.version}, {serving.get_state_display().lower()}"
                    if serving
                    else "No model serves this trial yet",
                ),
                **panels,
                **self.now(found),
            },
        )


class PatientNow(PatientView):
    """Score, reasons and sources."""

    def get(self, request: HttpRequest, trial: str, patient: str) -> HttpResponse:
        return self.part("portal/patient_now.html", self.now(self.patient(patient)))


class PatientPanels(PatientView):
    """The panels for a zoom."""

    def get(self, request: HttpRequest, trial: str, patient: str) -> HttpResponse:
        return self.part("portal/patient_panels.html", self.panels(request, self.patient(patient)))
