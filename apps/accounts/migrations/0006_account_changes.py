"""Whoever changes an account leaves a trace, a password's hash included. Left out: what a sign-in writes (``last_login``)
and what follows from the roles (``is_staff``). An account that comes to be without one is found by the verification."""

from django.db import migrations

COLUMNS = (
    "username", "username_key", "printed_name", "email", "password", "is_active", "identity_verified_at",
    "identity_verified_by", "must_change_password", "demo", "reviewed_at", "reviewed_by",
)  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_training_triggers"), ("audit", "0002_triggers")]

    operations = [
        migrations.RunSQL(
            f"CREATE TRIGGER audited BEFORE UPDATE OF {', '.join(COLUMNS)} ON accounts_user "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_required('accounts.User');",
            "DROP TRIGGER audited ON accounts_user;",
        )
    ]
