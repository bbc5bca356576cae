from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"
    verbose_name = "Accounts and permissions"

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from apps.accounts import sessions, signals  # noqa: F401 - connect their receivers
        from apps.accounts.models import ApiKey, RoleGrant, User

        # Field-level changes made in the admin; the trail of record is apps.audit.
        auditlog.register(User, exclude_fields=["password", "last_login"])
        auditlog.register(RoleGrant)
        auditlog.register(ApiKey, exclude_fields=["secret_sha256", "last_used_at"])
