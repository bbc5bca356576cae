"""ASGI door: pages over HTTP, live updates over WebSocket (``apps.portal.routing.websocket_urlpatterns``)."""

from __future__ import annotations

import importlib.util
import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinical_portal.settings.local")

from apps.core.bodies import BodyLimit
from apps.ingestion.imports.places import UPLOAD_BYTES

http = get_asgi_application()  # before the routing: consumers import models
UPLOADS = {"/imports/new/": UPLOAD_BYTES + (1 << 20)}
"""Addresses that take files, and a form's worth of bytes around them."""


def websocket_routes() -> list[object]:
    if importlib.util.find_spec("apps.portal.routing") is None:
        return []
    from apps.portal.routing import websocket_urlpatterns

    return list(websocket_urlpatterns)


application = ProtocolTypeRouter(
    {
        "http": BodyLimit(http, larger=UPLOADS),
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_routes()))),
    }
)
