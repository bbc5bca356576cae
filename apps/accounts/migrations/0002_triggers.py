"""People, grants and keys are ended, never deleted; grants and keys are written with their audit event only."""

from django.db import migrations

from apps.audit.triggers import audited, never_deleted

KEY_COLUMNS = (
    "name", "prefix", "secret_sha256", "scopes", "trial_id", "sites", "owner_id", "issued_by", "expires_at", "revoked_at",
    "revoked_by",
)  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("audit", "0002_triggers")]

    operations = [
        never_deleted("accounts_user"),
        never_deleted("accounts_rolegrant"),
        audited("accounts_rolegrant", "accounts.RoleGrant"),
        never_deleted("accounts_apikey"),
        audited("accounts_apikey", "accounts.ApiKey", columns=KEY_COLUMNS),
    ]
