"""An import may begin before its trial exists, be a check that writes nothing else, and say what it corrected and why."""

import apps.core.clock
import apps.core.ids
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0002_triggers"),
        ("patients", "0001_initial"),
        ("pipelines", "0001_initial"),
    ]

    operations = [
        migrations.RenameField("importrun", "folder", "source"),
        migrations.RenameField("importrefusal", "message", "why"),
        migrations.CreateModel(
            name="ImportChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=10)),
                ("topic", models.CharField(max_length=40)),
                ("patient_id", models.CharField(max_length=64)),
                ("record_id", models.CharField(max_length=120)),
                ("columns", models.JSONField(default=dict)),
            ],
            options={
                "ordering": ["run", "id"],
            },
        ),
        migrations.CreateModel(
            name="ImportMapping",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.core.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("created_at", models.DateTimeField(default=apps.core.clock.now, editable=False)),
                ("name", models.CharField(max_length=80)),
                ("version", models.PositiveIntegerField(default=1)),
                ("body", models.JSONField()),
                ("by", models.CharField(max_length=200)),
            ],
            options={
                "ordering": ["name", "-version"],
            },
        ),
        migrations.AddField(
            model_name="importrefusal",
            name="count",
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddField(
            model_name="importrefusal",
            name="cure",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="importrefusal",
            name="what",
            field=models.CharField(blank=True, max_length=400),
        ),
        migrations.AddField(
            model_name="importrun",
            name="check_run",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="imports",
                to="ingestion.importrun",
            ),
        ),
        migrations.AddField(
            model_name="importrun",
            name="corrected",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importrun",
            name="cure",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="importrun",
            name="form",
            field=models.CharField(
                choices=[("sdtm", "SDTM package"), ("table", "Table")], default="sdtm", max_length=8
            ),
        ),
        migrations.AddField(
            model_name="importrun",
            name="heartbeat_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="importrun",
            name="kind",
            field=models.CharField(choices=[("check", "Check"), ("import", "Import")], default="import", max_length=8),
        ),
        migrations.AddField(
            model_name="importrun",
            name="mapping",
            field=models.JSONField(blank=True, help_text="Of a table: what its columns mean.", null=True),
        ),
        migrations.AddField(
            model_name="importrun",
            name="new",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importrun",
            name="origin",
            field=models.CharField(
                choices=[
                    ("sent", "Sent through the portal"),
                    ("root", "From the folder for imports"),
                    ("command", "By an operator's command"),
                ],
                default="command",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="importrun",
            name="package_sha256",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="importrun",
            name="place",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="importrun",
            name="remarks",
            field=models.JSONField(blank=True, default=list, help_text="Sentences about the package as a whole."),
        ),
        migrations.AddField(
            model_name="importrun",
            name="retracted",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importrun",
            name="sent",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importrun",
            name="sites",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importrun",
            name="subjects",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="importrun",
            name="title",
            field=models.CharField(blank=True, help_text="The study's, as its files say.", max_length=200),
        ),
        migrations.AddField(
            model_name="importrun",
            name="trial_name",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="importrun",
            name="unchanged",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="importdomain",
            name="domain",
            field=models.CharField(max_length=64),
        ),
        migrations.AlterField(
            model_name="importdomain",
            name="run",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="domains", to="ingestion.importrun"
            ),
        ),
        migrations.AlterField(
            model_name="importrefusal",
            name="domain",
            field=models.CharField(max_length=64),
        ),
        migrations.AlterField(
            model_name="importrefusal",
            name="run",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="refusals", to="ingestion.importrun"
            ),
        ),
        migrations.AlterField(
            model_name="importrun",
            name="source",
            field=models.CharField(help_text="Folder or file, as the person named it.", max_length=500),
        ),
        migrations.AlterField(
            model_name="importrun",
            name="state",
            field=models.CharField(
                choices=[
                    ("draft", "Needs its columns"),
                    ("waiting", "Waiting"),
                    ("running", "Running"),
                    ("succeeded", "Succeeded"),
                    ("failed", "Failed"),
                    ("discarded", "Discarded"),
                ],
                default="waiting",
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="importrun",
            name="trial",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="imports",
                to="patients.trial",
            ),
        ),
        migrations.AddIndex(
            model_name="importrun",
            index=models.Index(fields=["trial_name", "-created_at"], name="import_by_trial_name"),
        ),
        migrations.AddField(
            model_name="importchange",
            name="run",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="changes", to="ingestion.importrun"
            ),
        ),
        migrations.AddConstraint(
            model_name="importmapping",
            constraint=models.UniqueConstraint(fields=("name", "version"), name="import_mapping_version_once"),
        ),
    ]
