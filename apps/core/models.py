"""Base models, and the outbox through which a change in the portal becomes an event."""

from __future__ import annotations

from typing import Any

from django.db import models

from apps.core import clock
from apps.core.errors import Conflict
from apps.core.ids import uuid7


class BaseModel(models.Model):
    """Identifier ordered by time, and the moment of creation. Writes go through a service, never a view."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        abstract = True


class InsertOnly(models.Model):
    """A row that is written once. The database's triggers say the same to everyone who does not come this way."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise Conflict(f"A {self._meta.verbose_name} is written once and never changed.", code="insert_only")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:  # noqa: ARG002
        raise Conflict(f"A {self._meta.verbose_name} is kept and never deleted.", code="insert_only")


class OutboxMessage(BaseModel):
    """An event to be produced to Kafka, written in the transaction of the change that caused it.

    ``value`` is the message's JSON as the topic's contract wants it; the producer sets ``sent_at``.
    """

    topic = models.CharField(max_length=100)
    key = models.CharField(max_length=200)
    value = models.JSONField()
    headers = models.JSONField(default=dict, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["id"], name="core_outbox_unsent", condition=models.Q(sent_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.key}"
