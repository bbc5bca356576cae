"""What travels on the wire and lies in the lake, said once, as data.

JSON Schema, Spark and Arrow schemas, validation, the simulator and the docs page are derived from these tables.
"""

from ml.contracts.analytes import ANALYTES, UNITS, Analyte, UnitRule, analyte_of, unit_rule
from ml.contracts.columns import BLINDING, Column
from ml.contracts.events import EVENTS, TOPICS, EventContract
from ml.contracts.producers import PRODUCERS, Producer, is_backfill
from ml.contracts.signs import SIGNS, Sign
from ml.contracts.wire import Accepted, Reason, Refused, json_schema, validate

__all__ = [
    "ANALYTES",
    "BLINDING",
    "EVENTS",
    "PRODUCERS",
    "SIGNS",
    "TOPICS",
    "UNITS",
    "Accepted",
    "Analyte",
    "Column",
    "EventContract",
    "Producer",
    "Reason",
    "Refused",
    "Sign",
    "UnitRule",
    "analyte_of",
    "is_backfill",
    "json_schema",
    "unit_rule",
    "validate",
]
