"""The head of the patient page: who it is, the score now, what it saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.patients.models import LabResult, Patient, VitalSigns
from apps.portal.presenters import factors, marks, news2, words
from apps.portal.viewer import Viewer
from apps.predictions.models import Prediction
from ml.contracts.signs import SIGNS

SEX_WORDS = {"F": "Woman", "M": "Man"}


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of the header; ``more`` is a second, quieter line."""

    name: str
    text: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    subject: str
    line: str
    arm: str
    arm_masked: bool
    facts: list[Fact]


@dataclass(frozen=True, slots=True)
class Now:
    """The score card. ``reason`` stands where there is no score."""

    level: str
    word: str
    percent: str
    horizon: str
    frequency: str
    axis: marks.Axis
    scored: str
    model: str
    earlier: str
    earlier_level: str
    change: marks.Change | None
    news2: news2.News2Chip | None
    reason: str
    remedy: str
    more: str
    research_only: bool
    age_epoch: int | None
    age: str
    old: bool
    before_words: str = "Four hours before"
    live: bool = True


@dataclass(frozen=True, slots=True)
class SourceRow:
    topic: str
    partition: str
    offset: str
    topic_id: str


@dataclass(frozen=True, slots=True)
class Sources:
    """From which messages: what had been applied of this patient's events when the score was made."""

    rows: list[SourceRow]
    facts: list[Fact]
    replayable: bool
    prediction_id: str


def head(patient: Patient, viewer: Viewer, first_dose: datetime | None, last: datetime | None) -> Head:
    """Name and facts; the arm only for who may see it."""
    site = patient.site
    where = viewer.zone
    personal = patient.site_id in viewer.personal
    parts = [
        SEX_WORDS.get(patient.sex, "") if personal else "",
        f"{patient.age:g} years at enrolment" if personal and patient.age is not None else "",
        f"site {site.site_id}" if site else "no site",
    ]
    moment = viewer.moment_of(last)
    day = words.study_day(moment, first_dose.astimezone(where).date() if first_dose else None, where)
    status = patient.get_status_display() or "Enrolled"
    facts = [
        Fact(
            "Study day" if viewer.live else "Last study day",
            str(day).replace("-", words.MINUS) if day is not None else words.MISSING,
            f"day 1 = first dose{words.ended(moment, where, live=viewer.live)}" if day is not None else "no study dose",
        ),
        Fact("First dose", words.day(first_dose, where, year=True)),
        Fact("Enrolled", words.day(patient.enrolled_at, where, year=True)),
        Fact("Status", status, words.day(patient.status_at, where, year=True) if patient.status_at else ""),
        Fact(
            "Site",
            f"{site.site_id}{f', {site.name}' if site and site.name and site.name != site.site_id else ''}"
            if site
            else words.MISSING,
            where.key,
        ),
        Fact(
            "Treatment",
            "masked" if viewer.blinded else (patient.arm_name or words.MISSING),
            "this study is blinded" if viewer.blinded else "",
        ),
    ]
    arm = "" if viewer.blinded else patient.arm_name
    return Head(patient.patient_id, ", ".join(part for part in parts if part), arm, viewer.blinded, facts)


def now_card(
    viewer: Viewer,
    prediction: Prediction | None,
    earlier: Prediction | None,
    signs: Mapping[str, Any],
) -> Now:
    """The score in force, or why there is none."""
    profile = viewer.profile
    where = viewer.zone
    chip = news2.of_signs(signs)
    if prediction is None:
        empty = marks.axis(None, "indeterminate", profile)
        return Now(
            "indeterminate",
            "Indeterminate",
            words.MISSING,
            "no score yet" if viewer.live else "no score",
            "",
            empty,
            "not scored yet",
            "",
            words.MISSING,
            "",
            None,
            chip,
            "No score yet" if viewer.live else "Never scored",
            "",
            "The first one follows the first complete set of vital signs."
            if viewer.live
            else "No day of this record could be given a score.",
            False,
            None,
            words.MISSING,
            False,
            before_words="Four hours before" if viewer.live else "The score before",
            live=viewer.live,
        )
    level = words.level(prediction.level)
    probability = prediction.probability
    age = (viewer.moment_of(prediction.as_of) - prediction.as_of).total_seconds()
    untold = factors.indeterminate(prediction.reasons) if probability is None else factors.Untold("", "", "")
    return Now(
        level=level,
        word=level.capitalize(),
        percent=words.percent(probability, profile),
        horizon=f"in {profile.horizon_hours} h" if probability is not None else "no score",
        frequency=f"{words.frequency(probability)} patients like this" if probability is not None else "",
        axis=marks.axis(probability, level, profile),
        scored=f"as of {words.when(prediction.as_of, where, year=not viewer.live)} {words.zone_words(prediction.as_of, where)}",
        model=f"model {prediction.model_version.version}",
        earlier=words.percent(earlier.probability, profile) if earlier else words.MISSING,
        earlier_level=words.level(earlier.level) if earlier else "",
        change=marks.change(probability, earlier.probability if earlier else None),
        news2=chip,
        reason=untold.reason,
        remedy=untold.remedy if viewer.live else "",
        more=untold.more,
        research_only=prediction.silent,
        age_epoch=int(prediction.as_of.timestamp()) if viewer.live else None,
        age=words.age(age),
        old=viewer.live and age > max(3600, 4 * profile.cadence_seconds),
        before_words="Four hours before" if viewer.live else "The score before",
        live=viewer.live,
    )


def ages(vitals: VitalSigns | None, labs: dict[str, LabResult]) -> dict[str, datetime]:
    """The newest time of each sign and analyte: a value's age stands beside it."""
    found = {name: row.event_time for name, row in labs.items()}
    if vitals is not None:
        found |= {sign.name: vitals.event_time for sign in SIGNS if getattr(vitals, sign.name, None) not in (None, "")}
    return found


def sources(prediction: Prediction | None, where: words.ZoneInfo) -> Sources | None:
    """Lineage of one score."""
    if prediction is None:
        return None
    rows = []
    for topic, mark in sorted(prediction.watermark.items()):
        entries = mark if mark and isinstance(mark[0], list) else [mark]
        rows += [SourceRow(topic, str(entry[1]), f"{entry[2]:,}", str(entry[0])) for entry in entries]
    facts = [
        Fact("As of", words.when(prediction.as_of, where, seconds=True, year=True)),
        Fact(
            "Made", words.when(prediction.created_at, where, seconds=True, year=True), prediction.get_source_display()
        ),
        Fact("Model", f"{prediction.model_version.name} {prediction.model_version.version}"),
        Fact("Study profile", f"version {prediction.profile_version.version}"),
        Fact("Correlation id", prediction.correlation_id or words.MISSING),
        Fact("Features, SHA-256", prediction.features_sha256[:16] + "…"),
        Fact("Prediction", str(prediction.pk)),
    ]
    return Sources(rows, facts, prediction.replayable and not hasattr(prediction, "not_replayable"), str(prediction.pk))
