"""What tests need to know of the database's guards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from django.test import TransactionTestCase


def forget_audit() -> None:
    """Make the open transaction look as if nothing had been recorded in it.

    A test runs in one transaction, so the events of its preparation would vouch for the write it tries afterwards.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.audit', '', true)")


@contextmanager
def without_trigger(table: str, *names: str, also: tuple[str, ...] = ()) -> Iterator[None]:
    """Inside the block those triggers of ``table`` (and of the tables ``also``) are dropped; afterwards everything since
    is rolled back, the triggers with it."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks still to come cannot be altered
            for one in {table, *also}:
                for name in names:
                    cursor.execute(f"DROP TRIGGER {name} ON {one}")
        yield
        transaction.set_rollback(True)


def let_tests_empty_the_tables() -> None:
    """Teach Django's clean-up after a transactional test to empty tables that refuse it.

    Triggers rest while the session says it is a replica, which only a superuser may say: the tests' own server has one,
    the portal's role in production is none.
    """
    empty = TransactionTestCase._fixture_teardown
    if getattr(empty, "rests_triggers", False):
        return

    def empty_with_triggers_at_rest(case: TransactionTestCase) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
        try:
            empty(case)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SET session_replication_role = origin")

    empty_with_triggers_at_rest.rests_triggers = True  # type: ignore[attr-defined]
    TransactionTestCase._fixture_teardown = empty_with_triggers_at_rest  # type: ignore[method-assign]
