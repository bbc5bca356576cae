"""The clinical record of a ward's patients: vital signs, laboratory, doses, medicines, adverse events."""

from __future__ import annotations

import hashlib
import math
import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from apps.patients.models import AdverseEvent, LabResult, Medication, Patient, VitalSigns

if TYPE_CHECKING:
    from tests.support.clinic import Ward

TOPIC_ID = "dGVzdHRlc3R0ZXN0dGVzdA"


def _lineage(of: Ward, patient: Patient, topic: str, moment: datetime) -> dict[str, Any]:
    offset = of.offsets[topic] = of.offsets.get(topic, -1) + 1
    key = int.from_bytes(hashlib.sha256(f"{topic}{offset}".encode()).digest()[:8], "big", signed=True)
    site = patient.site_id.partition("/")[2] if patient.site_id else ""
    return {
        "trial": of.trial,
        "patient": patient,
        "trial_site_id": site,
        "record_key": key,
        "event_time": moment,
        "known_time": moment,
        "epoch": 0,
        "topic_id": TOPIC_ID,
        "partition": 1,
        "offset": offset,
        "producer": "simulator-live",
        "correlation_id": "c0ffee",
    }


def vitals(of: Ward, patient: Patient, dice: random.Random, moments: list[datetime], *, ill: bool) -> None:
    """One set a moment."""
    VitalSigns.objects.bulk_create(
        VitalSigns(
            **_lineage(of, patient, "patient-vitals", moment),
            source="bedside",
            heart_rate=round(
                74
                + 6 * math.sin(moment.hour / 24 * 6.28)
                + (30 * max(0.0, 1 - (of.now - moment).days / 3) if ill else 0)
                + dice.uniform(-3, 3)
            ),
            blood_pressure_systolic=round(122 + dice.uniform(-8, 8)),
            blood_pressure_diastolic=round(76 + dice.uniform(-5, 5)),
            temperature=round(
                36.7 + (1.6 if ill and (of.now - moment) < timedelta(days=1) else 0) + dice.uniform(-0.2, 0.2), 1
            ),
            spo2=round(97 + dice.uniform(-1, 1)),
            respiratory_rate=round(
                15 + (7 if ill and (of.now - moment) < timedelta(days=1) else 0) + dice.uniform(-2, 2)
            ),
            consciousness="A",
            supplemental_oxygen=0.0,
        )
        for moment in moments
    )


def record(of: Ward, patient: Patient, dice: random.Random, *, ill: bool, days: int, arm: str) -> None:
    """Everything of one patient over the last days."""
    start = of.now - timedelta(days=days)
    vitals(
        of,
        patient,
        dice,
        [start + timedelta(minutes=60) * place for place in range(days * 24 - 1)] + [of.now - timedelta(minutes=4)],
        ill=ill,
    )
    LabResult.objects.bulk_create(
        LabResult(
            **_lineage(of, patient, "lab-results", start + timedelta(days=day, hours=8, minutes=30)),
            test_name=name.upper(),
            analyte=name,
            value=value * (1.6**day if ill and name == "alt" else 1 + 0.03 * day),
            unit=unit,
            low=low,
            high=high,
            value_reported=value,
            unit_reported=unit,
            reference_range=f"{low:g}-{high:g}",
            lab_id="L1",
        )
        for day in range(days)
        for name, value, unit, low, high in (
            ("alt", 31.0, "U/L", 7, 55),
            ("bilirubin", 0.8, "mg/dL", 0.2, 1.2),
            ("creatinine", 0.9, "mg/dL", 0.4, 1.5),
            ("platelets", 231.0, "10*9/L", 150, 450),
            ("potassium", 4.4, "mmol/L", 3.5, 5.0),
        )
    )
    doses = [of.now - timedelta(days=39 - day) + timedelta(hours=-6) for day in range(40)]
    Medication.objects.bulk_create(
        Medication(
            **_lineage(of, patient, "medications", moment),
            drug_name=arm,
            dosage=80.0 if arm != "Placebo" else 0.0,
            unit="mg",
            route="oral",
            frequency="once daily",
            study_dose=True,
            outcome="missed" if place == 37 else "",
        )
        for place, moment in enumerate(doses)
    )
    Medication.objects.bulk_create(
        Medication(
            **_lineage(of, patient, "medications", moment),
            drug_name=name,
            dosage=dose,
            unit="mg",
            route="oral",
            frequency=often,
            end_time=end,
            term=term,
        )
        for moment, name, dose, often, end, term in (
            (of.now - timedelta(days=3), "Clarithromycin", 500.0, "twice daily", None, "Sinusitis"),
            (of.now - timedelta(days=200), "Simvastatin", 40.0, "at night", None, ""),
            (of.now - timedelta(days=4), "Paracetamol", 1000.0, "as needed", of.now - timedelta(days=2), "Headache"),
        )
    )
    AdverseEvent.objects.bulk_create(
        AdverseEvent(
            **_lineage(of, patient, "adverse-events", moment),
            event_type=term.lower(),
            term=term,
            body_system="",
            grade=grade,
            serious=grade > 2,
            causality=causality,
            outcome="",
            end_time=end,
            report_time=moment,
        )
        for moment, term, grade, causality, end in (
            (of.now - timedelta(days=1, hours=3), "NAUSEA", 1, "possible", None),
            (of.now - timedelta(days=4), "HEADACHE", 1, "not related", of.now - timedelta(days=2, hours=5)),
            (of.now - timedelta(days=3), "FATIGUE", 2, "possible", None),
        )
    )
