"""Facts from bronze lines: the same cleaning that Spark and the live loop use, for a few patients at once."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings

from apps.core.lake import lake
from ml.cleaning import clean, to_facts
from ml.contracts import TOPICS
from ml.facts import Facts
from ml.lake.bronze import BronzeLine
from ml.lake.epochs import epochs
from ml.profile import StudyProfile


def facts_from_lines(lines: Sequence[BronzeLine], profile: StudyProfile) -> Facts:
    """Clean the lines of each topic and turn what is left into facts. Quarantined values are not among them."""
    parts = []
    for topic in TOPICS:
        of_topic = [line for line in lines if line["topic"] == topic]
        if not of_topic:
            continue
        cleaned = clean(
            topic,
            of_topic,
            epochs=epochs(lake(), topic),
            profiles={profile.trial_id: profile},
            default_trial=settings.DEFAULT_TRIAL_ID,
        )
        parts.append(to_facts(topic, cleaned.rows))
    return Facts.concat(parts)
