"""What every step of a job may ask for: addresses and files that follow from the settings and the trial."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.core import clock
from apps.patients import selectors as patients
from ml.simulation import state_path


def git_commit() -> str:
    """The commit of this checkout, or "" where it is none (an installed image carries it as a file)."""
    stamp = Path(settings.BASE_DIR) / "COMMIT"
    if stamp.exists():
        return stamp.read_text().strip()
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=settings.BASE_DIR, capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def write_profiles() -> Path:
    """The newest profile of every trial, {trial: profile}, as a file that jobs outside Django can read."""
    path = Path(settings.VAR_DIR) / "profiles.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {profile.trial_id: profile.to_json() for profile in patients.profiles().values()}
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(body, sort_keys=True))
    draft.replace(path)
    return path


def _lake_options() -> str:
    """A file with the object store's address and keys, readable by us alone; "" for a folder."""
    if not settings.LAKE_URL.startswith("s3:"):
        return ""
    path = Path(settings.VAR_DIR) / "lake-options.json"
    path.touch(mode=0o600)
    names = {
        "endpoint": settings.S3_ENDPOINT,
        "access_key": settings.S3_ACCESS_KEY,
        "secret_key": settings.S3_SECRET_KEY,
    }
    path.write_text(json.dumps({name: value for name, value in names.items() if value}))
    return str(path)


def base_context(trial: str | None) -> dict[str, Any]:
    """Names and values before the request's own arguments are laid over them."""
    context: dict[str, Any] = {
        "lake": settings.LAKE_URL,
        "lake-options": _lake_options(),
        "master": settings.SPARK_MASTER_URL,
        "profiles": str(write_profiles()),
        "default-trial": settings.DEFAULT_TRIAL_ID,
        "mlflow-uri": settings.MLFLOW_TRACKING_URI,
        "model-name": settings.MODEL_NAME,
        "git-commit": git_commit(),
        "seed": 1,
    }
    if trial is not None:
        profile = patients.profile(trial)
        path = Path(settings.VAR_DIR) / f"profile-{trial}.json"
        path.write_text(json.dumps(profile.to_json(), sort_keys=True))
        now = profile.replay_time if profile.replay_time is not None else int(clock.now().timestamp())
        context |= {"trial": trial, "profile": str(path), "as-of": now}
        hazard = state_path(Path(settings.VAR_DIR), trial).with_name(f"hazard-{trial}.parquet")
        if profile.simulated and hazard.is_file():
            context["hazard"] = str(hazard)  # the simulator's true risk: what the best possible model would know
    return context
