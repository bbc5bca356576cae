"""MLflow's alias follows the registry, against a real MLflow server."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.core.errors import Unavailable
from apps.registry import effects, mirror, services
from apps.registry.models import ModelVersion
from tests.support import people

pytestmark = pytest.mark.django_db
NAME = "mirror-test"


def call(base: str, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{base}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        parsed: dict[str, Any] = json.loads(answer.read())
        return parsed


def run_of(base: str) -> str:
    run = call(base, "POST", "runs/create", {"experiment_id": "0"})["run"]["info"]
    source = {"name": NAME, "run_id": run["run_id"], "source": f"{run['artifact_uri']}/model"}
    call(base, "POST", "model-versions/create", source)
    return str(run["run_id"])


def released(trial: Any, run_id: str, *, as_silent: bool = False) -> ModelVersion:
    version = services.register(
        by=people.SYSTEM,
        trial=trial,
        name=NAME,
        metrics=people.GOOD,
        digests={"a": "0" * 64},
        data_version="d",
        bundle_path="p",
        run_id=run_id,
    )
    for name in ("first", "second"):
        user = User.objects.filter(username=name).first() or people.person(name, "model_approver")
        services.sign(by=user, password=people.PASSWORD, version=version, as_silent=as_silent)
    return version


@pytest.mark.slow
def test_the_alias_follows_and_a_mismatch_is_an_alarm(
    servers: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, "announce", lambda **_: None)
    base = servers.need("mlflow")["MLFLOW_TRACKING_URI"]
    settings.MLFLOW_TRACKING_URI = base
    settings.DEFAULT_TRIAL_ID = "DEMO"
    call(base, "POST", "registered-models/create", {"name": NAME})
    trial = people.trial("DEMO")
    version = released(trial, run_of(base))
    assert mirror.mismatches("DEMO") == [f"MLflow's alias production of {NAME} is version none, the registry's 1."]
    assert mirror.follow("DEMO") == {"production": "1", "silent": None}
    assert mirror.mismatches("DEMO") == []
    released(trial, run_of(base), as_silent=True)
    assert len(mirror.alarm("DEMO")) == 2
    assert AuditEvent.objects.filter(action="registry.mirror_mismatch").count() == 2
    assert mirror.mismatches("DEMO") == []
    assert ModelVersion.objects.get(pk=version.pk).state == "retired"


def test_without_a_server_it_says_so(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "announce", lambda **_: None)
    released(people.trial("DEMO"), "run")
    for address in ("http://127.0.0.1:1", "file:///tmp"):
        settings.MLFLOW_TRACKING_URI = address
        with pytest.raises(Unavailable):
            mirror.follow("DEMO")
