"""Messages of vital signs that become known in a span of time."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.simulation.cohort import Cohort, Flag, Int
from ml.simulation.fate import LATEST, fate
from ml.simulation.streams import Float, Stream, normal, uniform
from ml.simulation.tables import VITALS
from ml.simulation.vitals import BEDSIDE, MONITOR, SCALE, SOURCES, measured, values
from ml.simulation.wire import Draft, draft, iso

ROUND = 14_400
"""A nurse notes consciousness and oxygen with the first measurement of every four hours."""
ARTEFACT = 1.45
OXYGEN_ABOVE, CONFUSED_ABOVE = 1.35, 1.7


def vital_messages(people: Cohort, first: int, last: int) -> list[Draft]:
    """Drafts of the vital signs known in [first, last) seconds since 1970, in no particular order."""
    config = people.config
    row, time, source = measured(people, first - LATEST - 60, last)
    position = people.position[row]
    due = time + 1 + (uniform(config.seed, Stream.DEVICE, position, time, source, 99) * 4).astype(np.int64)
    fates = fate(config.seed, config.rates, Stream.FATE, position, due, source)
    now_first = (fates.first >= first) & (fates.first < last)
    now_second = (fates.second >= first) & (fates.second < last)
    chosen = now_first | now_second
    row, time, source, position = row[chosen], time[chosen], source[chosen], position[chosen]
    now_first, now_second = now_first[chosen], now_second[chosen]
    known = (fates.first[chosen], fates.second[chosen])
    wrong = (fates.corrected | fates.retracted)[chosen]
    retracted = fates.retracted[chosen]
    scale = source == SCALE
    out = _weights(people, row[scale], time[scale], [k[scale] for k in known], [now_first[scale], now_second[scale]])
    row, time, source, position = row[~scale], time[~scale], source[~scale], position[~scale]
    wrong, retracted = wrong[~scale], retracted[~scale]
    read, level = values(people, row, time)
    missing = (
        uniform(
            config.seed,
            Stream.DEVICE,
            position[:, None],
            time[:, None],
            source[:, None],
            np.arange(len(VITALS))[None, :],
        )
        < config.rates.missing_sign
    )
    missing[:, 0] &= ~missing.all(axis=1)
    warm = uniform(config.seed, Stream.DEVICE, position, time, source, 98) < config.rates.unit_variant
    noted = (source == BEDSIDE) | ((source == MONITOR) & ((time % ROUND) < config.vitals_cadence_seconds))
    for version, now in enumerate((now_first[~scale], now_second[~scale])):
        where = np.flatnonzero(now)
        seen = read[where]
        if version == 0:
            seen = seen.copy()
            spoilt = wrong[where]
            seen[spoilt, 0] = np.minimum(np.round(seen[spoilt, 0] * ARTEFACT), 240)
        ended = retracted[where] if version == 1 else np.zeros(len(where), np.bool_)
        out += _format(
            people, row[where], time[where], source[where], known[version][~scale][where], version, seen, level[where],
            missing[where], warm[where], noted[where], ended,
        )  # fmt: skip
    return out


def _format(
    people: Cohort, row: Int, time: Int, source: Int, known: Int, version: int, read: Float, level: Float,
    missing: Flag, warm: Flag, noted: Flag, ended: Flag,
) -> list[Draft]:  # fmt: skip
    trial = people.config.trial_id
    temperature = np.where(warm, np.round(read[:, 3] * 1.8 + 32, 1), read[:, 3])
    whole = read[:, [0, 1, 2, 4, 5]].astype(np.int64)
    special = (missing.any(axis=1) | warm | noted | ended).tolist()
    columns = zip(
        row.tolist(), iso(time), known.tolist(), iso(known), source.tolist(), *whole.T.tolist(), temperature.tolist(), special,
        strict=True,
    )  # fmt: skip
    out: list[Draft] = []
    for index, (r, at, moment, recorded, kind, hr, sbp, dbp, spo2, rr, celsius, odd) in enumerate(columns):
        value: dict[str, Any] = {
            "patient_id": people.patient_id[r],
            "timestamp": at,
            "heart_rate": hr,
            "blood_pressure_systolic": sbp,
            "blood_pressure_diastolic": dbp,
            "temperature": celsius,
            "spo2": spo2,
            "respiratory_rate": rr,
            "source": SOURCES[kind],
            "trial_id": trial,
            "trial_site_id": people.site_id[r],
            "recorded_at": recorded,
        }
        if odd:
            if noted[index]:
                value["supplemental_oxygen"] = 2.0 if level[index] > OXYGEN_ABOVE else 0.0
                value["consciousness"] = "C" if level[index] > CONFUSED_ABOVE else "A"
            for sign, name in enumerate(VITALS):
                if missing[index, sign]:
                    del value[name]
            if warm[index] and "temperature" in value:
                value["temperature_unit"] = "[degF]"
            if ended[index]:
                value["retracted"] = True
        out.append(draft(moment, "patient-vitals", int(people.position[r]), kind * 2 + version, value))
    return out


def _weights(people: Cohort, row: Int, time: Int, known: list[Int], now: list[Flag]) -> list[Draft]:
    """The weekly weighing; the height with the first one. A correction here repeats what was said: a duplicate."""
    config = people.config
    position = people.position[row]
    kg = np.round(people.weight[row] * (1 + 0.004 * normal(config.seed, Stream.WHITE, position, time, 50)), 1)
    pounds = uniform(config.seed, Stream.DEVICE, position, time, 97) < config.rates.unit_variant * 3
    out: list[Draft] = []
    at = iso(time)
    for version in (0, 1):
        recorded = iso(known[version])
        for index in np.flatnonzero(now[version]).tolist():
            r = int(row[index])
            value: dict[str, Any] = {"patient_id": people.patient_id[r], "timestamp": at[index]}
            if pounds[index]:
                value |= {"weight": round(float(kg[index]) / 0.45359237, 1), "weight_unit": "[lb_av]"}
            else:
                value["weight"] = float(kg[index])
            if time[index] < people.enrolled[r] + 86_400:
                value["height"] = float(people.height[r])
            value |= {
                "source": SOURCES[SCALE], "trial_id": config.trial_id, "trial_site_id": people.site_id[r],
                "recorded_at": recorded[index],
            }  # fmt: skip
            out.append(draft(int(known[version][index]), "patient-vitals", int(position[index]), 8 + version, value))
    return out
