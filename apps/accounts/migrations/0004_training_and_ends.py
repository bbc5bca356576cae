import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.clock
import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_nobody_above_the_table"),
    ]

    operations = [
        migrations.AddField(
            model_name="rolegrant",
            name="ends_at",
            field=models.DateTimeField(
                blank=True, help_text="When it ends by itself; empty = when it is ended.", null=True
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="reviewed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="user",
            name="reviewed_by",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.CreateModel(
            name="TrainingRecord",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "course",
                    models.CharField(
                        choices=[
                            ("gcp", "Good clinical practice"),
                            ("portal", "Reading risk scores"),
                            ("safety", "Safety reporting"),
                            ("blinding", "Keeping the blind"),
                            ("signatures", "Electronic signatures"),
                            ("models", "Models and their limits"),
                            ("administration", "Accounts and study set-up"),
                            ("auditing", "The audit trail"),
                        ],
                        max_length=40,
                    ),
                ),
                ("completed_on", models.DateField()),
                ("expires_on", models.DateField(blank=True, null=True)),
                ("evidence", models.CharField(max_length=500)),
                ("recorded_by", models.CharField(max_length=200)),
                ("recorded_at", models.DateTimeField(default=apps.core.clock.now, editable=False)),
                ("void", models.BooleanField(default=False)),
                (
                    "corrects",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="corrected_by",
                        to="accounts.trainingrecord",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="training",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-completed_on", "-id"],
                "indexes": [models.Index(fields=["user", "course"], name="training_of_person")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expires_on__isnull", True), ("expires_on__gte", models.F("completed_on")), _connector="OR"
                        ),
                        name="training_ends_after_it_began",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("void", False), ("corrects__isnull", False), _connector="OR"),
                        name="void_training_names_which",
                    ),
                ],
            },
        ),
    ]
