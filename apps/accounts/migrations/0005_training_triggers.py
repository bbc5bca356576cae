"""A training record is written once, with its audit event."""

from django.db import migrations

from apps.audit.triggers import audited, insert_only


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_training_and_ends"), ("audit", "0002_triggers")]

    operations = [
        insert_only("accounts_trainingrecord"),
        audited("accounts_trainingrecord", "accounts.TrainingRecord"),
    ]
