"""Headers that every answer bears, as a table; a view that needs another value sets it itself."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

#: What is not asked for by any page: cameras, places, payment and the like.
_FEATURES = (
    "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen", "geolocation", "gyroscope",
    "magnetometer", "microphone", "midi", "payment", "usb", "xr-spatial-tracking",
)  # fmt: skip
HEADERS: dict[str, str] = {
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _FEATURES),
    "Cross-Origin-Resource-Policy": "same-origin",
    # Whatever is not a static file may hold a patient's data: no cache and no disk keeps it.
    "Cache-Control": "no-store",
}


class HeadersMiddleware(MiddlewareMixin):
    """Adds what the answer has not set. Static files come with a cache header of their own."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:  # noqa: ARG002
        for name, value in HEADERS.items():
            if name == "Cache-Control" and "no-store" not in response.get(name, "") and not _static(response):
                response.headers[name] = value
            else:
                response.headers.setdefault(name, value)
        return response


def _static(response: HttpResponseBase) -> bool:
    """Whether WhiteNoise answered: its answers are files of ours, the same for everybody."""
    return type(response).__module__.startswith("whitenoise.")
