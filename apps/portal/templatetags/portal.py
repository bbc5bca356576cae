"""Template tags: the drawn signs, and the one list of style sheets."""

from __future__ import annotations

import json
from typing import Any

from django import template
from django.urls import reverse

from apps.portal.audit_records import KINDS

register = template.Library()

#: In the order they are read; one file per component.
SHEETS = (
    "css/tokens.css",
    "css/base.css",
    *(
        f"css/components/{name}.css"
        for name in (
            "topbar",
            "statusline",
            "button",
            "level",
            "chip",
            "card",
            "table",
            "form",
            "message",
            "pager",
            "lane",
            "strip",
            "spark",
            "factor",
            "chart",
            "gate",
            "signature",
            "progress",
            "patient",
            "walk",
            "study",
            "imports",
            "audit",
        )
    ),
)


@register.filter
def as_json(value: Any) -> str:
    """Numbers for a chart, in an attribute: the template escapes it, and no script element is needed."""
    return json.dumps(value, separators=(",", ":"))


@register.inclusion_tag("components/styles.html")
def portal_styles() -> dict[str, Any]:
    """Links to every style sheet of the portal."""
    return {"sheets": SHEETS}


@register.inclusion_tag("components/icon.html")
def icon(name: str, size: int = 16, label: str = "") -> dict[str, Any]:
    """One sign of the sprite; with a label it is read aloud, without one it is decoration."""
    return {"name": name, "size": size, "label": label}


@register.inclusion_tag("components/level_mark.html")
def level_mark(level: str, size: str = "", label: str = "") -> dict[str, Any]:
    """The shape of a risk level (``critical`` … ``indeterminate``); its word stands beside it or in ``label``."""
    return {"level": level, "size": size, "label": label}


@register.inclusion_tag("components/audit_of.html")
def audit_of(trial: str, object_type: str, object_id: object, label: str = "History") -> dict[str, Any]:
    """Opens what was done to one record: ``{% audit_of viewer.trial.pk "pipelines.JobRun" run.id %}``."""
    key = str(object_id or "")
    kind = KINDS.get(object_type)
    return {
        "url": reverse("portal:audit_of", args=[trial, object_type, key]) if trial and key else "",
        "label": label,
        "what": kind.label.lower() if kind else object_type,
    }


@register.filter
def schema_kind(about: dict[str, Any]) -> str:
    """A field of an OpenAPI schema by its kind: ``string, uuid``, ``list of RiskFactor``, ``number or null``."""
    parts = [about, *about.get("allOf", ()), *about.get("oneOf", ())]
    name = next((part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part), "")
    kind = name or str(about.get("type", "anything"))
    if kind == "array":
        kind = f"list of {schema_kind(about.get('items', {}))}"
    elif about.get("format"):
        kind += f", {about['format']}"
    return f"{kind} or null" if about.get("nullable") else kind
