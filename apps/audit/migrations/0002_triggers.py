"""The trail is only ever inserted into, and remembers within a transaction what it was told."""

from django.db import migrations

from apps.audit.triggers import DROP_FUNCTIONS, FUNCTIONS, insert_only


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS),
        migrations.RunSQL(
            "CREATE TRIGGER mark AFTER INSERT ON audit_auditevent REFERENCING NEW TABLE AS inserted "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_mark();",
            "DROP TRIGGER mark ON audit_auditevent;",
        ),
        insert_only("audit_auditevent"),
        insert_only("audit_auditsequence"),
    ]
