"""The SQL of the projection. Names come from the models, values never: nothing here is built from data."""

# ruff: noqa: S608
from __future__ import annotations

from functools import cache

from apps.patients.columns import columns
from apps.patients.records import ClinicalRecord, ContextRecord, VitalSigns
from ml.contracts.signs import SIGNS

NEWEST_FIRST = 'known_time DESC, epoch DESC, "offset" DESC'
IDENTITY = 'trial_id, topic_id, "partition", "offset"'


def stage_name(model: type[ClinicalRecord]) -> str:
    """The temporary table rows of the model are copied to."""
    return f"stage_{model._meta.model_name}"


@cache
def create_stage(model: type[ClinicalRecord]) -> str:
    """Once a connection: a table like the record's, without its keys."""
    names = ", ".join(f'"{name}"' for name in columns(model))
    return (
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {stage_name(model)} ON COMMIT DELETE ROWS AS "
        f"SELECT {names} FROM {model._meta.db_table} WITH NO DATA"
    )


@cache
def upsert(model: type[ClinicalRecord]) -> str:
    """Insert what is new, change what a changed cleaning rule made different, leave the rest untouched."""
    table = model._meta.db_table
    names = [f'"{name}"' for name in columns(model)]
    changing = [
        name for name in names if name not in {"trial_id", '"trial_id"', '"topic_id"', '"partition"', '"offset"'}
    ]
    listed = ", ".join(names)
    return (
        f"INSERT INTO {table} AS kept ({listed}, superseded) "
        f"SELECT DISTINCT ON ({IDENTITY}) {listed}, false FROM {stage_name(model)} ORDER BY {IDENTITY} "
        f"ON CONFLICT ({IDENTITY}) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in changing)
        + f" WHERE ({', '.join(f'kept.{name}' for name in changing)}) "
        f"IS DISTINCT FROM ({', '.join(f'excluded.{name}' for name in changing)})"
    )


@cache
def supersede(model: type[ClinicalRecord]) -> str:
    """Decide anew which versions hold, for the records in the stage that have more than one.

    A version is superseded by any later one; vital signs compare sign by sign, so there a version is superseded when
    each of its signs has a later value, or a later version retracted the record.
    """
    table = model._meta.db_table
    if model is VitalSigns:
        later = " AND ".join(
            f"({_absent(name)} OR coalesce(bool_or(retracted OR NOT {_absent(name)}) OVER later, false))"
            for name in (sign.name for sign in SIGNS)
        )
        verdict = f"CASE WHEN retracted THEN count(*) OVER later > 0 ELSE {later} END"
    else:
        verdict = "count(*) OVER later > 0"
    return (
        f"WITH touched AS (SELECT DISTINCT patient_id, record_key FROM {stage_name(model)}), "
        f"several AS (SELECT patient_id, record_key FROM touched JOIN {table} USING (patient_id, record_key) "
        f"GROUP BY patient_id, record_key HAVING count(*) > 1), "
        f"judged AS (SELECT id, {verdict} AS superseded FROM {table} JOIN several USING (patient_id, record_key) "
        f"WINDOW later AS (PARTITION BY patient_id, record_key ORDER BY {NEWEST_FIRST} "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) "
        f"UPDATE {table} AS kept SET superseded = judged.superseded FROM judged "
        f"WHERE kept.id = judged.id AND kept.superseded <> judged.superseded"
    )


def _absent(sign: str) -> str:
    return f"{sign} = ''" if sign == "consciousness" else f"{sign} IS NULL"


_STAGE = stage_name(ContextRecord)
CREATE_SITES = (
    "INSERT INTO patients_site (key, trial_id, site_id, name, timezone, created_at) "
    "SELECT DISTINCT trial_id || '/' || trial_site_id, trial_id, trial_site_id, '', 'UTC', %s::timestamptz "
    f"FROM {_STAGE} WHERE trial_site_id <> '' ON CONFLICT DO NOTHING"
)
CREATE_PATIENTS = (
    "INSERT INTO patients_patient "
    "(key, trial_id, patient_id, sex, race, ethnicity, arm_code, arm_name, status, status_term, created_at) "
    "SELECT DISTINCT patient_id, trial_id, substr(patient_id, length(trial_id) + 2), '', '', '', '', '', '', '', "
    f"%s::timestamptz FROM {_STAGE} ON CONFLICT DO NOTHING"
)


def _current(kind: str, order: str) -> str:
    return (
        f"(SELECT DISTINCT ON (patient_id) patient_id, event_time, age, sex, race, ethnicity, term, arm_code, arm_name, "
        f"treated, status FROM holding WHERE kind = '{kind}' ORDER BY patient_id, {order})"
    )


#: What a patient's row shows: of each kind of context the version that holds; of dispositions the last to happen.
REFRESH_PATIENTS = (
    f"WITH touched AS (SELECT DISTINCT patient_id FROM {_STAGE}), "
    "everything AS (SELECT * FROM patients_contextrecord JOIN touched USING (patient_id)), "
    "holding AS (SELECT * FROM everything WHERE NOT superseded AND NOT retracted), "
    "first AS (SELECT patient_id, min(known_time) AS known_since FROM everything GROUP BY patient_id), "
    "place AS (SELECT DISTINCT ON (patient_id) patient_id, trial_id || '/' || trial_site_id AS site FROM holding "
    f"WHERE trial_site_id <> '' ORDER BY patient_id, (kind = 'enrolment') DESC, {NEWEST_FIRST}) "
    "UPDATE patients_patient AS p SET "
    "site_id = place.site, enrolled_at = enrolment.event_time, "
    "age = demographics.age, sex = coalesce(demographics.sex, ''), race = coalesce(demographics.race, ''), "
    "ethnicity = coalesce(demographics.ethnicity, ''), "
    "arm_code = coalesce(arm.arm_code, ''), arm_name = coalesce(arm.arm_name, ''), treated = arm.treated, "
    "status = coalesce(disposition.status, ''), status_at = disposition.event_time, "
    "status_term = coalesce(disposition.term, ''), known_since = first.known_since "
    "FROM touched LEFT JOIN first USING (patient_id) LEFT JOIN place USING (patient_id) "
    f"LEFT JOIN {_current('enrolment', NEWEST_FIRST)} AS enrolment USING (patient_id) "
    f"LEFT JOIN {_current('demographics', NEWEST_FIRST)} AS demographics USING (patient_id) "
    f"LEFT JOIN {_current('arm', NEWEST_FIRST)} AS arm USING (patient_id) "
    f"LEFT JOIN {_current('disposition', 'event_time DESC, ' + NEWEST_FIRST)} AS disposition USING (patient_id) "
    "WHERE p.key = touched.patient_id"
)
