"""Adverse events, their late reports and ends, and the medicines given for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.simulation.cohort import Cohort
from ml.simulation.config import DAY, HOUR
from ml.simulation.latent import Events, events
from ml.simulation.streams import Float, Stream, normal, uniform
from ml.simulation.tables import BACKGROUND_TERMS, RESCUE, SYNDROMES
from ml.simulation.wire import Draft, draft, iso, iso_one

REPORT_MEDIAN, REPORT_SPREAD, REPORT_LEAST, REPORT_MOST = 7 * HOUR, 0.9, HOUR // 2, 60 * HOUR
LOOK_BACK = 14 * DAY
"""Whatever becomes known of an event does so within this time after its onset."""
REPORTERS = ("investigator", "study nurse", "patient diary")


def _number(source: int, index: int) -> str:
    return f"{source}-{index}" if source >= 0 else f"P{-source}-{index}"


def _grade(level: float, luck: float, background: bool) -> int:
    if background:
        return 1 if luck < 0.75 else 2
    score = 0.9 + 1.35 * level + 1.2 * (luck - 0.5)
    return int(min(4, max(1, round(score))))


def reports(people: Cohort, found: Events) -> Float:
    """When each event is reported, seconds since 1970."""
    seed, position = people.config.seed, people.position[found.row]
    spread = normal(seed, Stream.EVENT_FORM, position, found.source, found.index, 0)
    delay = np.clip(REPORT_MEDIAN * np.exp(REPORT_SPREAD * spread), REPORT_LEAST, REPORT_MOST)
    when: Float = found.time + np.floor(delay)
    return when


def event_messages(people: Cohort, first: int, last: int) -> list[Draft]:
    """Drafts of what becomes known in [first, last) of adverse events and the medicines given for them."""
    config, seed = people.config, people.config.seed
    found = events(people, first - LOOK_BACK, last)
    position = people.position[found.row]
    u = [uniform(seed, Stream.EVENT_FORM, position, found.source, found.index, k) for k in range(1, 10)]
    known = reports(people, found).astype(np.int64)
    onset, reported = iso(found.time), iso(known)
    out: list[Draft] = []
    for k in range(len(found)):
        r, background = int(found.row[k]), bool(found.kind[k] < 0)
        terms = BACKGROUND_TERMS if background else SYNDROMES[int(found.kind[k])].terms
        start = int(u[0][k] * len(terms)) if background else int(found.source[k])
        term, system = terms[(start + int(found.index[k])) % len(terms)]
        grade = _grade(float(found.level[k]), float(u[1][k]), background)
        number = _number(int(found.source[k]), int(found.index[k]))
        value: dict[str, Any] = {
            "patient_id": people.patient_id[r], "event_timestamp": onset[k], "event_type": term, "severity": f"grade_{grade}",
            "reported_by": REPORTERS[int(u[2][k] * len(REPORTERS))], "report_timestamp": reported[k], "term": term,
            "body_system": system, "serious": bool(grade >= 3 and u[3][k] < 0.6),
            "causality": ("not related", "possible", "probable")[int(u[4][k] * 3)], "outcome": "not recovered",
            "trial_id": config.trial_id, "trial_site_id": people.site_id[r],
            "record_id": f"AE-{people.patient_id[r]}-{number}", "recorded_at": reported[k],
        }  # fmt: skip
        told: list[tuple[int, dict[str, Any]]] = [(int(known[k]), {})]
        corrected = u[5][k] < config.rates.correction * 5
        retracted = not corrected and u[5][k] < (config.rates.correction + config.rates.retraction) * 5
        if corrected:
            told = [(int(known[k]), {"severity": f"grade_{max(1, grade - 1)}"}), (int(known[k]) + 5 * HOUR, {})]
        if retracted:
            told.append((int(known[k]) + 20 * HOUR, {"retracted": True}))
        else:
            end = int(found.time[k]) + int((0.8 + 6 * u[6][k]) * DAY)
            at = max(end, int(known[k]) + 6 * HOUR) + int(u[8][k] * 2 * DAY)
            told.append((at, {"end_timestamp": iso_one(end), "outcome": "recovered"}))
        for version, (at, fields) in enumerate(told):
            if first <= at < last:
                body = {**value, **fields, "recorded_at": iso_one(at)}
                out.append(draft(at, "adverse-events", int(position[k]), int(found.index[k]) * 4 + version, body))
        if not background and not retracted and u[7][k] < 0.6:
            out += _rescue(people, r, int(found.kind[k]), number, int(known[k]) + HOUR, first, last)
    return out


def _rescue(people: Cohort, r: int, kind: int, number: str, start: int, first: int, last: int) -> list[Draft]:
    """A medicine given an hour after the report, for five days; its end is a second version."""
    law, config = RESCUE[kind], people.config
    value: dict[str, Any] = {
        "patient_id": people.patient_id[r], "timestamp": iso_one(start), "drug_name": law.name, "dosage": law.dose, "unit": law.unit,
        "route": law.route, "frequency": law.frequency, "term": SYNDROMES[kind].name, "trial_id": config.trial_id,
        "trial_site_id": people.site_id[r], "record_id": f"CM-{people.patient_id[r]}-{number}",
    }  # fmt: skip
    out: list[Draft] = []
    for version, (at, fields) in enumerate(
        ((start + 300, {}), (start + 5 * DAY + 300, {"end_timestamp": iso_one(start + 5 * DAY)}))
    ):
        if first <= at < last and at < people.end[r]:
            body = {**value, **fields, "recorded_at": iso_one(at)}
            out.append(draft(at, "medications", int(people.position[r]), 100 + version, body))
    return out
