"""A study profile's version is written once, with its audit event."""

from django.db import migrations

from apps.audit.triggers import audited, insert_only


class Migration(migrations.Migration):
    dependencies = [("patients", "0001_initial"), ("audit", "0002_triggers")]

    operations = [
        insert_only("patients_studyprofileversion"),
        audited("patients_studyprofileversion", "patients.StudyProfileVersion"),
    ]
