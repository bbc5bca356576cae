"""What the prediction API reads and says, with the names the requirements give."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ml.contracts.events import ID_PATTERN


class OffsetDateTime(serializers.DateTimeField):
    """A time as it was written: one without an offset stays without, so that it can be refused and not guessed."""

    def enforce_timezone(self, value: Any) -> Any:
        return value


class PredictRequest(serializers.Serializer[dict[str, Any]]):
    """About whom, and as of when. A timestamp needs its offset; without one the study's now is taken."""

    patient_id = serializers.RegexField(
        ID_PATTERN, max_length=64, help_text="Pseudonymous identifier in the key's trial."
    )
    timestamp = OffsetDateTime(required=False, help_text="ISO 8601 with offset; at most 60 s from the study's now.")


class RiskFactor(serializers.Serializer[dict[str, Any]]):
    """One feature's share of the difference between the patient's probability and the baseline's."""

    feature = serializers.CharField()
    contribution = serializers.FloatField(help_text="In probability; all factors and `other_features` add up.")
    value = serializers.FloatField(allow_null=True, required=False)
    unit = serializers.CharField(required=False, allow_blank=True)
    count = serializers.IntegerField(required=False, help_text="Of `other_features`: how many.")


class PredictAnswer(serializers.Serializer[dict[str, Any]]):
    """The stored prediction."""

    prediction_id = serializers.UUIDField()
    patient_id = serializers.CharField()
    adverse_event_probability = serializers.FloatField(allow_null=True, help_text="Null when indeterminate.")
    risk_level = serializers.ChoiceField(["LOW", "MODERATE", "HIGH", "CRITICAL", "INDETERMINATE"])
    prediction_timestamp = serializers.DateTimeField(help_text="The as-of time, UTC.")
    horizon_hours = serializers.IntegerField()
    model_version = serializers.CharField()
    research_only = serializers.BooleanField(help_text="True while the model runs silent.")
    simulated = serializers.BooleanField()
    baseline_probability = serializers.FloatField(help_text="What the factors are measured against.")
    top_risk_factors = RiskFactor(many=True)
    reasons = serializers.ListField(child=serializers.CharField(), help_text="Why it is indeterminate, and the remedy.")
    correlation_id = serializers.CharField()


class Problem(serializers.Serializer[dict[str, Any]]):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    cure = serializers.CharField()
    code = serializers.CharField()
    correlation_id = serializers.CharField()
