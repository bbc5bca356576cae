"""A rollback: a retired version may serve again, over the signatures it was released with.

The function of 0002 with two more pairs; what it asks of signatures holds for a restored version as for a new one. A
version is retired only from service, so what comes back has served before, in the same mode.
"""

from importlib import import_module

from django.db import migrations

before = import_module("apps.registry.migrations.0002_triggers")
OLD = "'silent>retired', 'candidate>rejected', 'staging>rejected'"
NEW = "'silent>retired', 'candidate>rejected', 'staging>rejected', 'retired>production', 'retired>silent'"


def function(body: str) -> str:
    """The function alone, without its trigger, put in place of the one that is there."""
    return body.partition("CREATE TRIGGER")[0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


class Migration(migrations.Migration):
    dependencies = [("registry", "0002_triggers")]

    operations = [migrations.RunSQL(function(before.GUARD.replace(OLD, NEW)), function(before.GUARD))]
