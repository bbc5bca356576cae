"""Units and numbers: every factor against its molar mass, every conversion there and back, rounding as written."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.cleaning.numbers import fixed, in_unit, unfixed
from ml.cleaning.units import SIGN_UNITS, lab_unit, reference_range, sign_in_canonical
from ml.contracts.analytes import ANALYTE_BY_NAME, ANALYTES, UNITS
from ml.facts import ABSENT

# Factors as published (tables of AJKD and JAMA), from mg/dL or g/dL to the unit named; independent of our table.
PUBLISHED = [
    ("creatinine", "umol/L", 88.4),
    ("bilirubin", "umol/L", 17.1),
    ("glucose", "mmol/L", 0.0555),
    ("urea_nitrogen", "mmol/L", 0.357),
    ("calcium", "mmol/L", 0.2495),
    ("magnesium", "mmol/L", 0.4114),
    ("phosphate", "mmol/L", 0.3229),
    ("urate", "umol/L", 59.48),
    ("cholesterol", "mmol/L", 0.02586),
    ("triglycerides", "mmol/L", 0.01129),
    ("hemoglobin", "mmol/L", 0.6206),
    ("albumin", "g/L", 10.0),
    ("crp", "mg/dL", 0.1),
    ("alt", "ukat/L", 1 / 60),
    ("potassium", "meq/L", 1.0),
    ("calcium_ionised", "meq/L", 2.0),
]


@pytest.mark.parametrize(("analyte", "unit", "factor"), PUBLISHED)
def test_a_factor_agrees_with_the_published_one(analyte: str, unit: str, factor: float):
    ours = lab_unit(analyte, unit).factor
    assert ours is not None
    assert 1 / ours == pytest.approx(factor, rel=0.005)


@pytest.mark.parametrize("analyte", [analyte for analyte in ANALYTES if analyte.molar_mass], ids=lambda a: a.name)
def test_a_factor_follows_from_the_molar_mass(analyte):
    """x mmol/L weigh x × M mg in a litre, a tenth of that in a decilitre."""
    milligrams_per_litre = {"mg/dL": 10.0, "g/dL": 10_000.0, "mmol/L": None}[analyte.unit]
    if milligrams_per_litre is None:
        factor = lab_unit(analyte.name, "mg/dL").factor
        assert factor == pytest.approx(10.0 / analyte.molar_mass, rel=1e-12)
    else:
        factor = lab_unit(analyte.name, "mmol/L").factor
        assert factor == pytest.approx(analyte.molar_mass / milligrams_per_litre, rel=1e-12)


@pytest.mark.parametrize("rule", UNITS, ids=lambda rule: f"{rule.analyte} {rule.unit}")
def test_there_and_back(rule):
    value = 3.7
    assert value * rule.factor / rule.factor == pytest.approx(value, rel=1e-9)
    low, high = ANALYTE_BY_NAME[rule.analyte].reference_low, ANALYTE_BY_NAME[rule.analyte].reference_high
    assert all(
        bound is None or bound / rule.factor * rule.factor == pytest.approx(bound, rel=1e-9) for bound in (low, high)
    )


@pytest.mark.parametrize("unit", [None, "", "furlong", "mg/dl.", "kelvin/uL"])
def test_an_unknown_unit_has_no_factor(unit: str | None):
    assert lab_unit("glucose", unit).factor is None


def test_cells_are_counted_and_not_heated():
    """K/uL is thousands a microlitre; one unit library reads kelvin."""
    assert lab_unit("wbc", "K/uL").factor == 1.0
    assert lab_unit("wbc", "/uL").factor == 0.001


@pytest.mark.parametrize(
    ("sign", "unit", "reported", "canonical"),
    [("temperature", "[degF]", 98.6, 37.0), ("weight", "[lb_av]", 100.0, 45.359237), ("height", "[in_i]", 70.0, 177.8)],
)
def test_units_of_signs(sign: str, unit: str, reported: float, canonical: float):
    assert set(SIGN_UNITS) >= {(sign, unit)}
    made = sign_in_canonical(sign, np.array([reported, reported, np.nan]), [unit, None, unit])
    assert made[0] == pytest.approx(canonical, rel=1e-12)
    assert made[1] == reported
    assert np.isnan(made[2])


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("7-56", 7, 56), (" 0.5 - 1.2 ", 0.5, 1.2), ("(7–56)", 7, 56), ("7 to 56", 7, 56), ("-2-2", -2, 2), ("-5--1", -5, -1),
        ("<5", None, 5), ("<= 5.5", None, 5.5), ("≤5", None, 5), (">60", 60, None), ("≥ 60", 60, None), (".5-1", 0.5, 1),
        (None, None, None), ("", None, None),
    ],
)  # fmt: skip
def test_reference_ranges(text: str | None, low: float | None, high: float | None):
    found = reference_range(text)
    assert found.read
    for bound, expected in ((found.low, low), (found.high, high)):
        assert np.isnan(bound) if expected is None else bound == expected


@pytest.mark.parametrize("text", ["negative", "56-7", "7-", "7-56 U/L", "1-2-3"])
def test_what_is_no_range(text: str):
    assert not reference_range(text).read


@given(st.decimals(min_value=-10_000, max_value=10_000, places=4), st.integers(0, 3))
def test_rounding_is_that_of_the_decimals(number: Decimal, decimals: int):
    expected = int(number.scaleb(decimals).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    assert fixed(np.array([float(number)]), decimals)[0] == expected


def test_what_is_missing_stays_missing():
    assert fixed(np.array([np.nan, 1.25]), 1).tolist() == [ABSENT, 12]
    assert np.isnan(unfixed(np.array([ABSENT, 12]), 1)[0])
    assert in_unit(np.array([ABSENT, 390, 3901]), 0, 39, 1).tolist() == [True, True, False]
