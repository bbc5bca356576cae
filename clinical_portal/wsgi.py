"""WSGI door, used by gunicorn for the prediction API."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinical_portal.settings.api")

application = get_wsgi_application()
