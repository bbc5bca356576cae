"""``python -m clinical_portal.probe web|api|metrics``: whether a process here serves; a container's health check."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

from clinical_portal.env import env

#: Of each kind of process, the setting of its port and what is asked of it. Consumers, workers and beat show metrics alone.
ASKED = {"web": ("WEB_PORT", "/health"), "api": ("API_PORT", "/health"), "metrics": ("METRICS_PORT", "/metrics")}
SECONDS = 5


def main(arguments: list[str]) -> int:
    """0 where it answers 200; else 1, with the answer on standard error."""
    if len(arguments) != 1 or arguments[0] not in ASKED:
        print(f"say which process: {' or '.join(ASKED)}", file=sys.stderr)
        return 2
    port, address = ASKED[arguments[0]]
    request = urllib.request.Request(
        f"http://127.0.0.1:{env.integer(port)}{address}",
        headers={"Host": env.words("ALLOWED_HOSTS")[0], "X-Forwarded-Proto": "https"},
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return 0 if answer.status == 200 else 1
    except urllib.error.HTTPError as error:
        print(error.read().decode(errors="replace"), file=sys.stderr)
    except OSError as error:
        print(f"no answer: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
