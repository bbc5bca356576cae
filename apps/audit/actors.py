"""Who did it: a person, a named process of the system, or another system by its API key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from apps.core.errors import Invalid

ActorType = Literal["person", "process", "key"]
_NAME = re.compile(r"\A[a-z0-9][a-z0-9._:-]{0,99}\Z")


class HasUsername(Protocol):
    """A signed-in person, as far as the trail needs to know one."""

    @property
    def pk(self) -> Any: ...
    @property
    def username(self) -> Any: ...
    @property
    def is_active(self) -> Any: ...


class HasPrefix(Protocol):
    """An API key, as far as the trail needs to know one."""

    @property
    def prefix(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Actor:
    """An actor's name and type. Make one with ``person``, ``process`` or ``key``."""

    name: str
    type: ActorType

    @classmethod
    def person(cls, user: HasUsername) -> Actor:
        """A signed-in, active person. Raises Invalid for anybody else."""
        if user is None or user.pk is None or not user.username:
            raise Invalid("An unknown person cannot be the author of a change.", cure="Sign in first.", code="actor")
        if not user.is_active:
            raise Invalid(f"{user.username} is deactivated and cannot change anything.", code="actor")
        return cls(name=user.username, type="person")

    @classmethod
    def process(cls, name: str) -> Actor:
        """A named process of the system, such as ``live-loop``. Raises Invalid for an odd name."""
        if not _NAME.match(name):
            raise Invalid(f"{name!r} is not a process name: lower-case letters, digits, dots and dashes.", code="actor")
        return cls(name=f"system:{name}", type="process")

    @classmethod
    def key(cls, key: HasPrefix) -> Actor:
        """Another system, by its API key."""
        return cls(name=f"key:{key.prefix}", type="key")

    def __str__(self) -> str:
        return self.name
