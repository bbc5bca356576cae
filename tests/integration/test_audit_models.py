"""How each table stands to the audit trail, with the reason: a model that is not in this table fails, and so does a table
whose triggers are not what it says."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

from apps.audit.verification import IMAGES

TRAIL = "the trail itself"
AUDITED = "no write without its audit event"
COUNTED = "its course is told in the trail; the database does not ask for it"
PROJECTED = "read from bronze, and built again from it"
BOOKKEEPING = "says nothing of a patient, a person's rights or a model; may be lost"
#: What of PostgreSQL's triggers each asks for.
TRIGGERS: dict[str, set[str]] = {
    TRAIL: {"insert_only"}, AUDITED: {"audited"}, COUNTED: set(), PROJECTED: set(), BOOKKEEPING: set(),
}  # fmt: skip

#: Model: how it stands, whether its rows are kept ("once" = never changed, "ended" = never deleted), and why.
MODELS: dict[str, tuple[str, str, str]] = {
    "audit.AuditEvent": (TRAIL, "once", "who did what, before and after"),
    "audit.AuditSequence": (TRAIL, "once", "the sealed order"),
    "audit.AuditCheckpoint": (TRAIL, "once", "signed"),
    "audit.AuditNode": (TRAIL, "once", "follows from the order, and each proof is checked"),
    "accounts.User": (AUDITED, "ended", "a signature points to a person for ever"),
    "accounts.RoleGrant": (AUDITED, "ended", "who may do what"),
    "accounts.TrainingRecord": (AUDITED, "once", "what a role rests on"),
    "accounts.ApiKey": (AUDITED, "ended", "who may ask; last use alone is written without an event"),
    "patients.Trial": (AUDITED, "ended", "a change needs an event; a study's own events may create one"),
    "patients.Site": (AUDITED, "ended", "a change needs an event; a study's own events may create one"),
    "patients.Arm": (AUDITED, "ended", "set up by people"),
    "patients.StudyProfileVersion": (AUDITED, "once", "what every score follows"),
    "patients.Patient": (PROJECTED, "", "its events are in bronze; people change it by an event, which is audited"),
    "patients.VitalSigns": (PROJECTED, "", "bronze"),
    "patients.LabResult": (PROJECTED, "", "bronze"),
    "patients.Medication": (PROJECTED, "", "bronze"),
    "patients.AdverseEvent": (PROJECTED, "", "bronze"),
    "patients.ContextRecord": (PROJECTED, "", "bronze"),
    "ingestion.DeadLetter": (AUDITED, "ended", "a refused message and what became of it"),
    "ingestion.Quarantined": (PROJECTED, "", "silver's quarantine, filled anew by each clean"),
    "ingestion.ImportRun": (AUDITED, "ended", "who brought which data in; its progress alone needs no event"),
    "ingestion.ImportDomain": (AUDITED, "once", "read = imported + refused"),
    "ingestion.ImportRefusal": (AUDITED, "once", "what was refused, and why"),
    "ingestion.ImportChange": (AUDITED, "once", "what an import corrected or retracted"),
    "ingestion.ImportMapping": (AUDITED, "once", "how a table was read"),
    "ingestion.ConsumerState": (BOOKKEEPING, "", "where a reader stands; claims in the lake decide"),
    "pipelines.JobRun": (COUNTED, "", "asked for, begun and ended are events; progress comes every second"),
    "registry.ModelVersion": (AUDITED, "ended", "what may serve"),
    "registry.ModelTransition": (AUDITED, "once", "each move"),
    "registry.Approval": (AUDITED, "once", "a signature"),
    "predictions.Prediction": (AUDITED, "once", "what was told to people"),
    "predictions.NotReplayable": (AUDITED, "once", "an exception to a promise"),
    "predictions.IdempotentAnswer": (BOOKKEEPING, "", "an answer kept for a day, its prediction stands by itself"),
    "monitoring.Check": (AUDITED, "once", "that the model was watched"),
    "monitoring.PerformanceReport": (AUDITED, "once", "what was seen"),
    "monitoring.TriggerVerdict": (AUDITED, "once", "what followed from it"),
    "monitoring.ModelComparison": (AUDITED, "once", "what a release was judged by"),
    "monitoring.Counted": (BOOKKEEPING, "", "sums that /metrics shows"),
    "core.OutboxMessage": (BOOKKEEPING, "", "on its way to the broker; who sent it is an event"),
    "auditlog.LogEntry": (BOOKKEEPING, "", "field by field what the admin did, beside the trail"),
    "admin.LogEntry": (BOOKKEEPING, "", "Django's own, shown nowhere"),
    "auth.Permission": (BOOKKEEPING, "", "made by migrations; rights follow from the roles' table alone"),
    "auth.Group": (BOOKKEEPING, "", "unused: rights follow from the roles' table alone"),
    "contenttypes.ContentType": (BOOKKEEPING, "", "made by migrations"),
    "sessions.Session": (BOOKKEEPING, "", "signing in, out and a session's end are events"),
    "axes.AccessAttempt": (BOOKKEEPING, "", "counts for the lock; failed sign-ins and locks are events"),
    "axes.AccessAttemptExpiration": (BOOKKEEPING, "", "as above"),
    "axes.AccessFailureLog": (BOOKKEEPING, "", "as above"),
    "axes.AccessLog": (BOOKKEEPING, "", "as above"),
    **{
        f"django_celery_beat.{name}": (BOOKKEEPING, "", "written anew at each start from clinical_portal/schedule.py")
        for name in (
            *("SolarSchedule", "IntervalSchedule", "ClockedSchedule", "CrontabSchedule"),
            *("PeriodicTasks", "PeriodicTask"),
        )
    },
}


def test_every_model_says_how_it_stands_to_the_trail() -> None:
    assert {model._meta.label for model in apps.get_models()} == set(MODELS)
    assert all(reason for _, _, reason in MODELS.values())


@pytest.mark.django_db
@pytest.mark.parametrize("label", MODELS)
def test_the_database_keeps_what_the_table_says(label: str) -> None:
    stands, kept, _ = MODELS[label]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgenabled <> 'D'",
            [apps.get_model(label)._meta.db_table],
        )
        found = {name for (name,) in cursor.fetchall()}
    keeps = {"once": {"insert_only"}, "ended": {"never_deleted"}, "": set()}[kept]
    assert found - {"audit_mark", "marks"} >= TRIGGERS[stands] | keeps, found
    if stands in (PROJECTED, BOOKKEEPING):
        assert not found & {"audited", "insert_only", "never_deleted"}, "it is more than this table says"


def test_what_is_compared_row_by_row_is_audited() -> None:
    assert all(MODELS[label][0] == AUDITED for label in IMAGES)
    uncompared = {label for label, (stands, kept, _) in MODELS.items() if stands == AUDITED and kept == "ended"} - set(
        IMAGES
    )
    # a refused message and an import are events and reports of their own; each has a page that shows them
    assert uncompared == {"ingestion.DeadLetter", "ingestion.ImportRun"}
