"""The sixty clinical features: newest results, context, doses, medicines and events."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ml.contracts.analytes import ANALYTE_BY_NAME
from ml.contracts.signs import SIGN_BY_NAME
from ml.facts import Int
from ml.features.bounds import TIES_LIMIT, exactly
from ml.features.counts import counts, interactions
from ml.features.newest import NONE, Newest, choose, newest
from ml.features.series import LATEST_SIGNS, SLOT, Series, series_key
from ml.features.table import DAY, INDEX, LAB_PANEL, LOOKBACK_SECONDS
from ml.features.temporal import divide
from ml.features.versions import Holdings

Matrix = NDArray[np.float64]
_SINGLES = ("age", "sex", "arm", "adverse_event", "dose_amount")
_ALWAYS = np.array([SLOT[name] for name in (*LAB_PANEL, *_SINGLES, *(f"{sign}_with_id" for sign in LATEST_SIGNS))])
_RECENT = np.array([SLOT[name] for name in LATEST_SIGNS])
_IN_BASELINE = np.array([SLOT[name] for name in (*LAB_PANEL, *LATEST_SIGNS)])
_TWO = np.concatenate([np.arange(len(_ALWAYS)) < len(LAB_PANEL), np.zeros(len(_RECENT) + len(_IN_BASELINE), np.bool_)])
_LABS = slice(0, len(LAB_PANEL))
_LAB_SCALE = np.array([10 ** ANALYTE_BY_NAME[name].decimals for name in LAB_PANEL], np.int64)
_SIGN_SCALE = {name: 10 ** SIGN_BY_NAME[name].decimals for name in LATEST_SIGNS}
_AT = {
    part: np.array([INDEX[f"{name}_{part}"] for name in LAB_PANEL])
    for part in ("latest", "change_from_baseline", "rate")
}
_MONTH = 30 * DAY
_SIGNS_SHOWN = slice(0, 4)
_SIGNS_AT = np.array([INDEX[f"{name}_latest"] for name in LATEST_SIGNS[_SIGNS_SHOWN]])
_SIGNS_SCALE = np.array([_SIGN_SCALE[name] for name in LATEST_SIGNS[_SIGNS_SHOWN]])
_PERSON_AT = np.array([INDEX[name] for name in ("age", "sex", "trial_arm")])
_PERSON_SCALE = np.array([10, 1, 1])


def readings(
    series: Series, patient: Int, as_of: Int, baseline: tuple[Int, Int]
) -> tuple[Newest, Newest, Newest, Newest]:
    """(labs, singles, signs now, labs and signs in the baseline period), one column a slot."""
    now = as_of[:, None]
    begin, last = (bound[:, None] for bound in baseline)
    always, recent, then = (series_key(patient[:, None], slots) for slots in (_ALWAYS, _RECENT, _IN_BASELINE))
    upto_now = series.find(always, now)
    start = np.searchsorted(series.key, always - (always & 0xFFFFFFFFF))
    low = [start, series.find(recent, now - LOOKBACK_SECONDS), series.find(then, begin - 1)]
    high = [upto_now, series.find(recent, now), series.find(then, np.minimum(last, now))]
    found = newest(series, np.concatenate(low, axis=1), np.concatenate(high, axis=1), now, _TWO)
    edges = np.cumsum([0, len(LAB_PANEL), len(_SINGLES), len(LATEST_SIGNS), len(_RECENT), len(_IN_BASELINE)])
    labs, singles, with_id, lately, earlier = (found.part(slice(a, b)) for a, b in pairwise(edges))
    signs_then = earlier.part(slice(len(LAB_PANEL), None))
    kept = choose(signs_then, with_id)
    # Everything is eligible within the look-back, so what is found there is the newest.
    return labs, singles, choose(lately, kept), earlier


def _mean(total: Int, n: Int, scale: Int | int) -> Matrix:
    return divide(total.astype(float), (n * scale).astype(float), n > 0)


def _change(total: Int, n: Int, total0: Int, n0: Int, scale: Int) -> tuple[Int, Int]:
    return total * n0 - total0 * n, n * n0 * scale


def _rate(total: Int, n: Int, total0: Int, n0: Int, scale: Int, seconds: Int) -> tuple[Int, Int]:
    return (total * n0 - total0 * n) * DAY, n * n0 * scale * seconds


def fill(
    result: Matrix,
    held: Holdings,
    series: Series,
    patient: Int,
    as_of: Int,
    baseline: tuple[Int, Int],
    first_dose: Int,
    enrolment: Int,
) -> None:
    """Write the clinical columns of `result`."""
    labs, singles, signs, then = readings(series, patient, as_of, baseline)
    _fill_labs(result, labs, then.part(_LABS), as_of)
    _fill_signs(result, signs, then.part(slice(len(LAB_PANEL), None)))
    place = {name: position for position, name in enumerate(_SINGLES)}
    result[:, _PERSON_AT] = _mean(singles.sum[:, :3], singles.n[:, :3], _PERSON_SCALE)
    dose = place["dose_amount"]
    given = singles.n[:, dose] > 0
    result[:, INDEX["study_dose_current"]] = np.where(given, singles.sum[:, dose] / 1000.0, np.nan)
    for name, event in (
        ("days_since_enrolment", enrolment),
        ("days_since_first_dose", first_dose),
        ("days_since_last_adverse_event", singles.event[:, place["adverse_event"]]),
    ):
        result[:, INDEX[name]] = np.where(event != NONE, (as_of - event) / float(DAY), np.nan)
    _fill_counts(result, held, patient, as_of)


def _fill_labs(result: Matrix, now: Newest, then: Newest, as_of: Int) -> None:
    scale = np.broadcast_to(_LAB_SCALE, now.n.shape)
    result[:, _AT["latest"]] = _mean(now.sum, now.n, scale)
    few = (now.n <= TIES_LIMIT) & (then.n <= TIES_LIMIT)
    valid = (now.n > 0) & (then.n > 0)
    above, below = exactly(_change, few, valid, now.sum, now.n, then.sum, then.n, scale)
    result[:, _AT["change_from_baseline"]] = divide(above, below, valid)
    few = (now.n <= TIES_LIMIT) & (now.n_before <= TIES_LIMIT)
    valid = now.n_before > 0
    seconds = np.where(valid, now.event - now.event_before, 1)
    above, below = exactly(_rate, few, valid, now.sum, now.n, now.sum_before, now.n_before, scale, seconds)
    result[:, _AT["rate"]] = divide(above, below, valid)
    result[:, INDEX["labs_missing_30d"]] = now.event.max(axis=1) <= as_of - _MONTH


def _fill_signs(result: Matrix, now: Newest, then: Newest) -> None:
    place = {name: position for position, name in enumerate(LATEST_SIGNS)}
    result[:, _SIGNS_AT] = _mean(now.sum[:, _SIGNS_SHOWN], now.n[:, _SIGNS_SHOWN], _SIGNS_SCALE)
    weight, height = place["weight"], place["height"]
    kilograms, n = now.sum[:, weight], now.n[:, weight]
    kilograms0, n0 = then.sum[:, weight], then.n[:, weight]
    scale = np.full_like(n, _SIGN_SCALE["weight"])
    valid = (n > 0) & (n0 > 0)
    above, below = exactly(_change, (n <= TIES_LIMIT) & (n0 <= TIES_LIMIT), valid, kilograms, n, kilograms0, n0, scale)
    result[:, INDEX["weight_change_from_baseline"]] = divide(above, below, valid)
    metres, n0 = now.sum[:, height], now.n[:, height]
    valid = (n > 0) & (n0 > 0) & (metres > 0)
    above, below = exactly(_mass_index, (n <= TIES_LIMIT) & (n0 <= TIES_LIMIT), valid, kilograms, n, metres, n0)
    result[:, INDEX["body_mass_index"]] = divide(above, below, valid)


def _mass_index(kilograms: Int, n: Int, metres: Int, n0: Int) -> tuple[Int, Int]:
    """Sum of weights (0.01 kg), of heights (0.1 cm = 0.001 m): (kg/(100 n)) / (m/(1000 n0))^2."""
    return kilograms * n0 * n0 * 10_000, n * metres * metres


def _fill_counts(result: Matrix, held: Holdings, patient: Int, as_of: Int) -> None:
    number = counts(held, patient, as_of)
    grade = np.zeros(len(patient), np.int64)
    for level in range(1, 6):
        grade = np.where(number[f"grade_{level}"] > 0, level, grade)
    pairs, high, prolonging = interactions(held, patient, as_of)
    missed = np.where(number["dose_records"] > 0, number["missed_week"].astype(float), np.nan)
    for name, column in (
        ("adverse_event_count", number["adverse_events"]),
        ("adverse_event_ongoing", number["ongoing"]),
        ("adverse_event_max_grade", grade),
        ("comorbidity_count", number["conditions"]),
        ("medication_active", number["in_use"]),
        ("medication_new_7d", number["ever_used"] - number["used_before_week"]),
        ("study_dose_missed_7d", missed),
        ("interaction_pairs", pairs),
        ("interaction_high_priority", high > 0),
        ("interaction_qt", prolonging > 0),
    ):
        result[:, INDEX[name]] = column
