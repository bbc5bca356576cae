"""Who the patients are and what they take: enrolment, demographics, history, arm, disposition, study doses, medicines."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.simulation.cohort import FOREVER, Cohort, dose_missed
from ml.simulation.config import DAY, HOUR
from ml.simulation.streams import Stream, uniform
from ml.simulation.tables import ARMS, CONDITIONS, DRUGS, RACES
from ml.simulation.wire import Draft, draft, iso_one

DOSE_HOUR = 8 * HOUR
RANDOMISED_BEFORE_DOSE = 30 * 60


def context_messages(people: Cohort, first: int, last: int) -> list[Draft]:
    """Drafts of `patient-context` and of the medicines at enrolment known in [first, last)."""
    out: list[Draft] = []
    shares = np.cumsum([share for _, share in RACES])
    for r in range(len(people)):
        enrolled = int(people.enrolled[r])
        dose = int(people.first_dose_day[r]) + DOSE_HOUR - RANDOMISED_BEFORE_DOSE
        leaves = int(people.end[r])
        if not any(first <= at < last for at in (enrolled, enrolled + 600, dose, leaves)):
            continue
        base: dict[str, Any] = {"patient_id": people.patient_id[r]}
        tail: dict[str, Any] = {"trial_id": people.config.trial_id, "trial_site_id": people.site_id[r]}
        position = int(people.position[r])

        def add(at: int, since: int, serial: int, fields: dict[str, Any], topic: str = "patient-context",
                base: dict[str, Any] = base, tail: dict[str, Any] = tail, position: int = position) -> None:  # fmt: skip
            if first <= at < last:
                body = {**base, "timestamp": iso_one(since), **fields, **tail, "recorded_at": iso_one(at)}
                out.append(draft(at, topic, position, serial, body))

        add(enrolled, enrolled, 0, {"kind": "enrolment"})
        race = RACES[int(np.searchsorted(shares, people.race[r]))][0]
        add(enrolled, enrolled, 1, {
            "kind": "demographics", "age": float(people.age[r]), "sex": "M" if people.male[r] else "F", "race": race,
            "ethnicity": "NOT HISPANIC OR LATINO",
        })  # fmt: skip
        seed, key = people.config.seed, people.position[r]
        for index, (term, _) in enumerate(CONDITIONS):
            if people.conditions[r, index]:
                years = 1 + int(uniform(seed, Stream.HISTORY, key, index, 1)[0] * 12)
                add(enrolled + 600, enrolled - years * 365 * DAY, 10 + index, {"kind": "history", "term": term})
        for index, drug in enumerate(DRUGS):
            if people.medicines[r, index]:
                months = 1 + int(uniform(seed, Stream.MEDICINE, key, index, 1)[0] * 30)
                add(enrolled + 600, enrolled - months * 30 * DAY, 40 + index, {
                    "drug_name": drug.name, "dosage": drug.dose, "unit": drug.unit, "route": drug.route,
                    "frequency": drug.frequency, "term": drug.condition,
                }, "medications")  # fmt: skip
        code, name, _, _ = ARMS[int(people.arm_written[r])]
        if dose < leaves:
            add(dose, dose, 2, {"kind": "arm", "arm_code": code, "arm_name": name, "treated": True})
        if leaves < FOREVER:
            add(leaves, leaves, 3, {"kind": "disposition", "status": "withdrawn", "term": "withdrawal by subject"})
    return out


def dose_messages(people: Cohort, first: int, last: int) -> list[Draft]:
    """Drafts of the daily study dose, taken or missed, known in [first, last)."""
    config = people.config
    out: list[Draft] = []
    rows = np.arange(len(people), dtype=np.int64)
    for day in range((first - DAY) // DAY * DAY, last, DAY):
        missed = dose_missed(people, rows, np.full(len(people), day, np.int64))
        delay = uniform(config.seed, Stream.DOSE, people.position, day // DAY, 1)
        for r in np.flatnonzero(day >= people.first_dose_day).tolist():
            at = day + DOSE_HOUR + int(delay[r] * HOUR)
            known = day + 20 * HOUR + int(delay[r] * HOUR) if missed[r] else at + 120
            if not first <= known < last or known >= people.end[r]:
                continue
            _, _, drug, amount = ARMS[int(people.arm_written[r])]
            value = {
                "patient_id": people.patient_id[r], "timestamp": iso_one(at), "drug_name": drug, "dosage": amount, "unit": "mg",
                "route": "oral", "frequency": "QD", "outcome": "missed" if missed[r] else "taken", "trial_id": config.trial_id,
                "trial_site_id": people.site_id[r], "record_id": f"EX-{people.patient_id[r]}-{day // DAY}",
                "recorded_at": iso_one(known),
            }  # fmt: skip
            out.append(draft(known, "medications", int(people.position[r]), 0, value))
    return out
