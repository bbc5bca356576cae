"""Addresses of the API."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.views import SpectacularAPIView

from apps.predictions.api.lineage import LineageView, ReplayView
from apps.predictions.api.metrics import metrics
from apps.predictions.api.views import HealthView, PredictView, documentation

urlpatterns = [
    path("api/v1/predict", PredictView.as_view(), name="api-predict"),
    path("predict", PredictView.as_view(), name="api-predict-alias"),
    path("api/v1/predictions/<uuid:prediction>/lineage", LineageView.as_view(), name="api-lineage"),
    path("api/v1/predictions/<uuid:prediction>/replay", ReplayView.as_view(), name="api-replay"),
    path("health", HealthView.as_view(), name="health"),
    path("metrics", metrics, name="metrics"),
    path(
        "api/openapi.json",
        SpectacularAPIView.as_view(
            authentication_classes=(), permission_classes=(), renderer_classes=(OpenApiJsonRenderer2,)
        ),
        name="openapi",
    ),
    path("api/docs", documentation, name="api-docs"),
]
