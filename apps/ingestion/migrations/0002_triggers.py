"""A dead letter is kept, and written with its audit event only."""

from django.db import migrations

from apps.audit.triggers import audited, never_deleted


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0001_initial"), ("audit", "0002_triggers")]

    operations = [never_deleted("ingestion_deadletter"), audited("ingestion_deadletter", "ingestion.DeadLetter")]
