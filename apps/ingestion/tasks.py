"""Imports in the background, and the removal of files nobody came back for."""

from __future__ import annotations

import structlog

from apps.core.errors import DomainError
from apps.core.tasks import task
from apps.ingestion.imports import course, services
from apps.ingestion.models import ImportRun
from apps.pipelines import tasks as pipelines

log = structlog.get_logger(__name__)


def _carry_out(run_id: str) -> None:
    run = ImportRun.objects.get(pk=run_id)
    try:
        done = course.carry_out(run)
    except DomainError as error:
        log.info("import_ended_with_a_refusal", run=run_id, reason=error.code)
        return
    if done is not None and done.job is not None:
        pipelines.run.delay(run_id=str(done.job.pk))


@task(name="ingestion.check_import", queue="default", time_limit=3600)
def check_import(*, run_id: str) -> None:
    """Read files and report, for a person who waits."""
    _carry_out(run_id)


@task(name="ingestion.run_import", queue="pipelines", time_limit=3 * 3600)
def run_import(*, run_id: str) -> None:
    """Import what was checked; then its predictions are made."""
    _carry_out(run_id)


@task(name="ingestion.sweep_uploads", queue="default", time_limit=600)
def sweep_uploads() -> None:
    """Sent files older than a day go."""
    services.sweep()
