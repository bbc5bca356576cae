"""ASGI door: pages over HTTP, live updates over WebSocket (``apps.portal.routing.websocket_urlpatterns``)."""

from __future__ import annotations

import importlib.util
import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinical_portal.settings.local")

http = get_asgi_application()  # before the routing: consumers import models


def websocket_routes() -> list[object]:
    if importlib.util.find_spec("apps.portal.routing") is None:
        return []
    from apps.portal.routing import websocket_urlpatterns

    return list(websocket_urlpatterns)


application = ProtocolTypeRouter(
    {"http": http, "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_routes())))}
)
