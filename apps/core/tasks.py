"""The house task decorator. A bare ``shared_task`` is banned: every task is keyword-only, has a named queue and a time
limit, and is acknowledged only when it is done."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from celery import Task, shared_task

from apps.core import correlation

#: Queues, and what waits in them. Long work has its own, so that it never delays what a person waits for.
QUEUES: dict[str, str] = {
    "default": "short work a person may be waiting for",
    "pipelines": "Spark jobs, training and evaluation",
}
Body = TypeVar("Body", bound=Callable[..., Any])


def task(*, name: str, queue: str, time_limit: int, **options: Any) -> Callable[[Body], Task[Any, Any]]:
    """Register a function as a Celery task.

    ``time_limit`` in seconds (a soft limit comes 5 % before, so that the function can say why it stops). Raises
    TypeError at import for a positional parameter, ValueError for an unknown queue or a limit below a second.
    """
    if queue not in QUEUES:
        raise ValueError(f"{queue} is no queue: take one of {', '.join(QUEUES)}.")
    if time_limit < 1:
        raise ValueError("A task has a time limit of at least one second.")

    def register(body: Body) -> Task[Any, Any]:
        for parameter in inspect.signature(body).parameters.values():
            if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
                raise TypeError(f"Task {name} takes {parameter.name} by position: put a * before it.")

        @functools.wraps(body)
        def run(*, correlation_id: str | None = None, **arguments: Any) -> Any:
            with correlation.bound(correlation_id):
                return body(**arguments)

        registered: Task[Any, Any] = shared_task(
            run,
            name=name,
            queue=queue,
            acks_late=True,
            reject_on_worker_lost=True,
            time_limit=time_limit,
            soft_time_limit=max(1, int(time_limit * 0.95)),
            **options,
        )
        return registered

    return register
