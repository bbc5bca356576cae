"""When two sign-in names are the same name."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from django.http import HttpRequest

from apps.core.errors import Invalid

MAX_LENGTH = 150


def normalise(name: str) -> str:
    """The name in NFKC without surrounding space. Raises Invalid for an empty name or one with control characters."""
    plain = unicodedata.normalize("NFKC", name).strip()
    if not plain or len(plain) > MAX_LENGTH:
        raise Invalid("A sign-in name has 1 to 150 characters.", code="username")
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in plain):
        raise Invalid("A sign-in name has no control or invisible characters.", code="username")
    return plain


def key(name: str) -> str:
    """What is unique: NFKC, case folded, and NFKC again since folding can undo it (Unicode 3.13, D146)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).strip().casefold())


def counted_name(request: HttpRequest | None, credentials: Mapping[str, str] | None) -> str:
    """The name wrong passwords are counted under (AXES_USERNAME_CALLABLE): the unique form of what was typed."""
    typed = (credentials or {}).get("username") or (request.POST.get("username", "") if request is not None else "")
    return key(str(typed))[: 2 * MAX_LENGTH]
