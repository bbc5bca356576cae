"""Spark schemas. Silver's and quarantine's follow from the contracts; the others are the frames between stages.

Between stages a row carries a whole packed table (`payload`, see `frames`): Spark moves thousands of rows instead of
millions, and never takes a table apart.
"""

from __future__ import annotations

from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from ml.contracts.tables import QUARANTINE, SILVER

SILVER_SCHEMA: dict[str, StructType] = {topic: from_arrow_schema(schema) for topic, schema in SILVER.items()}
QUARANTINE_SCHEMA: StructType = from_arrow_schema(QUARANTINE)

CLAIMS = "topic string, topic_id string, epoch long, object string, sha256 string"
"""A claimed batch to be read: where its lines lie."""

PIECES = "kind string, topic string, place int, payload binary"
"""Packed tables on their way. Their `place` is a bucket of patients, then a day since 1970."""

WRITTEN = "topic string, day int, report string"
"""What became of one day of a topic, as JSON."""

FILES = "topic string, path string, sha256 string"
"""A silver object to be read, and what it must hash to."""
