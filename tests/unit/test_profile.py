"""The study profile: frozen, complete in its JSON, and different in its digest for every difference."""

from __future__ import annotations

import ast
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest

from ml.profile import DEFAULT_GATES, RULES, Gate, ProfileError, StudyProfile

ROOT = Path(__file__).resolve().parents[2]
BASE = StudyProfile("T")
OTHER = {
    "trial_id": "U",
    "version": 2,
    "simulated": True,
    "blinded": False,
    "live": False,
    "replay_date": "2015-03-05T00:00:00Z",
    "horizon_hours": 12,
    "second_horizon_hours": 72,
    "cadence_seconds": 0,
    "baseline_days": 7,
    "label_maturity_days": 60,
    "risk_from_first_dose": True,
    "study_treatments": ("XANOMELINE", "PLACEBO"),
    "vitals_stale_hours": 1080.0,
    "signs_required": (),
    "labs_stale_days": 30.0,
    "bands": (0.1, 0.25, 0.5),
    "gates": (*DEFAULT_GATES, Gate("brier", "test_brier_scaled", ">", 0.0, "Better than the prevalence")),
    "hys_law_alt_ast_uln": 4.0,
    "hys_law_bilirubin_uln": 1.5,
    "hys_law_window_days": 28,
    "notes": ("a note",),
}


def test_every_field_is_tried_here() -> None:
    assert set(OTHER) == {field.name for field in fields(StudyProfile)}


@pytest.mark.parametrize("name", sorted(OTHER))
def test_each_difference_shows_in_json_and_digest(name: str) -> None:
    changed = replace(BASE, **{name: OTHER[name]})
    assert StudyProfile.from_json(changed.to_json()) == changed
    assert changed.digest != BASE.digest


def test_a_profile_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        BASE.horizon_hours = 48  # type: ignore[misc]


@pytest.mark.parametrize("bands", [(0.3, 0.1, 0.75), (0.1, 0.3, 1.0), (0.0, 0.3, 0.75), (0.1, 0.1, 0.75)])
def test_bands_rise_between_0_and_1(bands: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="bands"):
        replace(BASE, bands=bands)


WRONG = {
    "bands": (0.3, 0.1, 0.75),
    "horizon_hours": 0,
    "second_horizon_hours": 12,
    "cadence_seconds": -1,
    "baseline_days": 0,
    "label_maturity_days": -1,
    "vitals_stale_hours": 0.0,
    "labs_stale_days": float("nan"),
    "replay_date": "2015-03-05",
    "gates": (Gate("a", "test_auroc", ">=", 0.8, "AUROC"), Gate("a", "test_ece", "<", float("nan"), "")),
    "hys_law_alt_ast_uln": 0.0,
    "hys_law_bilirubin_uln": -1.0,
    "hys_law_window_days": 0,
}


def test_what_cannot_be_is_refused_with_a_sentence_for_each_field() -> None:
    assert set(WRONG) == {rule.field for rule in RULES}
    for name, value in WRONG.items():
        with pytest.raises(ProfileError) as caught:
            replace(BASE, **{name: value})
        assert {field for field, _ in caught.value.problems} == {name}
        assert len(caught.value.problems) == sum(rule.field == name for rule in RULES)
    with pytest.raises(ProfileError) as caught:
        replace(BASE, bands=(0.5, 0.4, 0.9), label_maturity_days=-3)
    assert [field for field, _ in caught.value.problems] == ["bands", "label_maturity_days"]


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        StudyProfile.from_json(BASE.to_json() | {"colour": "blue"})


@pytest.mark.parametrize(
    ("probability", "level"),
    [
        (0.0, "LOW"),
        (0.0999, "LOW"),
        (0.10, "MODERATE"),
        (0.2999, "MODERATE"),
        (0.30, "HIGH"),
        (0.75, "CRITICAL"),
        (1.0, "CRITICAL"),
    ],
)
def test_a_band_begins_at_its_lower_bound(probability: float, level: str) -> None:
    assert BASE.level(probability) == level


def test_no_probability_is_never_low() -> None:
    assert BASE.level(None) == "INDETERMINATE"


def test_no_trial_is_named_in_the_code() -> None:
    """Studies differ in their profile: no branch anywhere asks which trial it is."""
    guilty = []
    for folder in ("apps", "ml", "spark_jobs"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Compare):
                    names = {value.value for value in node.comparators if isinstance(value, ast.Constant)}
                    if names & {"DEMO", "CDISCPILOT01"}:
                        guilty.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not guilty
