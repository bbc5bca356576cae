"""The one door: `python -m spark_jobs <job> --lake … [options]`."""

from __future__ import annotations

import sys
import time
import traceback

from ml.exits import TOO_LITTLE
from ml.lake import LakeError
from spark_jobs.jobs import JOBS
from spark_jobs.progress import tell
from spark_jobs.settings import JobError, TooLittle, parser, settings


def main(argv: list[str] | None = None) -> int:
    """Run one job. 0 = done; 1 = it could not be done and a sentence says why; 2 = the arguments are wrong;
    65 = there is nothing to work on yet."""
    began = time.monotonic()
    try:
        chosen = parser(tuple(JOBS)).parse_args(argv)
        outcome = JOBS[chosen.job].load()(settings(chosen))
    except TooLittle as error:
        tell(error=str(error))
        return TOO_LITTLE
    except (JobError, LakeError, ValueError) as error:
        tell(error=str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - the last line of defence: whatever it is, it is told in a sentence
        traceback.print_exc()
        tell(error=f"The job met an error nobody foresaw: {type(error).__name__}: {_last_line(error)}")
        return 1
    tell(outcome=outcome | {f"{chosen.job}_seconds": round(time.monotonic() - began, 1)})
    return 0


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error" in line), lines[0] if lines else "")[:300]


if __name__ == "__main__":
    sys.exit(main())
