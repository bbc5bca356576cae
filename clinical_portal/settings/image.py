"""While an image is built: `manage.py collectstatic` gathers the files as production reads them, and needs no secret."""

from __future__ import annotations

from clinical_portal.settings.gathered import *  # noqa: F403
from clinical_portal.settings.local import *  # noqa: F403 - what comes after it holds
