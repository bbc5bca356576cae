"""The sequencer, the signer and the nightly verification, by the clock."""

from __future__ import annotations

import contextlib

from apps.audit import checkpoints, verification
from apps.audit.actors import Actor
from apps.audit.signer import Refused
from apps.core.tasks import task

BEAT = Actor.process("beat")


@task(name="audit.sequence", queue="default", time_limit=300)
def sequence(*, everything: bool = False) -> int:
    """Seal what waits and sign it; returns the size of the signed log, 0 where nothing was signed."""
    with contextlib.suppress(Refused):  # recorded, logged and shown in red; the next pass asks again
        if (signed := checkpoints.seal(everything=everything)) is not None:
            return int(signed.size)
    return 0


@task(name="audit.verify", queue="default", time_limit=3600)
def verify() -> int:
    """Verify the whole trail in the database; returns how many problems were found and recorded."""
    return len(verification.verify(by=BEAT).problems)
