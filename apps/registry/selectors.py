"""Reading the registry. ``serving`` is the one answer to the question which model answers for a trial."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.errors import NotFound
from apps.registry.models import Approval, ModelTransition, ModelVersion
from apps.registry.states import SERVING


@dataclass(frozen=True, slots=True)
class ServingModel:
    """What serves a trial: the version, the lake folder of its bundle, and whether it is for research only."""

    version: ModelVersion
    bundle_path: str
    silent: bool


def serving(trial: object) -> ServingModel | None:
    """The model that serves the trial (a Trial or its identifier), or None. A constraint allows one at most."""
    version = ModelVersion.objects.filter(trial_id=str(getattr(trial, "pk", trial)), state__in=SERVING).first()
    if version is None:
        return None
    return ServingModel(version=version, bundle_path=version.bundle_path, silent=version.state == "silent")


def version(name: str, number: int) -> ModelVersion:
    """The version of that model and number. Raises NotFound."""
    found = ModelVersion.objects.filter(name=name, version=number).first()
    if found is None:
        raise NotFound(f"There is no version {number} of {name}.", code="unknown_model")
    return found


def versions(trial: object) -> list[ModelVersion]:
    """All versions of the trial's models, newest first."""
    return list(ModelVersion.objects.filter(trial_id=str(getattr(trial, "pk", trial))).order_by("-created_at"))


def history(version: ModelVersion) -> list[ModelTransition]:
    """Its moves, oldest first."""
    return list(version.transitions.order_by("id"))


def followed_by(version: ModelVersion) -> str:
    """The reason in the history of a version that was retired because this one was released."""
    return f"Followed by {version}."


def predecessor(version: ModelVersion) -> ModelVersion | None:
    """The version that this one followed when it was released: what a rollback lets serve again while this one serves.

    None where it followed none: a version that a person withdrew was followed by nothing and does not come back.
    """
    moves = ModelTransition.objects.filter(version__trial_id=version.trial_id, from_state__in=SERVING)
    move = moves.filter(action="retire", reason=followed_by(version)).order_by("-id").select_related("version").first()
    return move.version if move is not None else None


def served_silent(version: ModelVersion) -> bool:
    """Whether it last served for research only."""
    last = version.transitions.filter(to_state__in=SERVING).order_by("-id").first()
    return last is not None and last.to_state == "silent"


def approvals(version: ModelVersion) -> list[Approval]:
    """Its signatures, oldest first."""
    return list(version.approvals.select_related("user").order_by("id"))
