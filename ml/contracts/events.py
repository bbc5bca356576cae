"""The five events: columns, identity key and meaning of each topic."""

from __future__ import annotations

from dataclasses import dataclass

from ml.contracts.columns import Column
from ml.contracts.signs import CONSCIOUSNESS, SIGNS

SCHEMA_VERSION = "1"
MAX_MESSAGE_BYTES = 65_536
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"
DRUG_ABSENT = "a study that did not record it sends null"


@dataclass(frozen=True, slots=True)
class EventContract:
    """One topic. `identity` are the columns that name a record when it carries no `record_id`."""

    topic: str
    table: str
    doc: str
    time_column: str
    identity: tuple[str, ...]
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        """The column of that name; KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.topic} has no column {name}")


def _patient() -> Column:
    return Column(
        "patient_id",
        "text",
        "Pseudonymous subject identifier, unique in its trial.",
        required=True,
        max_length=64,
        pattern=ID_PATTERN,
    )


def _time(name: str, doc: str, *, required: bool = True, nullable: bool = False) -> Column:
    return Column(name, "time", doc + " ISO 8601, UTC.", required=required, nullable=nullable)


COMMON: tuple[Column, ...] = (
    Column("trial_id", "text", "The trial; absent = the default trial.", max_length=64, pattern=ID_PATTERN),
    Column("trial_site_id", "text", "The site that reported it.", max_length=64, pattern=ID_PATTERN),
    Column("record_id", "text", "Identity of the record at its source; versions of it share it.", max_length=120),
    _time("recorded_at", "When the source recorded it; believed of backfill producers only.", required=False),
    Column("retracted", "flag", "True ends the record: it was entered in error."),
    Column(
        "date_precision",
        "text",
        "How exactly the source knew the time; a coarser one was imputed by rule. Absent = time.",
        choices=("time", "day", "month", "year", "unknown"),
    ),
    Column("source_rows", "list", "Rows of the source file this event was made of, as DOMAIN:SEQ.", max_length=200),
)

EVENTS: dict[str, EventContract] = {
    contract.topic: contract
    for contract in (
        EventContract(
            "patient-vitals",
            "vitals",
            "One set of vital signs of one patient at one moment; each sign may be absent, one must be there.",
            "timestamp",
            ("timestamp", "source"),
            (
                _patient(),
                _time("timestamp", "When it was measured."),
                *(
                    Column(
                        sign.name, "number", f"{sign.label}.", nullable=True, unit=sign.unit, minimum=-1e6, maximum=1e6
                    )
                    for sign in SIGNS
                    if sign.name != "consciousness"
                ),
                Column("consciousness", "text", "ACVPU level.", nullable=True, choices=CONSCIOUSNESS),
                Column("temperature_unit", "text", "Unit of temperature; absent = Cel.", choices=("Cel", "[degF]")),
                Column("weight_unit", "text", "Unit of weight; absent = kg.", choices=("kg", "[lb_av]")),
                Column("height_unit", "text", "Unit of height; absent = cm.", choices=("cm", "[in_i]")),
                Column("source", "text", "Device or form that measured.", required=True, max_length=64),
                *COMMON,
            ),
        ),
        EventContract(
            "lab-results",
            "labs",
            "One laboratory result.",
            "timestamp",
            ("timestamp", "lab_id", "test_name"),
            (
                _patient(),
                _time("timestamp", "When the specimen was taken."),
                Column(
                    "test_name", "text", "The test, by name or code of the laboratory.", required=True, max_length=80
                ),
                Column(
                    "value",
                    "number",
                    "The numeric result; null when the result is a text.",
                    required=True,
                    nullable=True,
                    minimum=-1e9,
                    maximum=1e9,
                ),
                Column(
                    "unit",
                    "text",
                    "Unit as reported; null when none was; a ratio has 1.",
                    required=True,
                    nullable=True,
                    max_length=40,
                ),
                Column(
                    "reference_range",
                    "text",
                    'The laboratory\'s range in the same unit, "7-56".',
                    required=True,
                    nullable=True,
                    max_length=60,
                ),
                Column("lab_id", "text", "The laboratory.", required=True, max_length=64),
                Column("value_text", "text", "The result as reported when it is no number.", max_length=200),
                *COMMON,
            ),
        ),
        EventContract(
            "medications",
            "medications",
            "A medicine given or a study dose; which of the two, the study profile says by name.",
            "timestamp",
            ("timestamp", "drug_name", "route"),
            (
                _patient(),
                _time("timestamp", "Start."),
                Column("drug_name", "text", "Name as reported.", required=True, blinding="arm"),
                Column(
                    "dosage",
                    "number",
                    f"Amount of one dose; {DRUG_ABSENT}.",
                    required=True,
                    nullable=True,
                    minimum=0,
                    maximum=1e7,
                    blinding="arm",
                ),
                Column(
                    "unit",
                    "text",
                    f"Unit of the amount; {DRUG_ABSENT}.",
                    required=True,
                    nullable=True,
                    max_length=40,
                    blinding="arm",
                ),
                Column("route", "text", f"Route; {DRUG_ABSENT}.", required=True, nullable=True, max_length=60),
                Column("frequency", "text", f"Frequency; {DRUG_ABSENT}.", required=True, nullable=True, max_length=60),
                _time("end_timestamp", "End, once it is known.", required=False, nullable=True),
                Column("term", "text", "Why it is given.", max_length=200),
                Column(
                    "outcome", "text", "For a study dose: taken (when absent) or missed.", choices=("taken", "missed")
                ),
                *COMMON,
            ),
        ),
        EventContract(
            "adverse-events",
            "adverse_events",
            "An adverse event of a patient, from its onset.",
            "event_timestamp",
            ("event_timestamp", "event_type"),
            (
                _patient(),
                _time("event_timestamp", "Onset."),
                Column("event_type", "text", "Kind of event, coded or in the reporter's words.", required=True),
                Column(
                    "severity",
                    "text",
                    "CTCAE grade.",
                    required=True,
                    choices=("grade_1", "grade_2", "grade_3", "grade_4", "grade_5"),
                ),
                Column("reported_by", "text", "Role or system that reported it.", required=True, max_length=80),
                _time("report_timestamp", "When it was reported."),
                _time("end_timestamp", "End, once it is known.", required=False, nullable=True),
                Column("term", "text", "Verbatim term, never altered."),
                Column("body_system", "text", "Body system as coded by the source."),
                Column("serious", "flag", "Serious by the regulatory criteria."),
                Column("causality", "text", "Relation to the study treatment as assessed.", max_length=80),
                Column("outcome", "text", "Outcome as reported.", max_length=80),
                *COMMON,
            ),
        ),
        EventContract(
            "patient-context",
            "context",
            "What is known of a patient beside measurements: enrolment, demographics, history, arm, disposition, characteristics.",
            "timestamp",
            ("kind", "term"),
            (
                _patient(),
                _time("timestamp", "When it holds from."),
                Column(
                    "kind",
                    "text",
                    "Which part of the context this record is.",
                    required=True,
                    choices=("enrolment", "demographics", "history", "arm", "disposition", "characteristic"),
                ),
                Column(
                    "age",
                    "number",
                    "demographics: age at enrolment, years.",
                    nullable=True,
                    minimum=0,
                    maximum=130,
                    unit="a",
                    blinding="personal",
                ),
                Column("sex", "text", "demographics.", choices=("F", "M", "U"), blinding="personal"),
                Column("race", "text", "demographics.", nullable=True, blinding="personal"),
                Column("ethnicity", "text", "demographics.", nullable=True, blinding="personal"),
                Column(
                    "term",
                    "text",
                    "history: the condition. disposition: as reported. characteristic: its name and value.",
                ),
                Column("arm_code", "text", "arm: code of the arm.", max_length=40, blinding="arm"),
                Column("arm_name", "text", "arm: its name.", blinding="arm"),
                Column("treated", "flag", "arm: false for a subject never randomised or treated."),
                Column(
                    "status",
                    "text",
                    "disposition.",
                    choices=("completed", "withdrawn", "died", "screen_failure", "lost"),
                ),
                _time("end_timestamp", "history: end, once known.", required=False, nullable=True),
                *COMMON,
            ),
        ),
    )
}
TOPICS: tuple[str, ...] = tuple(EVENTS)
