"""Laboratory results: the weekly panel, the unscheduled one of a patient who is worse, the stat panel of an acute one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.simulation.cohort import Cohort, Int
from ml.simulation.config import DAY, HOUR
from ml.simulation.fate import LATEST, fate
from ml.simulation.latent import LONGEST, episodes, shift_of
from ml.simulation.streams import Float, Stream, normal, uniform
from ml.simulation.tables import LAB_SHIFTS, LABS, STAT_LABS
from ml.simulation.wire import Draft, draft, iso

PANEL, UNSCHEDULED, STAT = 0, 1, 2
STAT_AFTER = 20 * 60
STAT_TURNAROUND = 8 * 60
WORSE_ABOVE, WORSE_CHANCE = 0.55, 0.5
_TURNAROUND = 9 * HOUR
_STAT_CODES = np.array([law.name in STAT_LABS for law in LABS])


def drawn(people: Cohort, first: int, last: int) -> tuple[Int, Int, Int]:
    """(row, time, panel) of every blood sample in [first, last), sorted by row and time."""
    seed, config = people.config.seed, people.config
    days = np.arange(first // DAY, (last - 1) // DAY + 1, dtype=np.int64)
    rows = np.arange(len(people), dtype=np.int64)
    row, day = (part.ravel() for part in np.broadcast_arrays(rows[:, None], days[None, :]))
    position = people.position[row]
    minute = (uniform(seed, Stream.LAB_PANEL, position, day, 0) * 2 * HOUR).astype(np.int64)
    weekly = ((day - people.enrolled[row] // DAY) % 7 == 1) | (day == people.first_dose_day[row] // DAY)
    morning = day * DAY + 6 * HOUR + minute
    weekly |= day == config.origin // DAY
    morning = np.maximum(morning, people.enrolled[row] + 600)
    asked = uniform(seed, Stream.LAB_PANEL, position, day, 1) < WORSE_CHANCE
    noon = day * DAY + 10 * HOUR + minute
    found = episodes(people, first - LONGEST, last)
    order_row, order_time = row[asked & ~weekly], noon[asked & ~weekly]
    level, _ = shift_of(found, order_row, order_time, LAB_SHIFTS[:, :1])
    worse = level > WORSE_ABOVE
    acute = found.take(found.acute)
    row = np.concatenate([row[weekly], order_row[worse], acute.row])
    time = np.concatenate([morning[weekly], order_time[worse], acute.start + STAT_AFTER])
    panel = np.repeat(np.array([PANEL, UNSCHEDULED, STAT]), [int(weekly.sum()), int(worse.sum()), len(acute)])
    kept = (time >= first) & (time < last) & (time > people.enrolled[row]) & (time < people.end[row])
    row, time, panel = row[kept], time[kept], panel[kept]
    order = np.lexsort((panel, time, row))
    return row[order], time[order], panel[order]


def levels(people: Cohort, row: Int, time: Int) -> Float:
    """True results in each test's own unit, [n, test], for samples sorted by row."""
    if not len(row):
        return np.zeros((0, len(LABS)))
    found = episodes(people, int(time.min()) - LONGEST, int(time.max()) + 1)
    _, shift = shift_of(found, row, time, LAB_SHIFTS)
    position = people.position[row]
    read = people.labs[row].copy()
    for test, law in enumerate(LABS):
        noise = normal(people.config.seed, Stream.LAB_VALUE, position, time, test)
        read[:, test] += law.within * noise + shift[:, test] * (law.between + law.within) / 2
        read[:, test] = np.maximum(read[:, test], law.low)
    return read


def lab_messages(people: Cohort, first: int, last: int) -> list[Draft]:
    """Drafts of the results known in [first, last) seconds since 1970."""
    config, seed = people.config, people.config.seed
    row, time, panel = drawn(people, first - LATEST - _TURNAROUND, last)
    read = levels(people, row, time)
    position = people.position[row]
    wait = np.where(
        panel == STAT, STAT_TURNAROUND, HOUR + uniform(seed, Stream.LAB_PANEL, position, time, 2) * 6 * HOUR
    )
    due = time + wait.astype(np.int64)
    at = iso(time)
    out: list[Draft] = []
    for test, law in enumerate(LABS):
        done = (panel == PANEL) | _STAT_CODES[test]
        fates = fate(seed, config.rates, Stream.FATE, position, due, 1_000 + test)
        variant = uniform(seed, Stream.LAB_VALUE, position, time, 100 + test) < config.rates.unit_variant
        for version, known in enumerate((fates.first, fates.second)):
            now = np.flatnonzero(done & (known >= first) & (known < last))
            recorded = iso(known[now])
            for k, index in enumerate(now.tolist()):
                r = int(row[index])
                result = float(read[index, test])
                wrong = fates.corrected[index] or fates.retracted[index]
                if version == 0 and wrong:
                    result *= 1.6
                value: dict[str, Any] = {
                    "patient_id": people.patient_id[r], "timestamp": at[index], "test_name": law.code,
                    **_result(law_index=test, result=result, variant=bool(variant[index]) and not wrong),
                    "lab_id": f"LAB-{people.site_id[r]}", "trial_id": config.trial_id, "trial_site_id": people.site_id[r],
                    "recorded_at": recorded[k],
                }  # fmt: skip
                if version == 1 and fates.retracted[index]:
                    value["retracted"] = True
                out.append(draft(int(known[index]), "lab-results", int(position[index]), test * 2 + version, value))
    return out


def _result(*, law_index: int, result: float, variant: bool) -> dict[str, Any]:
    law = LABS[law_index]
    if not (variant and law.variant_unit):
        number = round(result, law.decimals)
        return {"value": number if law.decimals else int(number), "unit": law.unit, "reference_range": law.reference}
    bounds = "-".join(
        f"{float(part) * law.variant_factor:.{law.variant_decimals}f}" for part in law.reference.split("-")
    )
    return {
        "value": round(result * law.variant_factor, law.variant_decimals),
        "unit": law.variant_unit,
        "reference_range": bounds,
    }
