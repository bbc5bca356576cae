"""Everything that leaves a trace, as a table: the action's name, its sentence, what it is done to, and by whom.

An action that is not here cannot be recorded. Which *role* may do what a person does is in ``accounts.permissions``.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.audit.actors import ActorType

PERSON: frozenset[ActorType] = frozenset({"person"})
PROCESS: frozenset[ActorType] = frozenset({"process"})
STAFF: frozenset[ActorType] = frozenset({"person", "process"})
ANYONE: frozenset[ActorType] = frozenset({"person", "process", "key"})


@dataclass(frozen=True, slots=True)
class Action:
    """One row: ``sentence`` is read after the actor's name; ``reason`` says whether a reason must be given."""

    name: str
    sentence: str
    object_type: str
    by: frozenset[ActorType] = STAFF
    reason: bool = False


# fmt: off
_ROWS: tuple[Action, ...] = (
    Action("accounts.user_created", "created the account", "accounts.User"),
    Action("accounts.user_changed", "changed the account", "accounts.User"),
    Action("accounts.user_deactivated", "deactivated the account", "accounts.User", reason=True),
    Action("accounts.user_reactivated", "reactivated the account", "accounts.User", reason=True),
    Action("accounts.identity_verified", "verified the identity of", "accounts.User"),
    Action("accounts.password_changed", "changed their password", "accounts.User", PERSON),
    Action("accounts.password_reset", "set a first password for", "accounts.User"),
    Action("accounts.signed_in", "signed in", "accounts.User", PERSON),
    Action("accounts.signed_out", "signed out", "accounts.User", PERSON),
    Action("accounts.sign_in_failed", "saw a failed sign-in of", "accounts.User", PROCESS),
    Action("accounts.locked_out", "locked out", "accounts.User", PROCESS),
    Action("accounts.session_ended", "ended for its time limit the session of", "accounts.User", PROCESS, reason=True),
    Action("accounts.signature_refused", "was refused a signature", "accounts.User", PERSON),
    Action("accounts.account_kept", "reviewed and kept the account", "accounts.User", reason=True),
    Action("accounts.session_closed", "closed a session of", "accounts.User"),
    Action("accounts.training_recorded", "recorded the training", "accounts.TrainingRecord"),
    Action("accounts.training_corrected", "corrected the training record", "accounts.TrainingRecord", reason=True),
    Action("accounts.role_granted", "granted the role", "accounts.RoleGrant"),
    Action("accounts.role_revoked", "ended the role", "accounts.RoleGrant", reason=True),
    Action("accounts.key_issued", "issued the API key", "accounts.ApiKey"),
    Action("accounts.key_revoked", "revoked the API key", "accounts.ApiKey", reason=True),
    Action("patients.trial_created", "created the trial", "patients.Trial"),
    Action("patients.trial_changed", "changed the trial", "patients.Trial"),
    Action("patients.profile_published", "published the study profile", "patients.StudyProfileVersion"),
    Action("patients.site_created", "created the site", "patients.Site"),
    Action("patients.site_changed", "changed the site", "patients.Site"),
    Action("patients.site_closed", "closed the site", "patients.Site", reason=True),
    Action("patients.site_reopened", "reopened the site", "patients.Site", reason=True),
    Action("patients.arm_created", "set up the arm", "patients.Arm"),
    Action("patients.arm_changed", "renamed the arm", "patients.Arm"),
    Action("patients.arm_withdrawn", "withdrew the arm", "patients.Arm", reason=True),
    Action("patients.arm_reinstated", "reinstated the arm", "patients.Arm", reason=True),
    Action("patients.patient_changed", "sent a change of the patient", "patients.Patient", PERSON, reason=True),
    Action("ingestion.dead_letters_kept", "kept messages that broke their contract", "ingestion.DeadLetter", PROCESS),
    Action("ingestion.dead_letter_replayed", "replayed the dead letter", "ingestion.DeadLetter"),
    Action("ingestion.quarantine_released", "took out of quarantine", "ingestion.Quarantined", PROCESS),
    Action("ingestion.epoch_opened", "opened a new epoch of the topic", "ingestion.Epoch", PROCESS),
    Action("ingestion.import_asked", "asked for the import", "ingestion.ImportRun"),
    Action("ingestion.import_started", "started the import", "ingestion.ImportRun"),
    Action("ingestion.import_finished", "finished the import", "ingestion.ImportRun"),
    Action("ingestion.import_failed", "failed the import", "ingestion.ImportRun"),
    Action("ingestion.import_discarded", "discarded the files of the import", "ingestion.ImportRun", PERSON),
    Action("ingestion.import_exported", "exported the report of the import", "ingestion.ImportRun", PERSON),
    Action("ingestion.mapping_saved", "saved the mapping of columns", "ingestion.ImportMapping", PERSON),
    Action("job.requested", "requested the job", "pipelines.JobRun", ANYONE),
    Action("job.started", "started the job", "pipelines.JobRun"),
    Action("job.succeeded", "finished the job", "pipelines.JobRun"),
    Action("job.failed", "failed the job", "pipelines.JobRun"),
    Action("job.cancelled", "cancelled the job", "pipelines.JobRun"),
    Action("registry.model_registered", "registered the model version", "registry.ModelVersion"),
    Action("registry.model_staged", "moved to staging the model version", "registry.ModelVersion"),
    Action("registry.model_signed", "signed for the model version", "registry.ModelVersion", PERSON),
    Action("registry.model_released", "released to production the model version", "registry.ModelVersion", PERSON),
    Action("registry.model_released_silent", "released as silent the model version", "registry.ModelVersion", PERSON),
    Action("registry.model_retired", "retired the model version", "registry.ModelVersion", reason=True),
    Action("registry.model_rolled_back", "rolled back the model version", "registry.ModelVersion", PERSON, reason=True),
    Action("registry.model_restored", "let serve again the model version", "registry.ModelVersion", PERSON, reason=True),
    Action("registry.model_rejected", "rejected the model version", "registry.ModelVersion", PERSON, reason=True),
    Action("registry.mirror_mismatch", "found that another model serves than the registry says", "registry.ModelVersion", PROCESS),
    Action("predictions.predicted", "predicted the risk", "predictions.Prediction", ANYONE),
    Action("predictions.not_replayable", "marked as not replayable the prediction", "predictions.Prediction", PROCESS),
    Action("predictions.replayed", "replayed the prediction", "predictions.Prediction", ANYONE),
    Action("monitoring.checked", "checked model and data of the trial", "monitoring.Check", PROCESS),
    Action("monitoring.retraining_requested", "asked for retraining", "pipelines.JobRun", ANYONE, reason=True),
    Action("monitoring.models_compared", "compared the candidate with what serves", "monitoring.ModelComparison", PROCESS),
    Action("audit.exported", "exported the audit trail", "audit.AuditEvent"),
    Action("audit.sealing_refused", "refused to sign", "audit.AuditCheckpoint", PROCESS),
    Action("audit.resumed", "began a new signed log after", "audit.AuditCheckpoint", PROCESS, reason=True),
    Action("audit.verified", "verified the audit trail", "audit.AuditCheckpoint"),
    Action("audit.damage_found", "found damage in the audit trail", "audit.AuditCheckpoint"),
    Action("audit.reviewed", "reviewed the audit trail", "audit.AuditEvent", PERSON),
    Action("demo.seeded", "created the demonstration", "patients.Trial", PROCESS),
    Action("demo.reset", "reset the demonstration", "patients.Trial"),
)
# fmt: on
ACTIONS: dict[str, Action] = {row.name: row for row in _ROWS}
