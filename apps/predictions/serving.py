"""What serves a trial, loaded: the model's bundle, the study profile, and the rows they came from.

`apps.registry` is the truth; here it is kept for a moment. A change of the registry moves the version stamp, and the
next question after that loads anew, so that a rollback needs no restart.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from uuid import UUID

import structlog

from apps.core.lake import lake
from apps.patients import selectors as patients
from apps.registry import selectors as registry
from apps.registry.models import ModelVersion
from ml.features import NAMES
from ml.lake import LakeError
from ml.profile import StudyProfile
from ml.scoring import Bundle, BundleError

log = structlog.get_logger(__name__)

CHECK_SECONDS = 0.5
"""How long a loaded version may be used without asking for the stamp."""


@dataclass(frozen=True, slots=True)
class Serving:
    """One model version ready to answer for one trial."""

    trial_id: str
    model_version: UUID
    label: str
    silent: bool
    bundle: Bundle
    profile: StudyProfile
    profile_version: UUID
    stamp: str


_lock = threading.Lock()
_loaded: dict[str, tuple[float, Serving | None]] = {}


def current(trial_id: str) -> Serving | None:
    """The serving model of a trial, or None where nothing serves it."""
    checked, serving = _loaded.get(trial_id, (0.0, None))
    if time.monotonic() - checked < CHECK_SECONDS:
        return serving
    with _lock:
        checked, serving = _loaded.get(trial_id, (0.0, None))
        if time.monotonic() - checked < CHECK_SECONDS:
            return serving
        serving = _refresh(trial_id, serving)
        _loaded[trial_id] = (time.monotonic(), serving)
        return serving


def forget() -> None:
    """Drop everything loaded (tests; a changed database)."""
    with _lock:
        _loaded.clear()


def _refresh(trial_id: str, old: Serving | None) -> Serving | None:
    model = registry.serving(trial_id)
    if model is None:
        return None
    row = patients.profile_version(trial_id)
    stamp = f"{model.version.pk}/{model.silent}/{row.digest}"
    if old is not None and old.stamp == stamp:
        return old
    try:
        bundle = load_bundle(model.version)
    except (BundleError, LakeError) as error:
        # what two people signed for is not what lies there: better no answer than one of another model
        log.error("model_not_served", trial=trial_id, model=str(model.version), error=str(error))
        return None
    return Serving(
        trial_id=trial_id,
        model_version=model.version.pk,
        label=str(model.version),
        silent=model.silent,
        bundle=bundle,
        profile=StudyProfile.from_json(row.body),
        profile_version=row.pk,
        stamp=stamp,
    )


def load_bundle(version: ModelVersion) -> Bundle:
    """The bundle of a registered version. BundleError where its files are not those that were registered and signed for,
    or were made for other features; LakeError where they are not there."""
    return Bundle.load_from_lake(
        lake(), version.bundle_path, digest=version.digests.get("bundle", ""), names=tuple(NAMES)
    )
