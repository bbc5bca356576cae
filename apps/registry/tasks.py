"""The mirror in MLflow: after each change of what serves, and every few minutes to see that it still agrees."""

from __future__ import annotations

import logging

from apps.core.errors import Unavailable
from apps.core.tasks import task
from apps.registry import effects, mirror
from apps.registry.models import ModelVersion

log = logging.getLogger(__name__)


@task(name=effects.MIRROR_TASK, queue="default", time_limit=60)
def mirror_alias(*, trial_id: str) -> None:
    """Let the alias follow; where MLflow does not answer, the next check mends it."""
    try:
        mirror.follow(trial_id)
    except Unavailable as error:
        log.warning("the alias in MLflow lags", extra={"trial": trial_id, "why": str(error)})


@task(name="registry.check_mirror", queue="default", time_limit=120)
def check_mirror() -> None:
    """Compare every trial's aliases with the registry; a mismatch is an alarm."""
    for trial_id in sorted(set(ModelVersion.objects.values_list("trial_id", flat=True))):
        try:
            mirror.alarm(trial_id)
        except Unavailable as error:
            log.warning("the alias in MLflow could not be compared", extra={"trial": trial_id, "why": str(error)})
