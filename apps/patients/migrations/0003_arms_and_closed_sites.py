import django.db.models.deletion
from django.db import migrations, models

import apps.core.clock
import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("patients", "0002_triggers"),
    ]

    operations = [
        migrations.AddField(
            model_name="site",
            name="closed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="Arm",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("created_at", models.DateTimeField(default=apps.core.clock.now, editable=False)),
                ("code", models.CharField(max_length=40)),
                ("name", models.CharField(max_length=200)),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                (
                    "trial",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="arms", to="patients.trial"
                    ),
                ),
            ],
            options={
                "ordering": ["trial", "code"],
                "constraints": [models.UniqueConstraint(fields=("trial", "code"), name="arm_once_per_trial")],
            },
        ),
    ]
