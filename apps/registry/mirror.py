"""MLflow's alias follows what serves, over MLflow's own REST interface (its package would bring half a gigabyte along).

The alias is a mirror: it is set after the fact, may lag, and answers nobody. For the default trial it is the configured
one (``MODEL_STAGE``), for another trial that name with the trial's identifier behind it; *silent* models get an alias of
that name, so that nobody who reads MLflow takes them for released.
"""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from django.conf import settings
from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core.errors import Unavailable
from apps.registry import selectors
from apps.registry.models import ModelVersion
from apps.registry.states import SERVING

log = logging.getLogger(__name__)
MIRROR = Actor.process("registry-mirror")
_PATIENCE = 10  # seconds


def aliases(trial_id: str) -> dict[str, str]:
    """State -> alias of a trial."""
    behind = "" if trial_id == settings.DEFAULT_TRIAL_ID else f"-{trial_id.lower()}"
    return {"production": f"{settings.MODEL_STAGE}{behind}", "silent": f"silent{behind}"}


def wanted(trial_id: str) -> dict[str, str | None]:
    """Alias -> the version's run in MLflow, None where the alias must not be."""
    serving = selectors.serving(trial_id)
    return {
        alias: serving.version.run_id if serving is not None and serving.version.state == state else None
        for state, alias in aliases(trial_id).items()
    }


def follow(trial_id: str) -> dict[str, str | None]:
    """Set the trial's aliases as the registry says. Returns alias -> MLflow's version number. Raises Unavailable."""
    done: dict[str, str | None] = {}
    for name in _names(trial_id):
        for alias, run_id in wanted(trial_id).items():
            number = _number(name, run_id) if run_id else None
            if number is None:
                _delete(name, alias)
            else:
                _call("POST", "registered-models/alias", {"name": name, "alias": alias, "version": number})
            done[alias] = number
    return done


def mismatches(trial_id: str) -> list[str]:
    """Sentences on where MLflow says something else than the registry. Raises Unavailable."""
    found = []
    for name in _names(trial_id):
        held = {row["alias"]: str(row["version"]) for row in _aliases_of(name)}
        for alias, run_id in wanted(trial_id).items():
            number = _number(name, run_id) if run_id else None
            if held.get(alias) != number:
                found.append(
                    f"MLflow's alias {alias} of {name} is version {held.get(alias) or 'none'}, the registry's {number or 'none'}."
                )
    return found


def alarm(trial_id: str) -> list[str]:
    """Look for mismatches, and record and log each; then follow again."""
    found = mismatches(trial_id)
    if not found:
        return []
    version = ModelVersion.objects.filter(trial_id=trial_id, state__in=SERVING).first()
    with transaction.atomic():
        for sentence in found:
            log.error("model registry mismatch", extra={"trial": trial_id, "mismatch": sentence})
            record(
                by=MIRROR,
                action="registry.mirror_mismatch",
                object_type="registry.ModelVersion",
                object_id=version.pk if version else "none",
                trial=trial_id,
                after={"mismatch": sentence},
            )
    follow(trial_id)
    return found


def run_of(run_id: str) -> dict[str, Any]:
    """A run as MLflow has it: status, and tags by name; empty where it knows none. Raises Unavailable."""
    query = urllib.parse.urlencode({"run_id": run_id})
    run: dict[str, Any] = _call("GET", f"runs/get?{query}", missing={}).get("run", {})
    if not run:
        return {}
    tags = {str(row["key"]): str(row["value"]) for row in run.get("data", {}).get("tags", [])}
    return {"status": run["info"]["status"], "experiment": str(run["info"]["experiment_id"]), "tags": tags}


def _names(trial_id: str) -> list[str]:
    return sorted(set(ModelVersion.objects.filter(trial_id=trial_id).exclude(run_id="").values_list("name", flat=True)))


def _number(name: str, run_id: str) -> str | None:
    """MLflow's number of the version that run registered."""
    query = urllib.parse.urlencode({"filter": f"name = '{name}' and run_id = '{run_id}'"})
    found = _call("GET", f"model-versions/search?{query}").get("model_versions", [])
    return str(found[0]["version"]) if found else None


def _aliases_of(name: str) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"name": name})
    model: dict[str, Any] = _call("GET", f"registered-models/get?{query}", missing={}).get("registered_model", {})
    return list(model.get("aliases", []))


def _delete(name: str, alias: str) -> None:
    if any(row["alias"] == alias for row in _aliases_of(name)):
        _call("DELETE", "registered-models/alias", {"name": name, "alias": alias})


def _call(
    method: str, path: str, body: dict[str, Any] | None = None, *, missing: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One call; ``missing`` is the answer where MLflow does not know the thing."""
    address = f"{settings.MLFLOW_TRACKING_URI.rstrip('/')}/api/2.0/mlflow/{path}"
    if not address.startswith(("http://", "https://")):
        raise Unavailable("MLflow has no server here.", cure="Set MLFLOW_TRACKING_URI to its address.", code="mlflow")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - checked above
            parsed: dict[str, Any] = json.loads(answer.read() or b"{}")
            return parsed
    except urllib.error.HTTPError as error:
        if error.code == 404 and missing is not None:
            return missing
        raise Unavailable(
            f"MLflow answered {error.code} to {path.partition('?')[0]}.", cure="Read MLflow's log.", code="mlflow"
        ) from error
    except (OSError, ValueError) as error:
        raise Unavailable(
            "MLflow does not answer.", cure="Start it; the alias follows at the next check.", code="mlflow"
        ) from error
