"""The registry's part in a pipeline, called by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.core.errors import Conflict, Invalid
from apps.core.lake import lake
from apps.patients import selectors as patients
from apps.pipelines.models import JobRun
from apps.registry import demo, services
from apps.registry.models import ModelVersion
from ml.lake import ObjectMissing
from ml.scoring import Bundle

TRAINING = Actor.process("training")
DEMO = Actor.process("demo")


def register(context: dict[str, Any], report: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Inputs: trial, bundle_path, run_id, model-name, git-commit. Output: version (name, number, state)."""
    path = str(context["bundle_path"])
    try:
        evaluation = json.loads(lake().get(f"{path}/evaluation.json"))
    except ObjectMissing as error:
        raise Invalid(
            f"{path} holds no evaluation.json.", cure="Run the training again.", code="no_evaluation"
        ) from error
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
        trained_by=_who_asked(context),
    )
    report(f"{version} is {version.get_state_display().lower()}", 1, 1)
    return {"version": str(version), "version_id": str(version.pk), "state": version.state}


def _who_asked(context: dict[str, Any]) -> User | None:
    """The person who asked for the run, and may so not sign for what came of it; None where the clock or a key did."""
    run = JobRun.objects.filter(pk=context["job_run"]).first() if "job_run" in context else None
    return User.objects.filter(username=run.by).first() if run else None


def sign_on_demo(context: dict[str, Any], report: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Inputs: trial. On a demonstration the demo's two approvers sign for the newest version, silent where it is below
    its gates; elsewhere the version awaits its signatures. Outputs: state, signatures."""
    trial = patients.trial(str(context["trial"]))
    version = ModelVersion.objects.filter(trial=trial).order_by("-version").first()
    if version is None:
        raise Conflict(f"No version of a model of {trial.pk} is registered.", cure="Run the training first.")
    if not demo.available():
        report("the version awaits the signatures of two approvers", 1, 1)
        return {"state": version.state, "signatures": []}
    demo.join_trial(by=DEMO, trial=trial)
    silent = version.state == ModelVersion.State.CANDIDATE
    signatures = list(demo.sign_release(version=version, as_silent=silent))
    version.refresh_from_db()
    return {"state": version.state, "signatures": signatures}
