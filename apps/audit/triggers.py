"""The triggers of regulated tables, as migration operations.

SQLSTATE AU001 = a write without its audit event, AU002 = a change of what is written once. The functions live in the
database (migration ``audit.0002``); what stands here only attaches them, so an old migration keeps its meaning.
"""

from __future__ import annotations

from django.db import migrations

FUNCTIONS = """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION '% of % is refused: its rows are %', lower(TG_OP), TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'AU002';
END $body$;

-- What the transaction has recorded so far, by type of object. Set locally: it ends with the transaction, and a
-- savepoint that is rolled back takes its part with it.
CREATE FUNCTION audit_mark() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    marked text := coalesce(current_setting('app.audit', true), '');
    recorded text;
BEGIN
    FOR recorded IN SELECT DISTINCT object_type FROM inserted LOOP
        IF position('|' || recorded || '|' IN marked) = 0 THEN
            marked := marked || '|' || recorded || '|';
        END IF;
    END LOOP;
    PERFORM set_config('app.audit', marked, true);
    RETURN NULL;
END $body$;

CREATE FUNCTION audit_required() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    marked text := coalesce(current_setting('app.audit', true), '');
    accepted text;
BEGIN
    FOREACH accepted IN ARRAY TG_ARGV LOOP
        IF position('|' || accepted || '|' IN marked) > 0 THEN
            RETURN NULL;
        END IF;
    END LOOP;
    RAISE EXCEPTION '% of % is refused: the transaction has recorded no audit event about %',
        lower(TG_OP), TG_TABLE_NAME, array_to_string(TG_ARGV, ' or ') USING ERRCODE = 'AU001';
END $body$;
"""
DROP_FUNCTIONS = "DROP FUNCTION audit_required(); DROP FUNCTION audit_mark(); DROP FUNCTION audit_refuse();"


def insert_only(table: str) -> migrations.RunSQL:
    """Rows of ``table`` are inserted and never updated, deleted or truncated."""
    return migrations.RunSQL(
        f"CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse('written once and kept');",
        f"DROP TRIGGER insert_only ON {table};",
    )


def never_deleted(table: str) -> migrations.RunSQL:
    """Rows of ``table`` are never deleted or truncated."""
    return migrations.RunSQL(
        f"CREATE TRIGGER never_deleted BEFORE DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse('ended but never deleted');",
        f"DROP TRIGGER never_deleted ON {table};",
    )


def audited(table: str, *object_types: str, columns: tuple[str, ...] = ()) -> migrations.RunSQL:
    """A write to ``table`` needs an audit event about one of ``object_types`` earlier in its transaction.

    With ``columns``, an update of other columns alone needs none (a key's time of last use).
    """
    of = f" OF {', '.join(columns)}" if columns else ""
    arguments = ", ".join(f"'{name}'" for name in object_types)
    return migrations.RunSQL(
        f"CREATE TRIGGER audited BEFORE INSERT OR UPDATE{of} ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION audit_required({arguments});",
        f"DROP TRIGGER audited ON {table};",
    )
