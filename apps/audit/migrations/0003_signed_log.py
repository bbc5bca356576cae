"""Signed checkpoints and the nodes that proofs are read from; both only ever inserted into."""

from django.db import migrations, models

from apps.audit.triggers import insert_only


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0002_triggers'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditCheckpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('origin', models.CharField(max_length=100)),
                ('size', models.BigIntegerField()),
                ('root', models.BinaryField(max_length=32)),
                ('frontier', models.BinaryField(max_length=2048)),
                ('at', models.DateTimeField()),
                ('note', models.TextField()),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(fields=('origin', 'size'), name='audit_checkpoint_once')],
            },
        ),
        migrations.CreateModel(
            name='AuditNode',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('origin', models.CharField(max_length=100)),
                ('level', models.PositiveSmallIntegerField()),
                ('place', models.BigIntegerField()),
                ('digest', models.BinaryField(max_length=32)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('origin', 'level', 'place'), name='audit_node_once')],
            },
        ),
        insert_only("audit_auditcheckpoint"),
        insert_only("audit_auditnode"),
    ]
