"""Writes of the registry. A version goes live by two signatures and in no other way.

Every function is one transaction with its audit events; the states are moved by ``states.TRANSITIONS`` alone, and the
database checks the moves and the signatures once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.permissions import check
from apps.accounts.signatures import SigningProof, verify_password
from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.patients import selectors as patients
from apps.patients.models import Trial
from apps.registry import effects, gates, selectors
from apps.registry.evidence import signed_hash, signed_text
from apps.registry.models import Approval, ModelTransition, ModelVersion
from apps.registry.states import BY_MOVE, SERVING, SIGNATURES_NEEDED, Transition

IMMEDIATE: dict[str, Any] = {"kind": "immediate"}
MEANING = "I have reviewed the evidence and approve this release"
MEANING_SILENT = "I have reviewed the evidence and approve silent use, for research only"


def register(
    *,
    by: User | Actor,
    trial: Trial | str,
    name: str,
    metrics: Mapping[str, Any],
    digests: Mapping[str, str],
    data_version: str,
    bundle_path: str,
    run_id: str = "",
    git_commit: str = "",
    trained_by: User | None = None,
    release_plan: Mapping[str, Any] | None = None,
) -> ModelVersion:
    """Register a trained model as the trial's next candidate; it moves on to staging by itself if its gates pass.

    ``metrics`` is the evaluation as ``ml.evaluation.evaluate`` gives it, ``digests`` SHA-256 (hexadecimal) by file of the bundle. The
    gates are judged here, from the trial's study profile, never taken from the caller. Raises Forbidden, NotFound for a
    trial without a profile, Invalid where a figure or a digest is missing.
    """
    trial_id = str(getattr(trial, "pk", trial))
    actor = _actor(by, "register_model", trial_id)
    if not metrics:
        raise Invalid("A model without an evaluation is not registered.", cure="Evaluate it first.", code="no_metrics")
    if not digests or any(len(digest) != 64 for digest in digests.values()):
        raise Invalid(
            "Every file of the bundle needs its SHA-256.", cure="Pass the bundle's digests.", code="no_digests"
        )
    profile = patients.profile(trial_id)
    judged = gates.judge(profile, metrics)
    with transaction.atomic():
        _one_at_a_time(name)
        newest = ModelVersion.objects.filter(name=name).order_by("-version").values_list("version", flat=True).first()
        version = ModelVersion(
            name=name,
            version=(newest or 0) + 1,
            trial_id=trial_id,
            run_id=run_id,
            digests=dict(digests),
            metrics=dict(metrics),
            gates=judged,
            gates_passed=gates.passed(judged),
            release_plan=dict(release_plan or IMMEDIATE),
            data_version=data_version,
            git_commit=git_commit,
            bundle_path=bundle_path,
            simulated=profile.simulated,
            trained_by=trained_by or (by if isinstance(by, User) else None),
            registered_by=actor.name,
        )
        event = record(by=actor, action="registry.model_registered", obj=version, after=_facts(version))
        version.save(force_insert=True)
        _history(version, action="register", source="", by=actor, event=event.pk, reason="")
        if version.gates_passed:
            _move(version, "stage", by=actor, reason="")
    return version


def sign(
    *,
    by: User,
    password: str,
    version: ModelVersion,
    as_silent: bool = False,
    meaning: str = "",
    expected_hash: str | None = None,
    request: HttpRequest | None = None,
) -> Approval:
    """Sign for a release. The second person's signature releases the version and retires its predecessor.

    ``expected_hash`` is that of the text the signer was shown: another one is refused. Raises Forbidden (no right to
    sign, own model, wrong password), TooMany while locked out, Conflict (state, gates, signed already, text changed).
    """
    check(by, "sign_model", trial=version.trial_id)
    _not_its_trainer(by, version)
    # Before the transaction opens, so that a refused signature is recorded and counted whatever happens after.
    proof = verify_password(by, password, request=request)
    with transaction.atomic():
        _one_release_at_a_time(version.trial_id)
        version = ModelVersion.objects.select_for_update().get(pk=version.pk)
        action = "release_silent" if as_silent else "release"
        _allowed(version, action)
        text = signed_text(version, as_silent=as_silent)
        digest = signed_hash(text)
        if expected_hash is not None and expected_hash != digest:
            raise Conflict(
                "What you were shown is not what would be signed.", cure="Open the page again.", code="changed"
            )
        approval = _sign(version, proof, as_silent=as_silent, meaning=meaning, text=text, digest=digest)
        if _signers(version, digest=digest, as_silent=as_silent) >= SIGNATURES_NEEDED:
            _retire_predecessor(version, by=Actor.person(proof.user))
            _move(version, action, by=Actor.person(proof.user), reason=approval.meaning)
    return approval


def retire(*, by: User | Actor, version: ModelVersion, reason: str) -> ModelVersion:
    """Take a serving version out of service. Raises Forbidden, Conflict where it does not serve, Invalid without reason."""
    return _decide(by, "retire_model", version, "retire", reason)


def roll_back(*, by: User, trial: Trial | str, reason: str, expected: ModelVersion | None = None) -> ModelVersion:
    """Let the version that the serving one followed serve again, over the signatures it was released with; at once.

    ``expected`` is the version the person saw serving: another one is refused. Both moves are one transaction. Raises
    Forbidden, Invalid without reason, Conflict where nothing serves, nothing was followed, or what serves has changed.
    """
    trial_id = str(getattr(trial, "pk", trial))
    check(by, "roll_back_model", trial=trial_id)
    with transaction.atomic():
        _one_release_at_a_time(trial_id)
        current = ModelVersion.objects.select_for_update().filter(trial_id=trial_id, state__in=SERVING).first()
        if current is None:
            raise Conflict(f"No model serves trial {trial_id}, so there is nothing to roll back.", code="state")
        if expected is not None and expected.pk != current.pk:
            raise Conflict(f"{current} serves by now, not {expected}.", cure="Open the page again.", code="changed")
        before = selectors.predecessor(current)
        if before is None:
            raise Conflict(
                f"{current} followed no other version of this trial that could serve again.",
                cure="Retire it, or release another version by two signatures.",
                code="no_predecessor",
            )
        before = ModelVersion.objects.select_for_update().get(pk=before.pk)
        actor = Actor.person(by)
        back = "restore_silent" if selectors.served_silent(before) else "restore"
        _move(current, "roll_back", by=actor, reason=reason)
        _move(before, back, by=actor, reason=reason)
    return before


def reject(*, by: User, version: ModelVersion, reason: str) -> ModelVersion:
    """Refuse a version for good. Raises Forbidden, Conflict where it serves or has ended, Invalid without reason."""
    return _decide(by, "reject_model", version, "reject", reason)


def _decide(by: User | Actor, permission: str, version: ModelVersion, action: str, reason: str) -> ModelVersion:
    actor = _actor(by, permission, version.trial_id)
    with transaction.atomic():
        _one_release_at_a_time(version.trial_id)
        version = ModelVersion.objects.select_for_update().get(pk=version.pk)
        _allowed(version, action)
        _move(version, action, by=actor, reason=reason)
    return version


def _sign(
    version: ModelVersion, proof: SigningProof, *, as_silent: bool, meaning: str, text: str, digest: str
) -> Approval:
    if Approval.objects.filter(version=version, user=proof.user, signed_hash=digest).exists():
        raise Conflict(
            f"{proof.printed_name} has signed already; the second signature is another person's.",
            cure="Ask another model approver.",
            code="signed_already",
        )
    approval = Approval(
        version=version,
        user=proof.user,
        printed_name=proof.printed_name,
        username=proof.username,
        meaning=meaning.strip() or (MEANING_SILENT if as_silent else MEANING),
        as_silent=as_silent,
        signed_text=text,
        signed_hash=digest,
        signed_at=proof.at,
        demo=proof.user.demo,
    )
    record(
        by=Actor.person(proof.user),
        action="registry.model_signed",
        obj=version,
        after={
            "approval": approval.pk,
            "printed_name": approval.printed_name,
            "meaning": approval.meaning,
            "as_silent": as_silent,
            "signed_hash": digest,
            "signed_at": approval.signed_at,
        },
    )
    approval.save(force_insert=True)
    return approval


def _signers(version: ModelVersion, *, digest: str, as_silent: bool) -> int:
    signed = Approval.objects.filter(version=version, signed_hash=digest, as_silent=as_silent)
    if version.trained_by_id is not None:
        signed = signed.exclude(user_id=version.trained_by_id)
    return signed.values("user").distinct().count()


def _retire_predecessor(version: ModelVersion, *, by: Actor) -> None:
    serving = ModelVersion.objects.select_for_update().filter(trial_id=version.trial_id, state__in=SERVING)
    for predecessor in serving.exclude(pk=version.pk):
        _move(predecessor, "retire", by=by, reason=selectors.followed_by(version))


def _allowed(version: ModelVersion, action: str) -> Transition:
    move = BY_MOVE.get((action, version.state))
    if move is None:
        # The commonest way here: somebody wants a version below its gates in production.
        if action == "release" and version.state == "candidate":
            raise Conflict(
                f"{version} is below its study's gates and cannot go to production ({gates.failures(version.gates)}).",
                cure="It can be approved as silent, for research only.",
                code="below_gates",
            )
        raise Conflict(f"{version} is {version.state}: from there it cannot {action.replace('_', ' ')}.", code="state")
    if move.gates is not None and move.gates != version.gates_passed:
        raise Conflict(f"{version} has not passed its gates.", code="below_gates")
    return move


def _move(version: ModelVersion, action: str, *, by: Actor, reason: str) -> None:
    move = _allowed(version, action)
    source = version.state
    version.state = move.target
    event = record(
        by=by,
        action=move.audit,
        obj=version,
        before={"state": source},
        after={"state": move.target, "name": version.name, "version": version.version},
        reason=reason,
    )
    version.save(update_fields=["state"])
    _history(version, action=action, source=source, by=by, event=event.pk, reason=reason)
    if source in SERVING or move.target in SERVING:
        effects.announce(trial_id=version.trial_id, version_id=str(version.pk), state=version.state)


def _history(version: ModelVersion, *, action: str, source: str, by: Actor, event: Any, reason: str) -> None:
    ModelTransition.objects.create(
        version=version,
        action=action,
        from_state=source,
        to_state=version.state,
        by=by.name,
        reason=reason,
        audit_event=event,
    )


def _not_its_trainer(user: User, version: ModelVersion) -> None:
    if user.pk == version.trained_by_id or user.username == version.registered_by:
        raise Forbidden(
            "Who trained or registered a model does not sign for it.", cure="Ask two model approvers.", code="own_model"
        )


def _actor(by: User | Actor, permission: str, trial_id: str) -> Actor:
    if isinstance(by, Actor):
        if by.type != "process":
            raise Forbidden("Only a person or a system process writes to the registry.", code="not_permitted")
        return by
    check(by, permission, trial=trial_id)
    return Actor.person(by)


def _facts(version: ModelVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "run_id": version.run_id,
        "metrics": version.metrics,
        "gates": version.gates,
        "gates_passed": version.gates_passed,
        "digests": version.digests,
        "data_version": version.data_version,
        "git_commit": version.git_commit,
        "bundle_path": version.bundle_path,
        "release_plan": version.release_plan,
    }


def _one_at_a_time(name: str) -> None:
    """Version numbers have no gap and no race: one registration of a name at a time, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('registry'), hashtext(%s))", [name])


def _one_release_at_a_time(trial_id: str) -> None:
    # NO KEY: rows that refer to the trial go on being written meanwhile.
    Trial.objects.select_for_update(no_key=True).get(pk=trial_id)
