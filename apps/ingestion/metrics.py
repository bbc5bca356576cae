"""Counters of the ingestion processes; names, labels and help are rows of ``core.metric_table``."""

from __future__ import annotations

from apps.core.metrics import counter, gauge, histogram

MESSAGES = counter("ingestion_messages")
REFUSED = counter("ingestion_refused")
BATCHES = counter("ingestion_batches")
ADOPTED = counter("ingestion_adopted")
EPOCHS = counter("ingestion_epochs_opened")
LAG = gauge("ingestion_consumer_lag")
BATCH_AGE = histogram("ingestion_batch_age_seconds")
PROCESSED = counter("data_records_processed")
INVALID = counter("data_invalid_records")
