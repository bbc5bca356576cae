"""API keys for DRF: ``Authorization: Api-Key …`` or ``X-API-Key: …``, never in the address."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.accounts.keys import authenticate_key, require_scope
from apps.accounts.models import ApiKey, User
from apps.audit.actors import Actor
from apps.core.errors import Malformed, Unauthenticated

QUERY_NAMES = frozenset({"api_key", "apikey", "api-key", "key", "token", "access_token"})


class ApiKeyAuthentication(BaseAuthentication):
    """``request.auth`` is the ApiKey, ``request.user`` its owner. Without a key: not authenticated."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        if sent := QUERY_NAMES & {name.lower() for name in request.query_params}:
            raise Malformed(
                f"A key in the address ({min(sent)}=…) is refused: addresses end in logs.",
                cure="Send it as Authorization: Api-Key <key>, and replace that key: it may have been logged.",
                code="key_in_address",
            )
        header = request.headers.get("Authorization", "")
        if not header.lower().startswith("api-key "):
            header = request.headers.get("X-API-Key", "")
        if not header:
            return None
        key = authenticate_key(header)
        return key.owner, key

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - DRF's signature
        return 'Api-Key realm="predictions"'


class HasScope(BasePermission):
    """The view's ``required_scope`` is one of the key's. A view without one is a fault, and refused."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, ApiKey):
            raise Unauthenticated("An API key is needed.", cure="Send it as Authorization: Api-Key <key>.")
        require_scope(request.auth, view.required_scope)
        return True


def actor_of(request: Request) -> Actor:
    """Who asks, for the audit trail: the key, else the signed-in person."""
    if isinstance(request.auth, ApiKey):
        return Actor.key(request.auth)
    if not isinstance(request.user, User):
        raise Unauthenticated("Nobody is signed in.", cure="Sign in, or send an API key.")
    return Actor.person(request.user)
