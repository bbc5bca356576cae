"""Addresses of the live connections; the origin is checked around them (``clinical_portal.asgi``)."""

from __future__ import annotations

from django.urls import path

from apps.portal.consumers import PatientConsumer, TrialConsumer

websocket_urlpatterns = [
    path("ws/trials/<str:trial>/", TrialConsumer.as_asgi()),
    path("ws/trials/<str:trial>/patients/<str:patient>/", PatientConsumer.as_asgi()),
]
