"""`make test`: the local settings, quicker where speed hides nothing."""

from __future__ import annotations

from clinical_portal.settings.local import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
SECRET_KEY = "only-for-tests-" + "0123456789abcdef" * 3
