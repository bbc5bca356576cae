"""The registry's part in a pipeline, called by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from apps.audit.actors import Actor
from apps.core.errors import Invalid
from apps.core.lake import lake
from apps.registry import services
from ml.lake import ObjectMissing
from ml.scoring import Bundle

TRAINING = Actor.process("training")


def register(context: dict[str, Any], report: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Inputs: trial, bundle_path, run_id, model-name, git-commit. Output: version (name, number, state)."""
    path = str(context["bundle_path"])
    try:
        evaluation = json.loads(lake().get(f"{path}/evaluation.json"))
    except ObjectMissing as error:
        raise Invalid(f"{path} holds no evaluation.json.", cure="Run the training again.", code="no_evaluation") from error
    bundle = Bundle.load_from_lake(lake(), path)
    version = services.register(
        by=TRAINING,
        trial=str(context["trial"]),
        name=str(context["model-name"]),
        metrics=evaluation,
        digests={**bundle.digests, "bundle": bundle.digest},
        data_version=bundle.data_version,
        bundle_path=path,
        run_id=str(context.get("run_id", "")),
        git_commit=str(context.get("git-commit", "")),
    )
    report(f"{version} is {version.get_state_display().lower()}", 1, 1)
    return {"version": str(version), "version_id": str(version.pk), "state": version.state}
