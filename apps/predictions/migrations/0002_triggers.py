"""A prediction is written once, with its audit event."""

from django.db import migrations

from apps.audit.triggers import audited, insert_only


class Migration(migrations.Migration):
    dependencies = [("predictions", "0001_initial"), ("audit", "0002_triggers")]

    operations = [
        insert_only("predictions_prediction"),
        audited("predictions_prediction", "predictions.Prediction"),
        insert_only("predictions_notreplayable"),
        audited("predictions_notreplayable", "predictions.Prediction"),
    ]
