"""A version moves only as the table of states allows, with its audit event, and serves only over two signatures.

The pairs are written out here, not imported: a migration keeps its meaning when the table changes, and a test compares
the two.
"""

from django.db import migrations

from apps.audit.triggers import audited, insert_only, never_deleted

GUARD = """
CREATE FUNCTION registry_guard_move() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    signers integer;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'candidate' THEN
            RAISE EXCEPTION 'a model version begins as a candidate, not as %', NEW.state USING ERRCODE = 'AU002';
        END IF;
        RETURN NEW;
    END IF;
    IF to_jsonb(NEW) - 'state' IS DISTINCT FROM to_jsonb(OLD) - 'state' THEN
        RAISE EXCEPTION 'of a model version only the state changes' USING ERRCODE = 'AU002';
    END IF;
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF (OLD.state || '>' || NEW.state) NOT IN (
        'candidate>staging', 'staging>production', 'staging>silent', 'candidate>silent', 'production>retired',
        'silent>retired', 'candidate>rejected', 'staging>rejected'
    ) THEN
        RAISE EXCEPTION 'a model version cannot move from % to %', OLD.state, NEW.state USING ERRCODE = 'AU002';
    END IF;
    IF NEW.state IN ('production', 'silent') THEN
        SELECT coalesce(max(people), 0) INTO signers FROM (
            SELECT count(DISTINCT user_id) AS people FROM registry_approval
            WHERE version_id = NEW.id AND as_silent = (NEW.state = 'silent')
                AND user_id IS DISTINCT FROM NEW.trained_by_id
            GROUP BY signed_hash
        ) AS signatures;
        IF signers < 2 THEN
            RAISE EXCEPTION 'a model version serves only over the signatures of two people, not of %', signers
                USING ERRCODE = 'AU002';
        END IF;
    END IF;
    RETURN NEW;
END $body$;
CREATE TRIGGER guard_move BEFORE INSERT OR UPDATE ON registry_modelversion
    FOR EACH ROW EXECUTE FUNCTION registry_guard_move();
"""
DROP_GUARD = "DROP TRIGGER guard_move ON registry_modelversion; DROP FUNCTION registry_guard_move();"


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial"), ("audit", "0002_triggers")]

    operations = [
        migrations.RunSQL(GUARD, DROP_GUARD),
        never_deleted("registry_modelversion"),
        audited("registry_modelversion", "registry.ModelVersion"),
        insert_only("registry_modeltransition"),
        audited("registry_modeltransition", "registry.ModelVersion"),
        insert_only("registry_approval"),
        audited("registry_approval", "registry.ModelVersion"),
    ]
