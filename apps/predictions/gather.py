"""Questions of the API that wait at the same moment are answered together.

Each process has one thread that takes what waits: one read of the windows, one scoring call, one multi-row insert with
its audit rows, one commit, then all the answers. A request that would fail alone fails alone: on an error the group is
split in two until the culprit is found. The thread starts with the first question, so after the server's fork.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from django.db import close_old_connections, connection

from apps.audit.actors import Actor
from apps.core.errors import DomainError, Unavailable
from apps.predictions.models import Prediction

log = logging.getLogger("predictions.api")
MOST_TOGETHER = 64
LONGEST_QUEUE = 512
PATIENCE_SECONDS = 10.0


@dataclass(slots=True)
class Request:
    """One question of one caller. `trial` and `patient` have been checked; `as_of` in seconds since 1970 UTC."""

    trial: str
    patient: str
    as_of: int
    actor: Actor
    correlation_id: str
    done: Future[Prediction] = field(default_factory=Future)


Answerer = Callable[[Sequence[Request]], list[Prediction]]


class Gatherer:
    """One queue and one thread. `answer_group` answers requests in order, or raises for the whole group."""

    def __init__(self, answer_group: Answerer) -> None:
        self._answer = answer_group
        self._waiting: queue.Queue[Request | None] = queue.Queue(LONGEST_QUEUE)
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    def ask(self, request: Request) -> Prediction:
        """Wait for the answer. Raises the DomainError it met, or Unavailable when too many wait or it takes too long."""
        self._ensure_thread()
        try:
            self._waiting.put_nowait(request)
        except queue.Full:
            raise Unavailable(
                "Too many questions are waiting.",
                cure="Send the request again after a second.",
                extra={"retry_after": 1},
            ) from None
        try:
            return request.done.result(timeout=PATIENCE_SECONDS)
        except TimeoutError:
            request.done.cancel()
            raise Unavailable(
                "The answer took too long.",
                cure="Send the request again after a few seconds.",
                extra={"retry_after": 5},
            ) from None

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            with self._start:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._work, name="gather", daemon=True)
                    self._thread.start()

    def stop(self) -> None:
        """Answer what waits, then end the thread and its database connection; the next question starts another."""
        with self._start:
            thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            self._waiting.put(None)
            thread.join(PATIENCE_SECONDS)

    def _work(self) -> None:
        try:
            while (group := self._next_group()) is not None:
                close_old_connections()
                self._settle([request for request in group if request.done.set_running_or_notify_cancel()])
        finally:
            connection.close()

    def _next_group(self) -> list[Request] | None:
        """Everything that waits now, at least one; None when told to stop."""
        first = self._waiting.get()
        if first is None:
            return None
        group = [first]
        while len(group) < MOST_TOGETHER:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._waiting.put(None)
                break
            group.append(following)
        return group

    def _settle(self, group: list[Request]) -> None:
        if not group:
            return
        try:
            for request, prediction in zip(group, self._answer(group), strict=True):
                request.done.set_result(prediction)
        except Exception as error:
            if len(group) > 1:
                middle = len(group) // 2
                self._settle(group[:middle])
                self._settle(group[middle:])
                return
            if not isinstance(error, DomainError):
                log.exception("a question could not be answered")
            group[0].done.set_exception(error)
