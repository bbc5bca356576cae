"""Static files as production serves them: gathered once, named by their content, compressed."""

from __future__ import annotations

from clinical_portal.env import BASE_DIR

#: Beside the code and not among what can be thrown away: it belongs to a version, as the code does.
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
