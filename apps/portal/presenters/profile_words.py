"""The fields of a study profile in words: their groups, units, what a change of each does, and how two versions differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ml.contracts.signs import SIGN_BY_NAME
from ml.profile import Gate, StudyProfile

#: What a change of a field does, and to what.
AT_ONCE = "Counts from the next prediction on."
RETRAIN = "Counts from the next training on: the model that serves was made under the old value."
REBUILD = (
    "Patients' windows must be filled again: an operator runs run_live --rebuild. Models trained before do not fit."
)
PAGES = "Pages and scheduled jobs take it as soon as it is published."
GATES = "Judged when a model is next registered; versions registered before keep their verdict."
UNBLIND = "People in blinded roles see, or no longer see, what reveals the arm, from their next page on."
NOTHING = "Changes no number."


@dataclass(frozen=True, slots=True)
class FieldWords:
    """One field: its name on the page, its unit, and what a change does."""

    name: str
    label: str
    unit: str
    effect: str
    help: str
    show: Callable[[Any], str]


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value:,}"


def _yes(value: Any) -> str:
    return "yes" if value else "no"


def _list(value: Any) -> str:
    return ", ".join(value) or "none"


def _signs(value: Any) -> str:
    return ", ".join(SIGN_BY_NAME[one].label if one in SIGN_BY_NAME else one for one in value) or "none"


def _percents(value: Any) -> str:
    return ", ".join(f"{bound * 100:g} %" for bound in value)


def _any(value: Any) -> str:
    return "no limit" if value is None else _number(value)


def _date(value: Any) -> str:
    return str(value) if value else "none: the clock"


def gate_words(gate: Gate) -> str:
    """``AUROC …: test_auroc ≥ 0.8, informs only``."""
    sign = {">=": "≥", "<=": "≤"}.get(gate.operator, gate.operator)
    return f"{gate.sentence}: {gate.measure} {sign} {gate.threshold:g}{'' if gate.blocking else ', informs only'}"


def _gates(value: Any) -> str:
    return "\n".join(gate_words(gate) for gate in value) or "none: no model may serve openly"


@dataclass(frozen=True, slots=True)
class Group:
    slug: str
    title: str
    doc: str
    fields: tuple[FieldWords, ...]


GROUPS: tuple[Group, ...] = (
    Group("risk", "Risk and its levels", "What is forecast, and from which probability on a patient stands in which lane.", (
        FieldWords("horizon_hours", "Horizon", "hours", RETRAIN, "An event within this time is what a score speaks of.", _number),
        FieldWords("second_horizon_hours", "Second horizon", "hours", RETRAIN,
                   "Reported beside the first; not before it.", _number),
        FieldWords("bands", "Bands", "%", AT_ONCE,
                   "From these probabilities on a patient is moderate, high, critical. Below the first: low.", _percents),
    )),
    Group("data", "Rhythm and age of data", "How often patients are scored, and how old what a score rests on may be.", (
        FieldWords("cadence_seconds", "Cadence", "seconds", AT_ONCE,
                   "A patient is scored at most once in this time; 0 = at every message.", _number),
        FieldWords("vitals_stale_hours", "Oldest vital signs", "hours", AT_ONCE,
                   "When a required sign is older, no score is given. Scoring sees windows of 1, 6 and 24 hours: it goes by the first that "
                   "is not shorter, and above 24 hours by whether there is any value at all.", _number),
        FieldWords("signs_required", "Signs a score needs", "", AT_ONCE,
                   "Without one of these nobody is scored.", _signs),
        FieldWords("labs_stale_days", "Oldest laboratory results", "days", AT_ONCE,
                   "Older than this, no score is given; scoring sees a window of 30 days. Empty = any age will do.", _any),
        FieldWords("baseline_days", "Baseline", "days", REBUILD,
                   "The time up to first dose that a patient's own normal is taken from.", _number),
    )),
    Group("learning", "Labels and models", "What a model learns from, and what it must reach to be used.", (
        FieldWords("label_maturity_days", "Maturity of labels", "days", RETRAIN,
                   "So long after its horizon a patient-day waits until late reports have come, before it counts.", _number),
        FieldWords("risk_from_first_dose", "At risk from the first dose", "", RETRAIN,
                   "Yes: days before a patient's first dose are not learned from, for adverse events are those under treatment.", _yes),
        FieldWords("live", "Live data", "", RETRAIN,
                   "Yes: training draws one moment of each patient-day, so that all hours are learned. No: 00:00 UTC.", _yes),
        FieldWords("gates", "Gates", "", GATES,
                   "A model that misses a blocking gate runs silent at most, labelled research only.", _gates),
    )),
    Group("study", "The study", "Blinding, the study's own drugs, and its clock.", (
        FieldWords("blinded", "Blinded", "", UNBLIND,
                   "While blinded, blinded roles never receive what reveals a patient's arm.", _yes),
        FieldWords("study_treatments", "Study treatments", "", REBUILD,
                   "Names of the study's own drugs, one a line, as the data write them: a medicine of such a name is a dose.", _list),
        FieldWords("replay_date", "Replay date", "", PAGES,
                   "The now of a finished trial, with its zone, such as 2015-03-05T00:00:00Z. Empty = the clock.", _date),
        FieldWords("simulated", "Simulated patients", "", NOTHING, "Set when the trial was created.", _yes),
    )),
    Group("liver", "Hy's law", "When liver values together are pointed out.", (
        FieldWords("hys_law_alt_ast_uln", "ALT or AST", "× upper limit", PAGES, "From this multiple of normal on.", _number),
        FieldWords("hys_law_bilirubin_uln", "Bilirubin", "× upper limit", PAGES, "From this multiple of normal on.", _number),
        FieldWords("hys_law_window_days", "Within", "days", PAGES, "How far apart the two may lie.", _number),
    )),
    Group("notes", "Notes", "For readers of the profile.", (
        FieldWords("notes", "Notes", "", NOTHING, "One a line.", _list),
    )),
)  # fmt: skip
FIELDS: dict[str, FieldWords] = {field.name: field for group in GROUPS for field in group.fields}


@dataclass(frozen=True, slots=True)
class Shown:
    """One field with its value in words."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which two versions differ; for lists also what came and what went."""

    name: str
    label: str
    old: str
    new: str
    effect: str


def value_words(name: str, value: Any) -> str:
    """The value with its unit: ``24 hours``, ``10 %, 30 %, 75 %``, ``no limit``."""
    field = FIELDS[name]
    text = field.show(value)
    return f"{text} {field.unit}" if field.unit and field.unit != "%" and text[:1].isdigit() else text


def shown(profile: StudyProfile) -> list[tuple[Group, list[Shown]]]:
    """The whole profile, group by group."""
    return [
        (group, [Shown(field.label, value_words(field.name, getattr(profile, field.name))) for field in group.fields])
        for group in GROUPS
    ]


def differences(old: StudyProfile, new: StudyProfile) -> list[Difference]:
    """Field by field in the page's order; gates one by one. Empty where nothing but the number differs."""
    found: list[Difference] = []
    for name, field in FIELDS.items():
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if name == "gates":
            found += _gate_differences(before, after)
        else:
            found.append(
                Difference(name, field.label, value_words(name, before), value_words(name, after), field.effect)
            )
    return found


def _gate_differences(before: tuple[Gate, ...], after: tuple[Gate, ...]) -> list[Difference]:
    old, new = {gate.name: gate for gate in before}, {gate.name: gate for gate in after}
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    rows = [
        Difference(
            "gates",
            f"Gate {name}",
            gate_words(old[name]) if name in old else "no such gate",
            gate_words(new[name]) if name in new else "no such gate",
            GATES,
        )
        for name in changed
    ]
    if not rows:  # the same gates in another order
        rows = [Difference("gates", "Gates", ", ".join(old), ", ".join(new), NOTHING)]
    return rows
