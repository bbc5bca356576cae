"""What the operators' commands about versions share: which version is meant, and whose decision it is."""

from __future__ import annotations

import getpass

from apps.accounts import names
from apps.accounts.models import User
from apps.core.errors import Forbidden, NotFound
from apps.registry import selectors
from apps.registry.models import ModelVersion


def chosen(trial: str, number: int) -> ModelVersion:
    """The trial's version of that number. Raises NotFound, which names those there are."""
    versions = selectors.versions(trial)
    found = next((one for one in versions if one.version == number), None)
    if found is None:
        there = ", ".join(str(one.version) for one in versions) or "none"
        raise NotFound(f"Trial {trial} has no model version {number}.", cure=f"There are: {there}.")
    return found


def person(username: str) -> User:
    """The person of that name. Raises NotFound."""
    found = User.objects.filter(username_key=names.key(username)).first()
    if found is None:
        raise NotFound(f"There is no person named {username}.", cure="Use the name they sign in with.")
    return found


def password_of(user: User) -> str:
    """Ask for the person's own password: a terminal is nobody's identity. Raises Forbidden where nobody answers."""
    try:
        return getpass.getpass(f"Password of {user.printed_name} ({user.username}): ")
    except EOFError as error:
        raise Forbidden(
            "Nobody entered a password, and nothing was decided.", cure="Start the command in a terminal."
        ) from error
