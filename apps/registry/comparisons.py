"""Comparisons of two versions: what the job is told, and the newest that is kept of two."""

from __future__ import annotations

import json
from typing import Any

from apps.core.errors import Invalid
from apps.core.lake import lake
from apps.registry.models import ModelVersion
from ml.comparison.places import place_of
from ml.lake import ObjectMissing


def arguments(one: ModelVersion, two: ModelVersion) -> dict[str, Any]:
    """The job's arguments. Raises Invalid for a version against itself, or versions of two trials."""
    if one.pk == two.pk:
        raise Invalid(f"{one} cannot be compared with itself.", cure="Choose another version.")
    if one.trial_id != two.trial_id:
        raise Invalid("Two versions are compared within one trial.", cure="Choose versions of the same trial.")
    return {"one": one.bundle_path, "two": two.bundle_path, "one-name": str(one), "two-name": str(two)}


def kept(one: ModelVersion, two: ModelVersion) -> dict[str, Any] | None:
    """The newest comparison of the two in this order, or None where there is none."""
    try:
        body: dict[str, Any] = json.loads(lake().get(place_of(one.trial_id, str(one), str(two))))
    except ObjectMissing:
        return None
    return body
