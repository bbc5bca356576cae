"""The quality report of one run of `clean`: what was kept, set aside, flagged and removed, by day, site, rule, field."""

from __future__ import annotations

import hashlib
from typing import Any

from ml.lake import Lake
from spark_jobs.tables import date_text, write_json
from spark_jobs.transforms.cleaning import ClaimRef

LATEST = "quality/latest.json"


def write_report(lake: Lake, claims: dict[str, list[ClaimRef]], written: list[dict[str, Any]]) -> dict[str, Any]:
    """Write the report under a name that follows from its input, and as the latest. Returns its totals and path.

    A day that was written again is reported whole. Rates are shares of the messages of that day and site.
    """
    days = [_day(one) for one in written]
    totals = _totals(days)
    body: dict[str, Any] = {
        "batches": {topic: len(refs) for topic, refs in claims.items()},
        "totals": totals,
        "days": days,
    }
    digest = hashlib.sha256("\n".join(sorted(ref.object for refs in claims.values() for ref in refs)).encode())
    path = f"quality/clean-{digest.hexdigest()[:16]}.json"
    write_json(lake, path, body)
    write_json(lake, LATEST, {"path": path, **body})
    return {"report": path, **totals}


def _day(one: dict[str, Any]) -> dict[str, Any]:
    report = one["report"]
    messages: dict[tuple[str, str], int] = {}
    for name in ("rows", "set_aside", "duplicates"):
        for trial, site, count in report[name]:
            messages[trial, site] = messages.get((trial, site), 0) + count

    def rate(trial: str, site: str, count: int) -> float:
        return round(count / max(1, messages.get((trial, site), count)), 6)

    return {
        "topic": one["topic"],
        "date": date_text(one["day"]),
        "messages": [{"trial": t, "site": s, "count": n} for (t, s), n in sorted(messages.items())],
        "duplicates": [{"trial": t, "site": s, "count": n, "rate": rate(t, s, n)} for t, s, n in report["duplicates"]],
        "quarantine": [
            {"trial": t, "site": s, "rule": rule, "field": name, "count": n, "rate": rate(t, s, n)}
            for t, s, rule, name, n in report["quarantine"]
        ],
        "flags": [
            {"trial": t, "site": s, "rule": rule, "count": n, "rate": rate(t, s, n)}
            for t, s, rule, n in report["flags"]
        ],
    }


def _totals(days: list[dict[str, Any]]) -> dict[str, int]:
    raised = [(part["rule"], part["count"]) for one in days for part in one["flags"]]
    return {
        "messages": sum(part["count"] for one in days for part in one["messages"]),
        "quarantined": sum(part["count"] for one in days for part in one["quarantine"]),
        "flagged": sum(count for rule, count in raised if not rule.startswith("filled_")),
        "filled": sum(count for rule, count in raised if rule.startswith("filled_")),
        "duplicates": sum(part["count"] for one in days for part in one["duplicates"]),
    }
