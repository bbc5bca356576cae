"""From bronze lines of any topics to facts, by the same cleaning as everywhere."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings

from apps.core.lake import lake
from ml.cleaning import clean, to_facts
from ml.contracts import TOPICS
from ml.facts import Facts
from ml.lake.bronze import BronzeLine
from ml.lake.epochs import epochs
from ml.profile import StudyProfile


def facts_from_lines(lines: Iterable[BronzeLine], profile: StudyProfile) -> Facts:
    """Facts of bronze lines (parsed, any topics and order) of one trial. What is quarantined makes no fact."""
    by_topic: dict[str, list[BronzeLine]] = {topic: [] for topic in TOPICS}
    for line in lines:
        by_topic[line["topic"]].append(line)
    parts = []
    for topic, rows in by_topic.items():
        if not rows:
            continue
        cleaned = clean(
            topic,
            rows,
            epochs=epochs(lake(), topic),
            profiles={profile.trial_id: profile},
            default_trial=settings.DEFAULT_TRIAL_ID,
        )
        parts.append(to_facts(topic, cleaned.rows))
    return Facts.concat(parts)
