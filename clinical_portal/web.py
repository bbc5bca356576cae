"""``python -m clinical_portal.web``: pages and live updates under uvicorn, logging as every other process does."""

from __future__ import annotations

import uvicorn

from clinical_portal.env import env

#: Open live connections never end by themselves; after this many seconds a stop closes them.
GRACE_SECONDS = 5


def main() -> None:
    uvicorn.run(
        "clinical_portal.asgi:application",
        host="0.0.0.0" if env.production else "127.0.0.1",  # noqa: S104 - in production a front door stands before it
        port=env.integer("WEB_PORT"),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        proxy_headers=False,  # who asked is read from the right of X-Forwarded-For: apps/accounts/addresses.py
        lifespan="off",
    )


if __name__ == "__main__":
    main()
