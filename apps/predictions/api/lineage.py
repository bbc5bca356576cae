"""Lineage and replay for other systems: the same walk as on the page, by the same rules of who may see what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, cast
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import permissions
from apps.accounts.api import actor_of
from apps.accounts.keys import may_see_site
from apps.accounts.models import ApiKey
from apps.audit.models import AuditEvent
from apps.core.errors import Conflict, Invalid, NotFound
from apps.patients import selectors as patients
from apps.predictions import lineage, services
from apps.predictions import origin as origins
from apps.predictions.api.views import PROBLEMS, Api
from apps.predictions.models import Prediction
from ml.features import FEATURES, from_bytes
from ml.lake import LakeError

EVENTS_A_PAGE = 200
MOST_EVENTS = 1000


class EventOut(serializers.Serializer[dict[str, Any]]):
    """One event the prediction saw."""

    topic = serializers.CharField()
    topic_id = serializers.CharField()
    partition = serializers.IntegerField()
    offset = serializers.IntegerField()
    event_time = serializers.DateTimeField()
    known_time = serializers.DateTimeField()
    retracted = serializers.BooleanField()
    rule = serializers.CharField(help_text="The cleaning rule that set (part of) it aside, or empty.")
    value = serializers.DictField(help_text="Null stands for what this key may not see.")
    object = serializers.CharField(help_text="The bronze object it lies in.")
    features = serializers.ListField(child=serializers.CharField(), help_text="The features it fed.")


class ObjectOut(serializers.Serializer[dict[str, Any]]):
    """One claimed bronze object."""

    object = serializers.CharField()
    claim = serializers.CharField()
    topic = serializers.CharField()
    topic_id = serializers.CharField()
    partition = serializers.IntegerField()
    first_offset = serializers.IntegerField()
    last_offset = serializers.IntegerField()
    events = serializers.IntegerField(help_text="How many of the events lie in it.")
    sha256 = serializers.CharField(allow_null=True, help_text="As claimed; null where this key may not see it.")
    state = serializers.ChoiceField(
        ["whole", "altered", "missing", "claim altered", "not checked"], help_text="Checked now where asked with check."
    )


class FeatureOut(serializers.Serializer[dict[str, Any]]):
    """One value of the vector."""

    name = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    unit = serializers.CharField()
    hidden = serializers.BooleanField(help_text="True where this key may not see the value.")
    events = serializers.IntegerField(allow_null=True, help_text="How many events fed it.")
    newest_event_time = serializers.DateTimeField(allow_null=True)


class LinkOut(serializers.Serializer[dict[str, Any]]):
    """One arrow from the model to its code."""

    name = serializers.CharField()
    state = serializers.ChoiceField(["good", "open", "bad"])
    sentence = serializers.CharField()
    facts = serializers.DictField()


class ReplayOut(serializers.Serializer[dict[str, Any]]):
    """One replay."""

    prediction_id = serializers.UUIDField()
    at = serializers.DateTimeField()
    by = serializers.CharField()
    verdict = serializers.CharField(
        help_text="identical; equal within 1e-12 on another processor or build; different; not proven; not replayable."
    )
    proven = serializers.BooleanField()
    details = serializers.ListField(child=serializers.CharField(), help_text="What differs.")
    seconds = serializers.FloatField()
    audit_event = serializers.UUIDField()


class LineageOut(serializers.Serializer[dict[str, Any]]):
    """The whole walk of one prediction."""

    prediction_id = serializers.UUIDField()
    patient_id = serializers.CharField()
    as_of = serializers.DateTimeField()
    made_at = serializers.DateTimeField()
    channel = serializers.ChoiceField(["live", "api", "batch"], help_text="How it was asked for.")
    adverse_event_probability = serializers.FloatField(allow_null=True)
    risk_level = serializers.CharField()
    watermark = serializers.DictField(help_text="Per topic [topic id, partition, offset] applied by then.")
    features_sha256 = serializers.CharField(allow_null=True)
    features = FeatureOut(many=True)
    events = EventOut(many=True)
    events_total = serializers.IntegerField()
    events_page = serializers.IntegerField()
    events_pages = serializers.IntegerField()
    known_later = serializers.IntegerField(help_text="Within the watermark, but learned only after the as-of time.")
    objects = ObjectOut(many=True)
    origin = LinkOut(many=True)
    replays = ReplayOut(many=True)


class PredictionApi(Api):
    """A prediction of the key's trial and sites."""

    def prediction(self, request: Request, prediction: UUID) -> Prediction:
        """Raises NotFound, in the same words for one of another trial or site."""
        key = cast("ApiKey", request.auth)
        found = lineage.find(prediction, str(key.trial_id))
        if found is None or not may_see_site(key, found.patient.site):
            raise NotFound(
                f"There is no prediction {prediction} in trial {key.trial_id}.",
                cure="Check its id; it stands in the answer as prediction_id.",
                code="unknown_prediction",
            )
        return found

    def sight(self, request: Request, prediction: Prediction) -> dict[str, bool]:
        """What this key may see: the arm with its scope, persons where its owner may."""
        key = cast("ApiKey", request.auth)
        blinded = patients.profile(str(key.trial_id)).blinded and "unblinded" not in key.scopes
        personal = permissions.may(key.owner, "view_personal", trial=key.trial_id, site=prediction.patient.site_id)
        return {"blinded": blinded, "personal": personal}


class LineageView(PredictionApi):
    """GET /api/v1/predictions/<id>/lineage."""

    required_scope: ClassVar[str] = "read"

    @extend_schema(
        responses={200: LineageOut, **{status: PROBLEMS[status] for status in (401, 403, 404, 422, 429, 503)}},
        parameters=[
            OpenApiParameter("page", int, description="Page of events, from 1, newest first."),
            OpenApiParameter("page_size", int, description=f"Events a page, at most {MOST_EVENTS}."),
            OpenApiParameter("feature", str, description="Only the events that fed this feature."),
            OpenApiParameter("check", bool, description="True: read every object now and compare it with its claim."),
        ],
        summary="From which messages and by which model a prediction was made",
    )
    def get(self, request: Request, prediction: UUID) -> Response:
        """The walk: prediction, features, events, bronze objects; model, run, data version, code."""
        found = self.prediction(request, prediction)
        sight = self.sight(request, found)
        page, size = _number(request, "page", 1), min(_number(request, "page_size", EVENTS_A_PAGE), MOST_EVENTS)
        try:
            walk = lineage.walk(found)
        except LakeError as error:
            raise Conflict(
                str(error), cure="Bring the lake's backup back; verify_lake names what is missing.", code="bronze"
            ) from error
        visible = {f.name for f in FEATURES if not lineage.hidden(f.blinding, **sight)}
        feature = request.query_params.get("feature", "")
        events = [one for one in walk.events if not feature or (feature in visible and feature in one.features)]
        states = (
            {one.object: one.state for one in lineage.check(walk.objects)}
            if request.query_params.get("check", "").lower() in ("1", "true", "yes")
            else {}
        )
        shown = events[(page - 1) * size : page * size]
        names = {one.claim.name: one.claim.object or "" for one in walk.objects}
        return Response(
            {
                "prediction_id": str(found.pk),
                "patient_id": found.patient.patient_id,
                "as_of": found.as_of,
                "made_at": found.created_at,
                "channel": found.source,
                "adverse_event_probability": found.probability,
                "risk_level": found.level,
                "watermark": found.watermark,
                "features_sha256": found.features_sha256 if sight["personal"] else None,
                "features": features_out(found, walk, visible),
                "events": [_event(one, names, visible, sight) for one in shown],
                "events_total": len(events),
                "events_page": page,
                "events_pages": max(1, -(-len(events) // size)),
                "known_later": walk.later,
                "objects": [_object(one, states, sight) for one in walk.objects],
                "origin": [
                    {
                        "name": link.name,
                        "state": link.state,
                        "sentence": link.sentence,
                        "facts": dict(origins.shown(link, blinded=sight["blinded"])),
                    }
                    for link in origins.origin(found)
                ],
                "replays": [replay_out(event, sight) for event in services.replays_of(found)],
            }
        )


class ReplayView(PredictionApi):
    """POST /api/v1/predictions/<id>/replay."""

    required_scope: ClassVar[str] = "replay"

    @extend_schema(
        request=None,
        responses={200: ReplayOut, **{status: PROBLEMS[status] for status in (401, 403, 404, 429, 503)}},
        summary="Answer a past question again from bronze alone, and compare every bit",
    )
    def post(self, request: Request, prediction: UUID) -> Response:
        """Each replay is put on record with who asked and what came of it."""
        found = self.prediction(request, prediction)
        event = services.replay_one(by=actor_of(request), prediction=found)
        return Response(replay_out(event, self.sight(request, found)))


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 8 and int(text) > 0):
        raise Invalid(f"{name} is no positive number.", cure="Leave it out for the default.", code=name)
    return int(text)


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def features_out(prediction: Prediction, walk: lineage.Walk, visible: set[str]) -> list[dict[str, Any]]:
    """The vector's rows in the order of the table."""
    rows = []
    for feature, value in zip(FEATURES, from_bytes(bytes(prediction.features)).tolist(), strict=True):
        seen = feature.name in visible
        count, newest = walk.feeds.get(feature.name, (0, None))
        rows.append(
            {
                "name": feature.name,
                "value": value if seen and value == value else None,
                "unit": feature.unit,
                "hidden": not seen,
                "events": count if seen else None,
                "newest_event_time": _time(newest) if seen else None,
            }
        )
    return rows


def _event(one: lineage.Seen, objects: dict[str, str], visible: set[str], sight: dict[str, bool]) -> dict[str, Any]:
    topic, topic_id, partition, offset = one.identity
    return {
        "topic": topic,
        "topic_id": topic_id,
        "partition": partition,
        "offset": offset,
        "event_time": _time(one.event_time),
        "known_time": _time(one.known_time),
        "retracted": one.retracted,
        "rule": one.rule,
        "value": lineage.visible(one, **sight),
        "object": objects.get(one.claim, ""),
        "features": [name for name in one.features if name in visible],
    }


def _object(one: lineage.Bronze, states: Mapping[str, str], sight: dict[str, bool]) -> dict[str, Any]:
    claim = one.claim
    kept_back = lineage.contents_hidden(claim.topic, **sight)
    return {
        "object": claim.object or "",
        "claim": claim.name,
        "topic": claim.topic,
        "topic_id": claim.topic_id,
        "partition": claim.partition,
        "first_offset": claim.start,
        "last_offset": claim.end,
        "events": one.events,
        "sha256": None if kept_back else claim.object_sha256,
        "state": states.get(claim.object or "", "not checked"),
    }


def replay_out(event: AuditEvent, sight: dict[str, bool]) -> dict[str, Any]:
    """One replay from its event of the trail; what differs may name values, so only who sees all of them is told."""
    after = event.after or {}
    everything = sight["personal"] and not sight["blinded"]
    return {
        "prediction_id": event.object_id,
        "at": event.at,
        "by": event.actor,
        "verdict": str(after.get("verdict", "")),
        "proven": after.get("proven") is True,
        "details": [str(line) for line in after.get("details", [])] if everything else [],
        "seconds": float(after.get("seconds", 0)),
        "audit_event": str(event.pk),
    }
