"""NEWS2 at every boundary, drug names, interactions."""

from __future__ import annotations

import numpy as np
import pytest

from ml.clinical import interactions, news2
from ml.clinical.drugs import INGREDIENTS_OF, ingredients, normalise_drug
from ml.facts import name_code

NORMAL = {
    "respiratory_rate": 16.0,
    "spo2": 98.0,
    "blood_pressure_systolic": 120.0,
    "heart_rate": 70.0,
    "temperature": 36.8,
    "supplemental_oxygen": 0.0,
    "consciousness": "A",
}
CHART = {
    "respiratory_rate": {8: 3, 9: 1, 11: 1, 12: 0, 20: 0, 21: 2, 24: 2, 25: 3},
    "spo2": {91: 3, 92: 2, 93: 2, 94: 1, 95: 1, 96: 0, 100: 0},
    "blood_pressure_systolic": {90: 3, 91: 2, 100: 2, 101: 1, 110: 1, 111: 0, 219: 0, 220: 3},
    "heart_rate": {40: 3, 41: 1, 50: 1, 51: 0, 90: 0, 91: 1, 110: 1, 111: 2, 130: 2, 131: 3},
    "temperature": {35.0: 3, 35.1: 1, 36.0: 1, 36.1: 0, 38.0: 0, 38.1: 1, 39.0: 1, 39.1: 2},
    "supplemental_oxygen": {0: 0, 0.5: 2, 15: 2},
    "consciousness": {"A": 0, "C": 3, "V": 3, "P": 3, "U": 3},
}
"""The chart's own steps, both sides of every boundary."""


@pytest.mark.parametrize(("name", "value", "points"), [(n, v, p) for n, row in CHART.items() for v, p in row.items()])
def test_every_boundary_of_the_chart(name, value, points):
    scored = news2.score(NORMAL | {name: value})
    assert scored.points[name] == points
    assert scored.total == points
    assert scored.complete
    assert scored.any_three == (points == 3)


@pytest.mark.parametrize(
    ("oxygen", "steps"),
    [
        (0.0, {83: 3, 84: 2, 85: 2, 86: 1, 87: 1, 88: 0, 92: 0, 93: 0, 97: 0, 100: 0}),
        (2.0, {83: 3, 84: 2, 85: 2, 86: 1, 87: 1, 88: 0, 92: 0, 93: 1, 94: 1, 95: 2, 96: 2, 97: 3, 100: 3}),
        (None, {83: 3, 88: 0, 97: 0}),
    ],
)
def test_saturation_on_scale_two(oxygen, steps):
    for value, points in steps.items():
        assert news2.score(NORMAL | {"supplemental_oxygen": oxygen, "spo2": value}, scale=2).points["spo2"] == points


@pytest.mark.parametrize(
    ("name", "value", "points"),
    [
        ("temperature", 35.04, 3),
        ("temperature", 35.05, 1),
        ("temperature", 39.05, 2),
        ("respiratory_rate", 20.4, 0),
        ("respiratory_rate", 20.5, 2),
        ("heart_rate", 130.5, 3),
        ("blood_pressure_systolic", 219.5, 3),
    ],
)
def test_values_between_the_steps_are_rounded_first(name, value, points):
    assert news2.score(NORMAL | {name: value}).points[name] == points


def test_what_is_missing_makes_a_lower_bound_and_never_a_zero():
    scored = news2.score({"heart_rate": 135.0, "spo2": None})
    assert (scored.total, scored.complete, scored.measured, scored.expected) == (3, False, 1, 7)
    assert "spo2" not in scored.points
    nothing = news2.score({})
    assert (nothing.total, nothing.measured, nothing.complete) == (0, 0, False)
    total, complete = news2.totals({"heart_rate": np.array([135.0, np.nan])})
    assert total[0] == 3
    assert np.isnan(total[1])
    assert not complete.any()


@pytest.mark.parametrize(
    ("change", "total", "risk"),
    [
        ({}, 0, "low"),
        ({"heart_rate": 100, "temperature": 38.5, "supplemental_oxygen": 2}, 4, "low"),
        ({"heart_rate": 131}, 3, "low-medium"),
        ({"heart_rate": 120, "temperature": 38.5, "supplemental_oxygen": 2}, 5, "medium"),
        ({"heart_rate": 120, "temperature": 39.5, "supplemental_oxygen": 2}, 6, "medium"),
        ({"heart_rate": 131, "supplemental_oxygen": 2, "temperature": 39.5}, 7, "high"),
    ],
)
def test_risk_of_the_total(change, total, risk):
    scored = news2.score(NORMAL | change)
    assert (scored.total, scored.risk) == (total, risk)


def test_the_highest_total_is_twenty():
    worst = {"respiratory_rate": 30, "spo2": 80, "blood_pressure_systolic": 80, "heart_rate": 140, "temperature": 34,
             "supplemental_oxygen": 5, "consciousness": "U"}  # fmt: skip
    assert news2.score(worst).total == 20


def test_rows_agree_with_single_scores():
    rng = np.random.default_rng(0)
    signs = {"respiratory_rate": rng.uniform(5, 35, 200), "spo2": rng.uniform(80, 100, 200),
             "heart_rate": rng.uniform(30, 150, 200),
             "blood_pressure_systolic": rng.uniform(70, 240, 200), "temperature": rng.uniform(34, 41, 200),
             "supplemental_oxygen": rng.choice([0.0, 2.0, np.nan], 200),
             "consciousness": rng.integers(0, 5, 200).astype(float)}  # fmt: skip
    total, complete = news2.totals(signs)
    for row in range(200):
        one = {name: None if np.isnan(column[row]) else float(column[row]) for name, column in signs.items()}
        scored = news2.score(one)
        assert (scored.total, scored.complete) == (total[row], complete[row])


def test_an_unknown_letter_is_refused():
    with pytest.raises(ValueError, match="A, C, V, P, U"):
        news2.score({"consciousness": "X"})


@pytest.mark.parametrize(
    ("reported", "name"),
    [
        ("Naproxen Sodium", "naproxen"),
        ("ALEVE", "naproxen"),
        ("simvastatin 20 mg tablet", "simvastatin"),
        ("Zocor", "simvastatin"),
        ("ASPIRIN (E.C.)", "aspirin"),
        ("ACETYLSALICYLIC ACID", "aspirin"),
        ("DONEPEZIL HYDROCHLORIDE", "donepezil"),
        ("HYDROCORTISONE, TOPICAL", "hydrocortisone"),
        ("HYDROCHLOROTHIAZIDE WITH TRIAMTERENE", "hydrochlorothiazide / triamterene"),
        ("Dyazide", "hydrochlorothiazide / triamterene"),
        ("TYLENOL W/CODEINE NO. 4", "acetaminophen / codeine"),
        ("PROMETHAZINE HCL W/CODEINE", "codeine / promethazine"),
        ("Calcium", "calcium"),
        ("ｓｅｌｅｇｉｌｉｎｅ", "selegiline"),
        ("St. John's Wort", "st john's wort"),
        ("Something New XR 5 mg", "something new"),
        ("???", "???"),
    ],
)
def test_names_to_ingredients(reported, name):
    assert normalise_drug(reported) == name
    assert normalise_drug(name) == name


def test_no_fuzzy_match():
    assert normalise_drug("selegilin") == "selegilin"
    assert normalise_drug("Zocor") != normalise_drug("Zocar")


def test_every_name_of_the_tables_is_its_own_normal_form():
    for names in (interactions.MEMBERS, *INGREDIENTS_OF.values()):
        for name in names:
            assert ingredients(name) == (name,)


def test_fourteen_class_pairs_and_the_qt_class():
    numbers = [pair.number for pair in interactions.CLASS_PAIRS]
    assert sorted([*numbers, interactions.QT_PAIR.number]) == list(range(1, 16))


@pytest.mark.parametrize(
    ("first", "second", "numbers"),
    [
        ("Sertraline", "Selegiline", [4]),
        ("selegiline", "ZOLOFT", [4]),
        ("Zocor", "Biaxin", [11]),
        ("tranylcypromine", "procarbazine", [14]),
        ("Imitrex", "phenelzine", [15]),
        ("methylphenidate", "isocarboxazid", [1]),
        ("haloperidol", "ondansetron", [8]),
        ("methadone", "erythromycin", [8]),
        ("Kaletra", "rifampicin", [10]),
        ("ergotamine", "fluconazole", []),
        ("ergotamine", "ketoconazole", [12]),
        ("Robitussin-DM", "selegiline", [6]),
        ("aspirin", "ibuprofen", []),
        ("selegiline", "selegiline", []),
        ("tizanidine", "amiodarone", [13]),
        ("irinotecan", "cimetidine", [5]),
        ("simvastatin", "cimetidine", []),
    ],
)
def test_pairs(first, second, numbers):
    first, second = normalise_drug(first), normalise_drug(second)
    assert [found.number for found in interactions.between(first, second)] == numbers
    assert interactions.between(first, second) == interactions.between(second, first)
    pair = tuple(sorted((name_code(first), name_code(second))))
    assert (pair in interactions.QT_PAIRS) == (8 in numbers)
    assert (pair in interactions.HIGH_PRIORITY_PAIRS) == bool(set(numbers) - {8})


def test_codes_are_those_of_facts_and_distinct():
    assert len(set(interactions.CODES)) == len(interactions.NAMES)
    assert name_code(normalise_drug("Zocor")) in interactions.CODES
