"""What holds wherever a browser speaks HTTPS to us: production, and the tests that read every answer's headers."""

from __future__ import annotations

SECURE_SSL_REDIRECT = True
# Asked from inside, by address, by what watches us; they hold no patient's data and set no cookie.
SECURE_REDIRECT_EXEMPT = [r"^metrics$", r"^health$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
# A name with __Host- is taken from this very host only, over HTTPS, for all of it: no neighbour can plant one.
SESSION_COOKIE_NAME = "__Host-session"
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_NAME = "__Host-csrf"
CSRF_COOKIE_SECURE = True
