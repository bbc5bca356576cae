"""Who may do what, where: one table, and the two functions that read it. What is not in the table is refused.

``may`` answers yes or no, ``check`` raises the sentence. The scope of an action says which grant is enough:
*trial* = any grant in the trial, also one limited to a site (lists are then cut by ``visible_sites``);
*site* = a grant that covers the site asked about; *platform* = a grant for every trial.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from django.db.models import Q, QuerySet

from apps.accounts.models import RoleGrant, User
from apps.accounts.roles import (
    ADMINISTRATOR,
    AUDITOR,
    COORDINATOR,
    ML_ENGINEER,
    MODEL_APPROVER,
    ROLES,
    SAFETY_REVIEWER,
)
from apps.core.errors import Forbidden

if TYPE_CHECKING:
    from apps.patients.models import Site, Trial  # above this layer: for type checking only

Scope = Literal["trial", "site", "platform"]
CLINICAL = frozenset({COORDINATOR, SAFETY_REVIEWER})
READERS = CLINICAL | {AUDITOR, ADMINISTRATOR, ML_ENGINEER}
EVERYONE = frozenset(ROLES)


@dataclass(frozen=True, slots=True)
class Permission:
    """One row: the action, what it is in words ("You may not …"), which grant is enough, and the roles."""

    action: str
    sentence: str
    scope: Scope
    roles: frozenset[str]


def _row(action: str, sentence: str, scope: Scope, *roles: str) -> Permission:
    return Permission(action, sentence, scope, frozenset(roles))


# fmt: off
_ROWS: tuple[Permission, ...] = (
    _row("view_board", "see the risk board", "trial", *READERS),
    _row("view_patient", "see this patient", "site", *READERS),
    _row("view_personal", "see age, sex and descent of this patient", "site", *CLINICAL, AUDITOR, ADMINISTRATOR),
    _row("view_predictions", "see predictions of this patient", "site", *READERS),
    _row("request_prediction", "ask for a prediction", "site", *CLINICAL, ML_ENGINEER),
    _row("replay_prediction", "replay a prediction", "trial", ML_ENGINEER, AUDITOR, ADMINISTRATOR),
    _row("view_lineage", "see from which messages a score was made", "site", *READERS),
    _row("change_patient", "send a change of this patient", "site", COORDINATOR, ADMINISTRATOR),
    _row("view_data_quality", "see refused and quarantined messages", "trial", ML_ENGINEER, AUDITOR, ADMINISTRATOR),
    _row("view_platform_letters", "see refused messages of which no trial can be read", "platform", ML_ENGINEER, AUDITOR, ADMINISTRATOR),
    _row("replay_dead_letter", "replay a refused message", "trial", ML_ENGINEER, ADMINISTRATOR),
    _row("view_jobs", "see runs", "trial", ML_ENGINEER, MODEL_APPROVER, AUDITOR, ADMINISTRATOR),
    _row("run_job", "start a job", "trial", ML_ENGINEER, ADMINISTRATOR),
    _row("cancel_job", "cancel a job", "trial", ML_ENGINEER, ADMINISTRATOR),
    _row("view_imports", "see imports of studies", "trial", ML_ENGINEER, AUDITOR, ADMINISTRATOR),
    _row("import_study", "import a study", "trial", ML_ENGINEER, ADMINISTRATOR),
    _row("import_new_study", "import a study as a new trial", "platform", ML_ENGINEER, ADMINISTRATOR),
    _row("view_models", "see models and their evaluation", "trial", *EVERYONE),
    _row("register_model", "register a model version", "trial", ML_ENGINEER),
    _row("sign_model", "sign for a model version", "trial", MODEL_APPROVER),
    _row("reject_model", "reject a model version", "trial", MODEL_APPROVER),
    _row("roll_back_model", "let the previous model serve again", "trial", MODEL_APPROVER, ADMINISTRATOR),
    _row("retire_model", "retire a model version", "trial", MODEL_APPROVER, ADMINISTRATOR),
    _row("view_monitoring", "see the monitoring of models", "trial", ML_ENGINEER, MODEL_APPROVER, AUDITOR, ADMINISTRATOR, SAFETY_REVIEWER),
    _row("view_audit", "read the audit trail", "trial", AUDITOR, ADMINISTRATOR),
    _row("view_record_audit", "see what was done to this record", "site", *EVERYONE),
    _row("review_audit", "sign off a review of the audit trail", "trial", AUDITOR),
    _row("view_field_log", "see the admin's log of changed fields", "platform", AUDITOR, ADMINISTRATOR),
    _row("export_audit", "export the audit trail", "trial", AUDITOR),
    _row("view_people", "see people, roles and keys", "trial", AUDITOR, ADMINISTRATOR),
    _row("manage_users", "keep accounts", "platform", ADMINISTRATOR),
    _row("manage_roles", "grant and end roles", "trial", ADMINISTRATOR),
    _row("record_training", "record training", "trial", ADMINISTRATOR),
    _row("manage_keys", "issue and revoke API keys", "trial", ADMINISTRATOR),
    _row("view_study", "see how the study is set up", "trial", ML_ENGINEER, MODEL_APPROVER, AUDITOR, ADMINISTRATOR),
    _row("change_study", "change the study's name", "trial", ADMINISTRATOR),
    _row("manage_sites", "keep sites", "trial", ADMINISTRATOR),
    _row("manage_arms", "keep the study's arms", "trial", ADMINISTRATOR),
    _row("manage_trials", "create trials", "platform", ADMINISTRATOR),
    _row("publish_profile", "publish a study profile", "trial", ADMINISTRATOR),
    _row("view_components", "see the gallery of parts", "trial", *EVERYONE),
)
# fmt: on
PERMISSIONS: dict[str, Permission] = {row.action: row for row in _ROWS}


class OutOfSight(Forbidden):
    """The person may do it in this trial, but not at this site. A page tells it as if nothing were there: whether another
    site has a patient of that name is none of their business."""


@dataclass(frozen=True, slots=True)
class VisibleSites:
    """The sites of one trial a person may see: all of them, or those with these keys ("trial/site")."""

    trial: str
    everything: bool
    keys: frozenset[str]

    def __bool__(self) -> bool:
        return self.everything or bool(self.keys)

    def __contains__(self, site: object) -> bool:
        return self.everything or site_key(self.trial, site) in self.keys

    def narrow(self, queryset: QuerySet[Any], *, field: str = "site") -> QuerySet[Any]:
        """The rows at these sites; ``field`` is the path to the site's foreign key. Rows without a site are seen only
        by those who see all."""
        return queryset if self.everything else queryset.filter(**{f"{field}__in": self.keys})


def may(user: User | Any, action: str, *, trial: Trial | str | None, site: Site | str | None = None) -> bool:
    """Whether the person may do it. ``trial`` None = on the platform as a whole. KeyError for an unknown action."""
    permission = PERMISSIONS[action]
    trial_id = _trial_id(trial)
    wanted = site_key(trial_id or "", site)
    for grant in grants(user, trial_id):
        if grant.role not in permission.roles:
            continue
        if permission.scope == "platform" and grant.trial_id is not None:
            continue
        if permission.scope == "site" and grant.site_id is not None and grant.site_id != wanted:
            continue
        # A site is given where the page is about one: then a grant for another site is not enough, whatever the scope.
        if site is not None and grant.site_id is not None and grant.site_id != wanted:
            continue
        return True
    return False


def check(user: User | Any, action: str, *, trial: Trial | str | None, site: Site | str | None = None) -> None:
    """Raise Forbidden with the sentence unless ``may``."""
    if not may(user, action, trial=trial, site=site):
        refusal = OutOfSight if site is not None and may_somewhere(user, action, trial=trial) else Forbidden
        where = f" in trial {_trial_id(trial)}" if trial is not None else ""
        raise refusal(
            f"You may not {PERMISSIONS[action].sentence}{where}.",
            cure="Ask an administrator for a role that may: " + ", ".join(_labels(action)) + ".",
            code="not_permitted",
        )


def may_somewhere(user: User | Any, action: str, *, trial: Trial | str | None) -> bool:
    """Whether the person may do it at one site of the trial at least: the trial's door to actions about a site."""
    permission = PERMISSIONS[action]
    return any(
        grant.role in permission.roles and (permission.scope != "platform" or grant.trial_id is None)
        for grant in grants(user, _trial_id(trial))
    )


def visible_sites(user: User | Any, trial: Trial | str) -> VisibleSites:
    """The sites of the trial whose patients the person may see."""
    trial_id = _trial_id(trial) or ""
    granting = [grant for grant in grants(user, trial_id) if grant.role in PERMISSIONS["view_patient"].roles]
    return VisibleSites(
        trial=trial_id,
        everything=any(grant.site_id is None for grant in granting),
        keys=frozenset(grant.site_id for grant in granting if grant.site_id is not None),
    )


def visible_trials(user: User | Any) -> list[str]:
    """Identifiers of the trials the person has any role in; a grant for every trial gives all of them."""
    from django.apps import apps as registry  # the trial's model is above this layer

    held = grants(user, None, any_trial=True)
    if any(grant.trial_id is None for grant in held):
        return list(registry.get_model("patients", "Trial").objects.order_by("pk").values_list("pk", flat=True))
    return sorted({str(grant.trial_id) for grant in held})


def trials_where(user: User | Any, action: str) -> list[str]:
    """Identifiers of the trials in which the person may do it; a grant for every trial gives all of them."""
    return [trial_id for trial_id in visible_trials(user) if may_somewhere(user, action, trial=trial_id)]


def is_blinded(user: User | Any, trial: Trial | str, *, blinded_study: bool = True) -> bool:
    """Whether what reveals the arm is kept from the person. In a study that is not blinded, from nobody.

    A person who holds a blinded role anywhere in the trial is blinded there, whatever else they hold: the arm cannot
    be unseen when they next open the board.
    """
    if not blinded_study:
        return False
    roles = {ROLES[grant.role] for grant in grants(user, _trial_id(trial)) if grant.role in ROLES}
    return not roles or any(not role.unblinded for role in roles)


def grants(user: User | Any, trial_id: str | None, *, any_trial: bool = False) -> list[RoleGrant]:
    """The live grants of an active person that count in the trial (None = those for every trial only)."""
    if user is None or not getattr(user, "is_authenticated", False) or not user.is_active:
        return []
    live = RoleGrant.objects.in_force().filter(user_id=user.pk)
    if not any_trial:
        live = (
            live.filter(Q(trial_id=trial_id) | Q(trial__isnull=True)) if trial_id else live.filter(trial__isnull=True)
        )
    return list(live)


def site_key(trial_id: str, site: object) -> str:
    """ "trial/site" of a Site, its key or its bare identifier; "" for none."""
    if site is None or site == "":
        return ""
    text = str(getattr(site, "pk", site))
    return text if text.startswith(f"{trial_id}/") else f"{trial_id}/{text}"


def _trial_id(trial: Trial | str | None) -> str | None:
    return None if trial is None else str(getattr(trial, "pk", trial))


def _labels(action: str) -> list[str]:
    return [ROLES[name].label for name in sorted(PERMISSIONS[action].roles)]
