"""Every address of the project: the admin, then each app's own list where it has one."""

from __future__ import annotations

import importlib.util

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

#: (module with urlpatterns, prefix); the portal comes last since it owns the root.
MOUNTS = (
    ("apps.predictions.api.urls", ""),
    ("apps.monitoring.urls", ""),
    ("apps.portal.urls", ""),
)


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


urlpatterns: list[URLPattern | URLResolver] = [
    # one way to change a password, the audited one
    path("admin/password_change/", RedirectView.as_view(pattern_name="portal:password")),
    path("admin/", admin.site.urls),
    *(path(prefix, include(module)) for module, prefix in MOUNTS if _exists(module)),
]

handler400 = "apps.portal.views.errors.bad_request"
handler403 = "apps.portal.views.errors.forbidden"
handler404 = "apps.portal.views.errors.not_found"
handler500 = "apps.portal.views.errors.server_error"
