"""Counters of the ingestion processes."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("ingestion_messages_total", "Messages read from Kafka", ["topic"])
REFUSED = Counter("ingestion_refused_total", "Messages refused, by the first rule they broke", ["topic", "rule"])
BATCHES = Counter("ingestion_batches_total", "Batches claimed in bronze", ["topic"])
ADOPTED = Counter("ingestion_adopted_total", "Claims of another writer that were adopted", ["topic"])
EPOCHS = Counter("ingestion_epochs_opened_total", "Topics made anew: each one is an alarm", ["topic"])
LAG = Gauge("ingestion_consumer_lag", "Messages on the broker that are not claimed yet", ["topic", "partition"])
BATCH_AGE = Histogram(
    "ingestion_batch_age_seconds",
    "From a batch's first message read to its claim",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 20, 30, 45, 60, 120),
)
