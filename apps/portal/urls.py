"""Addresses of the portal. The trial stands in the address, so that a link shows the same to whoever may see it."""

from __future__ import annotations

from django.urls import path

from apps.portal.views import (
    access,
    account,
    board,
    gallery,
    imports,
    lineage,
    model,
    patient,
    people,
    profile,
    runs,
    study,
    versions,
)

app_name = "portal"
TRIAL = "trials/<str:trial>/"
PATIENT = TRIAL + "patients/<str:patient>/"
PREDICTION = TRIAL + "predictions/<uuid:pk>/"

urlpatterns = [
    path("", board.Home.as_view(), name="home"),
    path("sign-in/", access.SignIn.as_view(), name="sign_in"),
    path("sign-out/", access.SignOut.as_view(), name="sign_out"),
    path("password/", access.Password.as_view(), name="password"),
    path("help/", access.Help.as_view(), name="help"),
    path("account/", account.Account.as_view(), name="account"),
    path("account/sessions/end/", account.SessionsEnd.as_view(), name="sessions_end"),
    path("new-trial/", study.NewTrial.as_view(), name="study_new"),
    path("gallery/", gallery.Gallery.as_view(), name="gallery"),
    path(TRIAL, board.Board.as_view(), name="board"),
    path(TRIAL + "changes/", board.Changes.as_view(), name="board_changes"),
    path(PATIENT, patient.PatientPage.as_view(), name="patient"),
    path(PATIENT + "now/", patient.PatientNow.as_view(), name="patient_now"),
    path(PATIENT + "panels/", patient.PatientPanels.as_view(), name="patient_panels"),
    path(PREDICTION, lineage.Lineage.as_view(), name="lineage"),
    path(PREDICTION + "walk/", lineage.LineageWalk.as_view(), name="lineage_walk"),
    path(PREDICTION + "objects/", lineage.LineageObjects.as_view(), name="lineage_objects"),
    path(PREDICTION + "origin/", lineage.LineageOrigin.as_view(), name="lineage_origin"),
    path(PREDICTION + "replay/", lineage.LineageReplay.as_view(), name="lineage_replay"),
    path(TRIAL + "model/", model.Model.as_view(), name="model"),
    path(TRIAL + "model/compare/", versions.Compare.as_view(), name="model_compare"),
    path(TRIAL + "model/compare/now/", versions.CompareNow.as_view(), name="model_compare_now"),
    path(TRIAL + "model/<int:version>/", model.Model.as_view(), name="model_version"),
    path(TRIAL + "model/<int:version>/roll-back/", versions.RollBack.as_view(), name="model_roll_back"),
    path(TRIAL + "runs/", runs.Runs.as_view(), name="runs"),
    path(TRIAL + "runs/part/", runs.RunsPart.as_view(), name="runs_part"),
    path(TRIAL + "runs/<uuid:pk>/", runs.Run.as_view(), name="run"),
    path(TRIAL + "runs/<uuid:pk>/part/", runs.RunPart.as_view(), name="run_part"),
    path(TRIAL + "runs/<uuid:pk>/again/", runs.RunAgain.as_view(), name="run_again"),
    path(TRIAL + "imports/", imports.Imports.as_view(), name="imports"),
    path(TRIAL + "imports/<uuid:pk>/", imports.Import.as_view(), name="import"),
    path(TRIAL + "study/", study.Overview.as_view(), name="study"),
    path(TRIAL + "study/name/", study.Rename.as_view(), name="study_name"),
    path(TRIAL + "study/sites/", study.Sites.as_view(), name="sites"),
    path(TRIAL + "study/sites/add/", study.SiteAdd.as_view(), name="site_add"),
    path(TRIAL + "study/sites/at/<str:site>/", study.SitePage.as_view(), name="site"),
    path(TRIAL + "study/arms/", study.Arms.as_view(), name="arms"),
    path(TRIAL + "study/arms/add/", study.ArmAdd.as_view(), name="arm_add"),
    path(TRIAL + "study/arms/<uuid:pk>/", study.ArmPage.as_view(), name="arm"),
    path(TRIAL + "study/profile/", profile.Profile.as_view(), name="profile"),
    path(TRIAL + "study/profile/<int:version>/", profile.Profile.as_view(), name="profile_version"),
    path(TRIAL + "study/profile/next/", profile.ProfileEdit.as_view(), name="profile_edit"),
    path(TRIAL + "people/", people.People.as_view(), name="people"),
    path(TRIAL + "people/export/", people.PeopleCsv.as_view(), name="people_csv"),
    path(TRIAL + "people/find/", people.FindPerson.as_view(), name="person_find"),
    path(TRIAL + "people/new/", people.PersonNew.as_view(), name="person_new"),
    path(TRIAL + "people/<int:pk>/", people.Person.as_view(), name="person"),
    path(TRIAL + "people/<int:pk>/account/", people.PersonAccount.as_view(), name="person_account"),
    path(TRIAL + "people/<int:pk>/training/", people.PersonTraining.as_view(), name="person_training"),
    path(TRIAL + "people/<int:pk>/role/", people.PersonRole.as_view(), name="person_role"),
]
