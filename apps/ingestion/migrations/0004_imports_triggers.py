"""An import is never deleted, its report is written once, and its course changes only with an audit event."""

from django.db import migrations

from apps.audit.triggers import audited, insert_only, never_deleted

COURSE = (
    "trial_id",
    "trial_name",
    "kind",
    "form",
    "origin",
    "source",
    "mapping",
    "state",
    "by",
    "started_at",
    "finished_at",
)


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0003_imports"), ("audit", "0002_triggers")]

    operations = [
        migrations.RunSQL(
            "UPDATE ingestion_importrun SET trial_name = trial_id WHERE trial_name = '' AND trial_id IS NOT NULL",
            migrations.RunSQL.noop,
        ),
        never_deleted("ingestion_importrun"),
        audited("ingestion_importrun", "ingestion.ImportRun", columns=COURSE),
        insert_only("ingestion_importdomain"),
        insert_only("ingestion_importrefusal"),
        insert_only("ingestion_importchange"),
        audited("ingestion_importdomain", "ingestion.ImportRun"),
        audited("ingestion_importrefusal", "ingestion.ImportRun"),
        audited("ingestion_importchange", "ingestion.ImportRun"),
        insert_only("ingestion_importmapping"),
        audited("ingestion_importmapping", "ingestion.ImportMapping"),
    ]
