"""A feature and its value as a clinician would say it: one wording per way of summarising, not per feature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from apps.portal.presenters import words
from ml.contracts.analytes import ANALYTE_BY_NAME
from ml.contracts.signs import SIGN_BY_NAME
from ml.features import FEATURES
from ml.features.table import Feature

BY_NAME: dict[str, Feature] = {feature.name: feature for feature in FEATURES}

SUBJECTS = {
    "spo2": "SpO₂",
    "pulse_pressure": "Pulse pressure",
    "arterial_pressure": "Mean arterial pressure",
    "age": "Age",
    "sex": "Sex",
    "body_mass_index": "Body mass index",
    "enrolment": "Time since enrolment",
    "comorbidity": "Ongoing conditions",
    "trial_arm": "Treatment arm",
    "interaction": "Interacting medicines",
    "adverse_event": "Adverse events",
    "first_dose": "Time since first dose",
    "study_dose": "Study dose",
    "medication": "Medicines",
    "labs": "Laboratory panel",
    "instability": "Instability of the vital signs",
    "blood_pressure_systolic": "Systolic pressure",
    "blood_pressure_diastolic": "Diastolic pressure",
}


def subject(name: str) -> str:
    """A sign, an analyte or another source of features, by the name a page uses."""
    if name in SUBJECTS:
        return SUBJECTS[name]
    if name in SIGN_BY_NAME:
        return SIGN_BY_NAME[name].label
    return ANALYTE_BY_NAME[name].label if name in ANALYTE_BY_NAME else name.replace("_", " ").capitalize()


def window(feature: Feature) -> str:
    """``24 h`` or ``7 days``."""
    if feature.window is None:
        return ""
    hours = feature.window // 3600
    return f"{hours}{words.NBSP}h" if hours <= 72 else f"{hours // 24}{words.NBSP}days"


def _reference(name: str, value: float) -> str:
    """``above 7–55``: where a value lies against its usual range; nothing inside it."""
    entry = SIGN_BY_NAME.get(name) or ANALYTE_BY_NAME.get(name)
    if entry is None or entry.reference_low is None or entry.reference_high is None:
        return ""
    span = f"{words.number(entry.reference_low)}–{words.number(entry.reference_high)}"
    if value > entry.reference_high:
        return f"above {span}"
    return f"below {span}" if value < entry.reference_low else f"within {span}"


@dataclass(frozen=True, slots=True)
class Said:
    """``title`` names the feature, ``detail`` its value, ``sentence`` both as one line of the board."""

    title: str
    detail: str
    sentence: str


def _plain(kind: str) -> Callable[[Feature, float], Said]:
    def say(feature: Feature, value: float) -> Said:
        name, shown = subject(feature.subject), words.with_unit(value, feature.unit)
        title = f"{name}, {kind} over {window(feature)}"
        place = _reference(feature.subject, value) if kind in ("mean", "lowest", "highest") else ""
        return Said(title, f"{shown}, {place}" if place else shown, f"{title}: {shown}")

    return say


def _spread(feature: Feature, value: float) -> Said:
    unit = words.unit(feature.unit.removeprefix("(").removesuffix(")2"))
    shown = f"± {words.number(math.sqrt(max(0.0, value)), 3)}{words.NBSP}{unit}"
    title = f"{subject(feature.subject)}, spread over {window(feature)}"
    return Said(title, shown, f"{title}: {shown}")


def _std(feature: Feature, value: float) -> Said:
    shown = f"± {words.number(value, 3)}{words.NBSP}{words.unit(feature.unit)}"
    title = f"{subject(feature.subject)}, spread over {window(feature)}"
    return Said(title, shown, f"{title}: {shown}")


def _moving(value: float, up: str, down: str, flat: str) -> str:
    return flat if abs(value) < 1e-9 else up if value > 0 else down


def _trend(feature: Feature, value: float) -> Said:
    unit = words.unit(feature.unit.removesuffix("/h"))
    name, verb = subject(feature.subject), _moving(value, "rising", "falling", "steady")
    amount = f"{words.number(abs(value), 2)}{words.NBSP}{unit} each hour"
    return Said(
        f"{name}, trend over {window(feature)}", f"{verb} {amount}", f"{name} {verb} {amount} over {window(feature)}"
    )


def _change(feature: Feature, value: float) -> Said:
    name, way = subject(feature.subject), _moving(value, "up", "down", "unchanged")
    amount = words.with_unit(abs(round(value, 2)), feature.unit)
    return Said(f"{name}, change on the day before", f"{way} {amount}", f"{name} {way} {amount} on the day before")


def _deviation(feature: Feature, value: float) -> Said:
    name, way = subject(feature.subject), _moving(value, "above", "below", "at")
    amount = f"{words.number(abs(value), 2)} SD {way} own baseline"
    return Said(
        f"{name} against own baseline", f"{amount}, last {window(feature)}", f"{name} {amount} over {window(feature)}"
    )


def _latest(feature: Feature, value: float) -> Said:
    name, shown = subject(feature.subject), words.with_unit(value, feature.unit)
    place = _reference(feature.subject, value)
    return Said(
        f"{name}, newest",
        f"{shown}, {place}" if place else shown,
        f"{name} {shown}" + (f", {place}" if place.startswith(("above", "below")) else ""),
    )


def _from_baseline(feature: Feature, value: float) -> Said:
    name, way = subject(feature.subject), _moving(value, "above", "below", "at")
    amount = f"{words.with_unit(abs(value), feature.unit)} {way} own baseline"
    return Said(f"{name} against own baseline", amount, f"{name} {amount}")


def _rate(feature: Feature, value: float) -> Said:
    unit = words.unit(feature.unit.removesuffix("/d"))
    name, verb = subject(feature.subject), _moving(value, "rising", "falling", "steady")
    amount = f"{words.number(abs(value), 3)}{words.NBSP}{unit} a day"
    return Said(f"{name}, rate", f"{verb} {amount}", f"{name} {verb} {amount}")


def _value(feature: Feature, value: float) -> Said:
    name = subject(feature.subject)
    if feature.name == "sex":
        shown = {0.0: "female", 1.0: "male"}.get(value, words.MISSING)
        return Said(name, shown, f"{name}: {shown}")
    if feature.name == "trial_arm":
        shown = {0.0: "never treated", 1.0: "control", 2.0: "treatment"}.get(value, words.MISSING)
        return Said(name, shown, f"{name}: {shown}")
    shown = words.with_unit(round(value, 1), feature.unit)
    return Said(name, shown, f"{name} {shown}")


def _days(feature: Feature, value: float) -> Said:
    what = {"first_dose": "first dose", "adverse_event": "last adverse event"}.get(feature.subject, feature.subject)
    count = f"{words.number(value, 3)}{words.NBSP}days"
    return Said(f"Days since {what}", count, f"{count} since {what}")


def _count(phrase: str, sentence: str) -> Callable[[Feature, float], Said]:
    def say(feature: Feature, value: float) -> Said:
        shown = words.number(value)
        return Said(phrase, shown, sentence.format(n=shown, window=window(feature)))

    return say


def within(name: str) -> str:
    """A subject's name inside a sentence: ``systolic pressure``, but ``SpO₂``."""
    return name if name[:2].isupper() or name == SUBJECTS["spo2"] else name[:1].lower() + name[1:]


def _flag(title: str, false: str) -> Callable[[Feature, float], Said]:
    def say(feature: Feature, value: float) -> Said:
        given = {"subject": subject(feature.subject), "window": window(feature)}
        given["inside"] = within(given["subject"])
        said = (title if value else false).format(**given)
        return Said(said, "", said)

    return say


#: aggregation → wording; where one aggregation serves several subjects, (subject, aggregation) comes first.
WORDINGS: dict[str | tuple[str, str], Callable[[Feature, float], Said]] = {
    "mean": _plain("mean"),
    "min": _plain("lowest"),
    "max": _plain("highest"),
    "difference_of_means": _plain("mean"),
    "mean_arterial": _plain("mean"),
    "std": _std,
    "variance": _spread,
    "trend": _trend,
    "change": _change,
    "deviation": _deviation,
    "latest": _latest,
    "change_from_baseline": _from_baseline,
    "rate": _rate,
    "value": _value,
    "bmi": _value,
    "days_since_first": _days,
    "days_since_last": _days,
    "current": _latest,
    "instability": _count("Instability of the vital signs", "Vital signs {n} SD away from own baseline in sum"),
    "missing": _flag("No {inside} measured in {window}", "{subject} measured in the last {window}"),
    "none_within": _flag("No laboratory result in {window}", "Laboratory results in the last {window}"),
    "interacting_pairs": _count("Pairs of interacting medicines", "{n} pairs of interacting medicines"),
    "interacting_class": _flag("High-priority interaction of medicines", "No high-priority interaction of medicines"),
    "interacting_qt": _flag("Two medicines that prolong QT", "No two medicines that prolong QT"),
    "missed": _count("Study doses missed in 7 days", "{n} study doses missed in {window}"),
    "active": _count("Medicines in use", "{n} medicines in use"),
    "new": _count("Medicines begun in 7 days", "{n} medicines begun in {window}"),
    "ongoing": _count("Ongoing adverse events", "{n} ongoing adverse events"),
    "max_grade": _count("Highest grade so far", "Highest adverse-event grade so far: {n}"),
    ("comorbidity", "distinct"): _count("Ongoing conditions", "{n} ongoing conditions"),
    ("adverse_event", "distinct"): _count("Adverse events so far", "{n} adverse events so far"),
}


def say(name: str, value: float | None) -> Said:
    """The feature and its value in words; a feature that is not in the table keeps its name."""
    feature = BY_NAME.get(name)
    if feature is None:
        title = name.replace("_", " ").capitalize()
        return Said(title, words.number(value), f"{title}: {words.number(value)}")
    wording = WORDINGS.get((feature.subject, feature.aggregation)) or WORDINGS[feature.aggregation]
    if value is None or math.isnan(value):
        title = wording(feature, 0.0).title
        return Said(title, "no value", f"{title}: no value")
    return wording(feature, value)


def hidden(name: str, *, blinded: bool, personal: bool) -> bool:
    """True for a feature whose value reveals the arm to who is blinded, or a person to who may not see personal data."""
    kind = BY_NAME[name].blinding if name in BY_NAME else "open"
    return (kind == "arm" and blinded) or (kind == "personal" and not personal)


def sources(name: str) -> tuple[str, ...]:
    """The signs, analytes or record kinds the feature reads: what its age is the age of."""
    feature = BY_NAME.get(name)
    return feature.sources if feature else ()
