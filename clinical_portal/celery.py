"""The Celery application; tasks are found in ``apps.*.tasks``."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init, worker_process_shutdown

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinical_portal.settings.local")

app = Celery("clinical_portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Celery leaves logging alone when somebody answers this signal; ours is Django's LOGGING."""


@worker_init.connect
@beat_init.connect
def show_metrics(**_: Any) -> None:
    """A worker's children count in the shared folder; their parent shows the sum."""
    from apps.core import metrics

    metrics.serve_as_set()


@worker_process_shutdown.connect
def leave_metrics(pid: int, **_: Any) -> None:
    """The live gauges of a child that ends leave the sum; its counts stay."""
    from django.conf import settings

    if settings.METRICS_SHARED:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)
