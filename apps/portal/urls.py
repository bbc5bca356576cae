"""Addresses of the portal. The trial stands in the address, so that a link shows the same to whoever may see it."""

from __future__ import annotations

from django.urls import path

from apps.portal.views import access, board, gallery, imports, model, patient, runs

app_name = "portal"
TRIAL = "trials/<str:trial>/"
PATIENT = TRIAL + "patients/<str:patient>/"

urlpatterns = [
    path("", board.Home.as_view(), name="home"),
    path("sign-in/", access.SignIn.as_view(), name="sign_in"),
    path("sign-out/", access.SignOut.as_view(), name="sign_out"),
    path("password/", access.Password.as_view(), name="password"),
    path("help/", access.Help.as_view(), name="help"),
    path("gallery/", gallery.Gallery.as_view(), name="gallery"),
    path(TRIAL, board.Board.as_view(), name="board"),
    path(TRIAL + "changes/", board.Changes.as_view(), name="board_changes"),
    path(PATIENT, patient.PatientPage.as_view(), name="patient"),
    path(PATIENT + "now/", patient.PatientNow.as_view(), name="patient_now"),
    path(PATIENT + "panels/", patient.PatientPanels.as_view(), name="patient_panels"),
    path(TRIAL + "model/", model.Model.as_view(), name="model"),
    path(TRIAL + "model/<int:version>/", model.Model.as_view(), name="model_version"),
    path(TRIAL + "runs/", runs.Runs.as_view(), name="runs"),
    path(TRIAL + "runs/part/", runs.RunsPart.as_view(), name="runs_part"),
    path(TRIAL + "runs/<uuid:pk>/", runs.Run.as_view(), name="run"),
    path(TRIAL + "runs/<uuid:pk>/part/", runs.RunPart.as_view(), name="run_part"),
    path(TRIAL + "runs/<uuid:pk>/again/", runs.RunAgain.as_view(), name="run_again"),
    path(TRIAL + "imports/", imports.Imports.as_view(), name="imports"),
    path(TRIAL + "imports/<uuid:pk>/", imports.Import.as_view(), name="import"),
]
