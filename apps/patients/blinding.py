"""The blinding class of every column of patients, predictions and the trail, as a table.

*open*: whoever may see the patient. *arm*: reveals the treatment arm, so kept from blinded roles while the study is
blinded. *personal*: could identify a person, shown where ``permissions`` allows ``view_personal``. A column that is not
here fails a test, so that a new one cannot slip through unclassed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml.contracts.columns import Blinding

_COMMON: dict[str, Blinding] = dict.fromkeys(
    (
        "id", "trial", "patient", "trial_site_id", "record_key", "record_id", "event_time", "known_time", "epoch", "topic_id",
        "partition", "offset", "producer", "correlation_id", "retracted", "superseded", "flags", "source_rows",
    ),
    "open",
)  # fmt: skip


def _table(*, open: str = "", arm: str = "", personal: str = "", common: bool = False) -> dict[str, Blinding]:  # noqa: A002
    classes: dict[str, Blinding] = dict(_COMMON) if common else {}
    for names, kind in ((open, "open"), (arm, "arm"), (personal, "personal")):
        classes.update(dict.fromkeys(names.split(), kind))  # type: ignore[arg-type]
    return classes


CLASSES: dict[str, dict[str, Blinding]] = {
    "patients.Trial": _table(open="trial_id name simulated created_at"),
    # The profile names the study's drugs, not who has which.
    "patients.StudyProfileVersion": _table(open="id trial version body digest created_at created_by reason"),
    "patients.Site": _table(open="key trial site_id name timezone created_at closed_at"),
    # That there are arms is open; what they are called is not: a code beside a date is a guess at a patient.
    "patients.Arm": _table(open="id trial created_at", arm="code name withdrawn_at"),
    "patients.Patient": _table(
        open="key trial patient_id site enrolled_at treated status status_at status_term known_since created_at",
        arm="arm_code arm_name",
        personal="age sex race ethnicity",
    ),
    "patients.VitalSigns": _table(
        common=True,
        open="source heart_rate blood_pressure_systolic blood_pressure_diastolic temperature spo2 respiratory_rate "
        "supplemental_oxygen consciousness weight height pulse_pressure mean_arterial_pressure quality_score",
    ),
    "patients.LabResult": _table(
        common=True,
        open="test_name analyte value unit low high value_reported unit_reported reference_range value_text lab_id",
    ),
    "patients.Medication": _table(
        common=True,
        open="route frequency end_time term outcome study_dose",
        # The key is a hash of the drug's name where a record has no identifier, a flag may speak of the dose, and a
        # source's own identifiers may be made of either.
        arm="drug_name dosage unit record_key record_id flags source_rows",
    ),
    "patients.AdverseEvent": _table(
        common=True, open="event_type term body_system grade serious causality outcome reported_by report_time end_time"
    ),
    "patients.ContextRecord": _table(
        common=True,
        open="kind term treated status end_time",
        arm="arm_code arm_name",
        personal="age sex race ethnicity",
    ),
    # What reveals the arm is masked before it enters a model or is stored: in a blinded study these reveal nothing.
    "predictions.Prediction": _table(
        open="id trial patient as_of probability logit level reasons model_version silent top_factors contributions features "
        "features_sha256 watermark profile_version tables_version fingerprint correlation_id source replayable created_at"
    ),
    "predictions.NotReplayable": _table(open="prediction reason at"),
    "predictions.IdempotentAnswer": _table(open="name body_sha256 prediction created_at"),
    # An event of the trail may hold any value before and after; who reads the trail is unblinded (``view_audit``).
    "audit.AuditEvent": _table(
        open="id at actor actor_type action object_type object_id trial correlation_id leaf_hash",
        arm="before after reason",
    ),
    "audit.AuditSequence": _table(open="seq event leaf_hash sequenced_at"),
    "audit.AuditCheckpoint": _table(open="id origin size root frontier at note"),
    "audit.AuditNode": _table(open="id origin level place digest"),
    # Raw messages hold whatever was sent.
    "ingestion.DeadLetter": _table(
        open="id created_at topic topic_id partition offset timestamp correlation_id received_at replayed_at replayed_by",
        arm="key headers reasons raw",
    ),
    "ingestion.Quarantined": _table(
        open="id created_at trial_id patient site_id topic topic_id partition offset rule field event_time run",
        arm="value message",
    ),
}


def class_of(model: str, field: str) -> Blinding:
    """The class of a column ("patients.Patient", "arm_code"). KeyError for one that is not classed."""
    return CLASSES[model][field]


def visible(model: str, field: str, *, blinded: bool, personal: bool = True) -> bool:
    """Whether the column may be shown to a reader who is (not) blinded and may (not) see personal data."""
    kind = class_of(model, field)
    return not (kind == "arm" and blinded) and not (kind == "personal" and not personal)


def visible_fields(model: str, *, blinded: bool, personal: bool = True) -> list[str]:
    """The columns of a model such a reader may be given."""
    return [field for field in CLASSES[model] if visible(model, field, blinded=blinded, personal=personal)]


def mask(model: str, values: Mapping[str, Any], *, blinded: bool, personal: bool = True) -> dict[str, Any]:
    """The values with None in place of what the reader may not see; KeyError for a column that is not classed."""
    return {
        name: value if visible(model, name, blinded=blinded, personal=personal) else None
        for name, value in values.items()
    }
