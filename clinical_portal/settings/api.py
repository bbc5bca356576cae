"""The prediction API's process: the same project, few middlewares, connections kept by its long-lived threads."""

from __future__ import annotations

from clinical_portal.env import env

if env.production:
    from clinical_portal.settings.production import *  # noqa: F403
elif env.deployment == "test":
    from clinical_portal.settings.test import *  # noqa: F403
else:
    from clinical_portal.settings.local import *  # noqa: F403

DATABASES["default"]["CONN_MAX_AGE"] = 60  # noqa: F405 - one connection a thread: 3x the requests a second of opening anew
ROOT_URLCONF = "clinical_portal.api_urls"
#: They ask for what belongs to pages, sign-in and forms; this process has none: no sessions, no cookies, keys in a header.
SILENCED_SYSTEM_CHECKS = ["admin.E408", "admin.E409", "admin.E410", "axes.W002", "security.W003"]
MIDDLEWARE = [
    "apps.core.correlation.CorrelationMiddleware",
    "apps.core.headers.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "apps.accounts.methods.MethodMiddleware",
]
