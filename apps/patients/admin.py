"""Trials, their profiles and sites in the admin."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html

from apps.accounts.desk import ReadOnlyAdmin, ServiceAdmin, VisibleTrials
from apps.patients import services
from apps.patients.models import Site, StudyProfileVersion, Trial


@admin.register(Trial)
class TrialDesk(ReadOnlyAdmin):
    """Trials, to look at."""

    trial_path = "pk"
    list_display = ("trial_id", "name", "simulated", "created_at")


@admin.register(StudyProfileVersion)
class ProfileDesk(ReadOnlyAdmin):
    """Profile versions, to look at."""

    trial_path = "trial"
    list_display = ("trial", "version", "digest", "created_at", "created_by")
    list_filter = (("trial", VisibleTrials),)
    exclude = ("body",)
    readonly_fields = ("profile",)

    @admin.display(description="Profile")
    def profile(self, version: StudyProfileVersion) -> str:
        return format_html("<pre>{}</pre>", json.dumps(version.body, indent=1, ensure_ascii=False))


@admin.register(Site)
class SiteDesk(ServiceAdmin):
    """Sites: their name and time zone may be changed; they come to be by context events."""

    trial_path = "trial"
    list_display = ("site_id", "name", "timezone", "trial")
    list_filter = (("trial", VisibleTrials),)
    fields = ("trial", "site_id", "name", "timezone")
    readonly_fields = ("trial", "site_id")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def change(self, request: HttpRequest, obj: Any, values: dict[str, Any]) -> Site:
        return services.change_site(by=request.user, site=obj, **values)  # type: ignore[arg-type]
