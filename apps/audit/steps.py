"""Steps of the jobs "audit_export" and "audit_verify": called by name with a run's context (see ``pipelines.jobs``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.apps import apps as registry
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from apps.audit import export as exports
from apps.audit import verification
from apps.audit.actors import Actor
from apps.audit.services import record
from apps.core.errors import Invalid
from apps.core.lake import lake

Report = Callable[[str, int, int], None]
PART = 8 * 1024 * 1024
FOLDER = "audit/exports"


def export(context: dict[str, Any], report: Report) -> dict[str, Any]:
    """Write the export of ``context["scope"]`` (a trial; "" = everything) to the lake, in parts, and record it for the
    person who asked for the run."""
    scope = str(context["scope"])
    actor = _person(context)
    with TemporaryDirectory(dir=_work()) as folder:
        target = Path(folder) / "export.zip"
        made = exports.write(target=target, trial=scope or None, made_by=actor.name, report=report)
        parts = 0
        with target.open("rb") as data:
            while chunk := data.read(PART):
                lake().create(part_path(made.export_id, parts), chunk)
                parts += 1
    facts = dataclasses.asdict(made) | {"parts": parts, "scope": scope or "everything"}
    with transaction.atomic():
        record(
            by=actor,
            action="audit.exported",
            object_type="audit.AuditEvent",
            object_id=made.export_id,
            trial=scope,
            after={"form": "zip"} | facts,
        )
    return {"export": made.export_id, "records": made.records, "of_sealed": made.size, "sha256": made.sha256}


def verify(context: dict[str, Any], report: Report) -> dict[str, Any]:
    """Verify the whole trail, for the person who asked."""
    verdict = verification.verify(by=_person(context), report=report)
    if verdict.problems:
        raise Invalid(
            " ".join((verdict.sentence, *verdict.problems[:5])),
            cure="Export the trail, keep the anchors of the lake safe, and begin an inquiry.",
            code="audit_damaged",
        )
    return {"verified": verdict.sentence}


def part_path(export_id: str, part: int) -> str:
    """The object of an export's part."""
    return f"{FOLDER}/{export_id}/{part:05d}.part"


def parts_of(export_id: str, parts: int) -> Iterator[bytes]:
    """The export's bytes, a part at a time."""
    for part in range(parts):
        yield lake().get(part_path(export_id, part))


def _person(context: dict[str, Any]) -> Actor:
    run = registry.get_model("pipelines.JobRun")._default_manager.get(pk=context["job_run"])
    return Actor.person(get_user_model()._default_manager.get_by_natural_key(run.by))


def _work() -> Path:
    folder = Path(settings.VAR_DIR) / "audit"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
