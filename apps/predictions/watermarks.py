"""The watermark of answers that rest on the lake: what bronze held of each patient when the features were built."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from apps.core.lake import lake
from ml.contracts import TOPICS
from ml.lake.claims import chain_claims, chains
from ml.lake.epochs import epochs

Watermark = dict[str, list[Any]]


def of_bronze(patients: Collection[str]) -> dict[str, Watermark]:
    """For each "trial/patient" and topic the [topic id, partition, offset] up to which bronze is claimed.

    The newest epoch that holds anything of the patient is named; earlier ones count whole. The offset is the end of
    the last claim of that partition, so that what arrives later, even backdated, is not part of the answer.
    """
    wanted = set(patients)
    found: dict[str, Watermark] = {patient: {} for patient in wanted}
    store = lake()
    for topic in TOPICS:
        order = epochs(store, topic)
        for chain in sorted((c for c in chains(store, topic) if c.topic_id in order), key=lambda c: order[c.topic_id]):
            here: set[str] = set()
            end = -1
            for claim in chain_claims(store, chain):
                here |= wanted & claim.index.keys()
                end = claim.end
            for patient in here:
                found[patient][topic] = [chain.topic_id, chain.partition, end]
    return found
