"""What monitoring found is written once, with the check's or the comparison's audit event."""

from django.db import migrations

from apps.audit.triggers import audited, insert_only


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0001_initial"), ("audit", "0002_triggers")]

    operations = [
        insert_only("monitoring_check"),
        audited("monitoring_check", "monitoring.Check"),
        insert_only("monitoring_performancereport"),
        audited("monitoring_performancereport", "monitoring.Check"),
        insert_only("monitoring_triggerverdict"),
        audited("monitoring_triggerverdict", "monitoring.Check"),
        insert_only("monitoring_modelcomparison"),
        audited("monitoring_modelcomparison", "monitoring.ModelComparison"),
    ]
