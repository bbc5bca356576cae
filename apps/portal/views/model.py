"""The model page: the version that serves, or one asked for, and all versions of the trial."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from apps.accounts import permissions
from apps.core.errors import NotFound
from apps.portal.presenters import model as present
from apps.portal.presenters.status import status
from apps.portal.views.base import PortalView
from apps.registry import selectors as registry
from apps.registry.models import ModelVersion
from apps.registry.states import BY_MOVE

#: move, page of the administration where it is signed for, words
DESKS = (
    ("release", "admin:registry_modelversion_sign", "Sign for the release"),
    ("release_silent", "admin:registry_modelversion_sign_silent", "Sign for silent use"),
)


class Model(PortalView):
    """One version with its evaluation, gates and signatures; the serving one where none is named."""

    action = "view_models"
    section = "portal:model"
    help_topic = "model"

    def get(self, request: HttpRequest, trial: str, version: int | None = None) -> HttpResponse:
        viewer = self.viewer
        versions = registry.versions(viewer.trial)
        if version is not None:
            chosen = next((one for one in versions if one.version == version), None)
            if chosen is None:
                raise NotFound(
                    f"Trial {trial} has no model version {version}.", cure="Choose one from the list of versions."
                )
        else:
            chosen = next(
                (one for one in versions if one.state in ("production", "silent")), versions[0] if versions else None
            )
        may_roll_back = permissions.may(viewer.user, "roll_back_model", trial=viewer.trial)
        serves = chosen is not None and chosen.state in registry.SERVING
        context = {
            "chosen": chosen,
            "before": registry.predecessor(chosen) if chosen and serves and may_roll_back else None,
            "model": present.page(chosen, viewer, registry.history(chosen), registry.approvals(chosen))
            if chosen
            else None,
            "ways_to_sign": self._ways_to_sign(chosen) if chosen else [],
            "versions": [present.version_row(one, viewer) for one in versions],
            "label": status(viewer, newest=None, gap=None, silent=bool(chosen and chosen.state == "silent")),
        }
        return self.page("portal/model.html", context)

    def _ways_to_sign(self, version: ModelVersion) -> list[tuple[str, str]]:
        """Where this person may sign for this version as it stands: (address, words)."""
        user = self.viewer.user
        if not user.is_staff or not permissions.may(user, "sign_model", trial=self.viewer.trial):
            return []
        return [
            (reverse(name, args=[version.pk]), words) for move, name, words in DESKS if (move, version.state) in BY_MOVE
        ]
