from __future__ import annotations

from django.apps import AppConfig


class PatientsConfig(AppConfig):
    name = "apps.patients"
    label = "patients"
    verbose_name = "Trials and patients"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from apps.patients.models import Site

        auditlog.register(Site)  # field-level changes made in the admin; the trail of record is apps.audit
