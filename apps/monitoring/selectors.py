"""Reading what monitoring found."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from apps.monitoring.models import Check, ModelComparison, PerformanceReport
from apps.pipelines.jobs import JOBS
from apps.pipelines.models import JobRun

ACTIVE = (JobRun.State.WAITING, JobRun.State.RUNNING)
APART = timedelta(hours=3)
"""Two checks count as "running" only if they lie so far apart: they see other labels, and pressing twice proves nothing."""


def trains(job: str) -> bool:
    """Whether a job ends in a new model version."""
    return job in JOBS and any(step.name == "register" for step in JOBS[job].steps)


def busy_run(trial_id: str) -> JobRun | None:
    """The training of the trial that waits or runs now, or None."""
    jobs = [name for name in JOBS if trains(name)]
    found: JobRun | None = (
        JobRun.objects.filter(trial_id=trial_id, job__in=jobs, state__in=ACTIVE).order_by("created_at").first()
    )
    return found


def last_check(trial_id: str) -> Check | None:
    """The newest check of the trial."""
    found: Check | None = Check.objects.filter(trial_id=trial_id).select_related("model_version").first()
    return found


def checks_before(trial_id: str, version_id: UUID, at: datetime, most: int = 1) -> list[Check]:
    """Earlier checks of the same version, newest first, each at least APART from the one after it."""
    found: list[Check] = []
    limit = at - APART
    for one in Check.objects.filter(trial_id=trial_id, model_version_id=version_id, at__lte=limit).only(
        "at", "measures"
    ):
        if one.at <= limit:
            found.append(one)
            limit = one.at - APART
        if len(found) == most:
            break
    return found


def recent_checks(trial_id: str, most: int = 10) -> list[Check]:
    """The newest checks with their verdicts."""
    rows = Check.objects.filter(trial_id=trial_id).select_related("model_version").defer("drift", "counters")
    return list(rows.prefetch_related("verdicts")[:most])


def daily_reports(trial_id: str, days: int, now: datetime) -> list[PerformanceReport]:
    """The last report of each UTC day, oldest first; ``evaluation`` is read too."""
    rows = PerformanceReport.objects.filter(trial_id=trial_id, as_of__gt=now - timedelta(days=days), as_of__lte=now)
    by_day = {row.as_of.date(): row for row in rows.select_related("model_version").order_by("as_of")}
    return [by_day[day] for day in sorted(by_day)]


def comparisons(trial_id: str, most: int = 10) -> list[ModelComparison]:
    """The newest comparisons of candidates with what served."""
    return list(ModelComparison.objects.filter(trial_id=trial_id).select_related("candidate", "serving")[:most])


def comparison_of_run(run: JobRun) -> ModelComparison | None:
    """The comparison that a run ended in."""
    found: ModelComparison | None = (
        ModelComparison.objects.filter(Q(run=run)).select_related("candidate", "serving").first()
    )
    return found


def retrainings(trial_id: str, most: int = 10) -> list[JobRun]:
    """The newest runs that trained, or train, a model of the trial."""
    jobs = [name for name in JOBS if trains(name)]
    return list(JobRun.objects.filter(trial_id=trial_id, job__in=jobs).defer("log").order_by("-created_at")[:most])


def run_of(context_run: object) -> JobRun | None:
    """The run that a step belongs to, by its identifier; None outside one."""
    return JobRun.objects.filter(pk=str(context_run)).first() if context_run else None
