"""Arms are written with their audit event and never deleted. Sites and trials come to be by events and imports too, but
whoever changes one leaves a trace, and none is deleted."""

from django.db import migrations

from apps.audit.triggers import audited, never_deleted


def audited_change(table: str, object_type: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"CREATE TRIGGER audited BEFORE UPDATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION audit_required('{object_type}');",
        f"DROP TRIGGER audited ON {table};",
    )


class Migration(migrations.Migration):
    dependencies = [("patients", "0003_arms_and_closed_sites"), ("audit", "0002_triggers")]

    operations = [
        never_deleted("patients_arm"),
        audited("patients_arm", "patients.Arm"),
        never_deleted("patients_site"),
        audited_change("patients_site", "patients.Site"),
        never_deleted("patients_trial"),
        audited_change("patients_trial", "patients.Trial"),
    ]
