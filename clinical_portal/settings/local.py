"""`make run`: embedded servers, plain HTTP on this machine, simulated patients."""

from __future__ import annotations

from clinical_portal.settings.base import *  # noqa: F403

WHITENOISE_USE_FINDERS = True  # no collectstatic step between an edit and the page
WHITENOISE_AUTOREFRESH = True
DEMO_ALLOWED = True
