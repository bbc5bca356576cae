"""People, what they may do where, and the keys of other systems."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth import hashers
from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.accounts import names
from apps.accounts.courses import COURSES
from apps.accounts.roles import ROLES
from apps.core import clock
from apps.core.errors import Conflict
from apps.core.ids import uuid7
from apps.core.models import BaseModel, InsertOnly


class PeopleManager(UserManager["User"]):
    """Finds a person by their name however it is written."""

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(username_key=names.key(username or ""))


class User(AbstractUser):
    """A person. Never deleted and never renamed into another: a signature points here for ever (21 CFR 11.100(a)).

    ``identity_verified_at`` must be set before the person can sign (11.100(b)); ``must_change_password`` is set when
    somebody else chose the password, and bars signing until the person has chosen their own (11.200(a)(2)).
    ``reviewed_at``: when somebody last decided that an account nobody used may stay.
    """

    username_key = models.CharField(max_length=300, unique=True, editable=False)
    printed_name = models.CharField(max_length=200, help_text="As it stands beside a signature.")
    identity_verified_at = models.DateTimeField(null=True, blank=True)
    identity_verified_by = models.CharField(max_length=200, blank=True)
    must_change_password = models.BooleanField(default=False)
    demo = models.BooleanField(default=False, help_text="A person of the demonstration, whose password is on disk.")
    reviewed_at = models.DateTimeField(null=True, blank=True)
    reviewed_by = models.CharField(max_length=200, blank=True)

    objects: ClassVar[PeopleManager] = PeopleManager()

    REQUIRED_FIELDS = ["printed_name"]

    class Meta(AbstractUser.Meta):
        swappable = "AUTH_USER_MODEL"
        ordering = ["username_key"]
        constraints = [
            models.CheckConstraint(condition=models.Q(is_superuser=False), name="nobody_stands_above_the_table"),
        ]

    def __str__(self) -> str:
        return self.printed_name or self.username

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.username = names.normalise(self.username)
        self.username_key = names.key(self.username)
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:  # noqa: ARG002
        raise Conflict("A person is deactivated, never deleted: their signatures stay theirs.", code="user_kept")

    def check_password(self, raw_password: str | None) -> bool:
        """Whether it is theirs. Its hash is not renewed in passing: that would change the account without a record of it."""
        return hashers.check_password(raw_password, self.password)

    async def acheck_password(self, raw_password: str | None) -> bool:
        return await hashers.acheck_password(raw_password, self.password)

    def get_full_name(self) -> str:
        return self.printed_name


class GrantSet(models.QuerySet["RoleGrant"]):
    """Grants, and those of them that count now."""

    def in_force(self) -> GrantSet:
        """Neither ended by somebody nor by their date."""
        now = clock.now()
        return self.filter(models.Q(ends_at__isnull=True) | models.Q(ends_at__gt=now), revoked_at__isnull=True)


class RoleGrant(BaseModel):
    """A role given to a person for a trial, or one site of it; without a trial, for all (where the role allows it).

    A grant is ended, not deleted, or ends by itself at ``ends_at``. Written by ``accounts.services`` only: a trigger
    refuses an unaudited write.
    """

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="grants")
    role = models.CharField(max_length=40, choices=[(role.name, role.label) for role in ROLES.values()])
    trial = models.ForeignKey("patients.Trial", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    site = models.ForeignKey("patients.Site", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    granted_by = models.CharField(max_length=200)
    ends_at = models.DateTimeField(null=True, blank=True, help_text="When it ends by itself; empty = when it is ended.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=200, blank=True)

    objects: ClassVar[models.Manager[RoleGrant]] = GrantSet.as_manager()

    class Meta:
        ordering = ["user", "role"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "role", "trial", "site"],
                condition=models.Q(revoked_at__isnull=True),
                nulls_distinct=False,
                name="role_granted_once",
            ),
            models.CheckConstraint(
                condition=models.Q(site__isnull=True) | models.Q(trial__isnull=False), name="site_grant_names_its_trial"
            ),
        ]

    def __str__(self) -> str:
        where = self.site_id or self.trial_id or "every trial"
        return f"{self.user_id} {self.role} {where}"


class TrainingRecord(InsertOnly):
    """That a person completed a course (``accounts.courses``) on a day, with where the evidence lies.

    Written once. A wrong record is answered by another that ``corrects`` it, after which the first no longer counts;
    with ``void`` the second counts for nothing either. ``expires_on``: the last day on which it counts, null = for ever.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="training")
    course = models.CharField(max_length=40, choices=[(course.name, course.title) for course in COURSES.values()])
    completed_on = models.DateField()
    expires_on = models.DateField(null=True, blank=True)
    evidence = models.CharField(max_length=500)
    recorded_by = models.CharField(max_length=200)
    recorded_at = models.DateTimeField(default=clock.now, editable=False)
    corrects = models.OneToOneField(
        "self", on_delete=models.PROTECT, related_name="corrected_by", null=True, blank=True
    )
    void = models.BooleanField(default=False)

    class Meta:
        ordering = ["-completed_on", "-id"]
        indexes = [models.Index(fields=["user", "course"], name="training_of_person")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_on__isnull=True) | models.Q(expires_on__gte=models.F("completed_on")),
                name="training_ends_after_it_began",
            ),
            models.CheckConstraint(
                condition=models.Q(void=False) | models.Q(corrects__isnull=False), name="void_training_names_which"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.course} {self.completed_on}"


class ApiKey(BaseModel):
    """The right of another system to ask in one trial. Only the SHA-256 of the secret is kept.

    ``sites`` holds site identifiers; empty = every site of the trial. Written by ``accounts.keys`` only.
    """

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True)
    secret_sha256 = models.CharField(max_length=64)
    scopes = ArrayField(models.CharField(max_length=40))
    trial = models.ForeignKey("patients.Trial", on_delete=models.PROTECT, related_name="+")
    sites = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_keys")
    issued_by = models.CharField(max_length=200)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=200, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"
