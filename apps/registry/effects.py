"""What the world learns when another model serves: after the commit, and never instead of it.

Processes that hold a loaded model listen on the channel or compare the stamp, and ask ``selectors.serving`` anew. A
message that is lost costs them half a second, the pause between two looks, and never the truth.
"""

from __future__ import annotations

import json
import logging

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction

from apps.core import correlation

log = logging.getLogger(__name__)
CHANNEL = "registry:serving"
MIRROR_TASK = "registry.mirror_alias"
_PATIENCE = 0.5  # seconds a signature waits for a cache that does not answer


def stamp_key(trial_id: str) -> str:
    """Name of the cache entry that changes whenever another version serves the trial."""
    return f"registry:stamp:{trial_id}"


def announce(*, trial_id: str, version_id: str, state: str) -> None:
    """Arrange that, once the transaction has committed, everybody is told."""
    correlation_id = correlation.get()
    transaction.on_commit(lambda: _publish(trial_id, version_id, state), robust=True)
    transaction.on_commit(lambda: _mirror(trial_id, correlation_id), robust=True)


def _publish(trial_id: str, version_id: str, state: str) -> None:
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE
        ) as client:
            stamp = client.incr(stamp_key(trial_id))
            client.publish(
                CHANNEL, json.dumps({"trial": trial_id, "version": version_id, "state": state, "stamp": stamp})
            )
    except redis.RedisError:
        log.warning("nobody was told that another model serves; they will see it when they next look", exc_info=True)


def _mirror(trial_id: str, correlation_id: str) -> None:
    try:
        current_app.send_task(
            MIRROR_TASK, kwargs={"trial_id": trial_id, "correlation_id": correlation_id}, queue="default", retry=False
        )
    except Exception:
        # The alias in MLflow is a mirror: that it lags is an alarm of its own check, never a reason to undo a signature.
        log.warning("the alias in MLflow was not asked to follow", exc_info=True)
