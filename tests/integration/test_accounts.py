"""Names, roles, permissions, keys and signatures."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client, RequestFactory
from rest_framework.test import APIRequestFactory

from apps.accounts import keys, names, services
from apps.accounts.api import ApiKeyAuthentication, HasScope, actor_of
from apps.accounts.backends import ADMIN
from apps.accounts.models import ApiKey, RoleGrant, User
from apps.accounts.permissions import (
    PERMISSIONS,
    check,
    is_blinded,
    may,
    visible_sites,
    visible_trials,
)
from apps.accounts.roles import ROLES
from apps.accounts.signatures import verify_password
from apps.audit.models import AuditEvent
from apps.core import clock
from apps.core.errors import Conflict, Forbidden, Invalid, Malformed, TooMany, Unauthenticated
from apps.patients.models import Patient, Trial
from tests.support import people
from tests.support.people import PASSWORD, SYSTEM

pytestmark = pytest.mark.django_db
FIRST = "a-first-password-99"


@pytest.fixture
def trial() -> Trial:
    return people.trial("DEMO")


# ------------------------------------------------------------------ names
@pytest.mark.parametrize("other", ["ana", "ANA", "Ａｎａ", " Ana ", "aNa"])
def test_a_name_is_one_persons_however_it_is_written(other: str) -> None:
    services.create_user(by=SYSTEM, username="Ana", printed_name="Ana", password=FIRST)
    with pytest.raises(Conflict, match="names are never used twice"):
        services.create_user(by=SYSTEM, username=other, printed_name="Other", password=FIRST)
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username=other, printed_name="Other")


def test_composed_and_decomposed_letters_are_one_name() -> None:
    assert names.key("Jos\u00e9") == names.key("Jose\u0301")
    assert names.key("straße") == names.key("STRASSE")


@pytest.mark.parametrize("odd", ["", " ", "a\nb", "a\u202eb", "a\x00", "x" * 151])
def test_odd_names_are_refused(odd: str) -> None:
    with pytest.raises(Invalid):
        services.create_user(by=SYSTEM, username=odd, printed_name="X", password=FIRST)


def test_a_person_is_deactivated_and_never_deleted_and_their_name_stays_theirs() -> None:
    user = services.create_user(by=SYSTEM, username="ana", printed_name="Ana", password=FIRST)
    with pytest.raises(Conflict):
        user.delete()
    with pytest.raises(DatabaseError), transaction.atomic():
        User.objects.filter(pk=user.pk)._raw_delete("default")
    services.deactivate_user(by=SYSTEM, user=user, reason="Left.")
    assert authenticate(RequestFactory().post("/"), username="ana", password=FIRST) is None
    with pytest.raises(Conflict):
        services.create_user(by=SYSTEM, username="ana", printed_name="Ana", password=FIRST)


def test_nobody_stands_above_the_table() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username="root", printed_name="Root", is_superuser=True)


def test_weak_first_passwords_are_refused() -> None:
    for weak in ("short", "123456789012345", "password1234"):
        with pytest.raises(Invalid):
            services.create_user(by=SYSTEM, username="ana", printed_name="Ana", password=weak)


def test_a_password_somebody_else_chose_bars_signing_until_changed() -> None:
    user = services.create_user(by=SYSTEM, username="ana", printed_name="Ana", password=FIRST, identity_verified=True)
    with pytest.raises(Forbidden, match="somebody else"):
        verify_password(user, FIRST)
    services.change_password(by=user, old=FIRST, new=PASSWORD)
    proof = verify_password(user, PASSWORD)
    assert (proof.user, proof.username, proof.printed_name) == (user, "ana", "Ana")
    services.reset_password(by=SYSTEM, user=user, password=FIRST)
    with pytest.raises(Forbidden, match="somebody else"):
        verify_password(user, FIRST)


# ------------------------------------------------------------------ lockout
def test_five_wrong_passwords_lock_signing_and_sign_in_alike() -> None:
    user = people.person("ana", "model_approver")
    request = RequestFactory().post("/sign/")
    for _ in range(5):
        with pytest.raises(Forbidden, match="wrong"):
            verify_password(user, "wrong", request=request)
    with pytest.raises(TooMany, match="locked"):
        verify_password(user, PASSWORD, request=request)
    assert authenticate(RequestFactory().post("/sign-in/"), username="ANA", password=PASSWORD) is None
    assert AuditEvent.objects.filter(action="accounts.locked_out", object_id=user.pk).exists()
    assert AuditEvent.objects.filter(action="accounts.signature_refused").count() == 5


def test_another_way_of_writing_a_name_gives_no_more_tries() -> None:
    people.person("ana")
    for name in ("ana", "Ana", "ANA", "Ａna", " ana"):
        assert authenticate(RequestFactory().post("/sign-in/"), username=name, password="wrong") is None
    assert authenticate(RequestFactory().post("/sign-in/"), username="ana", password=PASSWORD) is None


def test_sign_ins_leave_a_trace_and_no_typed_secret() -> None:
    user = people.person("ana")
    assert authenticate(RequestFactory().post("/"), username="my-secret-password", password="x") is None
    assert AuditEvent.objects.get(action="accounts.sign_in_failed").object_id == "unknown"
    client = Client()
    client.force_login(user, backend="apps.accounts.backends.HouseBackend")
    client.logout()
    actions = list(AuditEvent.objects.filter(actor="ana").order_by("id").values_list("action", flat=True))
    assert actions == ["accounts.signed_in", "accounts.signed_out"]


# ------------------------------------------------------------------ roles
def test_the_table_decides_every_role_and_action_and_nothing_else_is_allowed(trial: Trial) -> None:
    other = people.trial("OTHER")
    here, there = people.site(trial, "S1"), people.site(trial, "S2")
    for role in ROLES.values():
        user = people.person(f"{role.name}-trial", role.name, at=trial)
        everywhere = people.person(f"{role.name}-all", role.name) if role.every_trial else None
        bound = people.person(f"{role.name}-site", role.name, at=trial, site=here) if role.by_site else None
        for action, permission in PERMISSIONS.items():
            granted = role.name in permission.roles
            assert may(user, action, trial=trial) is (granted and permission.scope != "platform"), (role, action)
            assert not may(user, action, trial=other), (role, action)
            assert not may(user, action, trial=None), (role, action)
            if everywhere is not None:
                assert may(everywhere, action, trial=other) is granted
                assert may(everywhere, action, trial=None) is granted
            if bound is not None:
                assert may(bound, action, trial=trial, site=here) is (granted and permission.scope != "platform")
                assert not may(bound, action, trial=trial, site=there)
                assert may(bound, action, trial=trial) is (granted and permission.scope == "trial")


def test_without_a_role_or_out_of_service_nobody_may_do_anything(trial: Trial) -> None:
    from django.contrib.auth.models import AnonymousUser

    nobody = people.person("nobody")
    former = people.person("former", *ROLES)
    people.alter(former, is_active=False)
    former.refresh_from_db()
    ended = people.person("ended", "administrator")
    services.revoke_role(by=SYSTEM, grant=RoleGrant.objects.get(user=ended), reason="Done.")
    for user in (nobody, former, ended, AnonymousUser(), None):
        for action in PERMISSIONS:
            assert not may(user, action, trial=trial)
            with pytest.raises(Forbidden, match="You may not"):
                check(user, action, trial=trial)
        assert not visible_sites(user, trial)
        assert visible_trials(user) == []
        assert is_blinded(user, trial)


def test_an_unknown_action_is_a_fault_not_a_no(trial: Trial) -> None:
    with pytest.raises(KeyError):
        may(people.person("ana"), "dance", trial=trial)


def test_a_coordinator_sees_the_patients_of_their_sites(trial: Trial) -> None:
    here, there = people.site(trial, "S1"), people.site(trial, "S2")
    for number, site in enumerate((here, there, None)):
        people.patient(trial, f"P{number}", at=site)
    bound = people.person("bound", "coordinator", at=trial, site=here)
    free = people.person("free", "coordinator", at=trial)
    own = visible_sites(bound, trial)
    assert [patient.patient_id for patient in own.narrow(Patient.objects.all())] == ["P0"]
    assert here in own
    assert "S1" in own
    assert there not in own
    assert None not in own
    assert visible_sites(free, "DEMO").narrow(Patient.objects.all()).count() == 3
    assert (visible_trials(bound), visible_trials(people.person("all", "auditor"))) == (["DEMO"], ["DEMO"])


@pytest.mark.parametrize("role", ROLES)
def test_blinding_follows_the_roles_table(trial: Trial, role: str) -> None:
    user = people.person("ana", role, at=trial)
    assert is_blinded(user, trial) is (not ROLES[role].unblinded)
    assert not is_blinded(user, trial, blinded_study=False)


def test_a_blinded_role_blinds_whatever_else_is_held(trial: Trial) -> None:
    both = people.person("both", "coordinator", "administrator", at=trial)
    assert is_blinded(both, trial)


def test_roles_are_given_only_where_they_make_sense(trial: Trial) -> None:
    user, site = people.trained(people.person("ana"), "coordinator"), people.site(trial)
    other = people.site(people.trial("OTHER"))
    for wrong in (
        {"role": "king", "trial": trial},
        {"role": "coordinator"},
        {"role": "auditor", "trial": trial, "site": site},
        {"role": "coordinator", "trial": trial, "site": other},
    ):
        with pytest.raises(Invalid):
            services.grant_role(by=SYSTEM, user=user, **wrong)
    services.grant_role(by=SYSTEM, user=user, role="coordinator", trial=trial, site=site)
    with pytest.raises(Conflict):
        services.grant_role(by=SYSTEM, user=user, role="coordinator", trial=trial, site=site)


def test_granting_and_ending_roles_needs_an_administrator_and_somebody_else(trial: Trial) -> None:
    admin, ana = people.person("admin", "administrator"), people.trained(people.person("ana"), "auditor")
    with pytest.raises(Forbidden, match="their own roles"):
        services.grant_role(by=admin, user=admin, role="model_approver")
    with pytest.raises(Forbidden):
        services.grant_role(by=ana, user=ana, role="auditor")
    grant = services.grant_role(by=admin, user=ana, role="auditor")
    assert User.objects.get(pk=ana.pk).is_staff
    with pytest.raises(Invalid, match="reason"):
        services.revoke_role(by=admin, grant=grant, reason="")
    services.revoke_role(by=admin, grant=grant, reason="Left.")
    assert not User.objects.get(pk=ana.pk).is_staff
    with pytest.raises(Conflict):
        services.revoke_role(by=admin, grant=grant, reason="Again.")
    events = AuditEvent.objects.filter(object_type="accounts.RoleGrant", object_id=grant.pk).order_by("id")
    assert [event.action for event in events] == ["accounts.role_granted", "accounts.role_revoked"]


def test_the_admins_permissions_are_the_tables(trial: Trial) -> None:
    assert set(ADMIN.values()) <= set(PERMISSIONS)
    auditor, coordinator = people.person("auditor", "auditor"), people.person("ana", "coordinator", at=trial)
    local = people.person("local", "administrator", at=trial)
    assert auditor.has_perm("audit.view_auditevent")
    assert not auditor.has_perm("accounts.change_user")
    assert not coordinator.get_all_permissions()
    assert local.has_perm("accounts.add_apikey")
    assert not local.has_perm("accounts.add_user")
    assert not auditor.has_perm("registry.change_modelversion")
    assert auditor.has_module_perms("registry")


# ------------------------------------------------------------------ keys
def issue(trial: Trial, **changes: Any) -> tuple[ApiKey, str]:
    values: dict[str, Any] = {
        "by": SYSTEM, "owner": changes.get("owner") or people.person("owner"), "name": "EDC", "trial": trial, "scopes": ["predict"],
        "expires_at": clock.now() + timedelta(days=30),
    }  # fmt: skip
    return keys.issue_key(**{**values, **changes})


def test_a_key_is_shown_once_and_kept_as_a_hash(trial: Trial) -> None:
    key, text = issue(trial)
    assert text.startswith(f"crk_{key.prefix}_")
    secret = text.rsplit("_", 1)[1] if text.count("_") == 2 else text.split("_", 2)[2]
    assert len(secret) == 43  # 256 bits
    assert secret not in str(ApiKey.objects.filter(pk=key.pk).values().get())
    trail = AuditEvent.objects.get(object_id=key.pk)
    assert secret not in str(trail.after)
    assert key.secret_sha256 not in str(trail.after)
    for header in (f"Api-Key {text}", text, f"api-key  {text}"):
        assert keys.authenticate_key(header) == key


def test_wrong_ended_and_orphaned_keys_are_refused(trial: Trial) -> None:
    key, text = issue(trial)
    for wrong in (
        "",
        "Api-Key",
        "Bearer x",
        text[:-1] + ("A" if text[-1] != "A" else "B"),
        "crk_000000000000_" + "a" * 43,
        text + "x",
    ):
        with pytest.raises(Unauthenticated):
            keys.authenticate_key(wrong)
    with clock.fixed(clock.now() + timedelta(days=31)), pytest.raises(Unauthenticated, match="expired"):
        keys.authenticate_key(text)
    services.deactivate_user(by=SYSTEM, user=key.owner, reason="Left.")
    with pytest.raises(Unauthenticated, match="deactivated"):
        keys.authenticate_key(text)
    services.reactivate_user(by=SYSTEM, user=key.owner, reason="Back.")
    keys.revoke_key(by=SYSTEM, key=key, reason="Leaked.")
    with pytest.raises(Unauthenticated, match="revoked"):
        keys.authenticate_key(text)
    with pytest.raises(Conflict):
        keys.revoke_key(by=SYSTEM, key=key, reason="Again.")


def test_the_time_of_last_use_is_kept_to_the_minute_without_an_audit_event(
    trial: Trial, django_assert_num_queries: Any
) -> None:
    from tests.support.database import forget_audit

    key, text = issue(trial)
    forget_audit()
    keys.authenticate_key(text)
    used = ApiKey.objects.get(pk=key.pk).last_used_at
    assert used is not None
    with django_assert_num_queries(1):
        keys.authenticate_key(text)
    with pytest.raises(DatabaseError), transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).update(expires_at=clock.now() + timedelta(days=9999))


def test_keys_are_issued_by_administrators_within_limits(trial: Trial) -> None:
    coordinator = people.person("coord", "coordinator", at=trial)
    admin = people.person("admin", "administrator", at=trial)
    with pytest.raises(Forbidden):
        issue(trial, by=coordinator, owner=coordinator)
    with pytest.raises(Forbidden):
        issue(people.trial("OTHER"), by=admin, owner=admin)
    for wrong in (
        {"scopes": []},
        {"scopes": ["dance"]},
        {"name": " "},
        {"expires_at": clock.now()},
        {"expires_at": clock.now() + timedelta(days=367)},
    ):
        with pytest.raises(Invalid):
            issue(trial, **{"by": admin, "owner": admin, **wrong})
    assert not ApiKey.objects.exists()


def test_scopes_and_sites_bind(trial: Trial) -> None:
    key, _ = issue(trial, sites=["S1"])
    keys.require_scope(key, "predict")
    with pytest.raises(Forbidden, match="start a retraining"):
        keys.require_scope(key, "retrain")
    assert keys.may_see_site(key, "S1")
    assert keys.may_see_site(key, people.site(trial, "S1"))
    assert not keys.may_see_site(key, "S2")
    assert not keys.may_see_site(key, None)
    key.sites = []
    assert keys.may_see_site(key, None)


def api(path: str = "/", **headers: str) -> Any:
    from rest_framework.request import Request

    return Request(APIRequestFactory().get(path, headers=headers), authenticators=[ApiKeyAuthentication()])


def test_both_headers_carry_a_key_and_the_address_never(trial: Trial) -> None:
    key, text = issue(trial)
    for headers in ({"Authorization": f"Api-Key {text}"}, {"X-API-Key": text}):
        request = api(**headers)
        assert (request.user, request.auth, actor_of(request).name) == (key.owner, key, f"key:{key.prefix}")
    for name in ("api_key", "apikey", "API_KEY", "token"):
        with pytest.raises(Malformed, match="in the address"):
            _ = api(f"/?{name}={text}").user
    assert api().auth is None


def test_a_view_asks_for_its_scope(trial: Trial) -> None:
    class View:
        required_scope = "retrain"

    _, text = issue(trial)
    with pytest.raises(Forbidden):
        HasScope().has_permission(api(**{"X-API-Key": text}), View())
    View.required_scope = "predict"
    assert HasScope().has_permission(api(**{"X-API-Key": text}), View())
    with pytest.raises(Unauthenticated):
        HasScope().has_permission(api(), View())
