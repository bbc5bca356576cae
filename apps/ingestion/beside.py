"""A bronze consumer for as long as somebody needs one, where none runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from apps.core import clock
from apps.ingestion.models import ConsumerState

FRESH_SECONDS = 20.0
STOP_SECONDS = 120


def bronze_runs() -> bool:
    """Whether a bronze consumer said how far it is within the last seconds."""
    newest = ConsumerState.objects.filter(group=settings.KAFKA_GROUP_ID).order_by("-updated_at").first()
    return newest is not None and (clock.now() - newest.updated_at).total_seconds() < FRESH_SECONDS


@contextmanager
def bronze_beside(*options: str) -> Iterator[None]:
    """Inside the block bronze takes what is produced; ours is stopped, with everything it read written, at the end."""
    if bronze_runs():
        yield
        return
    folder = Path(settings.VAR_DIR) / "log"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "bronze-beside.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run_bronze", "--seconds", "3", *options],
            cwd=settings.BASE_DIR,
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=STOP_SECONDS)
