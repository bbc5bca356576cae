"""The one person whom no administrator could add: made on the terminal, once."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.accounts.models import RoleGrant, User
from apps.audit.models import AuditEvent

pytestmark = pytest.mark.usefixtures("pg")


def make(name: str) -> str:
    out = StringIO()
    call_command("first_administrator", name, "--printed-name", "Ana Example", "--evidence", "file 12", stdout=out)
    return out.getvalue()


def test_the_first_administrator_signs_in_and_has_to_choose_a_password() -> None:
    told = make("ana")
    password = re.findall(r"shown once: (\S+)", told)[0]
    client = Client()
    answer = client.post("/sign-in/", {"username": "ana", "password": password})
    assert answer.status_code == 302, answer.content
    user = User.objects.get(username="ana")
    assert user.must_change_password
    assert user.training.count() >= 1
    assert password not in str(list(AuditEvent.objects.values()))


def test_there_is_no_second_one_by_this_way() -> None:
    make("ana")
    with pytest.raises(CommandError, match="There is an administrator"):
        make("ben")
    assert not User.objects.filter(username="ben").exists()


def test_nobody_is_left_behind_where_the_role_cannot_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.accounts import services
    from apps.core.errors import Invalid

    def refuse(**_: object) -> RoleGrant:
        raise Invalid("no")

    monkeypatch.setattr(services, "grant_role", refuse)
    with pytest.raises(CommandError, match="no"):
        make("ana")
    assert not User.objects.filter(username="ana").exists()
