"""Addresses of the retraining API."""

from __future__ import annotations

from django.urls import path

from apps.monitoring.api import RetrainRunView, RetrainView

urlpatterns = [
    path("api/v1/retrain", RetrainView.as_view(), name="api-retrain"),
    path("api/v1/retrain/<uuid:run>", RetrainRunView.as_view(), name="api-retrain-run"),
    path("retrain", RetrainView.as_view(), name="api-retrain-alias"),
]
