"""The admin: reads freely, writes through services, and passes the strict content policy."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from apps.accounts.keys import authenticate_key
from apps.accounts.models import ApiKey, RoleGrant, User
from apps.audit.models import AuditEvent
from apps.patients.models import Site, Trial
from apps.registry import effects, selectors
from apps.registry.models import Approval, ModelVersion
from tests.support import people
from tests.support.people import PASSWORD

pytestmark = pytest.mark.django_db
BACKEND = "apps.accounts.backends.HouseBackend"


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(effects, "announce", lambda **_: None)
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"


@pytest.fixture
def trial() -> Trial:
    return people.trial("DEMO")


def signed_in(username: str, *roles: str, at: Trial | None = None) -> Client:
    user = people.person(username, *roles, at=at)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client()
    client.force_login(User.objects.get(pk=user.pk), backend=BACKEND)
    return client


def words(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def test_every_page_the_roles_may_open_opens_and_holds_no_inline_script(trial: Trial) -> None:
    version = people.model(trial)
    people.site(trial)
    client = signed_in("admin", "administrator", "auditor", "model_approver")
    opened = 0
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        response = client.get(reverse(f"admin:{name}_changelist"))
        if response.status_code == 403:
            continue
        opened += 1
        assert response.status_code == 200, name
        pages = [response]
        if (first := model._default_manager.first()) is not None:
            pages.append(client.get(reverse(f"admin:{name}_change", args=[first.pk])))
        for page in pages:
            assert page.status_code == 200, name
            assert "script-src 'self'" in page.headers["Content-Security-Policy"]
            scripts = re.findall(r"<script\b([^>]*)>", page.content.decode())
            assert all("src=" in one or "application/json" in one for one in scripts), name
            assert not re.search(r"\son\w+=", page.content.decode()), name
    assert opened >= 10
    for name in ("user", "rolegrant", "apikey"):
        assert client.get(reverse(f"admin:accounts_{name}_add")).status_code == 200
    for way in ("sign", "sign_silent", "reject"):
        assert client.get(reverse(f"admin:registry_modelversion_{way}", args=[version.pk])).status_code == 200


def test_two_people_sign_in_the_admin_and_see_what_they_bind(trial: Trial) -> None:
    version = people.model(trial)
    address = reverse("admin:registry_modelversion_sign", args=[version.pk])
    for number, name in enumerate(("first", "second"), 1):
        client = signed_in(name, "model_approver")
        page = client.get(address)
        assert "&quot;auroc&quot;" in page.content.decode()
        assert client.get(reverse("admin:registry_modelversion_change", args=[version.pk])).status_code == 200
        digest = page.context["digest"]
        assert digest in words(page)
        refused = client.post(address, {"password": "wrong", "expected_hash": digest})
        assert "The password is wrong" in words(refused)
        assert Approval.objects.count() == number - 1
        done = client.post(address, {"password": PASSWORD, "expected_hash": digest}, follow=True)
        assert "You have signed" in words(done)
    assert selectors.serving(trial).version == version  # type: ignore[union-attr]


@pytest.mark.parametrize("role", ["auditor", "administrator", "ml_engineer"])
def test_who_may_not_sign_gets_no_page_to_sign_on(trial: Trial, role: str) -> None:
    version = people.model(trial)
    client = signed_in("someone", role)
    client.raise_request_exception = False
    for method in (client.get, client.post):
        assert method(reverse("admin:registry_modelversion_sign", args=[version.pk])).status_code == 403
    page = client.get(reverse("admin:registry_modelversion_change", args=[version.pk]))
    assert "Sign for" not in words(page)


def test_a_version_is_rejected_with_its_reason(trial: Trial) -> None:
    version = people.model(trial)
    client = signed_in("first", "model_approver")
    address = reverse("admin:registry_modelversion_reject", args=[version.pk])
    client.post(address, {"reason": " "})
    assert ModelVersion.objects.get(pk=version.pk).state == "staging"
    client.post(address, {"reason": "Too few events."})
    assert ModelVersion.objects.get(pk=version.pk).state == "rejected"


def test_a_key_is_issued_shown_once_and_revoked(trial: Trial) -> None:
    client = signed_in("admin", "administrator")
    owner = people.person("owner")
    form = {"name": "EDC", "owner": owner.pk, "trial": "DEMO", "scopes": ["predict"], "sites": "S1, S2", "days": 30}
    page = client.post(reverse("admin:accounts_apikey_add"), form)
    assert "no-store" in page.headers["Cache-Control"]
    found = re.search(r"crk_[0-9a-f]{12}_[\w-]{43}", page.content.decode())
    assert found is not None
    key = authenticate_key(found[0])
    assert (key.sites, key.scopes) == (["S1", "S2"], ["predict"])
    again = client.get(reverse("admin:accounts_apikey_change", args=[key.pk]), follow=True)
    assert found[0] not in again.content.decode()
    assert key.secret_sha256 not in again.content.decode()
    client.post(reverse("admin:accounts_apikey_revoke", args=[key.pk]), {"reason": "Leaked."})
    assert ApiKey.objects.get(pk=key.pk).revoked_at is not None


def test_people_and_roles_go_through_the_services(trial: Trial) -> None:
    client = signed_in("admin", "administrator")
    add = reverse("admin:accounts_user_add")
    form = {"username": "ana", "printed_name": "Ana", "email": "", "password": "short", "identity_verified": "on"}
    assert "too short" in words(client.post(add, form, follow=True))
    client.post(add, {**form, "password": "a-long-first-password-1"})
    ana = User.objects.get(username="ana")
    assert (ana.must_change_password, ana.identity_verified_by, ana.is_superuser) == (True, "admin", False)
    coordinator = {"user": ana.pk, "role": "coordinator", "trial": "DEMO"}
    untrained = client.post(reverse("admin:accounts_rolegrant_add"), coordinator, follow=True)
    assert "no current training record" in words(untrained)
    people.trained(ana, "coordinator")
    client.post(reverse("admin:accounts_rolegrant_add"), coordinator)
    grant = RoleGrant.objects.get(user=ana)
    refused = client.post(reverse("admin:accounts_rolegrant_add"), {"user": ana.pk, "role": "coordinator"}, follow=True)
    assert "given for one trial" in words(refused)
    client.post(reverse("admin:accounts_rolegrant_end", args=[grant.pk]), {"reason": "Left."})
    assert RoleGrant.objects.get(pk=grant.pk).revoked_by == "admin"
    client.post(
        reverse("admin:accounts_user_change", args=[ana.pk]), {"printed_name": "Ana Ruiz", "email": "a@example.org"}
    )
    client.post(reverse("admin:accounts_user_deactivate", args=[ana.pk]), {"reason": "Left."})
    ana.refresh_from_db()
    assert (ana.printed_name, ana.is_active) == ("Ana Ruiz", False)
    actions = list(AuditEvent.objects.filter(actor="admin").order_by("id").values_list("action", flat=True))
    assert actions == [
        "accounts.signed_in",
        "accounts.user_created",
        "accounts.role_granted",
        "accounts.role_revoked",
        "accounts.user_changed",
        "accounts.user_deactivated",
    ]


def test_nothing_can_be_deleted_and_the_trail_not_touched(trial: Trial) -> None:
    version = people.model(trial)
    client = signed_in("admin", "administrator", "auditor")
    event = AuditEvent.objects.first()
    assert event is not None
    for name, obj in (
        ("audit_auditevent", event),
        ("registry_modelversion", version),
        ("accounts_user", User.objects.get()),
    ):
        assert client.post(reverse(f"admin:{name}_delete", args=[obj.pk]), {"post": "yes"}).status_code == 403
    for name, obj in (("audit_auditevent", event), ("registry_modelversion", version)):
        assert client.post(reverse(f"admin:{name}_change", args=[obj.pk]), {"state": "production"}).status_code == 403
    assert client.get(reverse("admin:audit_auditevent_add")).status_code == 403


def test_a_site_gets_its_time_zone_and_auditlog_notes_the_field(trial: Trial) -> None:
    from auditlog.models import LogEntry

    site = people.site(trial)
    client = signed_in("admin", "administrator", at=trial)
    page = client.post(
        reverse("admin:patients_site_change", args=[site.pk]), {"name": "Lyon", "timezone": "Mars"}, follow=True
    )
    assert "no time zone" in words(page)
    client.post(reverse("admin:patients_site_change", args=[site.pk]), {"name": "Lyon", "timezone": "Europe/Paris"})
    assert Site.objects.get().timezone == "Europe/Paris"
    changed = LogEntry.objects.filter(object_pk=site.pk, action=LogEntry.Action.UPDATE)
    assert "timezone" in str(changed.values_list("changes", flat=True))


def test_an_administrator_of_one_trial_sees_that_trial(trial: Trial) -> None:
    other = people.trial("OTHER")
    people.site(trial)
    foreign = people.site(other)
    client = signed_in("admin", "administrator", at=trial)
    assert "OTHER" not in words(client.get(reverse("admin:patients_site_changelist")))
    page = client.get(reverse("admin:patients_site_change", args=[foreign.pk]))
    assert page.status_code == 404


def test_a_coordinator_has_no_business_in_the_admin(trial: Trial) -> None:
    user = people.person("ana", "coordinator", at=trial)
    client = Client()
    client.force_login(user, backend=BACKEND)
    assert client.get(reverse("admin:index")).status_code == 302


def test_a_lost_password_is_replaced_and_the_lock_opens(trial: Trial) -> None:
    people.person("cora", "coordinator", at=trial)
    locked = Client()
    for _ in range(5):
        answer = locked.post("/sign-in/", {"username": "cora", "password": "wrong"})
    assert answer.status_code == 429
    desk = signed_in("ada", "administrator")
    cora = User.objects.get(username="cora")
    assert "Set a first password" in desk.get(f"/admin/accounts/user/{cora.pk}/change/").content.decode()
    address = f"/admin/accounts/user/{cora.pk}/first-password/"
    assert desk.get(address).status_code == 200
    weak = desk.post(address, {"password": "short"}, follow=True).content.decode()
    assert "at least 12 characters" in weak
    assert desk.post(address, {"password": "a first password of hers"}).status_code == 302
    answer = locked.post("/sign-in/", {"username": "cora", "password": "a first password of hers"})
    assert answer.status_code == 302
    assert answer["Location"] == "/password/"
    auditor = signed_in("audrey", "auditor")
    assert auditor.post(address, {"password": "a second password of hers"}).status_code in (302, 403)
    cora.refresh_from_db()
    assert cora.check_password("a first password of hers")
