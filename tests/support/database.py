"""What tests need to know of the database's guards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


def forget_audit() -> None:
    """Make the open transaction look as if nothing had been recorded in it.

    A test runs in one transaction, so the events of its preparation would vouch for the write it tries afterwards.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.audit', '', true)")


@contextmanager
def without_trigger(table: str, name: str) -> Iterator[None]:
    """Inside the block that trigger is dropped; afterwards everything since is rolled back, the trigger with it."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER {name} ON {table}")
        yield
        transaction.set_rollback(True)
