"""Production: HTTPS only, nothing guessed, every weak or missing secret refused at start."""

from __future__ import annotations

from clinical_portal.env import env

env.refuse_unfit()

from clinical_portal.settings.base import *  # noqa: E402, F403
from clinical_portal.settings.gathered import *  # noqa: E402, F403
from clinical_portal.settings.secure import *  # noqa: E402, F403

if env.flag("TLS_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
PROXY_COUNT = env.integer("PROXY_COUNT")
