"""The gallery: every part of the portal in the states that are easily forgotten, drawn by the same partials."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from apps.portal import gallery
from apps.portal.views.base import SIGNED_IN, PortalView


class Gallery(PortalView):
    """All parts with examples; no patient's data."""

    action = SIGNED_IN

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page("portal/gallery.html", gallery.examples())
