"""Which tables of rules an answer rests on, as one digest."""

from __future__ import annotations

import hashlib
import json
from functools import cache

from ml.contracts.analytes import UNITS, UNITS_VERSION
from ml.contracts.producers import PRODUCERS, PRODUCERS_VERSION
from ml.features import TABLE_DIGEST


@cache
def tables_version() -> str:
    """SHA-256, hexadecimal, over the feature table, the unit table and the producer table with their versions."""
    tables = {
        "features": TABLE_DIGEST,
        "units": [UNITS_VERSION, [[rule.analyte, rule.unit, repr(rule.factor)] for rule in UNITS]],
        "producers": [PRODUCERS_VERSION, [[row.name, row.backfill] for row in PRODUCERS.values()]],
    }
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()
