"""Everybody who may come to an address: the columns of the table of access."""

from __future__ import annotations

from dataclasses import dataclass

from apps.accounts.keys import SCOPES
from apps.accounts.roles import ADMINISTRATOR, COORDINATOR, ROLES

HERE, ELSEWHERE, EVERY = "here", "elsewhere", "every"


@dataclass(frozen=True, slots=True)
class Held:
    """A role, for the trial of the address (HERE), another (ELSEWHERE) or EVERY; ``site``: "" for all of the trial's."""

    role: str
    trial: str = HERE
    site: str = ""

    @property
    def counts(self) -> bool:
        """Whether it counts in the trial of the address."""
        return self.trial != ELSEWHERE


@dataclass(frozen=True, slots=True)
class Visitor:
    """One column. A person has roles; a system has a key with ``scopes``, of the trial and site HERE or ELSEWHERE."""

    name: str
    label: str
    signed_in: bool = True
    roles: tuple[Held, ...] = ()
    scopes: tuple[str, ...] = ()
    key: bool = False
    key_trial: str = HERE
    key_site: str = ""
    revoked: bool = False


def _key(name: str, label: str, *scopes: str, trial: str = HERE, site: str = "", revoked: bool = False) -> Visitor:
    return Visitor(name, label, False, (), scopes, key=True, key_trial=trial, key_site=site, revoked=revoked)


def _blinded(name: str) -> str:
    return "" if ROLES[name].unblinded else " (blinded)"


VISITORS: tuple[Visitor, ...] = (
    Visitor("anonymous", "nobody signed in", signed_in=False),
    Visitor("deactivated", "deactivated, session open", signed_in=False, roles=(Held(ADMINISTRATOR, EVERY),)),
    Visitor("no_role", "no role"),
    *(Visitor(role.name, role.label + _blinded(role.name), roles=(Held(role.name),)) for role in ROLES.values()),
    Visitor("other_site", "Coordinator of another site", roles=(Held(COORDINATOR, HERE, ELSEWHERE),)),
    Visitor("other_trial", "all roles, of another trial", roles=tuple(Held(role, ELSEWHERE) for role in ROLES)),
    Visitor("platform", "Administrator of every trial", roles=(Held(ADMINISTRATOR, EVERY),)),
    *(_key(f"key_{scope}", f"key: {scope}", scope) for scope in SCOPES),
    _key("key_other_site", "key: all, another site", *SCOPES, site=ELSEWHERE),
    _key("key_other_trial", "key: all, another trial", *SCOPES, trial=ELSEWHERE),
    _key("key_revoked", "key: all, revoked", *SCOPES, revoked=True),
)
BY_NAME = {visitor.name: visitor for visitor in VISITORS}
