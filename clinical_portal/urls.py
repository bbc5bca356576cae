"""Every address of the project: the admin, then each app's own list where it has one."""

from __future__ import annotations

import importlib.util
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

#: (module with urlpatterns, prefix): what other systems ask with a key; the API's own process has these alone.
API_MOUNTS = (
    ("apps.predictions.api.urls", ""),
    ("apps.monitoring.urls", ""),
)
#: The portal comes last since it owns the root.
MOUNTS = (*API_MOUNTS, ("apps.portal.urls", ""))


class OneDoor(RedirectView):
    """What Django's admin would do in its own way and the portal does in ours: signing in, changing a password."""

    http_method_names = ["get", "head"]
    query_string = True

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # The admin sends here whomever it does not let in: who has signed in already would come back for ever.
        if self.pattern_name == "portal:sign_in" and request.user.is_authenticated:
            raise PermissionDenied
        return super().get(request, *args, **kwargs)


def exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


urlpatterns: list[URLPattern | URLResolver] = [
    # one way to change a password, the audited one
    path("admin/password_change/", OneDoor.as_view(pattern_name="portal:password"), name="admin-password"),
    # one way to sign in, with one lock and one lost-password page
    path("admin/login/", OneDoor.as_view(pattern_name="portal:sign_in"), name="admin-sign-in"),
    path("admin/", admin.site.urls),
    *(path(prefix, include(module)) for module, prefix in MOUNTS if exists(module)),
]

handler400 = "apps.portal.views.errors.bad_request"
handler403 = "apps.portal.views.errors.forbidden"
handler404 = "apps.portal.views.errors.not_found"
handler500 = "apps.portal.views.errors.server_error"
