"""The table's shape and promises; vectors as bytes."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from ml.contracts.signals import SIGNAL_CODES
from ml.features import (
    FEATURES,
    INDEX,
    NAMES,
    canonical,
    compare,
    compute,
    from_bytes,
    mask,
    vector_bytes,
    vector_sha256,
)
from ml.features.reference import _AGGREGATIONS
from ml.features.table import FLAGS, PATTERNS, TABLE_DIGEST
from tests.unit.features.histories import PROFILE, cohort


def test_sixty_and_sixty():
    assert [feature.group for feature in FEATURES].count("clinical") == 60
    assert [feature.group for feature in FEATURES].count("temporal") == 60
    assert len(set(NAMES)) == 120
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in NAMES)


@pytest.mark.parametrize(
    "name",
    [
        *(f"heart_rate_{kind}_{hours}h" for kind in ("mean", "std", "min", "max") for hours in (1, 6, 24)),
        *(f"blood_pressure_{part}_{kind}_{hours}h" for part in ("systolic", "diastolic")
          for kind in ("mean", "variance", "trend") for hours in (6, 24)),
        *(f"{lab}_{part}" for lab in ("alt", "platelets") for part in ("latest", "change_from_baseline", "rate")),
        "instability_score_24h", "interaction_high_priority", "heart_rate_missing_24h", "age", "sex", "body_mass_index",
        "days_since_enrolment", "comorbidity_count", "trial_arm",
    ],
)  # fmt: skip
def test_what_the_requirements_name_is_there(name):
    assert name in INDEX


def test_rows_are_whole():
    for feature in FEATURES:
        assert set(feature.sources) <= set(SIGNAL_CODES), feature.name
        assert feature.aggregation in PATTERNS
        assert feature.aggregation in _AGGREGATIONS
        assert feature.description.endswith("."), feature.name
        assert feature.fallback
        assert feature.unit
        assert feature.rule
        assert (feature.name in FLAGS) == (feature.kind == "flag")


def test_what_tells_the_arm_is_of_the_arm_class():
    assert {feature.name for feature in FEATURES if feature.blinding == "arm"} == {"trial_arm", "study_dose_current"}


def test_the_digest_is_of_the_rows():
    assert re.fullmatch(r"[0-9a-f]{64}", TABLE_DIGEST)


def test_enough_temporal_features_have_a_value_on_a_simulated_day():
    facts = cohort(5, patients=2, days=6, per_day=96, late=0.01, corrected=0.005)
    as_of = np.array([int(facts.event_time.min()) + 5 * 86_400] * 2)
    matrix = compute(facts, np.array([0, 1]), as_of, PROFILE)
    counted = [i for i, f in enumerate(FEATURES) if f.group == "temporal" and f.kind != "flag"]
    assert np.median(np.isfinite(matrix[:, counted]).sum(axis=1)) >= 45


def test_masking_takes_the_arm_only_and_only_when_blinded():
    matrix = np.arange(240.0).reshape(2, 120)
    masked = mask(matrix, PROFILE)
    gone = np.isnan(masked).any(axis=0)
    assert {NAMES[column] for column in np.flatnonzero(gone)} == {"trial_arm", "study_dose_current"}
    np.testing.assert_array_equal(mask(matrix, replace(PROFILE, blinded=False)), matrix)
    assert matrix[0, INDEX["trial_arm"]] == INDEX["trial_arm"]


def test_arms_swapped_give_the_same_masked_bytes():
    facts = cohort(6, patients=2, days=5, per_day=6)
    arm = facts.signal == SIGNAL_CODES["arm"]
    dose = facts.signal == SIGNAL_CODES["study_dose"]
    swapped = replace(
        facts,
        code=np.where(arm, facts.code[arm][::-1][0], facts.code),
        value=np.where(dose, 2 * facts.value + 1, facts.value),
    )
    at = np.repeat(int(facts.event_time.max()), 2)
    first, second = (
        canonical(mask(compute(world, np.array([0, 1]), at, PROFILE), PROFILE)) for world in (facts, swapped)
    )
    assert [vector_bytes(row) for row in first] == [vector_bytes(row) for row in second]


def test_bytes_and_back():
    row = np.linspace(-1, 1, 120)
    row[3], row[4] = np.nan, -0.0
    data = vector_bytes(row)
    assert len(data) == 480
    assert data[12:16] == bytes.fromhex("0000c07f")
    assert data[16:20] == bytes(4)
    other = row.astype(np.float32)
    other.view(np.uint32)[3] = 0xFFC12345  # another NaN
    assert vector_bytes(other) == data
    assert vector_bytes(from_bytes(data)) == data
    assert vector_sha256(row) == vector_sha256(other)
    for wrong in (data[:-1], b""):
        with pytest.raises(ValueError, match="480 bytes"):
            from_bytes(wrong)
    with pytest.raises(ValueError, match="120 values"):
        vector_bytes(np.zeros((2, 120)))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_one_planted_bit_is_found_and_named(kind):
    matrix = np.random.default_rng(0).normal(size=(50, 120)).astype(kind)
    matrix[:, 9] = np.nan
    other = matrix.copy()
    assert compare(matrix, other) == []
    bits = np.uint32 if kind is np.float32 else np.uint64
    other.view(bits)[31, 77] ^= 1
    patients, times = [f"DEMO/{row}" for row in range(50)], list(range(1000, 1050))
    (found,) = compare(matrix, other, patients, times)
    assert (found.patient, found.as_of, found.feature) == ("DEMO/31", 1031, NAMES[77])
    assert NAMES[77] in str(found)
    assert compare(matrix[31], other[31])[0].feature == NAMES[77]


def test_zero_and_negative_zero_are_different_bits():
    assert len(compare(np.zeros(120), -np.zeros(120))) == 120
    with pytest.raises(ValueError, match="Cannot compare"):
        compare(np.zeros(120), np.zeros((1, 120)))


def test_a_damaged_nan_is_a_nan_like_any_other() -> None:
    """One flipped bit makes a signalling NaN of a quiet one; reading it must not warn, nor change the other values."""
    row = np.zeros(len(NAMES), "<f4")
    row.view("<u4")[3] = 0x7FA00000
    assert np.isnan(np.frombuffer(vector_bytes(row), "<f4")).nonzero()[0].tolist() == [3]
