"""Lineage of one score: the walk from it to messages and objects, from its model to code, and its replay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from apps.accounts import permissions
from apps.audit.actors import Actor
from apps.core.errors import Conflict, NotFound
from apps.portal.presenters import lineage as present
from apps.portal.presenters.pager import page_of
from apps.portal.views.base import PortalView
from apps.portal.zones import zone
from apps.predictions import lineage, origin, services
from apps.predictions.models import Prediction
from ml.features import INDEX
from ml.lake import LakeError

EVENTS_A_PAGE = 50


class LineageView(PortalView):
    """What the page and its parts share: the prediction, checked against the viewer's sites."""

    action = "view_lineage"
    section = "portal:board"
    help_topic = "lineage"

    def prediction(self, pk: UUID, trial: str) -> Prediction:
        """The prediction. Raises NotFound, in the same words for one of another trial or site."""
        found = lineage.find(pk, trial)
        user = self.viewer.user
        if found is None or not permissions.may(user, "view_lineage", trial=trial, site=found.patient.site_id):
            raise NotFound("There is no such prediction in this trial.", cure="Open it from its patient's page.")
        site = found.patient.site
        self.viewer = replace(self.viewer, zone=zone(site.timezone if site else "UTC"))
        return found

    def replays(self, prediction: Prediction) -> dict[str, Any]:
        """All verdicts so far, and whether the viewer may ask for another."""
        viewer, may = self.viewer, present.sight(self.viewer, prediction)
        return {
            "prediction": prediction,
            "replays": [present.replay(one, viewer, may) for one in services.replays_of(prediction)],
            "may_replay": permissions.may(viewer.user, "replay_prediction", trial=viewer.trial),
            "lost": prediction.not_replayable.reason if hasattr(prediction, "not_replayable") else "",
        }

    def walk(self, request: HttpRequest, prediction: Prediction) -> dict[str, Any]:
        """Vector, events and objects; a sentence where bronze does not hold what it should."""
        viewer, may = self.viewer, present.sight(self.viewer, prediction)
        show = request.GET.get("show", "counted")
        show = show if show in present.SHOWS else "counted"
        query = request.GET.get("q", "")[:60]
        fault, walk = "", None
        try:
            walk = lineage.walk(prediction)
        except LakeError as error:
            fault = str(error)
        feature = request.GET.get("feature", "")
        if feature not in INDEX or lineage.hidden(present.FEATURES[INDEX[feature]].blinding, **may):
            feature = ""
        events = [one for one in walk.events if not feature or feature in one.features] if walk else []
        rows, pager = page_of(events, request, EVENTS_A_PAGE, "event")
        paths = {one.claim.name: one.claim.object or "" for one in walk.objects} if walk else {}
        return {
            "prediction": prediction,
            "fault": fault,
            "walk": walk,
            "vector": origin.vector(prediction),
            "features": present.features(viewer, prediction, walk, show, query),
            "show": show,
            "shows": present.SHOWS.items(),
            "query": query,
            "feature": feature,
            "feature_words": present.feature_words.say(feature, None).title if feature else "",
            "events": [present.event(one, viewer, may, paths) for one in rows],
            "pager": pager,
            "personal": may["personal"],
            **self.objects(prediction, walk, checked=False),
        }

    def objects(self, prediction: Prediction, walk: lineage.Walk | None, *, checked: bool) -> dict[str, Any]:
        """The bronze objects, looked at now where asked."""
        objects = walk.objects if walk else ()
        checks = {one.object: one for one in lineage.check(objects)} if checked else {}
        bad = sum(one.state != "whole" for one in checks.values())
        return {
            "prediction": prediction,
            "objects": present.bronze(objects, present.sight(self.viewer, prediction), checks),
            "checked": checked,
            "bad": bad,
        }


class Lineage(LineageView):
    """The page. Vector, events, objects and origin are looked up after it is there."""

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        found = self.prediction(pk, trial)
        query = {name: request.GET[name] for name in ("show", "q", "feature", "page") if request.GET.get(name)}
        return self.page(
            "portal/lineage.html",
            {
                "patient": found.patient,
                "answer": present.answer(self.viewer, found, present.asked_by(found)),
                "watermark": present.watermark(found),
                "walk_url": f"{reverse('portal:lineage_walk', args=[trial, pk])}?{urlencode(query)}",
                **self.replays(found),
            },
        )


class LineageWalk(LineageView):
    """Vector, events and objects."""

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        return self.part("portal/lineage_walk.html", self.walk(request, self.prediction(pk, trial)))


class LineageObjects(LineageView):
    """The objects, each read now and compared with its claim."""

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        found = self.prediction(pk, trial)
        try:
            walk = lineage.walk(found)
        except LakeError as error:
            raise Conflict(str(error), cure="Bring the lake's backup back.", code="lake") from error
        return self.part("portal/lineage_objects.html", self.objects(found, walk, checked=True))


class LineageOrigin(LineageView):
    """Model version, run, data version, code: each looked up now."""

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        found = self.prediction(pk, trial)
        links = [present.link(one, found, blinded=self.viewer.blinded) for one in origin.origin(found)]
        return self.part("portal/lineage_origin.html", {"links": links, "prediction": found})


class LineageReplay(LineageView):
    """Answer it again, now."""

    action = "replay_prediction"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        found = self.prediction(pk, trial)
        event = services.replay_one(by=Actor.person(self.viewer.user), prediction=found)
        if request.headers.get("HX-Request"):
            return self.part("portal/lineage_replays.html", self.replays(found))
        messages.info(request, f"Replayed: {(event.after or {}).get('verdict')}.")
        return redirect(reverse("portal:lineage", args=[trial, pk]))
