"""Partial dates: every precision, every spelling of the tables, and what is never guessed."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.sdtm.dates import DAY, READINGS, Moment, NotADate, end_of, iso, parse, read, start_of, study_day

DAYS = st.dates(date(1900, 1, 1), date(2199, 12, 31))
CUTS = st.sampled_from([4, 7, 10])


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@given(DAYS, CUTS)
def test_a_date_means_all_days_it_may_be_and_no_other(day: date, cut: int) -> None:
    moment = parse(day.isoformat()[:cut])
    assert moment is not None
    first, last = iso(moment.first), iso(moment.last)
    assert first[:cut] == last[:cut] == day.isoformat()[:cut]
    assert (first[11:], last[11:]) == ("00:00:00Z", "23:59:59Z")
    assert iso(moment.first - 1)[:cut] != day.isoformat()[:cut] != iso(moment.last + 1)[:cut]
    assert moment.precision == {4: "year", 7: "month", 10: "day"}[cut]


@given(DAYS, CUTS, st.integers(-2_000, 2_000), st.one_of(st.none(), DAYS))
def test_an_imputed_time_lies_in_its_period_and_is_flagged(day: date, cut: int, later: int, dose: date | None) -> None:
    moment, recorded = parse(day.isoformat()[:cut]), at(f"{day}T23:59:59") + later * DAY
    assert moment is not None
    start, precision = start_of(moment, recorded, first_dose=parse(dose.isoformat()) if dose else None)
    assert moment.first <= start <= moment.last or start == recorded < moment.first + DAY // 2
    assert precision == moment.precision
    if precision in ("month", "year"):
        assert start <= recorded
        inside = dose is not None and dose.isoformat()[:cut] == day.isoformat()[:cut]
        assert start == min(recorded, at(f"{dose if inside else iso(moment.first)[:10]}T12:00:00"))
    end = end_of(moment, recorded)
    assert moment.first <= end <= moment.last


@given(DAYS, st.times(), st.integers(-14 * 60, 14 * 60))
def test_a_time_with_a_zone_is_that_moment(day: date, clock: time, ahead: int) -> None:
    moment = datetime.combine(day, clock, UTC)
    sign, minutes = "-" if ahead < 0 else "+", abs(ahead)
    hours, rest = divmod(minutes, 60)
    if hours == 14 and rest:
        return
    text = f"{moment:%Y-%m-%dT%H:%M:%S}{sign}{hours:02d}:{rest:02d}"
    found = parse(text)
    assert found == Moment(
        at(f"{moment:%Y-%m-%dT%H:%M:%S}") - ahead * 60, at(f"{moment:%Y-%m-%dT%H:%M:%S}") - ahead * 60, "time"
    )


@given(DAYS)
def test_other_spellings_of_a_day_are_the_same_day(day: date) -> None:
    plain = parse(day.isoformat())
    month = calendar.month_abbr[day.month].upper()
    for text, reading in (
        (f"{day:%Y%m%d}", "basic"),
        (f"{day:%Y/%m/%d}", "slashes"),
        (f"{day.year}-{day.month}-{day.day}", "short"),
        (f"{day.day:02d}{month}{day.year}", "named"),
        (f"{day.day}-{month.title()}-{day.year}", "named"),
        (f"{day.isoformat()}/{day.isoformat()}", "interval"),
    ):
        if text == day.isoformat():
            continue
        if text != f"{day.year}-{day.month}-{day.day}" or day.month < 10 or day.day < 10:
            assert read(text) == (plain, reading), text
    assert read(f"UN-{month}-{day.year}") == (parse(day.isoformat()[:7]), "named_month")
    assert read(f"{day:%Y-%m}-UN") == (parse(day.isoformat()[:7]), "unknown_day")
    assert read(f"{day.year}-UN-UN") == (parse(day.isoformat()[:4]), "unknown_month")


def test_every_reading_of_the_table_is_tried() -> None:
    assert {name for name, *_ in READINGS} == {
        "basic", "slashes", "space", "short", "named", "named_month", "unknown_day", "unknown_month", "interval"
    }  # fmt: skip
    assert read("2019-02-28 14:45") == (parse("2019-02-28T14:45"), "space")


@given(st.text(max_size=30))
def test_no_text_ends_in_anything_but_a_date_or_words(text: str) -> None:
    try:
        moment = parse(text)
    except NotADate as error:
        assert str(error).endswith(".")  # noqa: PT017 - either is right
    else:
        assert moment is None or 0 <= moment.last - moment.first <= 366 * DAY


@pytest.mark.parametrize("text", ["01/02/2019", "02-03-2019", "1/2/19", "2019-W05", "--12-15", "19-02-28", "2019-2"])
def test_what_may_mean_two_days_is_not_guessed(text: str) -> None:
    with pytest.raises(NotADate):
        parse(text)


@given(st.integers(-3_000, 3_000).filter(bool), DAYS.filter(lambda day: 1920 < day.year < 2180))
def test_there_is_no_study_day_zero(number: int, reference: date) -> None:
    found = study_day(float(number), parse(reference.isoformat()))  # type: ignore[arg-type]
    expected = reference + timedelta(days=number - 1 if number > 0 else number)
    assert iso(found.first)[:10] == expected.isoformat()
    assert found.last - found.first == DAY - 1


@pytest.mark.parametrize("number", [0.0, 1.5, 1e9])
def test_what_is_no_study_day(number: float) -> None:
    with pytest.raises(NotADate, match="no study day"):
        study_day(number, parse("2019-02-28"))  # type: ignore[arg-type]
