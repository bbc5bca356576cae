"""Numbers, ages and times in words: what a person reads must not say more, or other, than what is known."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from apps.portal.presenters import words
from apps.portal.zones import zone
from ml.profile import StudyProfile

PROFILE = StudyProfile(trial_id="T")


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (None, "--"), (0.0, "0 %"), (0.004, "< 1 %"), (0.624, "62 %"), (0.996, "> 99 %"), (1.0, "100 %"),
        # just under a band's limit: rounding may not lift the number into the next band
        (0.0996, "9.9 %"), (0.2999, "29.9 %"), (0.749, "74.9 %"), (0.30, "30 %"), (0.3049, "30 %"),
    ],
)  # fmt: skip
def test_a_percentage_never_shows_another_band_than_its_level(probability: float | None, text: str) -> None:
    assert words.percent(probability, PROFILE).replace(words.NBSP, " ") == text


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.62, "about 6 of 10"),
        (0.1, "about 1 of 10"),
        (0.06, "about 1 of 20"),
        (0.14, "about 3 of 20"),
        (0.02, "about 1 of 50"),
        (0.09, "about 1 of 10"),
        (0.96, "about 19 of 20"),
        (0.997, "more than 99 of 100"),
        (0.004, "fewer than 1 of 100"),
    ],
)
def test_a_frequency_counts_as_people_do(probability: float, text: str) -> None:
    said = words.frequency(probability)
    assert said == text
    if said.startswith("about"):
        count, base = (int(part) for part in said.removeprefix("about ").split(" of "))
        assert abs(count / base - probability) <= 0.25 * min(probability, 1 - probability) + 1e-9


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "--"),
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5"),
        (39600, "11 h"),
        (90000, "1 d 1 h"),
        (400000, "4 d"),
        (-5, "0 s"),
    ],
)
def test_an_age_grows_coarser_as_it_grows(seconds: float | None, text: str) -> None:
    assert words.age(seconds) == text


def test_times_are_told_in_the_sites_zone_with_its_name() -> None:
    summer, winter = datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 12, 1, 12, tzinfo=UTC)
    brussels = zone("Europe/Brussels")
    assert words.when(summer, brussels) == "1 Jul 14:00"
    assert words.zone_words(summer, brussels) == "CEST (UTC+2)"
    assert words.zone_words(winter, brussels) == "CET (UTC+1)"
    assert words.zone_words(winter, zone("UTC")) == "UTC"
    assert words.zone_words(winter, zone("Asia/Kolkata")) == "IST (UTC+5:30)"
    assert zone("not/a zone").key == "UTC"


def test_study_days_have_no_day_zero() -> None:
    utc, first = zone("UTC"), date(2026, 3, 1)
    assert [words.study_day(datetime(2026, 3, day, 12, tzinfo=UTC), first, utc) for day in (1, 2)] == [1, 2]
    assert words.study_day(datetime(2026, 2, 28, 23, 59, tzinfo=UTC), first, utc) == -1
    assert words.study_day(datetime(2026, 2, 28, 23, 59, tzinfo=UTC), None, utc) is None


def test_numbers_have_no_false_digits() -> None:
    assert [words.number(value) for value in (104.2, 0.896, 7.0, 0.0, -1.23456, 123456.0, None, float("nan"))] == [
        "104", "0.896", "7", "0", "−1.23", "123456", "--", "--",
    ]  # fmt: skip


def test_a_lanes_rule_is_the_studys_own() -> None:
    other = StudyProfile(trial_id="T", bands=(0.05, 0.125, 0.5), horizon_hours=48)
    assert words.rule("critical", other) == "50 % or more in 48 h"
    assert words.rule("moderate", other) == "5 to under 12.5 %"
