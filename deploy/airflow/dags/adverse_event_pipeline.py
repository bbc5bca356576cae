"""The pipeline for those who schedule with Airflow: each task is one of our jobs, run and recorded as if Celery had.

Airflow only decides when; progress, log and outcome stand on the portal's page of runs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

STEPS = ("clean", "quality", "features", "train")
#: Jobs that work on all trials at once.
OF_ALL = ("clean", "quality")

with DAG(
    "adverse_event_pipeline",
    description="From bronze to a registered candidate; releasing it takes two signatures in the portal",
    schedule="0 2 * * 1",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={"trial": Param("", type="string", minLength=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")},
    default_args={"retries": 1, "retry_delay": timedelta(minutes=5)},
) as dag:
    previous = None
    for step in STEPS:
        task = BashOperator(
            task_id=step,
            bash_command=f"exec /opt/venv/bin/python /srv/clinical/manage.py run_job {step}"
            + ("" if step in OF_ALL else ' --trial "$TRIAL"'),
            env={"TRIAL": "{{ params.trial }}"},
            append_env=True,
        )
        if previous is not None:
            previous >> task
        previous = task
